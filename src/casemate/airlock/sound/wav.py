"""RIFF/WAVE: chunks one after another from the twelfth byte to the last."""

from __future__ import annotations

import mmap
import struct

from casemate.airlock.sound import Sound, id3, require

_HEADER_BYTES = 12
_EXTENSIBLE = 0xFFFE
_CODECS = {1: "PCM", 3: "float", 6: "A-law", 7: "µ-law"}
_KNOWN = frozenset(
    {
        b"fmt ", b"data", b"fact", b"LIST", b"INFO", b"bext", b"iXML", b"axml", b"cue ", b"plst", b"smpl", b"inst",
        b"note", b"labl", b"ltxt", b"PEAK", b"JUNK", b"junk", b"PAD ", b"FLLR", b"id3 ", b"ID3 ",
    }
)  # fmt: skip
_FILLING = frozenset({b"JUNK", b"junk", b"PAD ", b"FLLR"})


def walk(data: mmap.mmap) -> Sound:
    """What a WAV file says of itself."""
    said = struct.unpack_from("<I", data, 4)[0] if len(data) >= _HEADER_BYTES else 0
    require(said + 8 == len(data), "end", f"a file of {said + 8} bytes, as its header says", str(len(data)))
    chunks = _chunks(data)
    require(b"fmt " in chunks and b"data" in chunks, "wav", "a format and samples", "no such chunks")
    kind, channels, rate_hz, block, bits = _format(data, *chunks[b"fmt "])
    require(kind in _CODECS, "wav", f"one of {', '.join(_CODECS.values())}", f"format 0x{kind:04x}")
    size = chunks[b"data"][1]
    require(
        block and block == channels * ((bits + 7) // 8), "wav", f"{channels} samples of {bits} bits a block", str(block)
    )
    require(size % block == 0, "wav", f"whole blocks of {block} bytes", f"{size} bytes")
    _check_filling(data, chunks)
    for name in (b"id3 ", b"ID3 "):
        if name in chunks:
            start, length = chunks[name]
            id3.check(data[start : start + length])
    return Sound("pcm", channels, rate_hz, size // block)


def _chunks(data: mmap.mmap) -> dict[bytes, tuple[int, int]]:
    """Where the content of each chunk begins and how long it is."""
    chunks: dict[bytes, tuple[int, int]] = {}
    at = _HEADER_BYTES
    while at < len(data):
        require(at + 8 <= len(data), "end", f"a chunk at byte {at}", f"{len(data) - at} bytes")
        name, size = data[at : at + 4], int(struct.unpack_from("<I", data, at + 4)[0])
        require(name in _KNOWN, "wav", f"a known chunk at byte {at}", f"{name!a}")
        require(name not in chunks or name in {b"LIST", *_FILLING}, "wav", "one of each chunk", f"two {name!a}")
        require(at + 8 + size <= len(data), "end", f"{size} bytes in the chunk {name!a}", f"{len(data) - at - 8}")
        chunks[name] = (at + 8, size)
        at += 8 + size + size % 2
        if at == len(data) + 1:  # the last padding byte is often forgotten
            break
    return chunks


def _format(data: mmap.mmap, start: int, size: int) -> tuple[int, int, int, int, int]:
    require(size in {16, 18, 40}, "wav", "a format of 16, 18 or 40 bytes", str(size))
    kind, channels, rate_hz, _, block, bits = struct.unpack_from("<2H2I2H", data, start)
    if kind == _EXTENSIBLE:
        require(size == 40, "wav", "an extensible format of 40 bytes", str(size))
        kind = struct.unpack_from("<H", data, start + 24)[0]
    return kind, channels, rate_hz, block, bits


def _check_filling(data: mmap.mmap, chunks: dict[bytes, tuple[int, int]]) -> None:
    for name in _FILLING & chunks.keys():
        start, size = chunks[name]
        filled = data[start : start + size].strip(b"\0")
        require(not filled, "wav", f"nothing in the filling {name!a}", f"{size} bytes that are not zero")
