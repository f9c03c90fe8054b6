"""Clean documents: a page, a PDF, Office files."""

from __future__ import annotations

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


SAMPLES = {
    "html": lambda: b"<!doctype html>\n<html><head><title>Notes</title></head><body><p>Two planes.</p></body></html>\n",
    "pdf": lambda: pdf_of(PAGE),
}
