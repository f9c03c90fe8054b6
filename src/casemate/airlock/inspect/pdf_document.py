"""PDF documents: pages to read, and nothing that runs, is attached, or is fetched from elsewhere.

Rules. Every object of the file is examined, whether its index leads there or not: those of earlier revisions and those
inside object streams too. Scripts, actions but going to a page or a link, attachments, media, dynamic forms, references
to other files and encryption are refused; a link that a person may follow is a note. Streams are decoded within bounds.
The file is its objects from `%PDF-` to `%%EOF`, strictly: nothing is repaired, nothing follows.
"""

from __future__ import annotations

import logging
import mmap
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from casemate.airlock import pdf_rules
from casemate.airlock.distinct import distinct
from casemate.airlock.ending import archive_at_end
from casemate.airlock.limits import ScanLimits
from casemate.airlock.pdf_streams import Decoding, StreamRefusedError
from casemate.airlock.report import Finding

_OBJECT = re.compile(rb"(?<![0-9])([0-9]{1,10})[\x00\t\n\f\r ]+([0-9]{1,5})[\x00\t\n\f\r ]+obj(?![A-Za-z0-9])")
_EOF = re.compile(rb"%%EOF[\x00\t\n\f\r ]*\Z")
_TAIL_BYTES = 2048


def versions() -> dict[str, str]:
    """The scanner's version and its parser's."""
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    return {"pdf_document": "1", "pypdf": pypdf.__version__}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:  # noqa: ARG001  one signature for all
    """Whether it is one whole document that only shows."""
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        findings = _check_end(data)
        return findings or distinct(_read(stream, data, limits))


def _check_end(data: mmap.mmap) -> list[Finding]:
    if not _EOF.search(data[-_TAIL_BYTES:]):
        return [Finding("end", "%%EOF and nothing after it", "something else at the end")]
    if archive_at_end(data):
        return [Finding("end", "a document and nothing else", "a ZIP archive appended to it")]
    return []


def _read(stream: BinaryIO, data: mmap.mmap, limits: ScanLimits) -> list[Finding]:
    import pypdf
    from pypdf.errors import LimitReachedError, PyPdfError

    errors = (PyPdfError, *pdf_rules.BROKEN)
    try:
        with pypdf.apply_configuration(**_configuration(limits)):
            reader = pypdf.PdfReader(stream, strict=True)
            if reader.is_encrypted or "/Encrypt" in reader.trailer:
                return [Finding("encryption", "a document that can be read", "an encrypted one")]
            return _Walk(reader, data, limits).findings()
    except StreamRefusedError as why:
        return [why.finding]
    except LimitReachedError as why:
        return [Finding("expansion", "a document within the limits", _reason(why))]
    except errors as why:
        return [Finding("pdf", "a whole PDF document, without anything to repair", _reason(why))]


def _reason(why: BaseException) -> str:
    said = " ".join(str(why).split())[:200]
    return f"{type(why).__name__}: {said}" if said else type(why).__name__


def _configuration(limits: ScanLimits) -> dict[str, Any]:
    most = limits.expands_freely_bytes
    return {
        "maximum_declared_stream_length": most,
        "array_based_stream_maximum_output_length": most,
        "lzw_maximum_output_length": most,
        "run_length_maximum_output_length": most,
        "zlib_maximum_output_length": most,
        "zlib_maximum_recovery_input_length": 0,
        "stream_filters_maximum_length": 4,
        "page_tree_maximum_entries": 2 * limits.max_pages,
        "jbig2dec_binary": None,  # a program that we did not choose
        "disable_legacy_handling": True,
    }


class _Walk:
    """Every object of one file."""

    def __init__(self, reader: Any, data: mmap.mmap, limits: ScanLimits) -> None:
        self._reader, self._data, self._limits = reader, data, limits
        self._decoding = Decoding(limits, len(data))
        self._objects, self._revisions = 0, 0

    def findings(self) -> list[Finding]:
        """What is wrong with the objects, and with how many pages there are."""
        findings = pdf_rules.examine(dict(self._reader.trailer), self._reader.get_object)
        for found in self._found():
            self._objects += 1
            if self._objects > self._limits.max_objects:
                return [*findings, Finding("size", f"at most {self._limits.max_objects} objects", "more")]
            findings += pdf_rules.examine(found, self._reader.get_object)
        findings += self._check_pages()
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self._decoding.unread.items()))
        if kinds:
            findings.append(Finding("picture", "pictures that are decoded here", kinds, note=True))
        return findings

    def _check_pages(self) -> list[Finding]:
        pages = len(self._reader.pages)
        if not 0 < pages <= self._limits.max_pages:
            return [Finding("size", f"1 to {self._limits.max_pages} pages", str(pages))]
        return []

    def _found(self) -> Iterator[Any]:
        """Objects that the index names, in the order of the file, then those that it does not lead to."""
        named = {offset: number for table in self._reader.xref.values() for number, offset in table.items() if offset}
        ends = []
        for offset, number in sorted(named.items()):
            yield from self._object_at(offset, number)
            ends.append((offset, self._reader.stream.tell()))
        at = 0
        for start, end in [*ends, (len(self._data), len(self._data))]:
            while hidden := _OBJECT.search(self._data, at, max(at, start)):
                yield from self._object_at(hidden.start(), int(hidden[1]))
                at = max(self._reader.stream.tell(), hidden.end())
            at = max(at, end)

    def _object_at(self, offset: int, number: int) -> Iterator[Any]:
        from pypdf.errors import PdfReadError
        from pypdf.generic import StreamObject, read_object

        header = _OBJECT.match(self._data, offset)
        if header is None or int(header[1]) != number:
            raise PdfReadError(f"object {number} is not at byte {offset}, where the index says")
        stream = self._reader.stream
        stream.seek(header.end())
        _skip_space(stream)
        found = read_object(stream, self._reader)
        end = stream.tell()
        yield found
        if isinstance(found, StreamObject):
            yield from self._inside(found)
        stream.seek(end)

    def _inside(self, found: Any) -> Iterator[Any]:
        """Decode a stream; what an object stream holds."""
        from pypdf.errors import PdfReadError
        from pypdf.generic import read_object

        is_objects = found.get("/Type") == "/ObjStm"
        content = self._decoding.decode(found, self._reader.get_object, keep=is_objects)
        if not is_objects:
            return
        first = found.get("/First")
        numbers = content[: int(first)].split() if first is not None else []
        if len(numbers) != 2 * int(found.get("/N", -1)) or int(first) > len(content):
            raise PdfReadError("an object stream whose list of objects is not whole")
        held = BytesIO(content)
        for offset in numbers[1::2]:
            held.seek(int(first) + int(offset))
            _skip_space(held)
            yield read_object(held, self._reader)


def _skip_space(stream: Any) -> None:
    while (byte := stream.read(1)) and byte in b"\x00\t\n\f\r ":
        pass
    if byte:
        stream.seek(-1, 1)
