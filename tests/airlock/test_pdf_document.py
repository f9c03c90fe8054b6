"""A PDF that only shows is clean; scripts, attachments, hidden objects, bombs and what must be repaired are refused."""

from __future__ import annotations

import io
import random
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from casemate.airlock.inspect import pdf_document
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from tests.airlock.conftest import Arrive, Inspected, picture
from tests.airlock.samples.documents import PAGE, index_of, pdf_of, stream_of

Scan = Callable[..., list[Finding]]


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    def run(data: bytes, limits: ScanLimits | None = None) -> list[Finding]:
        file = tmp_path / "document.pdf"
        file.write_bytes(data)
        return pdf_document.scan(file, "pdf", limits or ScanLimits())

    return run


def _only(findings: list[Finding]) -> str:
    refused = [f"{f.rule}: expected {f.expected}, found {f.found}" for f in findings if not f.note]
    assert refused, "nothing was refused"
    return "; ".join(refused)


def _with(entries: bytes, **objects: bytes) -> bytes:
    """A page whose catalog has more entries, and more objects."""
    catalog = b"<< /Type /Catalog /Pages 2 0 R %s >>" % entries
    return pdf_of({**PAGE, 1: catalog, **{int(k[1:]): v for k, v in objects.items()}})


def test_a_page_with_pictures_an_outline_and_links_is_clean_and_its_links_are_notes(
    arrive: Arrive, inspected: Inspected
) -> None:
    jpeg = picture("JPEG")
    objects = {
        12: b"<< /Type /Annot /Subtype /Link /Rect [0 0 9 9] /A << /S /URI /URI (https://example.org/a) >> >>",
        7: stream_of(jpeg, b"/Type /XObject /Subtype /Image /Width 64 /Height 64 /Filter /DCTDecode"),
        8: stream_of(zlib.compress(bytes(99)), b"/Filter [/Fl]"),
        9: b"<< /S /GoTo /D [3 0 R /Fit] >>",
        10: stream_of(b"<~87cURD]~>", b"/Filter /ASCII85Decode"),
        11: stream_of(b"x", b"/Filter /JPXDecode /Subtype /Image"),
    }
    catalog = b"<< /Type /Catalog /Pages 2 0 R /OpenAction 9 0 R >>"
    report = inspected(arrive({"a.pdf": pdf_of({**PAGE, 1: catalog, **objects})}), allowed=frozenset({"pdf"}))
    assert report.files[0].clean, report.files[0].findings
    assert [(f.rule, f.found) for f in report.files[0].findings] == [
        ("link", "https://example.org/a"),
        ("picture", "1 in JPEG 2000"),
    ]


@pytest.mark.parametrize(
    ("entries", "meaning"),
    [
        (b"/OpenAction << /S /JavaScript /JS (app.alert) >>", "a script"),
        (b"/OpenAction << /S /#4aavaScript /J#53 (app.alert) >>", "a script"),
        (b"/Names << /JavaScript << /Names [(a) 9 0 R] >> >>", "a script"),
        (b"/Names << /EmbeddedFiles << /Names [] >> >>", "files inside the document"),
        (b"/AA << /WC 9 0 R >>", "actions that start by themselves"),
        (b"/OpenAction << /S /Launch /F (cmd.exe) >>", "an action that starts a program"),
        (b"/X [[[<< /S /SubmitForm /F (http://host) >>]]]", "an action that sends a form"),
        (b"/X << /S /ImportData >>", "an action that reads a file"),
        (b"/X << /S /GoToR /F (other.pdf) >>", "an action that opens another file"),
        (b"/X << /S /GoToE >>", "an action that opens a file inside"),
        (b"/X << /S /Rendition >>", "an action that plays media"),
        (b"/AcroForm << /XFA 9 0 R >>", "a dynamic form (XFA)"),
        (b"/X << /Type /Filespec /F (\\\\\\\\host\\\\share) >>", "another file"),
        (b"/X << /EF << >> >>", "a file inside the document"),
        (b"/X << /Subtype /FileAttachment >>", "a file inside the document"),
        (b"/X << /Subtype /RichMedia >>", "media that play"),
        (b"/X << /Subtype /3D >>", "a three-dimensional scene"),
        (b"/X << /Subtype /Screen >>", "media that play"),
        (b"/Collection << >>", "a portfolio of files"),
        (b"/X << /Subtype /Form /Ref << >> >>", "pages of another file"),
        (b"/X << /S 9 0 R >>", "an action that starts a program"),
    ],
)
def test_what_acts_or_is_attached_is_refused_wherever_it_stands(scan: Scan, entries: bytes, meaning: str) -> None:
    found = scan(_with(entries, o9=b"/Launch"))
    assert any(f.rule == "active content" and meaning in f.found for f in found), found


def test_a_document_that_opens_with_anything_but_a_page_is_refused(scan: Scan) -> None:
    found = _only(scan(_with(b"/OpenAction 9 0 R", o9=b"<< /S /URI /URI (https://host) >>")))
    assert found == "active content: expected a document that opens at a page, found one that opens with '/URI'"
    chained = scan(_with(b"/OpenAction << /S /GoTo /D [3 0 R /Fit] /Next 9 0 R >>", o9=b"null"))
    assert "found one that opens with '/GoTo'" in _only(chained)


@pytest.mark.parametrize("address", [b"file:///c:/x", b"javascript:x", b"\\\\\\\\host\\\\x", b"ms-msdt:x"])
def test_links_to_other_than_pages_are_refused(scan: Scan, address: bytes) -> None:
    found = _only(scan(_with(b"/X << /S /URI /URI (%s) >>" % address)))
    assert found.startswith("reference: expected links to pages (https, mailto), found")


def test_a_font_that_is_named_like_an_action_is_only_a_font(scan: Scan) -> None:
    assert scan(_with(b"/X << /Font << /AA 5 0 R /JS 5 0 R >> >>")) == []
    assert "a script" in _only(scan(_with(b"/X << /Font << /F << /JS (x) >> >> >>")))


def _later(first: bytes, number: int, content: bytes, trailer: bytes = b"/Root 1 0 R") -> bytes:
    """A revision appended to a document, in which an object has another content."""
    at = len(first)
    added = b"%d 0 obj\n%s\nendobj\n" % (number, content)
    previous = int(first[first.rindex(b"startxref") + 9 :].split()[0])
    return first + added + index_of({number: at}, at + len(added), trailer + b" /Prev %d" % previous)


def test_what_an_earlier_or_a_later_revision_holds_is_examined(scan: Scan) -> None:
    script = b"<< /S /JavaScript /JS (x) >>"
    hidden = _later(_with(b"", o9=script), 9, b"null")
    assert "a script" in _only(scan(hidden))
    assert "a script" in _only(scan(_later(_with(b"", o9=b"null"), 9, script)))
    assert scan(_later(_with(b"", o9=b"null"), 9, b"<< >>")) == []


def test_an_object_that_no_index_names_is_examined(scan: Scan) -> None:
    data = pdf_of(PAGE)
    at = data.index(b"xref\n")
    stowaway = b"77 0 obj\n<< /S /Launch >>\nendobj\n"
    moved = data[:at] + stowaway + data[at:].replace(b"startxref\n%d" % at, b"startxref\n%d" % (at + len(stowaway)))
    assert "an action that starts a program" in _only(scan(moved))


def _object_stream(content: bytes, entries: bytes = b"") -> bytes:
    listed = b"20 0 "
    return stream_of(listed + content, b"/Type /ObjStm /N 1 /First %d /Filter /FlateDecode %s" % (len(listed), entries))


def test_objects_inside_object_streams_are_examined(scan: Scan) -> None:
    assert "a script" in _only(scan(_with(b"", o9=_object_stream(b"<< /S /JavaScript >>"))))
    assert scan(_with(b"", o9=_object_stream(b"<< /S /GoTo >>"))) == []
    broken = _object_stream(b"<< >>").replace(b"/N 1", b"/N 2")
    assert "an object stream whose list of objects is not whole" in _only(scan(_with(b"", o9=broken)))


def test_an_encrypted_document_is_refused_and_says_so(scan: Scan) -> None:
    import pypdf

    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    for options in ({"algorithm": "RC4-128"}, {"algorithm": "AES-256"}):
        writer.encrypt("", **options)
        out = io.BytesIO()
        writer.write(out)
        assert _only(scan(out.getvalue())) == "encryption: expected a document that can be read, found an encrypted one"


def test_bytes_after_the_end_and_archives_that_are_documents_are_refused(scan: Scan) -> None:
    data = pdf_of(PAGE)
    assert _only(scan(data + b"more")) == "end: expected %%EOF and nothing after it, found something else at the end"
    assert scan(data + b"\r\n\0\0") == []
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", b"x")
        archive.comment = b"\n%%EOF\n"
    assert "found a ZIP archive appended to it" in _only(scan(data + out.getvalue()))


def test_a_bomb_stops_at_the_limit(scan: Scan) -> None:
    limits = ScanLimits(expands_freely_bytes=1 << 20, max_expansion=10)
    bomb = stream_of(bytes(32 << 20))
    assert (
        _only(scan(_with(b"", o9=bomb), limits)) == "expansion: expected at most 1048576 bytes once decoded, found more"
    )
    twice = stream_of(zlib.compress(bytes(32 << 20)), b"/Filter [/FlateDecode /Fl]")
    assert "expansion" in _only(scan(_with(b"", o9=twice), limits))
    lengths = stream_of(b"\x81x" * 20_000 + b"\x80", b"/Filter /RunLengthDecode")
    assert "expansion: expected a document within the limits, found LimitReachedError" in _only(
        scan(_with(b"", o9=lengths), limits)
    )
    objects = _object_stream(bytes(32 << 20))
    assert "expansion" in _only(scan(_with(b"", o9=objects), limits))


@pytest.mark.parametrize(
    ("stream", "refusal"),
    [
        (stream_of(b"x", b"/Filter /Crypt"), "stream: expected one of"),
        (stream_of(b"xxxx", b"/Filter /Fl"), "stream: expected deflated data"),
        (
            stream_of(zlib.compress(bytes(99))[:-5], b"/Filter /Fl"),
            "stream: expected whole deflated data, found some cut",
        ),
        (stream_of(zlib.compress(b"x") + b"PK\3\4", b"/Filter /Fl"), "stream: expected nothing after deflated data"),
        (stream_of(b"MZ", b"/Filter /DCT"), "picture: expected a JPEG picture, found bytes that begin with 4d5a"),
        (stream_of(b"x", b"/Filter [/DCT /Fl]"), "stream: expected a picture's encoding last, found /DCTDecode before"),
        (
            stream_of(b"x", b"/F (other) /FFilter /Fl"),
            "active content: expected a document that only shows, found data in",
        ),
    ],
)
def test_streams_that_are_damaged_or_encoded_otherwise_are_refused(scan: Scan, stream: bytes, refusal: str) -> None:
    assert refusal in _only(scan(_with(b"", o9=stream)))


def test_what_would_have_to_be_repaired_is_refused(scan: Scan) -> None:
    data = pdf_of(PAGE)
    expected = "pdf: expected a whole PDF document, without anything to repair, found"
    for broken in (
        data[: data.index(b"startxref")] + b"%%EOF\n",
        data.replace(b"startxref\n", b"startxref\n9"),
        data.replace(b"3 0 obj", b"8 0 obj"),
        data.replace(b"/Root 1 0 R", b"/Root 9 0 R"),
        b"%PDF-1.7\n%%EOF\n",
        data.replace(b"/Kids [3 0 R]", b"/Kids [2 0 R]"),
    ):
        assert _only(scan(broken)).startswith((expected, "size: expected 1 to 5000 pages"))


def test_an_index_that_goes_round_ends(scan: Scan) -> None:
    data = pdf_of(PAGE)
    at = data.index(b"xref\n")
    for previous in (at, 0, 10**9, -5):
        looped = data.replace(b"/Root 1 0 R", b"/Root 1 0 R /Prev %d" % previous)
        scan(looped)  # it ends, whatever it answers


def test_deep_nesting_is_a_refusal_and_no_crash(scan: Scan) -> None:
    for deep in (b"[" * 100_000, b"<< /A " * 50_000, b"[" * 5000 + b"]" * 5000):
        assert _only(scan(_with(b"", o9=deep))).startswith("pdf: expected a whole PDF document")


def test_too_many_pages_or_objects_are_refused(scan: Scan) -> None:
    pages = {2: b"<< /Type /Pages /Kids [%s] /Count 9 >>" % (b"3 0 R " * 9)}
    assert "size: expected 1 to 5 pages, found 9" in _only(scan(pdf_of({**PAGE, **pages}), ScanLimits(max_pages=5)))
    assert "size: expected at most 3 objects, found more" in _only(scan(pdf_of(PAGE), ScanLimits(max_objects=3)))


def test_a_document_cut_anywhere_or_with_damage_is_answered(scan: Scan) -> None:
    chance = random.Random(5)  # noqa: S311  damage, not secrets
    data = _with(b"/Names << /Dests << /Names [] >> >>", o9=_object_stream(b"<< /S /GoTo >>"))
    for cut in range(1, len(data) - 2, 7):
        assert _only(scan(data[:cut]))
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 6)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        scan(bytes(damaged))  # raises nothing
