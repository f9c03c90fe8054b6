"""Sound: WAV, FLAC, Ogg and MP3, walked by their own lengths to the last byte and decoded to the last sample.

Rules. The container is cut by its own lengths first (`casemate.airlock.sound`): what stands between, before or after
its pieces is a finding, and so are objects in its tags. Then everything is decoded, piece by piece, and must give as
many samples as the container says, at the rate and with the channels that it says. Opus has no decoder here: its pages
are verified by their checksums and its packets by their lengths, which a note says.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from casemate.airlock.distinct import distinct
from casemate.airlock.ending import archive_at_end
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from casemate.airlock.sound import Sound, SoundRefusedError, flac, mp3, ogg, require, wav

_WALKS: dict[str, Callable[[mmap.mmap], Sound]] = {"wav": wav.walk, "flac": flac.walk, "ogg": ogg.walk, "mp3": mp3.walk}


def versions() -> dict[str, str]:
    """The scanner's version and its decoder's."""
    from importlib.metadata import version

    import miniaudio

    return {"audio": "1", "miniaudio": version("miniaudio"), "miniaudio library": miniaudio.lib_version()}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:
    """Whether it is one whole sound within the limits, every sample of which decodes."""
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            require(not archive_at_end(data), "end", "a sound and nothing else", "a ZIP archive appended to it")
            sound = _WALKS[type_name](data)
            _check_limits(sound, limits)
            findings = _check_decoding(file, sound) if sound.codec != "opus" else []
        except SoundRefusedError as why:
            return [why.finding]
    return distinct([*findings, *sound.notes])


def _check_limits(sound: Sound, limits: ScanLimits) -> None:
    seconds = sound.frames / sound.rate_hz if sound.rate_hz else 0.0
    if not 0 < sound.channels <= limits.max_channels or not 0 < sound.rate_hz <= limits.max_rate_hz:
        expected = f"1 to {limits.max_channels} channels at 1 to {limits.max_rate_hz} Hz"
        raise SoundRefusedError("size", expected, f"{sound.channels} at {sound.rate_hz} Hz")
    if seconds > limits.max_duration_s:
        raise SoundRefusedError("size", f"at most {limits.max_duration_s:.0f} s", f"{seconds:.0f} s")


def _check_decoding(file: Path, sound: Sound) -> list[Finding]:
    import miniaudio

    streams: dict[str, Callable[[str], Iterator[Any]]] = {
        "pcm": miniaudio.wav_stream_file,
        "flac": miniaudio.flac_stream_file,
        "vorbis": miniaudio.vorbis_stream_file,
        "mp3": miniaudio.mp3_stream_file,
    }
    samples, digest = 0, hashlib.md5(usedforsecurity=False)
    try:
        for piece in streams[sound.codec](str(file)):
            samples += len(piece)
            if sound.md5:
                digest.update(piece)
    except miniaudio.MiniaudioError as why:
        return [Finding("decoding", f"a whole {sound.codec} sound", str(why))]
    frames = samples // sound.channels
    if abs(frames - sound.frames) > sound.tolerance:
        return [Finding("decoding", f"{sound.frames} samples a channel, as it says", f"{frames}")]
    if sound.md5 and digest.hexdigest() != sound.md5:
        return [Finding("decoding", f"samples whose MD5 is {sound.md5}, as it says", digest.hexdigest())]
    return []
