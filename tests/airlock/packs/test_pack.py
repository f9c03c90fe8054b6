from __future__ import annotations

import json

import pytest

from casemate.airlock import formats
from casemate.airlock.packs import PACK_TYPE, load_pack, packs, read, shipped, sign_pack
from casemate.errors import BadInput, BadSignature, NotFound
from casemate.store.digest import Digest
from tests.airlock.packs.conftest import pen_of

ONE = "0" * 64


def test_every_shipped_list_reads_and_names_itself() -> None:
    names = [pack.name for pack in packs()]
    assert names == [
        "chat", "chat-larger", "chat-smoke", "embeddings-e5", "embeddings-en", "embeddings-fr-en",
        "language-id", "ocr", "speech", "voice-activity",
    ]  # fmt: skip
    for name in names:
        pack = shipped(name)
        assert pack.name == name
        assert {"LICENSE"} <= {file.path for file in pack.files}
        assert pack.title.en
        assert pack.title.fr


def test_no_shipped_pack_holds_a_type_that_the_airlock_does_not_let_in_for_a_model() -> None:
    found = {(pack.name, file.path, file.format) for pack in packs() for file in pack.files}
    opaque = {(pack, path) for pack, path, format_name in found if format_name == "opaque"}
    assert opaque == {("speech", "model.bin"), ("embeddings-fr-en", "sp.model"), ("embeddings-e5", "e5-small-q4.bin")}
    assert {format_name for _, _, format_name in found} - {"opaque"} <= formats.MODEL


def test_the_chat_model_is_six_wheels_and_the_file_that_upstream_publishes() -> None:
    pack = shipped("chat")
    model = pack.files[0]
    assert (len(pack.wheels), model.size) == (6, 491_400_064)
    assert model.digest == Digest("1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32")


def test_every_shipped_pack_says_what_it_does() -> None:
    assert {pack.name: pack.task for pack in packs()} == {
        "chat": "chat", "chat-larger": "chat", "chat-smoke": "chat", "embeddings-e5": "embeddings",
        "embeddings-en": "embeddings", "embeddings-fr-en": "embeddings", "language-id": "language-id", "ocr": "ocr",
        "speech": "speech", "voice-activity": "voice-activity",
    }  # fmt: skip


def test_a_list_signed_before_there_were_tasks_still_reads(small: str) -> None:
    assert read(small).task == ""
    assert read(small.replace('kind = "model"', 'kind = "model"\ntask = "ocr"')).task == "ocr"


def test_a_pack_that_is_not_shipped_is_not_found() -> None:
    with pytest.raises(NotFound) as refusal:
        shipped("chatty")
    assert str(refusal.value).startswith("pack chatty: expected one of chat, chat-larger, ")


def test_the_list_in_the_folder_is_canonical_and_names_the_text_that_was_signed(small: str) -> None:
    pack = read(small)
    kept = json.loads(pack.to_json())
    assert kept["list"] == str(Digest.of_bytes(small.encode()))
    assert kept["files"][0]["path"] == "model/small.gguf"
    assert read(small + "# a word\n").to_json() != pack.to_json()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "model"', 'kind = "model"\nowner = "me"', "pack list owner: expected no such key, found one"),
        ('kind = "model"', 'kind = "program"', "pack list kind: expected Input should be 'model', fo"),
        ('kind = "model"', 'kind = "model"\ntask = "sing"', "pack list task: expected Input should be 'chat'"),
        ("casemate-pack/1", "casemate-pack/2", "pack list format: expected Input should be"),
        ('path = "model/small.gguf"', 'path = "../small.gguf"', "pack list file ../small.gguf: expected relative"),
        ('path = "model/small.gguf"', 'path = "/small.gguf"', "pack list file /small.gguf: expected relative paths"),
        ('path = "model/small.gguf"', 'path = "LICENSE/a.gguf"', "pack list files: expected each path to be a fil"),
        ('path = "model/small.gguf"', 'path = "LICENSE"', "pack list file LICENSE: expected a name that a gguf"),
        ('path = "LICENSE"', 'path = "COPYING"', "pack list: expected a file LICENSE, found none"),
        ('path = "model/small.gguf"', 'path = "pack.json"', "pack list file pack.json: expected a name that a gguf"),
        ('format = "gguf"', 'format = "pickle"', "pack list file model/small.gguf format: expected opaque or csv,"),
        ('format = "gguf"', 'format = "opaque"', "pack list file model/small.gguf: expected a name that ends in bi"),
        ('inside = "small_part1/a.bin"', 'inside = "../a.bin"', "pack list file model/small.gguf inside: expected re"),
        ("small_part2-1.0-py3-none-any.whl", "small_part1-1.0-py3-none-any.whl", "pack list file model/small.gguf wh"),
        ("small_part2-1.0-py3-none-any.whl", "small_part2-1.1-py3-none-any.whl", "pack list file model/small.gguf wh"),
        ("small_part2-1.0-py3-none-any.whl", "../small_part2-1.0.whl", "pack list files.0.from.1.wheel: expected"),
        ("https://example.org/small", "file:///etc/passwd", "pack list origin.url: expected"),
        ('en = "A small model"', 'en = "two\\nlines"', "pack list title.en: expected"),
        ('format = "gguf"', 'format = "gguf"\nlicence_text = "Apache-2.0"', "pack list file model/small.gguf: exp"),
        ('format = "gguf"', 'format = "gguf"\nunpack = "zip"', "pack list files.0.unpack: expected Input should be"),
        ("[title]", "[title", "pack list: expected TOML, found"),
    ],
)  # fmt: skip
def test_a_slip_of_the_pen_is_an_error(small: str, old: str, new: str, message: str) -> None:
    assert old in small
    with pytest.raises(BadInput) as refusal:
        read(small.replace(old, new, 1))
    assert str(refusal.value).startswith(message)


def test_a_file_has_a_source_or_a_licence_text_of_those_that_are_shipped(small: str) -> None:
    bare = small[: small.rindex("[[files.from]]")]
    with pytest.raises(BadInput, match="pack list file LICENSE: expected from or licence_text, found neither"):
        read(bare)
    with pytest.raises(BadInput, match=r"LICENSE licence_text: expected Apache-2\.0 or MIT, found \.\./x"):
        read(bare + 'licence_text = "../x"\n')


def test_one_wheel_has_one_digest(small: str) -> None:
    start = small.rindex("sha256")
    two = small[:start] + small[start:].replace(small[start + 10 : start + 74], ONE)
    with pytest.raises(BadInput) as refusal:
        read(two)
    assert str(refusal.value) == "pack list wheel small_part1-1.0-py3-none-any.whl: expected one digest, found two"


def test_a_list_is_trusted_only_as_the_officer_signed_it(small: str) -> None:
    officer = pen_of("olivia")
    envelope = sign_pack(small, officer)
    assert load_pack(small.encode(), envelope, officer.public) == read(small)
    with pytest.raises(BadSignature, match="pack list: expected the bytes that the officer signed, found other bytes"):
        load_pack(small.replace("A small", "A large").encode(), envelope, officer.public)
    with pytest.raises(BadSignature, match="pack list signer: expected a trusted key, found key"):
        load_pack(small.encode(), envelope, pen_of("mallory").public)


def test_a_signature_over_something_else_does_not_make_a_list(small: str) -> None:
    officer = pen_of("olivia")
    other = officer.sign_bytes("application/vnd.casemate.gate-policy+toml", small.encode()).to_json()
    with pytest.raises(BadSignature, match=f"pack list payload type: expected {PACK_TYPE}".replace("+", r"\+")):
        load_pack(small.encode(), other, officer.public)


def test_the_officer_cannot_sign_what_is_no_list() -> None:
    with pytest.raises(BadInput):
        sign_pack("name = 1", pen_of("olivia"))
