"""A whole sound is clean; other lengths than it says, objects in its tags and what follows its end are refused."""

from __future__ import annotations

import base64
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from casemate.airlock.inspect import audio
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from tests.airlock.conftest import Arrive, Inspected, picture
from tests.airlock.samples.documents import zip_of
from tests.airlock.samples.sounds import (
    MP3_FRAME,
    SAMPLES,
    chunk,
    comments_of,
    flac_of,
    id3_of,
    opus_of,
    page,
    wav_of,
)  # fmt: skip

Scan = Callable[..., list[Finding]]


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    def run(data: bytes, kind: str, limits: ScanLimits | None = None) -> list[Finding]:
        file = tmp_path / f"sound.{kind}"
        file.write_bytes(data)
        return audio.scan(file, kind, limits or ScanLimits())

    return run


def _only(findings: list[Finding]) -> str:
    refused = [f"{f.rule}: expected {f.expected}, found {f.found}" for f in findings if not f.note]
    assert refused, "nothing was refused"
    return "; ".join(refused)


def _block(kind: bytes, data: bytes) -> bytes:
    """A picture block of FLAC."""
    return (
        struct.pack(">2I", 3, len(kind)) + kind + struct.pack(">I", 0) + bytes(16) + struct.pack(">I", len(data)) + data
    )


def test_whole_sounds_with_words_and_pictures_are_clean_and_opus_is_said_not_to_be_decoded(
    arrive: Arrive, inspected: Inspected
) -> None:
    png = picture("PNG", 16)
    cover = b"METADATA_BLOCK_PICTURE=" + base64.b64encode(_block(b"image/png", png))
    files = {
        "a.wav": wav_of(chunk(b"LIST", b"INFO") + chunk(b"JUNK", bytes(7)) + chunk(b"id3 ", id3_of((b"TIT2", b"\3a")))),
        "a.flac": flac_of((4, comments_of(cover)), (6, _block(b"image/png", png)), (1, bytes(10))),
        "a.ogg": opus_of(cover),
        "a.mp3": id3_of((b"APIC", b"\0image/png\0\3\0" + png), (b"APIC", b"\1image/png\0\3\xff\xfea\0\0\0" + png))
        + MP3_FRAME * 20 + b"TAG" + bytes(125),
    }  # fmt: skip
    report = inspected(arrive(files), allowed=frozenset({"wav", "flac", "ogg", "mp3"}))
    assert {f.path: [(n.rule, n.found) for n in f.findings] for f in report.files} == {
        "a.wav": [],
        "a.flac": [],
        "a.ogg": [("decoding", "Opus: pages and packets verified, not decoded")],
        "a.mp3": [],
    }
    assert report.clean


@pytest.mark.real_data
def test_real_recordings_are_clean(real_data: Callable[[str], Path], scan: Scan) -> None:
    for folder in ("speech_en_asterisk", "speech_fr_tuxpaint", "speech_fr_gcompris", "speech_en_fsdd"):
        for file in sorted(real_data(folder).rglob("*.[ow][ga][gv]"))[:8]:
            assert audio.scan(file, file.suffix[1:], ScanLimits()) == [], file


@pytest.mark.real_data
def test_real_vorbis_cut_anywhere_or_with_one_byte_changed_is_refused(
    real_data: Callable[[str], Path], scan: Scan
) -> None:
    data = min(real_data("speech_fr_tuxpaint").rglob("*.ogg"), key=lambda file: file.stat().st_size).read_bytes()
    for at in range(100, len(data) - 1, 997):
        assert _only(scan(data[:at], "ogg"))
        assert _only(scan(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], "ogg"))


@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_a_sound_cut_short_or_followed_by_something_is_refused(scan: Scan, kind: str) -> None:
    data = SAMPLES[kind]()
    for cut in range(40, len(data) - 1, max(1, len(data) // 40)):
        if kind == "mp3" and not (cut - (len(data) - 20 * 417)) % 417:
            continue  # a whole number of frames is a shorter sound
        assert _only(scan(data[:cut], kind)), cut
    assert _only(scan(data + b"more", kind))
    assert "found a ZIP archive appended to it" in _only(scan(data + zip_of({"a": b"b"}), kind))


def test_a_wav_is_held_to_its_lengths_and_to_known_chunks(scan: Scan) -> None:
    data = wav_of()
    for bad, refusal in (
        (data + b"\0\0", f"end: expected a file of {len(data)} bytes, as its header says, found {len(data) + 2}"),
        (wav_of(chunk(b"evil", b"x")), "wav: expected a known chunk at byte 8044, found b'evil'"),
        (wav_of(chunk(b"data", b"xx")), "wav: expected one of each chunk, found two b'data'"),
        (
            wav_of(chunk(b"JUNK", b"MZ")),
            "wav: expected nothing in the filling b'JUNK', found 2 bytes that are not zero",
        ),
        (wav_of(b"LIST\xff\xff\xff\x7f"), "end: expected 2147483647 bytes in the chunk b'LIST', found 0"),
        (
            wav_of(chunk(b"id3 ", id3_of((b"GEOB", b"x")))),
            "tag: expected words and pictures, found an object in b'GEOB'",
        ),
        (data[:20] + b"\x55\0" + data[22:], "wav: expected one of PCM, float, A-law, µ-law, found format 0x0055"),
        (data[:32] + b"\3\0" + data[34:], "wav: expected 1 samples of 16 bits a block, found 3"),
        (data[:22] + b"\0\0" + data[24:], "wav: expected 0 samples of 16 bits a block, found 2"),
        (data[:36] + b"x" + data[37:], "wav: expected a known chunk at byte 36, found b'xata'"),
    ):
        assert _only(scan(bad, "wav")) == refusal


def test_limits_on_channels_rate_and_length_are_held_before_anything_is_decoded(scan: Scan) -> None:
    data = wav_of()
    assert _only(scan(data, "wav", ScanLimits(max_duration_s=0.4))) == "size: expected at most 0 s, found 0 s"
    fast = data[:24] + struct.pack("<I", 1_000_000) + data[28:]
    assert _only(scan(fast, "wav")) == "size: expected 1 to 32 channels at 1 to 768000 Hz, found 1 at 1000000 Hz"
    assert "found 1 at 8000 Hz" in _only(scan(data, "wav", ScanLimits(max_channels=0)))


def test_a_flac_is_held_to_its_samples_checksums_and_blocks(scan: Scan) -> None:
    data = flac_of()
    changed = bytearray(data)
    changed[len(data) // 2] ^= 1
    for bad, refusal in (
        (bytes(changed), "end: expected a frame that ends with the file, found none"),
        (flac_of(frames=4001), "decoding: expected 4001 samples a channel, as it says, found 4000"),
        (flac_of(frames=0), "flac: expected a number of samples, found none, as in a live stream"),
        (flac_of(md5=b"x" * 16), "decoding: expected samples whose MD5 is 7878"),
        (flac_of((2, b"evil")), "flac: expected metadata of no program, found those of b'evil'"),
        (flac_of((1, b"MZ")), "flac: expected zeros in the padding, found something else"),
        (flac_of((9, b"")), "flac: expected a known metadata block, found block 9"),
        (flac_of((0, bytes(34))), "flac: expected the stream's description first and once, found block 0"),
        (flac_of((6, _block(b"image/png", b"MZ"))), "tag: expected a picture in a picture block, found text"),
        (flac_of((6, _block(b"-->", b"http://host"))), "tag: expected a picture, found the address of one"),
        (flac_of((6, b"xx")), "tag: expected a whole picture block, found one cut short"),
        (flac_of((4, comments_of(b"a=b") + b"MZ")), "tag: expected comments that end at byte 19, found 21"),
        (flac_of((4, b"\xff\xff\xff\xff")), "tag: expected whole comments, found some cut short"),
        (flac_of((4, comments_of(b"COVERART=%%"))), "tag: expected base64 in the comment b'COVERART'"),
    ):
        assert refusal in _only(scan(bad, "flac"))


def test_an_ogg_is_held_to_its_pages(scan: Scan) -> None:
    data = opus_of()
    second, third = data.index(b"OggS", 4), data.rindex(b"OggS")
    for bad, refusal in (
        (data[:-1] + b"\0", "ogg: expected the checksum"),
        (data[:third] + page(3, [b"\xf8"], flags=4), "ogg: expected page 2, found page 3"),
        (data[:third] + page(2, [b"\xf8"], flags=4, serial=8), "ogg: expected one stream, found two"),
        (data[:third], "end: expected a last page, found none: it is cut short"),
        (data + data, "end: expected nothing after the last page"),
        (data[:second] + b"junk" + data[second:], "ogg: expected a page at byte 47, found b'junk'"),
        (data[:third] + page(2, [b"\xf8"], flags=2), "ogg: expected one beginning, found flags 2 on page 2"),
        (
            data[:third] + page(2, [b"\xf8"], flags=5),
            "ogg: expected packets that go on where they stopped, found page 2",
        ),
        (data[:third] + page(2, [b""], flags=4), "ogg: expected packets with content, found an empty one"),
        (data[:third] + page(2, [b"\xf9xxx"], flags=4), "ogg: expected two frames of one length, found 3 bytes"),
        (data[:third] + page(2, [b"\xfb\x3f"], flags=4), "ogg: expected at most 120 ms a packet, found 60480 samples"),
        (
            data[:third] + page(2, [b"\xf8"], flags=4, granule=5000),
            "ogg: expected at most 960 samples, as its packets hold",
        ),
        (data[:second] + page(1, [b"NotTags!"], flags=4), "ogg: expected the comments of Opus, found b'NotTags!'"),
        (page(0, [b"\x80theora"], flags=6), "ogg: expected Vorbis or Opus, found"),
        (
            opus_of(b"METADATA_BLOCK_PICTURE=" + base64.b64encode(_block(b"image/png", b"MZ"))),
            "tag: expected a picture in",
        ),
    ):
        assert refusal in _only(scan(bad, "ogg"))


@pytest.mark.parametrize(
    ("frame", "refusal"),
    [
        ((b"GEOB", b"\0application/x\0a\0b\0MZ"), "tag: expected words and pictures, found an object in b'GEOB'"),
        ((b"LINK", b"APIChttp://host"), "found a link to another file in b'LINK'"),
        ((b"ENCR", b"x"), "found encryption in b'ENCR'"),
        ((b"APIC", b"\0image/png\0\3\0MZ"), "tag: expected a picture in the frame b'APIC', found text"),
        ((b"APIC", b"\0-->\0\3\0http://host/a.png"), "tag: expected a picture in the frame b'APIC', found text"),
        ((b"ab\0c", b"x"), "tag: expected frames with names, found b'ab\\x00c'"),
    ],
)
def test_tags_hold_words_and_pictures_only(scan: Scan, frame: tuple[bytes, bytes], refusal: str) -> None:
    assert refusal in _only(scan(id3_of(frame) + MP3_FRAME * 9, "mp3"))


def test_an_mp3_is_held_to_its_frames(scan: Scan) -> None:
    good, tag = MP3_FRAME * 9, id3_of((b"TIT2", b"\3a"))
    for bad, refusal in (
        (good[:-1], "end: expected a frame of 417 bytes at byte 3336, found 416"),
        (good[:834] + b"junk" + good[834:], "end: expected a frame at byte 834, found 2923 bytes of something else"),
        (good + b"\xff\xfb\x94\xc0" + bytes(400), "mp3: expected frames that agree at byte 3753"),
        (good + b"\xff\xfd\x90\xc0", "mp3: expected a frame of layer III with its rate at byte 3753, found fffd90c0"),
        (good + b"\xff\xfb\x00\xc0", "mp3: expected a frame of layer III with its rate"),
        (tag, "mp3: expected frames of MPEG layer III, found none"),
        (tag[:5] + b"\x80" + tag[6:] + good, "tag: expected a plain ID3 tag, found flags 0x80"),
        (tag[:3] + b"\7" + tag[4:] + good, "tag: expected ID3 version 2, 3 or 4, found 7"),
        (tag[:-2] + b"MZ" + good, "tag: expected zeros after the last frame, found something else"),
        (tag[:6] + b"\xff" + tag[7:] + good, "tag: expected a length in bytes below 128"),
        (tag[:6] + b"\x7f" + tag[7:] + good, "end: expected a tag of"),
        (tag[:14] + b"\0\0\x10\0" + tag[18:] + good, "tag: expected 2048 bytes in the frame b'TIT2'"),
    ):
        assert refusal in _only(scan(bad, "mp3"))
    assert scan(MP3_FRAME * 20 + bytes(99), "mp3") == []


def test_sounds_with_damage_anywhere_are_answered(scan: Scan) -> None:
    chance = random.Random(5)  # noqa: S311  damage, not secrets
    for kind, make in SAMPLES.items():
        data = make()
        for _ in range(60):
            damaged = bytearray(data)
            for _ in range(chance.randint(1, 6)):
                damaged[chance.randrange(min(len(damaged), 600))] = chance.randrange(256)
            scan(bytes(damaged), kind)
