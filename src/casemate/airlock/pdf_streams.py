"""The streams of a PDF, decoded within bounds: what expands too far, is damaged, or is read by nobody is told.

Rules. All that streams of one file decode to is at most what the limits let a file of its size expand to. Pictures in
JPEG are recognised by their first bytes; those in JPEG 2000, JBIG2 and CCITT are counted, not decoded.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding

_SHORT = {
    "/Fl": "/FlateDecode", "/LZW": "/LZWDecode", "/A85": "/ASCII85Decode", "/AHx": "/ASCIIHexDecode",
    "/RL": "/RunLengthDecode", "/DCT": "/DCTDecode", "/CCF": "/CCITTFaxDecode",
}  # fmt: skip
_PICTURES = {"/JPXDecode": "in JPEG 2000", "/JBIG2Decode": "in JBIG2", "/CCITTFaxDecode": "in CCITT"}
_CHUNK_BYTES = 1 << 20
_JPEG = b"\xff\xd8\xff"


class StreamRefusedError(ValueError):
    """A stream that may not stand in a document that is let in."""

    def __init__(self, rule: str, expected: str, found: str) -> None:
        """Keep it as a finding."""
        self.finding = Finding(rule, expected, found)
        super().__init__(f"expected {expected}, found {found}")


class Decoding:
    """Decodes the streams of one file and keeps count."""

    def __init__(self, limits: ScanLimits, file_bytes: int) -> None:
        """Nothing decoded yet; `unread` counts pictures by how they are encoded."""
        self._most = max(limits.expands_freely_bytes, file_bytes * limits.max_expansion)
        self._limits, self._total = limits, 0
        self.unread: Counter[str] = Counter()

    def decode(self, stream: Any, resolve: Callable[[Any], Any], *, keep: bool) -> bytes:
        """Decode one stream whole; its content if `keep`, else nothing."""
        names = [_SHORT.get(name, name) for name in _list(stream, "/Filter", resolve)]
        parameters = _list(stream, "/DecodeParms", resolve)
        data: bytes = stream._data  # noqa: SLF001  pypdf decodes whole streams only
        last = len(names) - 1
        for i, name in enumerate(names):
            if name in _PICTURES or name == "/DCTDecode":
                self._check_picture(name, data, is_last=i == last)
            elif name == "/FlateDecode" and not (keep and _has_predictor(parameters, i)):
                data = self._inflate(data, keep=keep or i < last)
            else:
                data = self._by_pypdf(name, data, parameters[i] if i < len(parameters) else None)
        return data if keep else b""

    def _check_picture(self, name: str, data: bytes, *, is_last: bool) -> None:
        if not is_last:
            raise StreamRefusedError("stream", "a picture's encoding last", f"{name} before another")
        if name == "/DCTDecode" and not data.startswith(_JPEG):
            raise StreamRefusedError("picture", "a JPEG picture", f"bytes that begin with {data[:4].hex()}")
        if name in _PICTURES:
            self.unread[_PICTURES[name]] += 1

    def _count(self, size: int) -> None:
        self._total += size
        if self._total > self._most:
            raise StreamRefusedError("expansion", f"at most {self._most} bytes once decoded", "more")

    def _inflate(self, data: bytes, *, keep: bool) -> bytes:
        kept = []
        for piece in self._inflated(data):
            self._count(len(piece))
            if keep:
                kept.append(piece)
        return b"".join(kept)

    @staticmethod
    def _inflated(data: bytes) -> Iterator[bytes]:
        inflate = zlib.decompressobj()
        left = data
        try:
            while not inflate.eof and (piece := inflate.decompress(left, _CHUNK_BYTES)):
                yield piece
                left = inflate.unconsumed_tail
        except zlib.error as why:
            raise StreamRefusedError("stream", "deflated data", str(why)) from why
        if not inflate.eof:
            raise StreamRefusedError("stream", "whole deflated data", "some cut short")
        if inflate.unused_data.strip(b"\r\n\0 "):
            raise StreamRefusedError("stream", "nothing after deflated data", f"{len(inflate.unused_data)} bytes")

    def _by_pypdf(self, name: str, data: bytes, parameters: Any) -> bytes:
        from pypdf import filters

        decoders: dict[str, Any] = {
            "/FlateDecode": filters.FlateDecode,
            "/LZWDecode": filters.LZWDecode,
            "/ASCII85Decode": filters.ASCII85Decode,
            "/ASCIIHexDecode": filters.ASCIIHexDecode,
            "/RunLengthDecode": filters.RunLengthDecode,
        }
        if name not in decoders:
            raise StreamRefusedError("stream", f"one of {', '.join(sorted([*decoders, *_PICTURES]))}", f"{name!a}")
        decoded: bytes = decoders[name].decode(data, parameters)
        self._count(len(decoded))
        return decoded


def _list(stream: Any, key: str, resolve: Callable[[Any], Any]) -> list[Any]:
    def resolved(value: Any) -> Any:
        return resolve(value) if hasattr(value, "idnum") else value

    if key not in stream:
        return []
    value = resolved(stream.raw_get(key))
    return [resolved(one) for one in value] if isinstance(value, list) else [value]


def _has_predictor(parameters: list[Any], i: int) -> bool:
    return i < len(parameters) and isinstance(parameters[i], dict) and parameters[i].get("/Predictor", 1) != 1
