"""Anybody may speak on the link: what a stranger sends costs little, writes nothing and stops nothing honest."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from casemate.airlock.diode import LinkLimits
from casemate.airlock.diode.announcement import Announcement
from casemate.airlock.diode.index import Index
from casemate.airlock.diode.packet import Kind, announce, header, pack, unpack
from casemate.errors import BadInput
from casemate.store import Digest, Manifest, ManifestFile
from tests import hostile
from tests.airlock.diode.link import SMALL, contents, lossy, names, received, sent

FACTS = {"stream_bytes": 100_000, "block_bytes": 16 << 10, "symbol_bytes": 256}


def forged(packet: bytes) -> bytes:
    """The same symbol of the same block with other bytes, and a CRC that is right."""
    return pack(packet[:25], packet[25:29] + bytes(byte ^ 0x5A for byte in packet[29:-4]))


def announcing(index: bytes, **facts: int) -> list[bytes]:
    """All packets of a bundle that is only an index."""
    announcement = Announcement.of(index, **{**FACTS, **facts})
    packets = [announce(announcement)]
    for block in range(len(announcement.index_blocks)):
        data = index[block * announcement.block_bytes :][: announcement.block_bytes]
        head = header(Kind.INDEX, announcement.session, block)
        for number in range(-(-len(data) // announcement.symbol_bytes)):
            symbol = data[number * announcement.symbol_bytes :][: announcement.symbol_bytes]
            packets.append(pack(head, number.to_bytes(4, "big") + symbol.ljust(announcement.symbol_bytes, b"\0")))
    return packets


def index_text(text: bytes, blocks: int) -> bytes:
    return len(text).to_bytes(4, "big") + text + bytes(32 * blocks)


def everything_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_forged_symbol_in_every_block_is_noticed_and_left_out(bundle: Path, into: Path) -> None:
    packets = sent(bundle)
    mixed: list[bytes] = []
    for packet in packets:
        is_third = packet[4] != Kind.ANNOUNCEMENT and packet[25:29] == b"\0\0\0\3"
        mixed.append(forged(packet) if is_third else packet)
    result = received(mixed, into)
    (outcome,) = result.outcomes
    assert outcome.folder is not None
    assert contents(outcome.folder) == contents(bundle)


def test_a_forged_symbol_beside_the_true_one_makes_both_disputed_and_the_block_arrives(
    bundle: Path, into: Path
) -> None:
    mixed: list[bytes] = []
    for place, packet in enumerate(sent(bundle)):
        if packet[4] != Kind.ANNOUNCEMENT and place % 20 == 0:
            mixed.append(forged(packet))
        mixed.append(packet)
    (outcome,) = received(mixed, into).outcomes
    assert outcome.folder is not None
    assert contents(outcome.folder) == contents(bundle)


def test_a_block_of_which_every_symbol_is_forged_is_begun_again_with_later_ones(bundle: Path, into: Path) -> None:
    packets = sent(bundle)
    lies = [forged(packet) for packet in packets if packet[4] == Kind.BLOCK]
    index = [packet for packet in packets if packet[4] != Kind.BLOCK]
    result = received([*index, *lies], into)
    assert result.tally.lies > 0
    assert not result.outcomes[0].whole
    assert not [path for path in everything_below(into) if "/files/" in path]
    (outcome,) = received([*index, *lies, *packets, *packets], into).outcomes
    assert outcome.whole


def test_garbage_between_packets_changes_nothing(bundle: Path, into: Path) -> None:
    chance = random.Random(3)  # noqa: S311  garbage, the same in every run

    def with_garbage() -> Iterator[bytes]:
        for packet in sent(bundle):
            yield chance.randbytes(chance.randrange(2000))
            yield packet
            yield packet[: chance.randrange(len(packet))]
            yield packet + b"\0"

    result = received(with_garbage(), into)
    assert result.outcomes[0].whole
    assert result.tally.not_ours >= 3 * len(sent(bundle))


def test_packets_of_a_session_that_nobody_announced_are_ignored(bundle: Path, into: Path) -> None:
    result = received([packet for packet in sent(bundle) if packet[4] != Kind.ANNOUNCEMENT], into)
    assert result.outcomes == ()
    assert names(into) == [".diode.lock"]


@pytest.mark.parametrize(
    ("kind", "block", "body"),
    [
        (Kind.BLOCK, 1 << 31, b"\0\0\0\0" + bytes(256)),
        (Kind.INDEX, 31, b"\0\0\0\0" + bytes(256)),
        (9, 0, b"\0\0\0\0" + bytes(256)),
        (Kind.BLOCK, 0, b"\1\0\0\0" + bytes(256)),  # another source block
        (Kind.BLOCK, 0, b"\0\xff\xff\xff" + bytes(256)),  # a symbol number that no sender reaches
        (Kind.BLOCK, 0, b"\0\0\0\1" + bytes(255)),
        (Kind.BLOCK, 0, b"\0\0\0\1" + bytes(257)),
        (Kind.BLOCK, 0, b""),
    ],
)
def test_symbols_that_no_sender_of_ours_sends_are_not_kept(
    bundle: Path, into: Path, kind: int, block: int, body: bytes
) -> None:
    packets = sent(bundle)
    session = packets[0][5:21]
    packet = pack(packets[0][:4] + bytes([kind]) + session + block.to_bytes(4, "big"), body)
    assert unpack(memoryview(packet)) is not None
    result = received([packets[0], packet], into)
    assert result.tally.taken == 1  # the announcement
    assert received([packet, *packets], into).outcomes[0].whole


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (LinkLimits(max_bytes=100_000), "expected at most 100000 bytes, found 1"),
        (LinkLimits(max_index_bytes=1000), "expected an index of at most 1000 bytes, found"),
        (LinkLimits(max_files=22), "expected 1 to 22 files, found 23"),
        (LinkLimits(max_depth=1), "expected at most 1 folders deep, found 'parts/000001.tar', 2 deep"),
        (LinkLimits(max_path_bytes=12), "expected paths of at most 12 bytes, found 'manifest.json'… of 13"),
        (LinkLimits(max_block_bytes=4096), "expected blocks of at most 4096 bytes and 8192 symbols, found 16384 bytes"),
        (LinkLimits(max_block_symbols=63), "found 16384 bytes, 64 symbols"),
    ],
)
def test_what_is_announced_beyond_the_limits_is_refused_with_both_figures(
    bundle: Path, into: Path, limits: LinkLimits, message: str
) -> None:
    result = received(sent(bundle), into, limits)
    assert result.outcomes == ()
    assert len(result.refused) == 1
    assert message in result.refused[0]
    assert names(into) == [".diode.lock"]


@pytest.mark.parametrize("path", hostile.BAD_PATHS)
def test_a_path_that_leads_elsewhere_is_refused_and_nothing_is_written(tmp_path: Path, into: Path, path: str) -> None:
    line = Manifest((ManifestFile("good", 100_000, Digest.of_bytes(b"")),)).to_json()
    text = line.replace(b'"good"', json.dumps(path).encode("ascii"))
    before = everything_below(tmp_path)
    result = received(announcing(index_text(text, 7)), into)
    assert result.outcomes == ()
    assert "index: expected" in result.refused[0] or "manifest: expected" in result.refused[0]
    assert everything_below(tmp_path) - before == {"in/.diode.lock"}


def test_a_file_that_is_also_a_folder_is_refused(into: Path) -> None:
    def line(path: str) -> str:
        return f'  {{\n   "path": "{path}",\n   "sha256": "{"0" * 64}",\n   "size": 50000\n  }}'

    text = f'{{\n "files": [\n{line("a")},\n{line("a/b")}\n ],\n "format": "casemate-manifest/1"\n}}\n'.encode()
    result = received(announcing(index_text(text, 7)), into)
    assert "expected each path to be a file or a folder, found 'a' as both" in result.refused[0]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (b"", None),
        (b"\xff", "found 0 bytes after the manifest"),
        (b"\xff\xff\xff\xff" + bytes(500), "expected 7 digests of blocks, found 0 bytes"),
        (index_text(b"{}", 7), "index: expected format casemate-manifest/1"),
        (
            index_text(Manifest((ManifestFile("a", 5, Digest.of_bytes(b"")),)).to_json(), 7),
            "expected 100000 bytes in its",
        ),
        (index_text(b"[" * 5000, 7), "expected a manifest in JSON"),
    ],
)
def test_an_index_that_contradicts_itself_is_refused(into: Path, index: bytes, message: str | None) -> None:
    if message is None:
        with pytest.raises(BadInput, match="expected an index of 1 to 32 blocks"):
            announcing(index)
        return
    result = received(announcing(index), into)
    assert result.outcomes == ()
    assert message in result.refused[0]
    assert names(into) == [".diode.lock"]


def test_another_index_cannot_be_passed_off_under_a_session_that_was_announced(bundle: Path, into: Path) -> None:
    packets = sent(bundle)
    true = Announcement.from_bytes(packets[0][25:-4])
    other = replace(true, index_blocks=(bytes(32),))
    stand_in = pack(header(Kind.ANNOUNCEMENT, true.session, 0), other.to_bytes())
    assert received([stand_in], into).outcomes == ()
    assert received([stand_in, *packets], into).outcomes[0].whole


def test_a_flood_of_announcements_does_not_keep_an_honest_bundle_out(bundle: Path, into: Path) -> None:
    chance = random.Random(5)  # noqa: S311  strangers, the same in every run

    def flooded() -> Iterator[bytes]:
        for packet in sent(bundle):
            yield packet
            if packet[4] == Kind.BLOCK:
                yield announce(Announcement.of(chance.randbytes(40), **FACTS))

    result = received(flooded(), into, LinkLimits(max_sessions=3))
    whole = [outcome for outcome in result.outcomes if outcome.whole]
    assert len(whole) == 1
    assert len(result.outcomes) <= 4


def test_unfinished_bundles_beyond_the_limit_are_refused_and_the_others_go_on(
    bundle: Path, tmp_path: Path, into: Path
) -> None:
    packets = sent(bundle)
    started = packets[: len(packets) // 2]
    received(started, into)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "other").write_bytes(b"other")
    result = received([*sent(tmp_path / "b"), *packets], into, LinkLimits(max_sessions=1))
    assert [outcome.whole for outcome in result.outcomes] == [True]
    assert f"expected at most 1 unfinished bundles in {into}, found one more" in result.refused[0]


def test_indexes_that_are_never_finished_do_not_pile_up(into: Path) -> None:
    from casemate.airlock.diode.assembly import Assembly
    from casemate.airlock.diode.harbour import open_harbour
    from casemate.airlock.diode.workshop import Workshop

    with open_harbour(into, LinkLimits(max_sessions=2)) as harbour, Workshop() as workshop:
        assembly = Assembly(harbour, workshop)
        for number in range(6):
            for packet in announcing(bytes([number]) * 40_000)[:-1]:
                found = unpack(memoryview(packet))
                assert found is not None
                assembly.take(found)
                workshop.gather(wait=True)
        assert len(harbour.announced) == 2
        assert len(assembly._index) == 2
        assert harbour.landings == {}


def test_a_bundle_that_found_no_room_comes_in_when_there_is_room_again(
    bundle: Path, tmp_path: Path, into: Path
) -> None:
    packets = sent(bundle)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "other").write_bytes(b"other")
    other = sent(tmp_path / "b")
    half = len(packets) // 2
    result = received([*packets[:half], *other, *packets[half:], *other], into, LinkLimits(max_sessions=1))
    assert [outcome.whole for outcome in result.outcomes] == [True, True]


def test_a_folder_that_was_planted_as_a_link_is_not_followed(bundle: Path, tmp_path: Path, into: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = tmp_path / "link"
    link.symlink_to(into)
    from casemate.airlock.diode.harbour import open_harbour

    with (
        pytest.raises(BadInput, match="expected a folder to receive into, found a link"),
        open_harbour(link, LinkLimits()),
    ):
        pass


def test_an_index_survives_a_link_that_loses_a_third(bundle: Path, into: Path) -> None:
    packets = lossy(sent(bundle, replace(SMALL, overhead=1.0)), seed=4, loss=0.33)
    assert received(packets, into).outcomes[0].whole


def test_the_digests_of_blocks_are_as_many_as_the_blocks() -> None:
    manifest = Manifest((ManifestFile("a", 100_000, Digest.of_bytes(b"")),))
    index = Index(manifest, bytes(6 * 32))
    announcement = Announcement.of(index.to_bytes(), **FACTS)
    with pytest.raises(BadInput, match="expected 7 digests of blocks, found 192 bytes"):
        Index.from_bytes(index.to_bytes(), announcement, LinkLimits())
