from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from casemate.errors import BadInput, NameTaken, NotFound, WrongPassphrase
from casemate.gates.pen import unlock
from casemate.signing.keys import LEAST_COST, PublicKey, generate_key_file
from casemate.signing.sign import Pen
from casemate.signing.verify import verify

Pens = Callable[[str], Pen]


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, PublicKey]:
    path = tmp_path_factory.mktemp("keys") / "anne.key"
    public = generate_key_file(path, b"correct horse", cost=LEAST_COST)
    return path.read_bytes(), public


def _put(folder: Path, data: bytes) -> Path:
    path = folder / "anne.key"
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def test_a_key_file_opens_with_its_passphrase_and_signs(key_file: tuple[bytes, PublicKey], tmp_path: Path) -> None:
    data, public = key_file
    pen = unlock(_put(tmp_path, data), b"correct horse")
    assert pen.public == public
    assert verify(pen.sign_bytes("t", b"x"), [public], payload_type="t") == public


def test_a_wrong_or_absent_passphrase_is_refused(key_file: tuple[bytes, PublicKey], tmp_path: Path) -> None:
    path = _put(tmp_path, key_file[0])
    with pytest.raises(WrongPassphrase) as wrong:
        Pen.unlock(path, b"correct h0rse")
    assert str(wrong.value) == (
        f"key file {path}: expected its passphrase, found one that does not open it, or a damaged file"
    )
    with pytest.raises(WrongPassphrase) as none:
        Pen.unlock(path, None)
    assert str(none.value) == f"key file {path}: expected a passphrase, found none"


def test_no_field_of_a_key_file_can_be_changed(key_file: tuple[bytes, PublicKey], tmp_path: Path, pens: Pens) -> None:
    facts = json.loads(key_file[0])
    other = json.loads(pens("eve").public.to_json())
    salt = facts["protection"]["salt"]
    changes = [
        {"public": other},
        {"protection": {**facts["protection"], "n": 2 * LEAST_COST}},
        {"protection": {**facts["protection"], "salt": ("B" if salt[0] == "A" else "A") + salt[1:]}},
        {"secret": "A" * (len(facts["secret"]) - 4) + facts["secret"][-4:]},
    ]
    for change in changes:
        text = json.dumps({**facts, **change}, sort_keys=True, indent=1) + "\n"
        with pytest.raises(WrongPassphrase):
            Pen.unlock(_put(tmp_path, text.encode()), b"correct horse")


@pytest.mark.parametrize("n", [1, 2**14, 2**15 + 1, 2**21, 2**40])
def test_a_cost_that_is_weak_or_would_take_all_memory_is_refused(
    key_file: tuple[bytes, PublicKey], tmp_path: Path, n: int
) -> None:
    path = _put(tmp_path, key_file[0].replace(str(LEAST_COST).encode(), str(n).encode()))
    with pytest.raises(BadInput) as refusal:
        Pen.unlock(path, b"correct horse")
    assert str(refusal.value) == (
        f"key file {path} protection.n: expected a power of two from 2**15 to 2**20, found {n}"
    )
    with pytest.raises(BadInput, match=f"found {n}$"):
        generate_key_file(tmp_path / "new.key", b"x", cost=n)


def test_a_key_without_passphrase_takes_a_choice_in_so_many_words(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    with pytest.raises(BadInput) as neither:
        generate_key_file(path, None)
    assert str(neither.value) == f"key file {path}: expected a passphrase, or the choice to have none, found neither"
    with pytest.raises(BadInput, match="found an empty passphrase"):
        generate_key_file(path, b"")
    with pytest.raises(BadInput, match="found both"):
        generate_key_file(path, b"x", unprotected=True)
    assert not path.exists()
    public = generate_key_file(path, None, unprotected=True)
    assert Pen.unlock(path, None).public == public
    with pytest.raises(
        WrongPassphrase, match=r"expected no passphrase \(the file is not protected\), found a passphrase"
    ):
        Pen.unlock(path, b"x")


def test_an_unprotected_key_whose_public_half_was_swapped_is_refused(tmp_path: Path, pens: Pens) -> None:
    path = tmp_path / "site.key"
    public = generate_key_file(path, None, unprotected=True)
    facts = {**json.loads(path.read_bytes()), "public": json.loads(pens("eve").public.to_json())}
    path.write_text(json.dumps(facts, sort_keys=True, indent=1) + "\n")
    with pytest.raises(BadInput) as refusal:
        Pen.unlock(path, None)
    assert str(refusal.value) == (
        f"key file {path}: expected the private half of {pens('eve').public.keyid}, found {public.keyid}"
    )


def test_a_key_file_is_private_whole_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a 'key' with\nhostile name"
    generate_key_file(path, None, unprotected=True)
    before = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(NameTaken, match="expected no such file yet, found a file"):
        generate_key_file(path, None, unprotected=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    path.chmod(0o644)
    with pytest.raises(BadInput, match="expected mode 0600, readable by its owner alone, found mode 0644"):
        Pen.unlock(path, None)


def test_an_absent_key_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="expected a key file, found No such file or directory"):
        Pen.unlock(tmp_path / "none.key", b"x")


def test_a_key_file_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"expected a folder that takes it, found .*No such file or directory"):
        generate_key_file(tmp_path / "none" / "anne.key", None, unprotected=True)


def test_an_error_about_a_key_file_never_shows_its_secret(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    generate_key_file(path, None, unprotected=True)
    facts = json.loads(path.read_bytes())
    for change in ({"extra": facts["secret"]}, {"public": facts["secret"][:8]}):
        path.write_text(json.dumps({**facts, **change}, sort_keys=True, indent=1) + "\n")
        with pytest.raises(BadInput) as refusal:
            Pen.unlock(path, None)
        assert facts["secret"] not in str(refusal.value)


def test_a_truncated_key_file_is_refused(key_file: tuple[bytes, PublicKey], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="expected canonical JSON"):
        Pen.unlock(_put(tmp_path, key_file[0][:100]), b"correct horse")


def test_the_key_id_is_the_sha256_of_the_public_file(pens: Pens, golden: Callable[[str, str], None]) -> None:
    public = pens("anne").public
    assert public.keyid == hashlib.sha256(public.to_json()).hexdigest()
    assert PublicKey.from_json(public.to_json()) == public
    golden("signing/public-key.json", public.to_json().decode())


def test_the_pem_is_the_p384_half(pens: Pens) -> None:
    public = pens("anne").public
    assert load_pem_public_key(public.p384_pem()) == public.ecdsa_key()


def test_bytes_that_are_not_keys_are_refused(pens: Pens) -> None:
    public = pens("anne").public
    with pytest.raises(BadInput, match="public key ecdsa-p384: expected a valid key"):
        PublicKey(b"\x04" + b"\x01" * 96, public.mldsa65)
    with pytest.raises(BadInput, match="public key ml-dsa-65: expected a valid key"):
        PublicKey(public.p384, public.mldsa65[:-1])
    compressed = bytes([2 + public.p384[-1] % 2]) + public.p384[1:49]
    with pytest.raises(BadInput, match="expected 97 bytes, uncompressed, found 49 bytes"):
        PublicKey(compressed, public.mldsa65)
