"""The number of changes: it moves with what is written, by whoever writes it, and with nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from casemate.catalog import Catalog, Kept
from casemate.errors import NotFound
from tests.catalog.house import CEILING, POLICY, House


def test_lines_alone_do_not_move_the_number(house: House) -> None:
    before = house.catalog.changes.number()
    house.catalog.journal.append(house.low, "chat", "release big", facts={"record": "x"})
    house.catalog.journal.append(house.low, "chat", "release big", outcome="refused", reason="no")
    with pytest.raises(NotFound):
        house.catalog.change_project("never", by=house.officer, members=["hugo"])
    assert house.catalog.changes.number() == before


def test_whatever_is_written_moves_the_number(house: House) -> None:
    catalog, officer = house.catalog, house.officer
    left = replace(catalog.seen_by(officer).person("rene"), active=False)
    numbers = [catalog.changes.number()]
    for write in (
        lambda: house.put("one"),
        lambda: catalog.change_person(left, by=officer),
        lambda: catalog.add_project("quay", POLICY.lowest, by=officer),
        lambda: catalog.change_project("quay", by=officer, members=["hugo"]),
    ):
        write()
        catalog.journal.append(house.low, "chat", "release big")
        numbers.append(catalog.changes.number())
    assert numbers == sorted(set(numbers))


def test_what_another_process_writes_moves_the_number_too(house_on_disk: House) -> None:
    other = Catalog.open(house_on_disk.url, POLICY, ceiling=CEILING)
    before = other.changes.number()
    house_on_disk.put("one")
    assert other.changes.number() > before
    other.close()


def test_the_number_moves_where_more_was_written_than_is_looked_at(house: House) -> None:
    before = house.catalog.changes.number()
    house.put("one")
    for _ in range(250):
        house.catalog.journal.append(house.low, "chat", "release big")
    assert house.catalog.changes.number() > before


def test_what_is_kept_is_of_one_number_and_bounded() -> None:
    kept: Kept[str, int] = Kept(2)
    for place, name in enumerate("abc"):
        assert kept.put(1, name, place) == place
    assert [kept.get(1, name) for name in "abc"] == [None, 1, 2]
    assert kept.get(2, "b") is None
    kept.put(2, "d", 4)
    kept.put(1, "e", 5)  # read at an older number, and late
    assert (kept.get(1, "e"), kept.get(2, "d"), kept.get(2, "b")) == (None, 4, None)
