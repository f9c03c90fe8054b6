"""The law: what a reader gets is what they would get from a site that never held anything above them.

Two sites are made of the same random acts, one without those above the reader. Every public read of `View`, and every
act of the reader, must answer equally on both: values, order, counts, cursors, identifiers and the words of refusals.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from casemate.catalog import ApiKey, Catalog, Entry, Journal, NewApiKey, NewEntry, NewRun, Person, Reader, Run, View
from casemate.errors import CasemateError
from casemate.markings import Clearance, Marking, Policy
from casemate.store.digest import Digest

POLICY = Policy.shipped("fr")
CEILING = POLICY.parse("S//ALPHA,BRAVO//REL TO NONE")
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = ("dataset", "model")
NAMES = ("ports", "abcdefg", "secret")
PROJECTS = ("harbour", "radar")
DIGESTS = tuple(Digest.of_bytes(name) for name in (b"a", b"b"))
NOWHERE = "a" * 26
ODD = ("", NOWHERE, "sha256:0", "a/b/c", "abc")

# Chosen so that most stories hold things above the reader, made from things below, under the same names.
FRA, DEU, BOTH = frozenset({"FRA"}), frozenset({"DEU"}), frozenset({"FRA", "DEU"})
levels = st.sampled_from([POLICY.levels[0], *POLICY.levels[:3]])
compartments = st.sampled_from(
    [frozenset(), frozenset(), frozenset(), frozenset({"ALPHA"}), frozenset({"ALPHA", "BRAVO"})]
)
markings = st.builds(Marking, levels, compartments, st.sampled_from([None, None, None, None, None, FRA, BOTH, DEU]))
clearances = st.builds(
    Clearance,
    st.sampled_from([*POLICY.levels[1:3], POLICY.levels[1]]),
    compartments,
    st.sampled_from(["FRA", "FRA", "DEU"]),
)
readers = st.builds(Reader, st.just("rita"), clearances, st.none() | st.none() | markings)
ACTORS = {
    "olga": Clearance(POLICY.levels[2], frozenset({"ALPHA", "BRAVO"}), "FRA"),
    "dieter": Clearance(POLICY.levels[2], frozenset({"ALPHA", "BRAVO"}), "DEU"),
}


@dataclass(frozen=True)
class Step:
    """One random act; `picks` point into what was made before, hidden or not."""

    verb: str
    actor: str
    marking: Marking
    names: tuple[str, str]
    kind: str
    digest: Digest
    picks: tuple[int, ...]
    lifted: bool  # whether the marking is joined with those of what is picked, so that the act may succeed


picks = st.sampled_from([(), (), (), (0,), (0,), (1,), (2,), (3,), (1, 3)])
steps = st.builds(
    Step,
    st.sampled_from(["project", "entry", "entry", "entry", "run", "move", "journal", "apikey"]),
    st.sampled_from(["olga", "olga", "dieter", "rita"]),
    markings,
    st.tuples(st.sampled_from(["ports", *NAMES]), st.sampled_from(["harbour", *PROJECTS])),
    st.sampled_from(["dataset", *KINDS]),
    st.sampled_from(DIGESTS),
    picks,
    st.sampled_from([True, True, True, False]),
)
openings = st.builds(
    Step,
    st.just("entry"),
    st.just("olga"),
    markings,
    st.tuples(st.sampled_from(NAMES), st.just("harbour")),
    st.just("dataset"),
    st.sampled_from(DIGESTS),
    picks,
    st.just(True),
)
stories = st.builds(
    lambda opening, rest: [*opening, *rest],
    st.lists(openings, min_size=5, max_size=6),
    st.lists(steps, min_size=2, max_size=7),
)


class Site:
    """A catalog whose clock and chance are told which act is next: hidden acts move neither."""

    def __init__(self, ceiling: Marking = CEILING) -> None:
        self.act, self.chance = 0, random.Random()  # noqa: S311
        self.catalog = Catalog.open("sqlite://", POLICY, ceiling=ceiling, clock=self.now, chance=self.bytes)

    def now(self) -> datetime:
        return BEGUN + timedelta(seconds=self.act // 3)  # several acts a second: order must not lean on insertion

    def bytes(self, count: int) -> bytes:
        return self.chance.randbytes(count)

    def at(self, act: int) -> None:
        self.act, self.chance = act, random.Random(act)  # noqa: S311


class Made(dict[str, Marking]):
    """Identifiers of what the story has made, and their markings."""

    def picked(self, step: Step) -> tuple[str, ...]:
        known = list(self)
        return tuple(dict.fromkeys(known[pick % len(known)] for pick in step.picks)) if known else ()

    def marking(self, step: Step) -> Marking:
        return Marking.join_all(step.marking, (self[i] for i in self.picked(step) if step.lifted))


@dataclass
class Pair:
    """The site with everything, the site without what is above the reader, and what was made on the first."""

    full: Site
    lower: Site
    entries: Made
    runs: Made

    def both(self, act: int, step: Step, by: Reader) -> tuple[Any, Any]:
        return self.told(self.full, act, step, by), self.told(self.lower, act, step, by)

    def told(self, site: Site, act: int, step: Step, by: Reader) -> Any:
        site.at(act)
        return answer(lambda: self.take(site.catalog, step, by))

    def take(self, catalog: Catalog, step: Step, by: Reader) -> Any:
        name, project = step.names
        marking, parents = self.entries.marking(step), self.entries.picked(step)
        if step.verb == "project":
            cleared = [n for n, c in {**ACTORS, by.person_name: by.clearance}.items() if c.dominates(step.marking)]
            return catalog.add_project(project, step.marking, members=cleared, by=by)
        if step.verb == "entry":
            return catalog.register(NewEntry(step.kind, name, project, marking, step.digest, parents, {"n": 1}), by=by)
        if step.verb == "run":
            return catalog.add_run(NewRun("train", step.digest, project, marking, parents), by=by)
        if step.verb == "move":
            run = (*self.runs.picked(step), NOWHERE)[0]
            return catalog.change_run(run, state="running", facts={"host": name}, by=by)
        if step.verb == "apikey":
            return add_key(catalog, replace(step, names=(name, project)), by)
        return catalog.journal.append(by, "look", name, marking=step.marking)


def add_key(catalog: Catalog, step: Step, by: Reader) -> ApiKey:
    name, project = step.names
    ceiling = step.marking if step.lifted else None
    digest = Digest.of_bytes(catalog.new_id().encode()).hex
    return catalog.add_api_key(
        NewApiKey(name, project, digest, frozenset({"models"}), BEGUN + timedelta(days=1), ceiling), by=by
    )


def settle(site: Site, reader: Reader, officer: bool) -> None:
    """The people of both sites, and a project that everybody may read."""
    roles = frozenset({"author", "officer"}) if officer else frozenset({"author"})
    by = Reader("olga", ACTORS["olga"])
    site.at(1000)
    site.catalog.enrol(Person("olga", ACTORS["olga"], frozenset({"author", "officer"})))
    site.at(1001)
    site.catalog.add_person(Person("dieter", ACTORS["dieter"], frozenset({"author", "officer"})), by=by)
    site.at(1002)
    site.catalog.add_person(Person("rita", reader.clearance, roles), by=by)
    site.at(1003)
    site.catalog.add_project("harbour", POLICY.lowest, members=["olga", "dieter", "rita"], by=by)


def told_by(verb: str, marking: str, path: str, *picks: int, actor: str = "olga") -> Step:
    project, name = path.split("/")
    return Step(verb, actor, POLICY.parse(marking), (name, project), "dataset", DIGESTS[0], picks, lifted=True)


# One story that is always told: below and above under one name, made from one another, moved, in a hidden project.
FABLE = [
    told_by("project", "S", "radar/-"),
    told_by("entry", "DR", "harbour/ports"),
    told_by("entry", "S", "harbour/ports", 0),
    told_by("entry", "S", "radar/ports", 1),
    told_by("entry", "S", "harbour/secret"),
    told_by("entry", "DR", "radar/secret"),  # refused: its project is above it
    told_by("run", "DR", "harbour/-", 0),
    told_by("run", "S", "harbour/-", 1),
    told_by("move", "S", "harbour/-", 1),
    told_by("journal", "S", "harbour/ports"),
    told_by("apikey", "S", "harbour/high key"),
    told_by("apikey", "DR", "harbour/low key"),
    told_by("apikey", "S", "radar/radar key"),
    told_by("apikey", "DR", "harbour/own key", actor="rita"),
    told_by("entry", "DR", "harbour/abcdefg", 0),
    told_by("entry", "NP", "harbour/abcdefg", 1, actor="rita"),
]
SEQUEL = [
    told_by("entry", "NP", "harbour/ports", actor="rita"),
    told_by("entry", "DR", "harbour/ports", actor="rita"),
    told_by("entry", "DR", "radar/ports", actor="rita"),
    told_by("entry", "DR", "harbour/secret", actor="rita"),
    told_by("project", "DR", "radar/-", actor="rita"),
    told_by("move", "DR", "harbour/-", 1, actor="rita"),
    told_by("run", "DR", "radar/-", 2, actor="rita"),
    told_by("apikey", "DR", "radar/-", actor="rita"),
    told_by("apikey", "S", "harbour/-", actor="rita"),
]
RITA = Reader("rita", Clearance(POLICY.levels[1], frozenset(), "FRA"))


@contextmanager
def two_sites(story: list[Step], reader: Reader, officer: bool) -> Iterator[Pair]:
    """A site with all of the story, and one with what the reader may know of it."""
    pair = Pair(Site(), Site(), Made(), Made())
    try:
        settle(pair.full, reader, officer)
        settle(pair.lower, reader, officer)
        for act, step in enumerate(story):
            retell(pair, act, step, reader)
        yield pair
    finally:
        pair.full.catalog.close()
        pair.lower.catalog.close()


def retell(pair: Pair, act: int, step: Step, reader: Reader) -> None:
    """One act on the full site, and on the other if the reader may know of it: then it ends equally there."""
    by = reader if step.actor == "rita" else Reader(step.actor, ACTORS[step.actor])
    before = pair.full.catalog.journal.head()
    done = pair.told(pair.full, act, step, by)
    journal = pair.full.catalog.journal
    if by == reader or (journal.head() != before and reader.may_read(last_marking(journal))):
        assert pair.told(pair.lower, act, step, by) == done
    if isinstance(done, Entry):
        pair.entries[done.id] = done.marking
    if isinstance(done, Run):
        pair.runs[done.id] = done.marking


def last_marking(journal: Journal) -> Marking:
    *_, last = journal.lines()
    return POLICY.parse(json.loads(last)["marking"])


def answer(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except CasemateError as no:
        return type(no), no.facts()


def pages(read: Callable[..., Any]) -> list[Any]:
    """Every page, two lines each, with the cursors between them."""
    page = read(limit=2)
    found = [page]
    while page.after is not None:
        page = read(limit=2, after=page.after)
        found.append(page)
    return found


def texts(pair: Pair) -> list[str]:
    """Everything that anybody might ask for, with what is above the reader in it."""
    ids = [*list(pair.entries)[-6:], *list(pair.runs)[-2:]]
    return [*ids, *(i[:8] for i in ids), *NAMES, *PROJECTS, "harbour/ports", "radar/ports", *map(str, DIGESTS), *ODD]


# One line for every public read of View: a read without its law fails the test below.
LAWS: dict[str, Callable[[View, list[str]], Any]] = {
    "get": lambda view, asked: [answer(lambda t=t: view.get(t)) for t in asked if len(t) >= len(NOWHERE) or t in ODD],
    "find": lambda view, asked: [
        [answer(lambda t=t: view.find(t)) for t in asked],
        [answer(lambda p=p, t=t: view.find(t, kind="model", project=p)) for p in PROJECTS for t in NAMES],
    ],
    "list": lambda view, _: [
        pages(view.list),
        [view.list(kind=k) for k in KINDS],
        [view.list(project=p) for p in (*PROJECTS, "nowhere")],
        [view.list(text=t) for t in ("PÓR", "o", "zz", "%")],
        answer(lambda: view.list(after="nonsense")),
        answer(lambda: view.list(limit=0)),
    ],
    "walk": lambda view, _: [list(view.walk()), list(view.walk(kind="model", project="harbour", text="p"))],
    "count": lambda view, _: [view.count(), view.count(kind="model"), view.count(project="radar", text="ports")],
    "facets": lambda view, _: [view.facets(), view.facets(text="o")],
    "lineage": lambda view, asked: [answer(lambda t=t: family(view, t)) for t in whole(asked)],
    "runs": lambda view, _: [pages(view.runs), view.runs(state="running"), view.runs(project="harbour")],
    "run": lambda view, asked: [answer(lambda t=t: view.run(t)) for t in asked if t.islower()],
    "projects": lambda view, _: view.projects(),
    "project": lambda view, _: [answer(lambda t=t: view.project(t)) for t in (*PROJECTS, *ODD)],
    "people": lambda view, _: answer(view.people),
    "person": lambda view, _: [answer(lambda t=t: view.person(t)) for t in ("rita", "olga", "nobody")],
    "api_keys": lambda view, _: view.api_keys(),
    "journal": lambda view, asked: [
        pages(view.journal),
        [view.journal(about=t) for t in asked if len(t) == len(NOWHERE)],
    ],
    # On sites with bundles: test_passages.
    "passages": lambda view, _: [view.passages("depot", way, POLICY.lowest) for way in ("in", "out")],
}


def whole(asked: list[str]) -> list[str]:
    return [text for text in asked if len(text) == len(NOWHERE)]


def family(view: View, text: str) -> Any:
    found = view.lineage(text)
    return found, found.ancestors, found.descendants


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_") and callable(getattr(kind, name))}


def test_every_public_read_of_a_view_has_its_law() -> None:
    assert public(View) == set(LAWS)


def test_every_public_method_of_the_catalog_is_an_act_under_the_law_or_a_named_door() -> None:
    acts = {
        "register",
        "register_all",
        "register_lowered",
        "raise_markings",
        "restore_markings",
        "add_run",
        "change_run",
        "enrol",
        "add_person",
        "change_person",
        "add_project",
        "change_project",
        "add_api_key",
        "revoke_api_key",
    }
    doors = {"open", "close", "seen_by", "spread", "new_id", "registered", "verify"}
    doors |= {"sign_in", "sign_in_by_key", "sign_in_by_secret"}
    assert public(Catalog) == acts | doors


@settings(deadline=None, max_examples=25)
@example(story=FABLE, acts=SEQUEL, reader=RITA, officer=True)
@example(story=FABLE, acts=SEQUEL, reader=RITA, officer=False)
@given(stories, st.lists(steps, max_size=2), readers, st.booleans())
def test_reads_and_acts_end_as_on_a_site_without_what_is_above_the_reader(
    story: list[Step], acts: list[Step], reader: Reader, officer: bool
) -> None:
    with two_sites(story, reader, officer) as pair:
        same_answers(pair, reader)
        for act, step in enumerate(acts, start=len(story)):
            full, lower = pair.both(act, step, reader)
            assert full == lower
        for act, change in enumerate(CHANGES, start=2000):
            pair.full.at(act)
            pair.lower.at(act)
            assert change(pair, pair.full.catalog, reader) == change(pair, pair.lower.catalog, reader)
        if acts:
            same_answers(pair, reader)


def same_answers(pair: Pair, reader: Reader) -> None:
    asked = texts(pair)
    full, lower = pair.full.catalog.seen_by(reader), pair.lower.catalog.seen_by(reader)
    for name, law in LAWS.items():
        assert law(full, asked) == law(lower, asked), name


def change_markings(pair: Pair, catalog: Catalog, reader: Reader) -> Any:
    """Whoever is not cleared for the ceiling is told so, whatever there is (those who are: `test_raising_law`)."""
    every = [*list(pair.entries)[-1:], NOWHERE]
    return [
        [answer(lambda i=i: catalog.spread([i], by=reader)) for i in every],
        [answer(lambda i=i: catalog.raise_markings({i: reader.top}, by=reader, reason="")) for i in every],
        [answer(lambda i=i: catalog.restore_markings({i: POLICY.lowest}, by=reader, reason="")) for i in every],
        [answer(lambda i=i: lower(catalog, i, reader)) for i in every],
    ]


def lower(catalog: Catalog, of: str, reader: Reader) -> Entry:
    new = NewEntry("dataset", f"lowered from {of[:4]}", "harbour", POLICY.lowest, DIGESTS[0])
    return catalog.register_lowered(new, of=of, by=reader, reason="")


def change_projects(_: Pair, catalog: Catalog, reader: Reader) -> Any:
    return [answer(lambda p=p: catalog.change_project(p, members=["rita"], by=reader)) for p in PROJECTS]


def change_oneself(_: Pair, catalog: Catalog, reader: Reader) -> Any:
    return answer(lambda: catalog.change_person(Person("rita", reader.clearance, frozenset({"author"})), by=reader))


def revoke_keys(pair: Pair, catalog: Catalog, reader: Reader) -> Any:
    """Keys of both sites, seen or not, by somebody who may be an officer."""
    everybody = pair.full.catalog.seen_by(Reader("olga", ACTORS["olga"])).api_keys()
    keys = sorted({NOWHERE, *(key.id for key in everybody)})
    return [answer(lambda k=k: catalog.revoke_api_key(k, by=reader)) for k in keys]


def add_another(_: Pair, catalog: Catalog, reader: Reader) -> Any:
    return answer(lambda: catalog.add_person(Person("paul", reader.clearance, frozenset({"reader"})), by=reader))


CHANGES = (change_markings, change_projects, change_oneself, add_another, revoke_keys)
