"""A folder of documents becomes a set: every kind read, nothing lost, everything refused with its reason."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from casemate.errors import BadInput
from casemate.modalities.language import library
from casemate.modalities.language.documents import process, records
from casemate.modalities.language.documents.limits import Limits
from tests.airlock.samples.mails import eml, msg
from tests.modalities.language.documents import makers
from tests.modalities.language.documents.conftest import ReadFiles

Passages = Callable[[], list[Any]]


def test_every_kind_is_read_with_its_words_heading_and_table(read: ReadFiles, passages: Passages) -> None:
    found = read({name: make() for name, make in makers.KINDS.items()})
    assert found.refused == ()
    by_path = {document.path: document for document in found.documents}
    assert by_path.keys() == makers.KINDS.keys()
    for name, document in by_path.items():
        text = "\n".join(p.text for p in passages() if p.document == document.id)
        flat = " ".join(text.split())
        assert makers.WORDS in flat, name
        assert makers.HEADING in flat, name
        assert " ".join(makers.TABLE.split()) in flat, name
        assert (document.language, document.characters > 150, document.passages) == ("fr", True, 1), name
    assert {name: by_path[name].kind for name in ("a.pdf", "a.md", "a.csv", "a.msg")} == {
        "a.pdf": "pdf", "a.md": "markdown", "a.csv": "text", "a.msg": "msg",
    }  # fmt: skip
    assert {document.group for document in found.documents} < {document.id for document in found.documents}
    assert by_path["a.docx"].written_markings == ({"text": "DIFFUSION RESTREINTE", "marking": "DR", "page": 0},)
    assert by_path["a.eml"].date == "2026-03-02"
    assert found.facts()["kinds"]["pdf"] == 1


def test_passages_of_a_pdf_say_page_and_boxes(read: ReadFiles, passages: Passages) -> None:
    read({"a.pdf": makers.pdf(3, table=False)})
    (passage, *_) = passages()
    assert passage.page == 1
    assert {box[0] for p in passages() for box in p.boxes} == {1, 2, 3}
    for _, x0, y0, x1, y1 in passage.boxes:
        assert 0 < x0 < x1 < 596
        assert 0 < y0 < y1 < 842


def test_columns_are_read_one_after_the_other(read: ReadFiles, passages: Passages) -> None:
    words = " ".join(f"mot{i:04d}" for i in range(700))
    read({"a.pdf": makers.pdf(1, words=words, table=False, columns=True)})
    text = " ".join(" ".join(p.text for p in passages()).split())
    assert words in text


def test_pictures_and_scans_are_noted_where_no_model_reads_them(read: ReadFiles) -> None:
    found = read({"a.png": makers.png(), "b.pdf": makers.scan()})
    assert [(d.path, d.notes, d.passages) for d in found.documents] == [
        ("a.png", ("page 1: a picture, not read: no OCR model",), 0),
        ("b.pdf", ("page 1: no text, not read: no OCR model",), 0),
    ]
    assert found.facts()["unread_pages"] == 2


def test_what_cannot_be_read_is_refused_with_its_reason_and_the_rest_goes_on(read: ReadFiles) -> None:
    bad = {
        "encrypted.pdf": makers.encrypted_pdf(), "cut.pdf": makers.pdf()[:200], "cut.docx": makers.docx()[:500],
        "no.eml": b"\n\n", "cut.msg": msg()[:700], "bad.json": b"{", "x.bin": b"x", "bad.png": b"\x89PNG\r\n\x1a\nxx",
        "empty.odt": b"",
    }  # fmt: skip
    found = read({**bad, "good.txt": b"Bonjour tout le monde."})
    assert [d.path for d in found.documents] == ["good.txt"]
    assert {r.path for r in found.refused} == bad.keys()
    reasons = {r.path: r.reason for r in found.refused}
    assert reasons["encrypted.pdf"] == "expected a PDF that opens, found one that is encrypted"
    assert reasons["x.bin"] == "expected a kind of document that is read, found .bin"
    assert reasons["bad.json"].startswith("expected JSON, found")
    assert all(reason.startswith("expected ") for reason in reasons.values())
    assert found.facts()["refused"] == len(bad)


def test_an_empty_document_says_so(read: ReadFiles) -> None:
    found = read({"a.txt": b"  \n \n", "b.pdf": makers.pdf(1, words="", table=False, heading="")})
    assert found.documents[0].notes == ("empty: no text was found",)
    assert all(document.passages == 0 or document.characters for document in found.documents)


def test_controls_are_stripped_and_noted(read: ReadFiles, passages: Passages) -> None:
    found = read({"a.txt": "Le mot\u202e secret\u200b est\x07 dit.".encode()})
    assert passages()[0].text == "Le mot secret est dit."
    assert found.documents[0].notes == (
        "stripped: 1 control or invisible characters",
        "stripped: 1 direction characters",
        "stripped: 1 zero-width characters",
    )


def test_attachments_are_documents_of_their_own_however_deep(read: ReadFiles, passages: Passages) -> None:
    inner = eml(("plan.txt", b"Le plan du port est joint."))
    found = read({"a.eml": eml(("m.eml", inner), ("x.exe", b"MZ")), "b.msg": msg(("c.txt", b"une note"))})
    assert [d.path for d in found.documents] == [
        "a.eml",
        "a.eml!/m.eml",
        "a.eml!/m.eml!/plan.txt",
        "b.msg",
        "b.msg!/c.txt",
    ]
    assert [(r.path, r.reason[-10:]) for r in found.refused] == [("a.eml!/x.exe", "found .exe")]
    assert "Le plan du port est joint." in [p.text for p in passages()]


def test_mail_in_mail_without_end_is_cut(read: ReadFiles) -> None:
    mail = eml(body="le fond\n")
    for _ in range(6):
        mail = eml(("m.eml", mail))
    found = read({"a.eml": mail}, limits=Limits(workers=1, max_depth=2))
    assert [r.reason for r in found.refused] == ["expected at most 2 mails in one another, found more"]
    assert len(found.documents) == 3


def test_the_same_file_twice_is_one_document(read: ReadFiles) -> None:
    found = read({"a.txt": b"Un texte.", "b/a.txt": b"Un texte.", "c.eml": eml(("d.txt", b"Un texte."))})
    assert [(d.path, d.notes) for d in found.documents] == [
        ("a.txt", ("the same file: b/a.txt", "the same file: c.eml!/d.txt")), ("c.eml", ()),
    ]  # fmt: skip


def test_records_are_in_the_order_of_paths_whatever_finished_first(read: ReadFiles, passages: Passages) -> None:
    files = {f"{i:02d}.txt": f"Document numéro {i}.".encode() for i in range(40)}
    found = read(files, limits=Limits(workers=3))
    assert [d.path for d in found.documents] == sorted(files)
    assert [p.text for p in passages()] == [f"Document numéro {i}." for i in range(40)]


def test_a_reader_that_dies_or_hangs_refuses_its_document_only(
    read: ReadFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import os, sys, time\n"
        "from casemate.modalities.language.documents import child\n"
        "read = child._Reading.read\n"
        "def hurt(self, message):\n"
        "    if 'die' in message['file']: os.kill(os.getpid(), 11)\n"
        "    if 'exit' in message['file']: raise MemoryError('words of the document')\n"
        "    if 'hang' in message['file']: time.sleep(60)\n"
        "    if 'lie' in message['file']: self.say.message({'blocks': [{'text': 3}]})\n"
        "    if 'noise' in message['file']: os.write(self.say._fd, b'x' * 100)\n"
        "    read(self, message)\n"
        "child._Reading.read = hurt\n"
        "child.main()\n"
    )
    monkeypatch.setattr(process, "_COMMAND", [process.sys.executable, "-I", "-c", code])
    names = ("a_die", "b_exit", "c_hang", "d_lie", "e_noise", "f_good")
    files = {f"{name}.txt": f"Voici {name}.".encode() for name in names}
    found = read(files, limits=Limits(workers=1, page_s=1.0, patience=1.0))
    assert [d.path for d in found.documents] == ["f_good.txt"]
    expected = "expected a document that is read within its limits, found "
    assert [r.reason.removeprefix(expected) for r in found.refused] == [
        "the reader crashed: killed by SIGSEGV", "the reader crashed: exit 1, MemoryError", "no answer in 6 s",
        "a block with other fields", "an answer that cannot be read",
    ]  # fmt: skip


def test_after_too_many_broken_readers_the_rest_is_refused_unread(
    read: ReadFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_COMMAND", [process.sys.executable, "-c", "raise SystemExit(4)"])
    found = read({f"{i}.txt": f"{i}".encode() for i in range(4)}, limits=Limits(workers=1, max_failures=2))
    assert [r.reason.rpartition("found ")[2] for r in found.refused[:2]] == ["the reader crashed: exit 4"] * 2
    assert [r.reason for r in found.refused[2:]] == ["not read: readers broke 2 times before"] * 2


def test_more_text_than_a_document_may_hold_is_refused(read: ReadFiles) -> None:
    limits = Limits(workers=1, max_characters=1000)
    found = read({"a.txt": b"mot " * 400, "b.txt": b"mot"}, limits=limits)
    assert [r.reason for r in found.refused] == ["expected at most 1000 characters, found more"]


def test_a_document_that_is_refused_in_the_middle_leaves_nothing_in_the_next(
    read: ReadFiles, passages: Passages
) -> None:
    files = {"a.txt": b"premier " * 300_000, "b.txt": "Le deuxième document.".encode(), "c.txt": b"Le dernier."}
    found = read(files, limits=Limits(workers=1, max_characters=100_000))
    assert [refusal.path for refusal in found.refused] == ["a.txt"]
    assert [p.text for p in passages()] == ["Le deuxième document.", "Le dernier."]


def test_megabytes_of_text_become_passages(read: ReadFiles, passages: Passages) -> None:
    text = "".join(f"Phrase {i} du registre du port de la ville.\n" for i in range(30_000))
    found = read({"a.txt": text.encode()})
    assert found.documents[0].passages == len(passages()) > 800


def test_what_children_give_up_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Bonjour")
    with process.ReadingProcess(tmp_path, Limits(), None) as reading:
        assert [m for m in reading.answers({"file": "a.txt", "inside": []}) if "end" in m]
        assert reading.confinement["no_writing"]
        with pytest.raises((process.BrokenReaderError, process.UnreadableError)):
            list(reading.answers({"file": "../../../../etc/passwd.txt", "inside": []}))


def test_a_page_is_drawn_with_its_banner(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "a.pdf").write_bytes(makers.pdf())
    (tmp_path / "b.eml").write_bytes(eml(("c.png", makers.png())))
    for path, page in (("a.pdf", 1), ("b.eml!/c.png", 1)):
        png = library.draw(tmp_path, path, page, [[100.0, 100.0, 200.0, 140.0]], "DIFFUSION RESTREINTE")
        image = Image.open(BytesIO(png)).convert("RGB")
        assert image.getpixel((3, 3)) == image.getpixel((3, image.height - 3)) == (0x16, 0x20, 0x2B)
    with pytest.raises(BadInput, match=r"page 9 of a\.pdf: expected a page that can be shown, found .* found 9"):
        library.draw(tmp_path, "a.pdf", 9, [], "NP")


def test_a_set_is_checked_by_its_records(read: ReadFiles, tmp_path: Path) -> None:
    found = read({"a.pdf": makers.pdf(), "b.eml": eml(("c.txt", b"une note jointe"))})
    (tmp_path / "arrived").rename(tmp_path / "set" / "files")
    facts = found.facts()
    assert records.checked(tmp_path / "set") == {k: facts[k] for k in records.checked(tmp_path / "set")}
    assert library.is_set(["documents.jsonl", "passages.jsonl", "files/a.pdf"])
    assert not library.is_set(["documents.jsonl", "passages.jsonl", "a.pdf"])


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("documents.jsonl", lambda t: t.replace('"path":"a.txt"', '"path":"../a.txt"'), "expected a file of the set"),
        ("documents.jsonl", lambda t: t.replace('"pages":0', '"pages":"0"'), "expected pages as int, found str"),
        ("documents.jsonl", lambda t: t + t, "expected each document once"),
        ("documents.jsonl", lambda _: "", "expected at least one document, found none"),
        ("documents.jsonl", lambda t: t.replace('"passages":1', '"passages":2'), "expected 2 passages of"),
        (
            "passages.jsonl",
            lambda t: t.replace("-00001", "-00002"),
            "expected an identifier of its document and number",
        ),
        ("passages.jsonl", lambda t: t + t, "expected each passage in its place"),
        (
            "passages.jsonl",
            lambda t: t.replace('"boxes":[]', '"boxes":[[1,2]]'),
            "expected boxes of a page and four edges",
        ),
        ("passages.jsonl", lambda t: t.replace('"heading"', '"extra"'), "expected the fields"),
        ("passages.jsonl", lambda _: "{", "expected JSON"),
    ],
)
def test_records_that_do_not_agree_are_refused(
    read: ReadFiles, tmp_path: Path, name: str, change: Callable[[str], str], why: str
) -> None:
    read({"a.txt": b"Une note."})
    (tmp_path / "arrived").rename(tmp_path / "set" / "files")
    file = tmp_path / "set" / name
    file.write_text(change(file.read_text()))
    with pytest.raises(BadInput, match=why):
        records.checked(tmp_path / "set")


def test_archives_that_are_documents_do_not_expand_without_end(read: ReadFiles) -> None:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("content.xml", b" " * 3_000_000)
    found = read({"a.odt": out.getvalue()}, limits=Limits(workers=1, max_unpacked_bytes=1_000_000))
    assert found.refused[0].reason == "expected at most 1000000 bytes in content.xml, found more"
