"""Clean sounds, each made byte by byte."""

from __future__ import annotations

import hashlib
import io
import struct
import wave

from casemate.airlock.sound.flac import _crc8, _crc16
from casemate.airlock.sound.ogg import _crc

_SAMPLES = [round(8000 * ((i * 37 % 100) / 50 - 1)) for i in range(4000)]
MP3_FRAME = b"\xff\xfb\x90\xc0" + bytes(413)  # 128 kbit/s, 44.1 kHz, mono, silent


def wav_of(chunks: bytes = b"", samples: list[int] | None = None) -> bytes:
    """A WAV of 16-bit samples, and more chunks after them."""
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(struct.pack(f"<{len(samples or _SAMPLES)}h", *(samples or _SAMPLES)))
    data = out.getvalue() + chunks
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def chunk(name: bytes, content: bytes) -> bytes:
    """One chunk of RIFF."""
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def flac_of(*blocks: tuple[int, bytes], frames: int | None = None, md5: bytes | None = None) -> bytes:
    """A FLAC of samples as they are, one frame, and more metadata blocks."""
    count, content = len(_SAMPLES), struct.pack(f">{len(_SAMPLES)}h", *_SAMPLES)
    header = b"\xff\xf8\x70\x08\x00" + struct.pack(">H", count - 1)
    frame = header + bytes([_crc8(header)]) + b"\x02" + content
    frame += struct.pack(">H", _crc16(frame))
    packed = 8000 << 44 | 0 << 41 | 15 << 36 | (count if frames is None else frames)
    told = hashlib.md5(struct.pack(f"<{count}h", *_SAMPLES), usedforsecurity=False).digest() if md5 is None else md5
    info = struct.pack(">2H", count, count) + bytes(3) + len(frame).to_bytes(3) + packed.to_bytes(8) + told
    every = [(0, info), *blocks]
    out = b"fLaC"
    for i, (kind, block) in enumerate(every):
        out += bytes([kind | (0x80 if i == len(every) - 1 else 0)]) + len(block).to_bytes(3) + block
    return out + frame


def comments_of(*comments: bytes) -> bytes:
    """A block of Vorbis comments."""
    out = struct.pack("<I", 4) + b"test" + struct.pack("<I", len(comments))
    return out + b"".join(struct.pack("<I", len(c)) + c for c in comments)


def page(number: int, packets: list[bytes], *, flags: int = 0, granule: int = 0, serial: int = 7) -> bytes:
    """One page of Ogg."""
    lengths = b"".join(b"\xff" * (len(p) // 255) + bytes([len(p) % 255]) for p in packets)
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, serial, number, 0, len(lengths))
    whole = head + lengths + b"".join(packets)
    return whole[:22] + struct.pack("<I", _crc(whole)) + whole[26:]


def opus_of(*comments: bytes) -> bytes:
    """Opus in Ogg: ten silent packets of 20 ms."""
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 312, 48000, 0, 0)
    return (
        page(0, [head], flags=2)
        + page(1, [b"OpusTags" + comments_of(*comments)])
        + page(2, [b"\xf8\xff\xfe"] * 10, flags=4, granule=9600)
    )


def id3_of(*frames: tuple[bytes, bytes]) -> bytes:
    """An ID3 tag of version 4."""

    def safe(size: int) -> bytes:
        return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))

    content = b"".join(name + safe(len(data)) + b"\0\0" + data for name, data in frames) + bytes(16)
    return b"ID3\4\0\0" + safe(len(content)) + content


SAMPLES = {
    "wav": wav_of,
    "flac": lambda: flac_of((4, comments_of(b"TITLE=planes"))),
    "ogg": lambda: opus_of(b"TITLE=planes"),
    "mp3": lambda: id3_of((b"TIT2", b"\3planes")) + MP3_FRAME * 20,
}
