"""Personal data and secrets: what the texts, documents and tables of a delivery hold, told in notes and never shown.

Rules. What counts, and how it is masked, is said in `casemate.airlock.personal`. A long text is read in pieces spread
evenly over it, within `max_personal_bytes`, and pages for a quarter of the time; a note says how much was read. What
cannot be read here has been refused by the scanner of its format, so nothing is said twice. Sound, pictures, weights
and Parquet are not read.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import BinaryIO

from casemate.airlock import pdf_rules, strict_xml
from casemate.airlock.limits import ScanLimits
from casemate.airlock.personal import Summary
from casemate.airlock.report import Finding
from casemate.airlock.text import in_utf_8
from casemate.airlock.zips import NotStrictError, open_strict

READS_EVERY_FILE = True
_TEXTS = frozenset({"text", "csv", "eml", "json", "json lines", "geojson", "xml", "html"})
_PIECE_BYTES = 1 << 20
_OFFICE_PARTS = (
    "word/", "xl/sharedStrings.xml", "xl/worksheets/", "xl/comments", "ppt/slides/", "ppt/notesSlides/", "docProps/",
    "content.xml", "meta.xml",
)  # fmt: skip
_LINES = frozenset({"p", "si", "c", "h", "tab", "br", "table-cell"})


def prepare(rules: str, types: frozenset[str]) -> None:  # noqa: ARG001  one signature for all
    """Load the reader of PDF where there can be any; it takes longer to load than everything else here."""
    if "pdf" in types:
        import pypdf  # noqa: F401


def versions() -> dict[str, str]:
    """The scanner's version and its parser's."""
    return {"personal_data": "2", "pypdf": metadata.version("pypdf")}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:
    """Notes on the personal data and the secrets that a file holds."""
    summary, read, size = Summary(), 0, file.stat().st_size
    with file.open("rb") as stream:
        older = in_utf_8(file, type_name, limits)
        if older is not None:
            size = len(older)
            read = _read_text(io.BytesIO(older), size, summary, limits)
        elif type_name in _TEXTS:
            read = _read_text(stream, size, summary, limits)
        elif type_name == "pdf":
            read, size = _read_pdf(stream, summary, limits)
        elif type_name in {"ooxml", "odf"}:
            read, size = _read_office(stream, summary, limits)
        else:
            return []
    findings = list(summary.findings())
    if read < size:
        found = f"the first pages, {read} of {size}" if type_name == "pdf" else f"{read} of {size} bytes"
        findings.append(Finding("personal data", "all of it read", found, note=True))
    return findings


def _read_text(stream: BinaryIO, size: int, summary: Summary, limits: ScanLimits) -> int:
    """Count what stands in a text, or in pieces spread over a long one; how many bytes were read."""
    whole = size <= limits.max_personal_bytes
    count = max(1, -(-min(size, limits.max_personal_bytes) // _PIECE_BYTES))
    step = _PIECE_BYTES if whole else (size - _PIECE_BYTES) // max(1, count - 1)
    read, line, left = 0, 1, b""
    for i in range(count):
        stream.seek(i * step)
        piece = left + stream.read(_PIECE_BYTES)
        read += len(piece) - len(left)
        cut = piece.rfind(b"\n") + 1 if whole and i < count - 1 else len(piece)
        piece, left = (piece[:cut], piece[cut:]) if cut else (piece, b"")
        where = "" if whole else f"the MiB at byte {i * step}"
        summary.add(piece.decode("utf-8", "replace"), where, line)
        line += piece.count(b"\n")
    return read


def _read_pdf(stream: BinaryIO, summary: Summary, limits: ScanLimits) -> tuple[int, int]:
    """Count what stands on the pages; how many were read, of how many."""
    import pypdf
    from pypdf.errors import PyPdfError

    most = limits.max_personal_bytes
    read, pages, until = 0, 0, time.process_time() + limits.time_s / 4
    try:
        with pypdf.apply_configuration(
            zlib_maximum_output_length=most, jbig2dec_binary=None, disable_legacy_handling=True
        ):
            reader = pypdf.PdfReader(stream, strict=True)
            pages = len(reader.pages)
            for page in reader.pages:
                if time.process_time() > until:  # taking text out of a page is much slower than reading it
                    break
                summary.add(page.extract_text(), f"page {read + 1}")
                read += 1
    except (PyPdfError, *pdf_rules.BROKEN):
        return read, max(pages, 1)
    return read, pages


def _read_office(stream: BinaryIO, summary: Summary, limits: ScanLimits) -> tuple[int, int]:
    """Count what stands in the parts that hold text; how many bytes of them were read, of how many."""
    try:
        archive = open_strict(stream, limits)
        parts = [name for name in archive.members if name.startswith(_OFFICE_PARTS) and name.endswith(".xml")]
        size = sum(archive.members[name].size for name in parts)
        left = limits.max_personal_bytes
        for name in parts:
            if archive.members[name].size <= left:
                left -= archive.members[name].size
                summary.add(_text_of(archive.chunks(name), limits), f"{name!a}")
    except NotStrictError:
        return 0, 0
    return limits.max_personal_bytes - left, size


def _text_of(pieces: Iterator[bytes], limits: ScanLimits) -> str:
    """The text of a part: what runs of one paragraph or cell hold is one line."""
    out: list[str] = []

    def on_start(name: str, _attributes: dict[str, str]) -> None:
        if name.rpartition(":")[2] in _LINES:
            out.append("\n")

    strict_xml.parse(
        pieces,
        max_nesting=4 * limits.max_nesting,
        on_start=on_start,
        on_text=out.append,
        instructions=frozenset({"mso-contentType"}),
    )
    return "".join(out)
