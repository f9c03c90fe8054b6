"""A catalog with four people and a project, and how to ask for a refusal by its exact words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from casemate.catalog import Catalog, Entry, NewEntry, Person, Reader
from casemate.errors import CasemateError
from casemate.markings import Marking, Policy
from casemate.store.digest import Digest

POLICY = Policy.shipped("fr")
CEILING = POLICY.parse("S//ALPHA,BRAVO//REL TO NONE")


@contextmanager
def says(error: type[CasemateError], message: str) -> Iterator[None]:
    """Within, `error` is raised, and its message is exactly `message`."""
    with pytest.raises(error) as no:
        yield
    assert str(no.value) == message, f"said {no.value}"


@dataclass(frozen=True)
class House:
    catalog: Catalog
    url: str
    officer: Reader  # S//ALPHA,BRAVO
    high: Reader  # S//ALPHA
    low: Reader  # DR
    onlooker: Reader  # DR, holds no role that acts

    def new(self, name: str = "ports", marking: str = "DR", **others: Any) -> NewEntry:
        facts = {"kind": "dataset", "project": "harbour", "digest": Digest.of_bytes(name.encode())} | others
        return NewEntry(name=name, marking=POLICY.parse(marking), **facts)

    def put(self, name: str = "ports", marking: str = "DR", *, by: Reader | None = None, **others: Any) -> Entry:
        return self.catalog.register(self.new(name, marking, **others), by=by or self.high)

    def person(self, name: str, clearance: str, *roles: str, **others: Any) -> Person:
        return Person(name, POLICY.parse_clearance(clearance), frozenset(roles), **others)


def settled(url: str, ceiling: Marking = CEILING) -> House:
    """The catalog at `url`, with its people and its project."""
    catalog = Catalog.open(url, POLICY, ceiling=ceiling)
    roles = frozenset({"officer", "author"})
    officer = catalog.enrol(Person("olga", POLICY.parse_clearance("S//ALPHA,BRAVO"), roles)).reader()
    house = House(catalog, url, officer, officer, officer, officer)
    high = catalog.add_person(house.person("hugo", "S//ALPHA", "author"), by=officer)
    low = catalog.add_person(house.person("lea", "DR", "author"), by=officer)
    onlooker = catalog.add_person(house.person("rene", "DR", "reader"), by=officer)
    catalog.add_project("harbour", POLICY.lowest, members=["olga", "hugo", "lea", "rene"], by=officer)
    return House(catalog, url, officer, high.reader(), low.reader(), onlooker.reader())
