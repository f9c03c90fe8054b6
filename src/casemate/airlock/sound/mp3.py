"""MP3: a tag, frames of MPEG layer III one after another, and perhaps an old tag of 128 bytes at the end."""

from __future__ import annotations

import mmap

from casemate.airlock.sound import Sound, id3, require

_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_KBPS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_LAYER_3 = 1
_OLD_TAG_BYTES = 128
_DELAY_FRAMES = 8  # what a decoder may leave out or add: the frame that describes the others, delay and padding


def walk(data: mmap.mmap) -> Sound:
    """What an MP3 file says of itself."""
    at = id3.size_of(data[:10])
    if at:
        require(at <= len(data), "end", f"a tag of {at} bytes", str(len(data)))
        id3.check(data[:at])
    while at < len(data) and data[at] == 0 and at < 1 << 20:
        at += 1  # padding after the tag
    end = len(data)
    if data[max(0, end - _OLD_TAG_BYTES) :][:3] == b"TAG":
        end -= _OLD_TAG_BYTES
    frames, samples, rate_hz, channels = _frames(data, at, end)
    require(frames, "mp3", "frames of MPEG layer III", "none")
    return Sound("mp3", channels, rate_hz, frames * samples, tolerance=_DELAY_FRAMES * samples)


def _frames(data: mmap.mmap, at: int, end: int) -> tuple[int, int, int, int]:
    """How many frames there are from `at` to `end`, and what all of them say."""
    frames, said = 0, (0, 0, 0)
    while at < end:
        header = data[at : at + 4]
        if not frames or header[:1] == b"\xff":
            size, this = _frame(header, at)
            require(said in {(0, 0, 0), this}, "mp3", f"frames that agree at byte {at}", f"{this} after {said}")
        else:
            rest = data[at:end]
            require(not rest.strip(b"\0"), "end", f"a frame at byte {at}", f"{len(rest)} bytes of something else")
            break
        require(at + size <= end, "end", f"a frame of {size} bytes at byte {at}", f"{end - at}")
        at, frames, said = at + size, frames + 1, this
    return frames, *said


def _frame(header: bytes, at: int) -> tuple[int, tuple[int, int, int]]:
    """The bytes of a frame; its samples a channel, rate and channels."""
    require(len(header) == 4 and header[0] == 0xFF and header[1] >= 0xE0, "mp3", f"a frame at byte {at}", header.hex())
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    rate, kbps, padding = header[2] >> 2 & 3, header[2] >> 4, header[2] >> 1 & 1
    good = version in _RATES_HZ and layer == _LAYER_3 and rate < 3 and 0 < kbps < 15
    require(good, "mp3", f"a frame of layer III with its rate at byte {at}", header.hex())
    rate_hz = _RATES_HZ[version][rate]
    samples, bits_per_s = (1152, _KBPS_1[kbps] * 1000) if version == 3 else (576, _KBPS_2[kbps] * 1000)
    channels = 1 if header[3] >> 6 == 3 else 2
    return samples // 8 * bits_per_s // rate_hz + padding, (samples, rate_hz, channels)
