"""The law after a raise and after a lowering: who reads below learns from neither.

After a raise, a reader below gets what they would get from a site in which the things were written high from the start.
After it is set back, what they would get from a site in which nothing was raised. Of a lowered copy they get the same
whatever it was lowered from. What the past has told stays told: ADR 0006 says what that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from casemate.catalog import ApiKey, Catalog, Entry, NewEntry, NewRun, Reader, Run
from casemate.errors import CasemateError
from casemate.markings import Marking
from casemate.store.digest import Digest
from tests.catalog.test_non_interference import (
    ACTORS,
    DIGESTS,
    NOWHERE,
    POLICY,
    RITA,
    Made,
    Pair,
    Site,
    Step,
    add_key,
    answer,
    openings,
    readers,
    same_answers,
    settle,
    steps,
    told_by,
)

TOP = POLICY.parse("S//ALPHA,BRAVO//REL TO FRA")  # a ceiling that olga may read
OLGA = Reader("olga", ACTORS["olga"])
RAISED, RESTORED, AFTERWARDS = 3000, 3001, 4000

targets = st.sampled_from(["S", "DR//ALPHA", "S//ALPHA,BRAVO", "NP//BRAVO", "DR//SF"]).map(POLICY.parse)
stories = st.builds(
    lambda opening, rest: [*opening, *rest],
    st.lists(openings, min_size=3, max_size=4),
    st.lists(steps.filter(lambda step: step.verb != "project"), min_size=2, max_size=7),
)


@dataclass(frozen=True)
class Telling:
    """One act that ended well: what it made, from what, and how it was marked."""

    act: int
    step: Step
    made: str
    marking: Marking
    of: tuple[str, ...]

    def told(self, site: Site, by: Reader, marking: Marking) -> None:
        """The same act again, by somebody, at a marking."""
        site.at(self.act)
        name, project, step = f"{self.step.names[0]} {self.act}", "harbour", self.step
        if step.verb == "entry":
            new = NewEntry(step.kind, name, project, marking, step.digest, self.of, {"n": 1})
            assert site.catalog.register(new, by=by).id == self.made
        elif step.verb == "run":
            new_run = NewRun("train", step.digest, project, marking, self.of)
            assert site.catalog.add_run(new_run, by=by).id == self.made
        elif step.verb == "move":
            site.catalog.change_run(self.made, state="running", facts={"host": name}, by=by)
        elif step.verb == "apikey":
            assert add_key(site.catalog, replace(step, names=(name, project)), by).id == self.made
        else:
            site.catalog.journal.append(by, "look", name, marking=marking, about=self.made)


def tell(story: Sequence[Step], reader: Reader, officer: bool) -> tuple[list[Telling], Made, Made]:
    """The acts of a story that end well, which one by one can be told again on another site."""
    scratch, entries, runs = Site(TOP), Made(), Made()
    settle(scratch, reader, officer)
    tellings = []
    for act, step in enumerate(story):
        by, parents = actor(step, reader), entries.picked(step)
        unique = replace(step, names=(f"{step.names[0]} {act}", "harbour"))
        scratch.at(act)
        try:
            made = Pair(scratch, scratch, entries, runs).take(scratch.catalog, unique, by)
        except CasemateError:
            continue
        if isinstance(made, Entry):
            entries[made.id] = made.marking
        if isinstance(made, Run):
            runs[made.id] = made.marking
            parents = made.inputs
        about = made.id if isinstance(made, Entry | Run | ApiKey) else (*parents, "")[0]
        marking = made.marking if isinstance(made, Entry | Run | ApiKey) else step.marking
        tellings.append(Telling(act, step, about, marking, parents))
    scratch.catalog.close()
    return tellings, entries, runs


def actor(step: Step, reader: Reader) -> Reader:
    return reader if step.actor == "rita" else Reader(step.actor, ACTORS[step.actor])


@contextmanager
def both_sites(reader: Reader, officer: bool) -> Iterator[tuple[Site, Site]]:
    sites = Site(TOP), Site(TOP)
    for site in sites:
        settle(site, reader, officer)
    yield sites
    for site in sites:
        site.catalog.close()


# Made low and then raised: something that rita made from it, a run over it, a line of anybody's about it.
FABLE = [
    told_by("entry", "DR", "harbour/ports"),
    told_by("entry", "NP", "harbour/beside"),
    told_by("entry", "DR", "harbour/model", 0, actor="rita"),
    told_by("entry", "DR", "harbour/mix", 0, 1),
    told_by("run", "DR", "harbour/-", 0, actor="rita"),
    told_by("run", "NP", "harbour/-", 1),
    told_by("move", "DR", "harbour/-", 0, actor="rita"),
    told_by("move", "DR", "harbour/-", 1),
    told_by("journal", "DR", "harbour/ports", 0, actor="rita"),
    told_by("journal", "DR", "harbour/beside", 1),
    told_by("apikey", "DR", "harbour/key", actor="rita"),
    replace(told_by("apikey", "S", "harbour/lowest key", actor="rita"), lifted=False),
    told_by("entry", "S", "harbour/above", 2),
]


@settings(deadline=None, max_examples=10)
@example(story=FABLE, root=0, to=POLICY.parse("S"), reader=RITA, officer=True)
@example(story=FABLE, root=1, to=POLICY.parse("NP//BRAVO"), reader=RITA, officer=False)
@given(stories, st.integers(0, 5), targets, readers, st.booleans())
def test_what_was_raised_is_to_who_reads_below_as_if_written_high_from_the_start(
    story: list[Step], root: int, to: Marking, reader: Reader, officer: bool
) -> None:
    assume(not reader.may_read(to))
    tellings, entries, runs = tell(story, reader, officer)
    assume(entries)
    with both_sites(reader, officer) as (full, high):
        for telling in tellings:
            telling.told(full, actor(telling.step, reader), telling.marking)
        spread = full.catalog.spread([list(entries)[root % len(entries)]], by=OLGA)
        touched = {thing.id for thing in (*spread.entries, *spread.runs)}
        full.at(RAISED)
        full.catalog.raise_markings(dict.fromkeys(touched, to), by=OLGA, reason="spill")
        for telling in tellings:
            hidden = telling.made in touched
            by = OLGA if hidden else actor(telling.step, reader)
            telling.told(high, by, telling.marking.join(to) if hidden else telling.marking)
        same_answers(Pair(full, high, entries, runs), reader)
        for site in (full, high):
            site.at(AFTERWARDS)
        assert afterwards(full.catalog, entries, reader) == afterwards(high.catalog, entries, reader)
        assert list(full.catalog.seen_by(reader).walk()) == list(high.catalog.seen_by(reader).walk())
        full.catalog.verify()


def afterwards(catalog: Catalog, entries: Made, reader: Reader) -> list[Any]:
    """What the reader does next: take every name, make something from everything, ask for a spread, raise and lower."""
    names = [f"{name} {act}" for name in ("ports", "secret", "model") for act in range(3)]
    new = NewEntry("dataset", "", "harbour", POLICY.parse("DR"), DIGESTS[1])
    every = [*list(entries)[:4], NOWHERE]
    return [
        [answer(lambda n=n: catalog.register(replace(new, name=n), by=reader)) for n in names],
        [answer(lambda i=i: catalog.register(replace(new, name=i[:9], parents=(i,)), by=reader)) for i in every],
        [answer(lambda i=i: catalog.spread([i], by=reader)) for i in every],
        [answer(lambda i=i: catalog.raise_markings({i: reader.top}, by=reader, reason="")) for i in every],
        [answer(lambda i=i: catalog.restore_markings({i: POLICY.lowest}, by=reader, reason="")) for i in every],
    ]


@settings(deadline=None, max_examples=5)
@example(story=FABLE, root=0, to=POLICY.parse("S"), reader=RITA, officer=False)
@given(stories, st.integers(0, 5), targets, readers, st.booleans())
def test_what_was_set_back_is_to_everybody_below_as_if_it_had_never_been_raised(
    story: list[Step], root: int, to: Marking, reader: Reader, officer: bool
) -> None:
    assume(not reader.may_read(to))
    tellings, entries, runs = tell(story, reader, officer)
    assume(entries)
    with both_sites(reader, officer) as (full, low):
        for telling in tellings:
            for site in (full, low):
                telling.told(site, actor(telling.step, reader), telling.marking)
        spread = full.catalog.spread([list(entries)[root % len(entries)]], by=OLGA)
        touched = dict.fromkeys((thing.id for thing in (*spread.entries, *spread.runs)), to)
        full.at(RAISED)
        changes = full.catalog.raise_markings(touched, by=OLGA, reason="spill")
        full.at(RESTORED)
        full.catalog.restore_markings({c.id: c.old for c in reversed(changes)}, by=OLGA, reason="mistake")
        same_answers(Pair(full, low, entries, runs), reader)


parents = st.tuples(
    st.sampled_from(["ports", "secret"]),
    st.sampled_from(["S", "DR//ALPHA", "S//ALPHA,BRAVO"]).map(POLICY.parse),
    st.booleans(),
)


@settings(deadline=None, max_examples=5)
@given(parents, parents, st.booleans())
def test_a_lowered_copy_tells_nothing_of_what_it_was_lowered_from(
    one: tuple[str, Marking, bool], other: tuple[str, Marking, bool], officer: bool
) -> None:
    with both_sites(RITA, officer) as (first, second):
        made = Made()
        for site, (name, marking, grown) in ((first, one), (second, other)):
            site.at(10)
            new = NewEntry("dataset", name, "harbour", marking, DIGESTS[0], facts={"told": name})
            original = site.catalog.register(new, by=OLGA)
            site.at(11)
            new = NewEntry("dataset", "cleared", "harbour", POLICY.parse("DR"), DIGESTS[0], facts={"cleared": True})
            made |= {site.catalog.register_lowered(new, of=original.id, by=OLGA, reason=name).id: new.marking}
            site.at(12)
            if grown:
                site.catalog.register(replace(new, name="grown", marking=marking, parents=tuple(made)), by=OLGA)
            site.catalog.verify()
        assert len(made) == 1
        for site in (first, second):
            site.at(13)
        asked = NewEntry("model", "detector", "harbour", POLICY.parse("DR"), Digest.of_bytes(b"m"), tuple(made))
        assert first.catalog.register(asked, by=RITA) == second.catalog.register(asked, by=RITA)
        same_answers(Pair(first, second, made, Made()), RITA)
        assert first.catalog.seen_by(RITA).get(next(iter(made))).parents == ()
