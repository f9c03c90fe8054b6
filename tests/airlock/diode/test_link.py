"""What arrives is what was sent, or it is said what is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from casemate.airlock.diode import Cut, Missing, unfinished
from casemate.airlock.diode.landing import PREFIX
from casemate.airlock.diode.source import open_bundle
from casemate.errors import BadInput, DigestMismatch, InspectionRefused
from tests.airlock.diode.link import SMALL, contents, lossy, names, received, sent


def test_every_file_arrives_over_a_perfect_link_and_nothing_else_is_left(bundle: Path, into: Path) -> None:
    result = received(sent(bundle), into)
    (outcome,) = result.outcomes
    assert outcome.whole
    assert outcome.folder == into / outcome.session.hex()
    assert contents(outcome.folder) == contents(bundle)
    assert names(into) == [".diode.lock", outcome.session.hex()]


@pytest.mark.parametrize("seed", range(3))
def test_every_file_arrives_over_a_link_that_loses_repeats_reorders_and_corrupts(
    bundle: Path, into: Path, seed: int
) -> None:
    result = received(lossy(sent(bundle), seed=seed), into)
    (outcome,) = result.outcomes
    assert outcome.folder is not None
    assert contents(outcome.folder) == contents(bundle)
    assert result.tally.not_ours > 0


def test_a_burst_of_losses_is_survived_because_symbols_of_several_blocks_take_turns(bundle: Path, into: Path) -> None:
    packets = sent(bundle)
    burst = slice(len(packets) // 2, len(packets) // 2 + 60)  # nearly a whole block of 64 symbols
    del packets[burst]
    (outcome,) = received(packets, into).outcomes
    assert outcome.whole


def test_without_overhead_a_lost_packet_is_a_missing_block_that_is_named(bundle: Path, into: Path) -> None:
    cut = Cut(overhead=0, block_bytes=16 << 10, symbol_bytes=256, interleave=1)
    packets = sent(bundle, cut)
    blocks = [place for place, packet in enumerate(packets) if packet[4] == 2 and packet[21:25] == b"\0\0\0\3"]
    del packets[blocks[5]]
    (outcome,) = received(packets, into).outcomes
    assert not outcome.whole
    assert outcome.missing == Missing.of(outcome.session, [3])


def test_a_receiver_that_comes_late_learns_the_index_and_is_sent_only_what_it_missed(bundle: Path, into: Path) -> None:
    packets = sent(bundle)
    (late,) = received(packets[len(packets) // 2 :], into).outcomes
    assert late.missing is not None
    assert 0 < late.missing.count(late.blocks) < late.blocks
    again = sent(bundle, only=late.missing)
    assert len(again) < len(packets)
    (outcome,) = received(again, into).outcomes
    assert outcome.folder is not None
    assert contents(outcome.folder) == contents(bundle)
    assert not list(into.glob("*.missing.txt"))


def test_the_list_of_missing_blocks_lies_beside_as_a_line_of_text(bundle: Path, into: Path) -> None:
    packets = sent(bundle)
    (late,) = received(packets[len(packets) // 2 :], into).outcomes
    (line,) = into.glob("*.missing.txt")
    assert Missing.parse(line.read_text(encoding="ascii")) == late.missing


def test_blocks_that_come_before_the_index_are_kept(bundle: Path, into: Path) -> None:
    packets = sent(bundle)
    announcement = packets[0]
    without_index = [packet for packet in packets if packet[4] == 2]
    index = [packet for packet in packets if packet[4] == 1]
    (outcome,) = received([announcement, *without_index, *index], into).outcomes
    assert outcome.whole


def test_where_the_index_is_missing_everything_is_asked_for(bundle: Path, into: Path) -> None:
    packets = [packet for packet in sent(bundle) if packet[4] != 1]
    (outcome,) = received(packets, into).outcomes
    assert outcome.missing == Missing(outcome.session, None)
    assert len(sent(bundle, only=outcome.missing)) == len(sent(bundle))


def test_a_bundle_of_empty_files_arrives(tmp_path: Path, into: Path) -> None:
    (tmp_path / "bundle" / "a").mkdir(parents=True)
    (tmp_path / "bundle" / "a" / "b").touch()
    (outcome,) = received(sent(tmp_path / "bundle"), into).outcomes
    assert outcome.folder is not None
    assert contents(outcome.folder) == {"a/b": b""}


def test_two_bundles_at_once_both_arrive(bundle: Path, tmp_path: Path, into: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_bytes(os.urandom(50_000))
    first, second = sent(bundle), sent(other)
    mixed = [packet for pair in zip(first, second, strict=False) for packet in pair]
    mixed += first[len(second) :] + second[len(first) :]
    outcomes = received(mixed, into).outcomes
    assert sorted(len(contents(outcome.folder)) for outcome in outcomes if outcome.folder) == [1, 23]


def test_a_bundle_that_is_sent_twice_is_taken_once(bundle: Path, into: Path) -> None:
    packets = sent(bundle)
    received(packets, into)
    (again,) = received(packets, into).outcomes
    assert again.whole
    assert names(into) == [".diode.lock", again.session.hex()]


def test_a_block_that_was_damaged_on_the_disk_while_nobody_looked_is_missing_again(bundle: Path, into: Path) -> None:
    packets = sent(bundle)
    (late,) = received(packets[: len(packets) * 2 // 3], into).outcomes
    assert late.missing is not None
    (part,) = into.glob(f"{PREFIX}*/files/parts/000001.tar")
    with part.open("r+b") as stream:
        stream.seek(20_000)  # in the second block
        stream.write(b"damage")
    (found,) = unfinished(into)
    assert found.missing is not None
    assert set(found.missing.blocks(found.blocks)) == {1, *late.missing.blocks(late.blocks)}
    (outcome,) = received(sent(bundle, only=found.missing), into).outcomes
    assert outcome.folder is not None
    assert contents(outcome.folder) == contents(bundle)


def test_a_list_of_another_bundle_is_refused(bundle: Path) -> None:
    other = Missing.of(bytes(16), [0])
    with pytest.raises(BadInput, match=r"missing blocks: expected session [0-9a-f]{32}: this folder.*, found 0{32}"):
        sent(bundle, only=other)


def test_a_list_that_names_a_block_beyond_the_last_is_refused(bundle: Path) -> None:
    with open_bundle(bundle, block_bytes=SMALL.block_bytes, symbol_bytes=SMALL.symbol_bytes) as opened:
        session, blocks = opened.announcement.session, opened.announcement.blocks
    with pytest.raises(BadInput, match=rf"expected blocks below {blocks}, found {blocks}"):
        sent(bundle, only=Missing.of(session, [blocks]))


def test_a_file_that_changes_while_it_is_sent_stops_the_sending_and_is_named(bundle: Path) -> None:
    with open_bundle(bundle, block_bytes=SMALL.block_bytes, symbol_bytes=SMALL.symbol_bytes) as opened:
        file = bundle / "parts" / "000001.tar"
        file.write_bytes(b"x" * file.stat().st_size)
        with pytest.raises(
            DigestMismatch, match=r"000001.tar.*: expected the bytes that were listed, found a file that"
        ):
            opened.block(3)


def test_a_bundle_with_a_link_is_not_sent(bundle: Path) -> None:
    (bundle / "link").symlink_to("/etc/passwd")
    with pytest.raises(InspectionRefused, match="link: expected a file or folder, found a link"):
        sent(bundle)


def test_memory_is_bounded_and_what_is_forgotten_can_be_sent_again(bundle: Path, into: Path) -> None:
    from casemate.airlock.diode import LinkLimits

    packets = [packet for packet in sent(bundle) if packet[4] != 1]
    result = received(packets, into, LinkLimits(memory_bytes=40_000))
    assert result.tally.forgotten > 0
    (outcome,) = received(sent(bundle), into).outcomes
    assert outcome.whole
