"""Folder-drop mode: whatever order, however often, however broken the diode delivers the files."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pytest

from casemate.airlock.diode import LinkLimits, Missing, Outcome, Patience, Received, drop, pick_up
from casemate.airlock.diode.dropped import HEAD_BYTES, read_file
from casemate.errors import BadInput
from tests.airlock.diode.link import contents, names

BLOCK = 16 << 10


class Clock:
    """Time that passes only when somebody sleeps, and what happens meanwhile."""

    def __init__(self, *meanwhile: object) -> None:
        self.now = 0.0
        self.meanwhile = list(meanwhile)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.meanwhile:
            self.meanwhile.pop(0)()  # type: ignore[operator]


@pytest.fixture
def diode(tmp_path: Path) -> Path:
    place = tmp_path / "diode"
    place.mkdir()
    return place


def picked(diode: Path, into: Path, *meanwhile: object, limits: LinkLimits | None = None) -> Received:
    clock = Clock(*meanwhile)
    return pick_up(diode, into, patience=Patience(first_s=3, idle_s=3), limits=limits, clock=clock, sleep=clock.sleep)


def test_what_is_dropped_is_picked_up_and_taken_away(bundle: Path, diode: Path, into: Path) -> None:
    dropped = drop(bundle, diode, block_bytes=BLOCK)
    assert {path.stat().st_size for path in diode.iterdir()} == {dropped.file_bytes} == {BLOCK + HEAD_BYTES}
    assert len(names(diode)) == dropped.files
    (outcome,) = picked(diode, into).outcomes
    assert outcome.folder is not None
    assert contents(outcome.folder) == contents(bundle)
    assert names(diode) == []


def test_people_can_read_what_a_dropped_file_is(bundle: Path, diode: Path) -> None:
    dropped = drop(bundle, diode, block_bytes=BLOCK)
    file = min(diode.iterdir())
    head = json.loads(file.read_bytes()[:HEAD_BYTES])
    assert head["session"] == dropped.session.hex()
    assert (head["kind"], head["number"], head["length"]) == ("block", 0, BLOCK)


@pytest.mark.parametrize("seed", range(3))
def test_files_may_come_in_any_order_and_twice(
    bundle: Path, tmp_path: Path, diode: Path, into: Path, seed: int
) -> None:
    outgoing = tmp_path / "outgoing"
    outgoing.mkdir()
    drop(bundle, outgoing, block_bytes=BLOCK)
    files = sorted(outgoing.iterdir()) * 2
    random.Random(seed).shuffle(files)  # noqa: S311  an order, the same in every run

    def deliver(file: Path) -> object:
        return lambda: shutil.copy(file, diode)

    (outcome,) = picked(diode, into, *map(deliver, files)).outcomes
    assert outcome.whole
    (again,) = picked(diode, into, *map(deliver, files)).outcomes
    assert again.whole
    assert names(diode) == []


def test_a_file_that_is_partly_written_is_left_until_it_is_whole(bundle: Path, diode: Path, into: Path) -> None:
    drop(bundle, diode, block_bytes=BLOCK)
    file = sorted(diode.iterdir())[3]
    whole = file.read_bytes()
    file.write_bytes(whole[:9000])
    first = picked(diode, into)
    assert first.outcomes[0].missing == Missing.of(first.outcomes[0].session, [3])
    assert names(diode) == [file.name]

    def grows() -> None:
        file.write_bytes(whole)

    (outcome,) = picked(diode, into, lambda: file.write_bytes(whole[:20_000]), grows).outcomes
    assert outcome.whole


def test_a_file_with_a_byte_changed_anywhere_is_not_used_and_can_be_sent_again(
    bundle: Path, diode: Path, into: Path
) -> None:
    drop(bundle, diode, block_bytes=BLOCK)
    changed = 0
    for place, file in enumerate(sorted(diode.iterdir())):
        data = bytearray(file.read_bytes())
        at = (60, HEAD_BYTES + 5, HEAD_BYTES - 2000)[place % 3]
        before = data[at]
        data[at] ^= 1
        file.write_bytes(data)
        changed += before != data[at]
    result = picked(diode, into)
    assert not any(outcome.whole for outcome in result.outcomes)
    again = drop(bundle, diode, block_bytes=BLOCK)
    assert again.files == changed
    assert picked(diode, into).outcomes[0].whole


def test_files_that_are_lost_are_named_and_only_they_are_dropped_again(bundle: Path, diode: Path, into: Path) -> None:
    drop(bundle, diode, block_bytes=BLOCK)
    for file in sorted(diode.glob("*-block-*"))[2:5]:
        file.unlink()
    (outcome,) = picked(diode, into).outcomes
    assert outcome.missing == Missing.of(outcome.session, [2, 3, 4])
    dropped = drop(bundle, diode, block_bytes=BLOCK, only=outcome.missing)
    assert dropped.files == 1 + 3  # the index, and what is missing
    assert picked(diode, into).outcomes[0].whole


def test_what_is_not_ours_is_never_touched(bundle: Path, diode: Path, into: Path) -> None:
    (diode / "letter.txt").write_text("hello", encoding="utf-8")
    stranger = diode / f"{'0' * 32}-block-00000000.diode"
    stranger.write_bytes(os.urandom(9000))
    (diode / f"{'1' * 32}-block-00000000.diode").symlink_to(stranger)
    (diode / f"{'2' * 32}-block-00000000.diode").mkdir()
    os.mkfifo(diode / f"{'3' * 32}-block-00000000.diode")
    before = names(diode)
    drop(bundle, diode, block_bytes=BLOCK)
    assert picked(diode, into).outcomes[0].whole
    assert names(diode) == before


def test_what_is_beyond_the_limits_is_refused_and_left(bundle: Path, diode: Path, into: Path) -> None:
    drop(bundle, diode, block_bytes=BLOCK)
    before = names(diode)
    result = picked(diode, into, limits=LinkLimits(max_files=3))
    assert "expected 1 to 3 files, found 23" in result.refused[0]
    assert names(diode) == before
    assert names(into) == [".diode.lock"]


def test_no_more_files_wait_for_the_diode_than_was_asked(bundle: Path, diode: Path, into: Path) -> None:
    waiting = []

    def diode_takes_one() -> None:
        waiting.append(len(names(diode)))
        next(diode.iterdir()).unlink()

    clock = Clock(*[diode_takes_one] * 100)
    drop(bundle, diode, block_bytes=BLOCK, most_waiting=3, sleep=clock.sleep)
    assert set(waiting) == {3}


def test_a_file_appears_only_under_its_name_when_it_is_whole(bundle: Path, diode: Path) -> None:
    drop(bundle, diode, block_bytes=BLOCK)
    for file in diode.iterdir():
        assert read_file(file).data is not None
        assert not file.name.startswith(".")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "casemate-diode-drop/2"}, "expected format casemate-diode-drop/1, found another"),
        ({"announcement": "zz"}, "expected an announcement in hexadecimal"),
        ({"announcement": 3}, "expected an announcement in hexadecimal"),
        ({"kind": "joke"}, "expected kind, number and length"),
        ({"number": "0"}, "expected kind, number and length"),
        ({"length": 1 << 40}, f"expected a block of at most {BLOCK} bytes, found {1 << 40}"),
        ({"length": -1}, "expected a block of at most"),
        ({"number": -1}, "expected a block of at most"),
        ({"sha256": "0" * 64}, f"expected sha256 {'0' * 64}, found"),
        ({"sha256": None}, "expected sha256 None, found"),
    ],
)
def test_a_page_that_says_something_else_is_refused(
    bundle: Path, diode: Path, change: dict[str, object], message: str
) -> None:
    drop(bundle, diode, block_bytes=BLOCK)
    file = min(diode.iterdir())
    data = file.read_bytes()
    head = json.loads(data[:HEAD_BYTES]) | change
    file.write_bytes(json.dumps(head).encode().ljust(HEAD_BYTES) + data[HEAD_BYTES:])
    with pytest.raises(BadInput, match=message):
        read_file(file)


def test_a_block_with_a_true_digest_that_is_not_the_index_s_is_not_written(
    bundle: Path, diode: Path, into: Path
) -> None:
    from casemate.airlock.diode.dropped import pack_file
    from casemate.airlock.diode.packet import Kind

    drop(bundle, diode, block_bytes=BLOCK)
    file = min(diode.iterdir())
    announcement = read_file(file).announcement
    file.write_bytes(pack_file(announcement, Kind.BLOCK, 0, os.urandom(BLOCK)))
    result = picked(diode, into)
    assert result.outcomes[0].missing == Missing.of(announcement.session, [0])
    assert result.tally.lies > 0


def test_whole_bundles_are_told_as_they_come(bundle: Path, diode: Path, into: Path) -> None:
    told: list[Outcome] = []
    drop(bundle, diode, block_bytes=BLOCK)
    clock = Clock()
    result = pick_up(diode, into, clock=clock, sleep=clock.sleep, on_whole=told.append)
    assert tuple(told) == result.outcomes


def test_a_folder_that_is_not_there_is_named(bundle: Path, tmp_path: Path, into: Path) -> None:
    with pytest.raises(BadInput, match="nowhere: expected a folder that the diode empties, found none"):
        drop(bundle, tmp_path / "nowhere")
    with pytest.raises(BadInput, match="nowhere: expected a folder that the diode fills, found none"):
        pick_up(tmp_path / "nowhere", into)
