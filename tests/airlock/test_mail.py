"""Mail that only says is clean; what is attached is inspected as a file; what runs, fetches or hides is refused."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from casemate.airlock import ScanLimits, admit, formats
from casemate.airlock.inspect import inspect
from casemate.airlock.layout import lay_out
from casemate.airlock.mail_names import AttachedNames
from casemate.airlock.report import InspectionReport
from tests.airlock.samples.mails import compound, eml, msg

PICKLE = b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x07builtins"
NOTE = "Une note jointe à la réunion.\n".encode()


def report(tmp_path: Path, **files: bytes) -> InspectionReport:
    """The report on files whose names are given with `__` for the dot."""
    folder = tmp_path / "mail"
    folder.mkdir()
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data)
    allowed = formats.DOCUMENTS | formats.ARCHIVES.keys()
    with admit(folder, tmp_path / "quarantine") as admitted:
        found = inspect(admitted, allowed=allowed, limits=ScanLimits(workers=1))
        if found.clean:
            assert lay_out(admitted, found).files == admitted.files, "a mail stays whole, with what is attached"
        return found


def refusals(found: InspectionReport) -> list[str]:
    return [f"{line.path}: {x.found}" for line in found.refused for x in line.findings if not x.note]


@pytest.mark.parametrize("make", [eml, msg], ids=["eml", "msg"])
def test_a_mail_and_what_is_attached_are_clean_and_each_has_a_line(tmp_path: Path, make: object) -> None:
    name = f"a__{make.__name__}"  # type: ignore[attr-defined]
    found = report(tmp_path, **{name: make(("note.txt", NOTE), ("note.txt", NOTE))})  # type: ignore[operator]
    assert refusals(found) == []
    path = name.replace("__", ".")
    assert [(line.path, line.type, line.inside) for line in found.files] == [
        (path, path[2:], ""),
        (f"{path}!/note (2).txt", "text", path),
        (f"{path}!/note.txt", "text", path),
    ]
    assert [x.found for x in found.files[0].findings if x.rule == "attachment"] == ["2 attached, inspected as files"]


@pytest.mark.parametrize("make", [eml, msg], ids=["eml", "msg"])
@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("model.bin", PICKLE, "pickle"),
        ("run.exe", b"MZ" + bytes(58) + b"PE", "Windows program"),
        ("page.html", b"<html><script>alert(1)</script></html>", "<script>"),
        ("note.txt", b"ab\xe2\x80\xaecd", "U+202E"),
        ("winmail.dat", b"\x78\x9f\x3e\x22\x00\x01", "unknown binary"),
    ],
)
def test_a_mail_is_refused_for_what_is_attached(tmp_path: Path, make: object, name: str, data: bytes, why: str) -> None:
    mail = f"a__{make.__name__}"  # type: ignore[attr-defined]
    found = refusals(report(tmp_path, **{mail: make((name, data))}))  # type: ignore[operator]
    assert any(line.startswith(f"a.{mail[3:]}!/{name}: ") and why in line for line in found), found
    assert any(line.startswith(f"a.{mail[3:]}: ") and "refused" in line for line in found)


def test_mail_in_mail_and_archives_in_mail_are_looked_into(tmp_path: Path) -> None:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("deep.bin", PICKLE)
    found = refusals(report(tmp_path, a__eml=eml(("inner.eml", eml(("x.zip", packed.getvalue()))))))
    assert found[-1].startswith("a.eml!/inner.eml!/x.zip!/deep.bin: pickle")
    assert len(found) == 4


@pytest.mark.parametrize(
    ("html", "why"),
    [
        ("<p onclick='x()'>a</p>", "onclick in <p>"),
        ("<script>1</script>", "<script>"),
        ("<form action='/x'><input></form>", "<form>"),
        ("<a href='javascript:x()'>a</a>", "javascript:x()"),
        ("<iframe src='x'></iframe>", "<iframe>"),
        ("<meta http-equiv=refresh content='0;url=x'>", "<meta>"),
    ],
)
def test_a_body_that_acts_is_refused(tmp_path: Path, html: str, why: str) -> None:
    (found,) = refusals(report(tmp_path, a__eml=eml(html=html)))
    assert why in found


def test_a_body_that_loads_is_a_note(tmp_path: Path) -> None:
    found = report(tmp_path, a__eml=eml(html="<p>Bonjour <img src='http://example.org/a.png'><img src='cid:x'></p>"))
    assert found.clean
    assert [x.found for x in found.files[0].findings if x.rule == "link"] == ["http://example.org/a.png"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"Hello: you\n\nwords\n", "neither"),
        (b"words without headers\n", ".eml"),
        (eml().replace(b"Content-Transfer-Encoding: 8bit", b"Content-Transfer-Encoding: x-own"), "x-own"),
        (eml().replace(b'charset="utf-8"', b'charset="none-such"'), "'none-such'"),
        (eml(("a.txt", NOTE)).replace(b"--\n", b"\n"), "CloseBoundaryNotFoundDefect"),
        (eml(("a.txt", NOTE)).replace(b"multipart/mixed", b"multipart/encrypted"), "multipart/encrypted"),
        (b"From: a@b.fr\nContent-Type: message/external-body; access-type=URL\n\n\n", "message/external-body"),
        (b"From: a@b.fr\nContent-Type: message/partial; id=1\n\n\n", "message/partial"),
        (eml(body="ab\u202ecd\n"), "U+202E"),
        (eml(("a.txt", NOTE)).replace(b"VW5l", b"V*5l"), "Base64"),
    ],
)
def test_mail_that_readers_would_cut_differently_is_refused(tmp_path: Path, data: bytes, why: str) -> None:
    assert any(why in line for line in refusals(report(tmp_path, a__eml=data)))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (msg(extra={"Macros": {"VBA": b"x"}}), "Macros"),
        (msg(extra={"WordDocument": b"x" * 5000}), "WordDocument"),
        (msg(("a.txt", NOTE), method=6), "method 6"),
        (msg(("a.txt", NOTE), method=2), "method 2"),
        (msg(body="ab\u202ecd"), "U+202E"),
        (msg(extra={"__substg1.0_10130102": b"<script>1</script>"}), "<script>"),
        (compound({"__substg1.0_1000001F": b"a\0"}), "none"),
        (msg()[:2000], "OleFileError"),
    ],
)
def test_compound_files_that_are_no_plain_message_are_refused(tmp_path: Path, data: bytes, why: str) -> None:
    found = refusals(report(tmp_path, a__msg=data))
    assert any(why in line for line in found), found


def test_compound_files_of_other_names_stay_unknown(tmp_path: Path) -> None:
    (found,) = refusals(report(tmp_path, a__doc=msg()))
    assert "Microsoft compound file" in found


def test_mail_is_not_let_in_where_documents_are_not_expected(tmp_path: Path) -> None:
    folder = tmp_path / "mail"
    folder.mkdir()
    (folder / "a.eml").write_bytes(eml())
    with admit(folder, tmp_path / "quarantine") as admitted:
        found = inspect(admitted, allowed=formats.MODEL, limits=ScanLimits(workers=1))
    assert [x.found for x in found.refused[0].findings] == ["eml"]


def test_names_of_what_is_attached_are_plain_and_each_once() -> None:
    names = AttachedNames()
    said = [
        "../../etc/passwd",
        "a.txt",
        "A.TXT",
        "c:\\x\\b.txt",
        "",
        "",
        "no\x00thing\u202e.pdf",
        "x" * 500 + ".pdf",
        "..",
    ]
    assert [names.place(name) for name in said] == [
        "passwd", "a.txt", "A (2).TXT", "b.txt", "attachment", "attachment (2)", "nothing.pdf", "x" * 120 + ".pdf",
        "attachment (3)",
    ]  # fmt: skip
