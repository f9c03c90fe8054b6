"""Clean documents: a page, a PDF, Office files."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping

PAGE = {
    1: b"<< /Type /Catalog /Pages 2 0 R >>",
    2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R /Resources 6 0 R >>",
    5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    6: b"<< /Font << /F1 5 0 R >> >>",
}


def stream_of(data: bytes, entries: bytes = b"/Filter /FlateDecode") -> bytes:
    """A stream object; deflated unless `entries` say otherwise."""
    content = zlib.compress(data) if b"FlateDecode" in entries else data
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (entries, len(content), content)


def pdf_of(objects: Mapping[int, bytes], trailer: bytes = b"/Root 1 0 R") -> bytes:
    """A PDF of these objects, with its index; object 4, if not given, is the text of the page."""
    every = {4: stream_of(b"BT /F1 12 Tf 20 100 Td (Two planes.) Tj ET"), **objects}
    out, offsets = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", {}
    for number, content in sorted(every.items()):
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    return out + index_of(offsets, len(out), trailer)


def index_of(offsets: Mapping[int, int], at: int, trailer: bytes) -> bytes:
    """The index, trailer and end that stand at byte `at`."""
    out = b"xref\n0 1\n0000000000 65535 f \n"
    for number, offset in sorted(offsets.items()):
        out += b"%d 1\n%010d 00000 n \n" % (number, offset)
    return out + b"trailer\n<< /Size %d %s >>\nstartxref\n%d\n%%%%EOF\n" % (max(offsets) + 1, trailer, at)


_OFFICE = "application/vnd.openxmlformats-officedocument."
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAINS = {
    "docx": ("word/document.xml", f"{_OFFICE}wordprocessingml.document.main+xml"),
    "xlsx": ("xl/workbook.xml", f"{_OFFICE}spreadsheetml.sheet.main+xml"),
    "pptx": ("ppt/presentation.xml", f"{_OFFICE}presentationml.presentation.main+xml"),
}
_WORD = '<w:document xmlns:w="urn:w" xmlns:r="urn:r" xmlns:a="urn:a"><w:body>{}</w:body></w:document>'


def zip_of(parts: Mapping[str, bytes | str]) -> bytes:
    """An archive of these parts; `mimetype` is stored, the others deflated."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else None)
    return out.getvalue()


def relation(kind: str, target: str, mode: str = "Internal", number: int = 9) -> str:
    """A relationship of a part."""
    return f'<Relationship Id="r{number}" Type="{_RELATIONS}/{kind}" Target="{target}" TargetMode="{mode}"/>'


def ooxml_of(
    end: str = "docx",
    body: str = "<w:p><w:t>Two planes.</w:t></w:p>",
    *,
    relations: str = "",
    types: str = "",
    parts: Mapping[str, bytes | str] | None = None,
) -> bytes:
    """A small Office document: its main part holds `body` and has `relations`."""
    main, main_type = _MAINS[end]
    folder, _, name = main.partition("/")
    every = {
        "[Content_Types].xml": f"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="urn:t"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/><Default Extension="png" ContentType="image/png"/>
<Override PartName="/{main}" ContentType="{main_type}"/>{types}</Types>""",
        "_rels/.rels": f'<Relationships xmlns="urn:r">{relation("officeDocument", main)}</Relationships>',
        main: _WORD.format(body),
        f"{folder}/_rels/{name}.rels": f'<Relationships xmlns="urn:r">{relations}</Relationships>',
    }
    return zip_of({**every, **(parts or {})})


def odf_of(
    end: str = "odt", body: str = "", *, listed: str = "", parts: Mapping[str, bytes | str] | None = None
) -> bytes:
    """A small OpenDocument file: its content holds `body`, its manifest lists `listed` and the other parts."""
    kind = "application/vnd.oasis.opendocument." + {"odt": "text", "ods": "spreadsheet", "odp": "presentation"}[end]
    parts = parts or {}
    entries = "".join(f'<m:file-entry m:full-path="{name}" m:media-type="x"/>' for name in ["content.xml", *parts])
    every = {
        "mimetype": kind,
        "content.xml": f'<office:document-content xmlns:office="urn:o" xmlns:xlink="urn:x" xmlns:text="urn:t" '
        f'xmlns:draw="urn:d" xmlns:script="urn:s" xmlns:table="urn:b">{body}</office:document-content>',
        "META-INF/manifest.xml": f'<m:manifest xmlns:m="urn:m">{entries}{listed}</m:manifest>',
    }
    return zip_of({**every, **parts})


SAMPLES = {
    "html": lambda: b"<!doctype html>\n<html><head><title>Notes</title></head><body><p>Two planes.</p></body></html>\n",
    "pdf": lambda: pdf_of(PAGE),
    "ooxml": lambda: ooxml_of("xlsx"),
    "odf": lambda: odf_of("odt", "<text:p>Two planes.</text:p>"),
}
