"""Ogg (RFC 3533): pages one after another with true checksums, of one stream, of Vorbis or of Opus (RFC 7845)."""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from casemate.airlock.report import Finding
from casemate.airlock.sound import Sound, comments, require

_PAGE = struct.Struct("<4sBBqIIIB")
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_OPUS_RATE_HZ = 48_000
_OPUS_FRAME_SAMPLES = (480, 960, 1920, 2880) * 3 + (480, 960) * 2 + (120, 240, 480, 960) * 4
_MAX_HEADER_BYTES = 32 << 20


@dataclass
class _Stream:
    """What the pages say."""

    headers: list[bytes] = field(default_factory=list)
    granule: int = 0
    samples: int = 0


def walk(data: mmap.mmap) -> Sound:
    """What an Ogg file says of itself."""
    stream = _Stream()
    head = bytes(data[28:36])
    is_opus = head == b"OpusHead"
    require(is_opus or head[:7] == b"\x01vorbis", "ogg", "Vorbis or Opus", f"{head!a}")
    headers = 2 if is_opus else 3
    for packet, granule in _packets(data):
        stream.granule = max(stream.granule, granule)
        if len(stream.headers) < headers:
            require(len(packet) <= _MAX_HEADER_BYTES, "ogg", f"headers of at most {_MAX_HEADER_BYTES} bytes", "more")
            stream.headers.append(packet)
        elif is_opus:
            stream.samples += _opus_samples(packet)
    require(len(stream.headers) == headers, "ogg", f"{headers} headers", str(len(stream.headers)))
    return _opus(stream) if is_opus else _vorbis(stream)


def _packets(data: mmap.mmap) -> Iterator[tuple[bytes, int]]:
    """Every packet with the position that its page gives (-1 where it gives none)."""
    at, number, serial, ended, part = 0, 0, None, False, b""
    while at < len(data):
        require(not ended, "end", "nothing after the last page", f"{len(data) - at} bytes at byte {at}")
        page = data[at : at + 27 + 255]
        require(len(page) >= 27, "end", f"a page at byte {at}", f"{len(page)} bytes")
        mark, version, flags, granule, stream, sequence, checksum, count = _PAGE.unpack_from(page)
        require(mark == b"OggS" and version == 0, "ogg", f"a page at byte {at}", f"{mark!a}")
        require(serial in {None, stream}, "ogg", "one stream", "two")
        require(sequence == number, "ogg", f"page {number}", f"page {sequence}")
        require(bool(flags & _FIRST) == (number == 0), "ogg", "one beginning", f"flags {flags} on page {number}")
        require(
            bool(flags & _CONTINUED) == bool(part), "ogg", "packets that go on where they stopped", f"page {number}"
        )
        lengths = page[27 : 27 + count]
        start = at + 27 + count
        end = start + sum(lengths)
        require(len(lengths) == count and end <= len(data), "end", f"page {number} whole", "it is cut short")
        found = _crc(data[at : at + 22] + bytes(4) + data[at + 26 : end])
        require(found == checksum, "ogg", f"the checksum {checksum:08x} of page {number}", f"{found:08x}")
        for length in lengths:
            part += data[start : start + length]
            require(len(part) <= _MAX_HEADER_BYTES, "ogg", f"packets of at most {_MAX_HEADER_BYTES} bytes", "more")
            start += length
            if length < 255:
                yield part, granule
                part = b""
        at, number, serial, ended = end, number + 1, stream, bool(flags & _LAST)
    require(ended and not part, "end", "a last page", "none: it is cut short")


def _crc(data: bytes) -> int:
    """Ogg's checksum: that of ZIP on bytes read backwards, from zero, not inverted; RFC 3533, section 6."""
    value = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(value.to_bytes(4, "little").translate(_REVERSED))


def _vorbis(stream: _Stream) -> Sound:
    identity, words, setup = stream.headers
    require(len(identity) == 30 and setup[:7] == b"\x05vorbis", "ogg", "the three headers of Vorbis", "others")
    require(words[:7] == b"\x03vorbis", "ogg", "the comments of Vorbis", f"{words[:7]!a}")
    end = comments.check(words[7:])
    require(
        words[7 + end :].rstrip(b"\0") in {b"\1", b""}, "tag", f"comments that end at byte {end}", "something after"
    )
    channels, rate_hz = struct.unpack_from("<BI", identity, 11)
    # A decoder may give the last block whole, or leave out the first.
    return Sound("vorbis", channels, rate_hz, stream.granule, tolerance=1 << (identity[28] >> 4))


def _opus(stream: _Stream) -> Sound:
    identity, words = stream.headers
    require(len(identity) >= 19 and identity[8] < 16, "ogg", "a header of Opus", f"{identity[:19].hex()}")
    require(words[:8] == b"OpusTags", "ogg", "the comments of Opus", f"{words[:8]!a}")
    comments.check(words[8:])
    samples = stream.samples
    require(
        0 <= stream.granule <= samples, "ogg", f"at most {samples} samples, as its packets hold", str(stream.granule)
    )
    note = Finding("decoding", "sound that is decoded here", "Opus: pages and packets verified, not decoded", note=True)
    return Sound("opus", identity[9], _OPUS_RATE_HZ, stream.granule, notes=(note,))


def _opus_samples(packet: bytes) -> int:
    """The samples of a packet of Opus, whose frames must fit it (RFC 6716, section 3.2)."""
    require(packet, "ogg", "packets with content", "an empty one")
    kind = packet[0] & 3
    frames = (1, 2, 2, 0)[kind]
    if kind == 3:
        require(len(packet) > 1, "ogg", "a packet with a number of frames", "one cut short")
        frames = packet[1] & 0x3F
    require(kind != 1 or len(packet) % 2 == 1, "ogg", "two frames of one length", f"{len(packet) - 1} bytes")
    samples = frames * _OPUS_FRAME_SAMPLES[packet[0] >> 3]
    require(0 < samples <= 5760, "ogg", "at most 120 ms a packet", f"{samples} samples")
    return samples
