"""The containers of sound, walked by their own lengths: what each says of itself, and that nothing else is in the file.

Rules. A walk reads headers, never samples, and ends at the last byte or raises SoundRefusedError, which says expected
and found. Tags may hold words and pictures; objects, and pictures that are none, are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from casemate.airlock.references import picture_type
from casemate.airlock.report import Finding

_PICTURES = frozenset({"png", "jpeg", "webp", "GIF picture", "BMP picture"})


@dataclass(frozen=True)
class Sound:
    """What a container says: `frames` samples a channel, give or take `tolerance`; the MD5 of its 16-bit samples."""

    codec: Literal["pcm", "flac", "vorbis", "opus", "mp3"]
    channels: int
    rate_hz: int
    frames: int
    tolerance: int = 0
    md5: str = ""
    notes: tuple[Finding, ...] = field(default=())


class SoundRefusedError(ValueError):
    """A sound that may not come in, as a finding."""

    def __init__(self, rule: str, expected: str, found: str) -> None:
        """Keep the finding."""
        self.finding = Finding(rule, expected, found)
        super().__init__(f"expected {expected}, found {found}")


def require(condition: object, rule: str, expected: str, found: str) -> None:
    """Raise SoundRefusedError unless a condition holds."""
    if not condition:
        raise SoundRefusedError(rule, expected, found)


def check_picture(data: bytes, where: str) -> None:
    """Refuse a picture in a tag that is none."""
    found = picture_type(data)
    require(found in _PICTURES, "tag", f"a picture in {where}", found)
