"""Raising what was marked too low with all that was made from it, and setting it back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.catalog import Catalog, Change, Entry, NewRun, Person, Reader, Run
from casemate.errors import AboveCeiling, BadMarking, NotAllowed, NotFound
from casemate.store.digest import Digest
from tests.catalog.house import POLICY, House, says, settled

NOWHERE = "a" * 26
TOP = POLICY.parse("S//ALPHA,BRAVO//REL TO FRA")
REASON = "marked too low on arrival"


@pytest.fixture
def house() -> Iterator[House]:
    """As elsewhere, with a ceiling that its officer may read."""
    made = settled("sqlite://", ceiling=TOP)
    yield made
    made.catalog.close()


def run(house: House, *inputs: Entry, marking: str = "DR") -> Run:
    parents = tuple(entry.id for entry in inputs)
    new = NewRun("train", Digest.of_bytes(b"plan"), "harbour", POLICY.parse(marking), parents)
    return house.catalog.add_run(new, by=house.high)


def family(house: House) -> tuple[Entry, Entry, Entry, Run]:
    data = house.put("data")
    model = house.put("model", kind="model", parents=(data.id,))
    report = house.put("report", kind="report", parents=(model.id,))
    return data, model, report, run(house, model)


def raised(house: House, *things: Entry | Run, to: str = "S") -> tuple[Change, ...]:
    changes = {thing.id: POLICY.parse(to) for thing in things}
    return house.catalog.raise_markings(changes, by=house.officer, reason=REASON)


def restored(house: House, changes: dict[str, str]) -> tuple[Change, ...]:
    markings = {identifier: POLICY.parse(marking) for identifier, marking in changes.items()}
    return house.catalog.restore_markings(markings, by=house.officer, reason="raised by mistake")


# ── How far a thing has spread ───────────────────────────────────────────────────────────────────────────────────────
def test_a_spread_is_all_that_was_made_from_it_and_the_runs_that_read_any_of_it(house: House) -> None:
    data, model, report, training = family(house)
    house.put("elsewhere")
    run(house)
    found = house.catalog.spread([data.id], by=house.officer)
    assert (found.entries, found.runs, found.lowered) == ((data, model, report), (training,), ())
    assert house.catalog.spread([report.id], by=house.officer).entries == (report,)
    assert house.catalog.spread([model.id, data.id, model.id], by=house.officer).entries == (data, model, report)
    with says(NotFound, f"{NOWHERE}: expected an entry that you may read, found none"):
        house.catalog.spread([data.id, NOWHERE], by=house.officer)


def test_a_wide_and_deep_spread_is_found_whole(house: House) -> None:
    root = house.put("root")
    wide = house.catalog.register_all([house.new(f"w {n}", parents=(root.id,)) for n in range(1100)], by=house.low)
    deep = [wide[0]]
    for n in range(30):
        deep.append(house.put(f"d {n}", parents=(deep[-1].id, wide[n + 1].id)))
    found = house.catalog.spread([root.id], by=house.officer)
    assert {e.id for e in found.entries} == {root.id, *(e.id for e in wide), *(e.id for e in deep)}
    assert len(raised(house, *found.entries)) == 1131
    house.catalog.verify()


def test_only_an_officer_cleared_for_the_ceiling_learns_of_a_spread_or_changes_markings(house: House) -> None:
    data = house.put("data")
    house.catalog.add_person(house.person("otto", "S//ALPHA", "officer"), by=house.officer)
    house.catalog.add_person(house.person("dieter", "S//ALPHA,BRAVO//DEU", "officer"), by=house.officer)
    otto, dieter = (house.catalog.sign_in(name).reader() for name in ("otto", "dieter"))
    session = Reader("olga", house.officer.clearance, POLICY.parse("S"))
    ceiling = f"expected an officer cleared for the site's ceiling {TOP}"
    for by, message in [
        (house.high, "person hugo: expected the role officer, found author"),
        (otto, f"person otto: {ceiling}, found S//ALPHA//FRA"),
        (dieter, f"person dieter: {ceiling}, found S//ALPHA,BRAVO//DEU"),
        (session, f"person olga: {ceiling}, found S//ALPHA,BRAVO//FRA under the ceiling S"),
    ]:
        for wanted in (data.id, NOWHERE):  # asked first: nothing is told of what there is
            with says(NotAllowed, message):
                house.catalog.spread([wanted], by=by)
            with says(NotAllowed, message):
                house.catalog.raise_markings({wanted: TOP}, by=by, reason=REASON)
            with says(NotAllowed, message):
                house.catalog.restore_markings({wanted: data.marking}, by=by, reason=REASON)
    assert house.catalog.seen_by(house.officer).journal(limit=1).lines[0].act.outcome == "refused"


def test_a_site_without_a_ceiling_has_nobody_who_may_raise(house: House) -> None:
    catalog = Catalog.open("sqlite://", POLICY)
    by = catalog.enrol(Person("olga", house.officer.clearance, frozenset({"officer"}))).reader()
    with pytest.raises(
        NotAllowed, match=r"expected an officer cleared for the site's ceiling \(it has none\), found S"
    ):
        catalog.raise_markings({}, by=by, reason=REASON)
    catalog.close()


# ── Raising ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_what_is_raised_is_gone_for_who_reads_below_and_the_same_for_who_reads_above(house: House) -> None:
    data, model, report, training = family(house)
    before = house.catalog.journal.head().count
    changes = raised(house, data, model, report, training)
    assert [(c.id, str(c.old), str(c.new), c.is_run) for c in changes] == [
        (data.id, "DR", "S", False),
        (model.id, "DR", "S", False),
        (report.id, "DR", "S", False),
        (training.id, "DR", "S", True),
    ]
    low, high = house.catalog.seen_by(house.low), house.catalog.seen_by(house.high)
    assert (low.count(), low.list().entries, low.runs().runs, low.facets().total) == (0, (), (), 0)
    for text in (data.id, data.id[:8], "data", str(data.digest)):
        with says(NotFound, f"{text}: expected an entry that you may read, found none"):
            low.find(text)
    with says(NotFound, f"{data.id}: expected an entry that you may read, found none"):
        low.lineage(data.id)
    as_before = {**vars(model), "marking": POLICY.parse("S")}
    assert vars(high.get(model.id)) == as_before
    assert high.run(training.id).marking == POLICY.parse("S")
    assert house.catalog.verify().count == before + 4


def test_the_line_of_a_raise_tells_both_markings_at_the_new_one(house: House) -> None:
    data, training = house.put("data"), run(house)
    house.catalog.raise_markings(
        {data.id: POLICY.parse("S"), training.id: POLICY.parse("S")},
        by=house.officer, reason=REASON, sign=lambda act: {"n": len(act)},
    )  # fmt: skip
    two = house.catalog.seen_by(house.high).journal(limit=2).lines
    assert {(x.act.verb, x.act.about, x.act.subject) for x in two} == {
        ("entry.raise", data.id, "dataset harbour/data"),
        ("run.raise", training.id, f"train run {training.id}"),
    }
    for line in two:
        assert (line.act.facts, line.act.marking, line.act.reason) == ({"old": "DR", "new": "S"}, "S", REASON)
        assert line.signature is not None


def test_lines_written_low_about_what_was_raised_are_not_shown_below_any_more(house: House) -> None:
    data, training = house.put("data", by=house.low), run(house)
    house.catalog.change_run(training.id, state="running", by=house.low)
    about = {data.id, training.id}
    assert about <= {line.act.about for line in house.catalog.seen_by(house.low).journal().lines}
    raised(house, data, training)
    low = house.catalog.seen_by(house.low)
    assert about.isdisjoint(line.act.about for line in low.journal().lines)
    assert [low.journal(about=thing).lines for thing in about] == [(), ()]
    high = house.catalog.seen_by(house.high)
    assert len(high.journal(about=training.id).lines) == 3
    restored(house, {data.id: "DR", training.id: "DR"})
    assert [x.act.verb for x in low.journal(about=data.id).lines] == ["entry.register"]


def test_a_raise_joins_and_never_lowers(house: House) -> None:
    data, quiet = house.put("data", "DR//ALPHA"), house.put("quiet", "S")
    changes = raised(house, data, quiet, to="S//SF")
    assert [str(change.new) for change in changes] == ["S//ALPHA//REL TO FRA", "S//REL TO FRA"]
    assert raised(house, data, quiet, to="DR") == ()
    assert house.catalog.seen_by(house.officer).get(data.id).marking == POLICY.parse("S//ALPHA//SF")


def test_a_raise_that_forgets_what_was_made_from_it_is_refused_whole(house: House) -> None:
    data, model, report, training = family(house)
    before = house.catalog.journal.head().count
    expected = "what is raised: expected every entry and run made from it to be raised too"
    for forgetful, found in [
        ((data,), "1 that is not"),
        ((model,), "2 that are not"),
        ((data, model), "2 that are not"),
        ((data, model, report), "1 that is not"),
        ((data, report, training), "1 that is not"),
    ]:
        with says(BadMarking, f"{expected}, found {found}"):
            raised(house, *forgetful)
    assert house.catalog.seen_by(house.low).list().entries == (report, model, data)
    assert house.catalog.verify().count == before + 5  # the refusals
    assert raised(house, report)  # what nothing was made from


def test_what_was_made_from_it_may_be_high_enough_already(house: House) -> None:
    data = house.put("data")
    house.put("secret", "S", parents=(data.id,))
    assert [change.id for change in raised(house, data)] == [data.id]


def test_a_raise_is_refused_above_the_site_and_for_what_is_none(house: House) -> None:
    data = house.put("data")
    with says(AboveCeiling, f"dataset data: expected a marking within the site's ceiling {TOP}, found TS"):
        raised(house, data, to="TS")
    with says(NotFound, f"{NOWHERE}: expected an entry that you may read, found none"):
        house.catalog.raise_markings({data.id: TOP, NOWHERE: TOP}, by=house.officer, reason=REASON)
    for table in ("project", "journal"):
        other = house.catalog.seen_by(house.officer).project("harbour").id if table == "project" else "j" * 26
        with says(NotFound, f"{other}: expected an entry that you may read, found none"):
            house.catalog.raise_markings({other: TOP}, by=house.officer, reason=REASON)
    assert house.catalog.seen_by(house.low).count() == 1


def test_a_raise_whose_signature_fails_leaves_nothing(house: House) -> None:
    data, model, *_ = family(house)
    before = house.catalog.journal.head()

    def second_fails(act: bytes) -> dict[str, str]:
        if json.loads(act)["about"] == data.id:
            return {}
        raise RuntimeError("no pen")

    with pytest.raises(RuntimeError, match="no pen"):
        house.catalog.raise_markings(
            {e.id: POLICY.parse("S") for e in house.catalog.spread([data.id], by=house.officer).entries}
            | {r.id: POLICY.parse("S") for r in house.catalog.spread([data.id], by=house.officer).runs},
            by=house.officer, reason=REASON, sign=second_fails,
        )  # fmt: skip
    assert (house.catalog.verify(), house.catalog.seen_by(house.low).get(model.id)) == (before, model)


# ── Names ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_name_that_is_taken_higher_up_gets_the_beginning_of_the_identifier(house: House) -> None:
    above, below = house.put("ports", "S"), house.put("ports", "DR")
    (change,) = raised(house, below)
    assert (change.old_name, change.new_name) == ("ports", f"ports ({below.id[:6]})")
    high = house.catalog.seen_by(house.high)
    assert high.find("ports") == above
    assert high.find(f"harbour/ports ({below.id[:6]})").id == below.id
    assert high.list(text=f"({below.id[:6]})").entries[0].id == below.id
    facts = high.journal(limit=1).lines[0].act.facts
    assert facts == {"old": "DR", "new": "S", "name": {"old": "ports", "new": change.new_name}}
    house.catalog.verify()
    assert restored(house, {below.id: "DR"})[0].new_name == "ports"
    assert house.catalog.seen_by(house.low).find("ports") == below
    house.catalog.verify()


def test_a_name_taken_meanwhile_stays_with_who_took_it(house: House) -> None:
    old = house.put("ports", "DR", by=house.low)
    raised(house, old)
    new = house.put("ports", "DR", by=house.low)  # nothing tells them that there was one
    (change,) = restored(house, {old.id: "DR"})
    assert (change.old_name, change.new_name) == ("ports", f"ports ({old.id[:6]})")
    assert house.catalog.seen_by(house.low).find("ports") == new
    assert raised(house, old)[0].new_name == "ports"  # its own again, where it is free
    house.catalog.verify()


def test_who_takes_even_the_name_with_the_identifier_does_not_stop_a_raise(house: House) -> None:
    below = house.put("n" * 200, "DR")
    house.put("n" * 200, "S")
    for length in (6, 7):
        house.put("n" * (197 - length) + f" ({below.id[:length]})", "S")
    (change,) = raised(house, below)
    assert change.new_name == "n" * 189 + f" ({below.id[:8]})"
    assert restored(house, {below.id: "DR"})[0].new_name == "n" * 200


def test_namesakes_that_change_places_keep_their_names(house: House) -> None:
    high, low = house.put("ports", "S"), house.put("ports", "DR")
    changes = house.catalog.raise_markings({low.id: POLICY.parse("S"), high.id: TOP}, by=house.officer, reason=REASON)
    assert {change.new_name for change in changes} == {"ports"}
    both = house.put("twin", "DR"), house.put("twin", "NP")
    assert [c.new_name for c in raised(house, *both)] == ["twin", f"twin ({both[1].id[:6]})"]


# ── Setting back ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_what_was_raised_is_set_back_exactly_in_any_order(house: House) -> None:
    things = family(house)
    house.put("beside")
    before = (list(house.catalog.seen_by(house.low).walk()), house.catalog.seen_by(house.low).runs())
    changes = raised(house, *things)
    for order in (changes, changes[::-1]):
        back = house.catalog.restore_markings({c.id: c.old for c in order}, by=house.officer, reason="mistake")
        assert [(c.id, c.old, c.new) for c in back] == [(c.id, c.new, c.old) for c in changes]
        view = house.catalog.seen_by(house.low)
        assert (list(view.walk()), view.runs()) == before
        house.catalog.verify()
        raised(house, *things)


def test_the_line_of_a_restore_is_for_who_read_the_higher_marking(house: House) -> None:
    data = house.put("data")
    raised(house, data)
    restored(house, {data.id: "DR"})
    act = house.catalog.seen_by(house.high).journal(limit=1).lines[0].act
    assert (act.verb, act.marking, act.facts) == ("entry.restore", "S", {"old": "S", "new": "DR"})
    assert [x.act.verb for x in house.catalog.seen_by(house.low).journal(about=data.id).lines] == ["entry.register"]


def test_nothing_is_set_below_what_it_was_made_from(house: House) -> None:
    data, model, report, training = family(house)
    raised(house, data, model, report, training)
    floor = "expected at least S, the join of its marking with those of its parents and its project, found DR"
    with says(BadMarking, "marking of dataset data: expected one that it had before it was raised (DR), found NP"):
        restored(house, {data.id: "NP"})
    with says(BadMarking, f"marking of report report: {floor}"):
        restored(house, {report.id: "DR"})
    with says(BadMarking, f"marking of train run {training.id}: {floor}"):
        restored(house, {training.id: "DR", data.id: "DR"})
    assert len(restored(house, {data.id: "DR"})) == 1  # a parent may go first
    assert len(restored(house, {report.id: "DR", model.id: "DR"})) == 2
    house.catalog.verify()


def test_a_restore_is_no_way_to_lower_what_was_never_raised(house: House) -> None:
    secret, data = house.put("secret", "S"), house.put("data", "DR")
    before = "expected one that it had before it was raised"
    with says(BadMarking, f"marking of dataset secret: {before} (none), found DR"):
        restored(house, {secret.id: "DR"})
    forged = {"old": "NP", "new": "S"}
    house.catalog.journal.append(house.officer, "entry.raise", "secret", about=secret.id, facts=forged)
    with says(BadMarking, f"marking of dataset secret: {before} (none), found NP"):
        restored(house, {secret.id: "NP"})
    with says(BadMarking, f"marking of dataset data: {before} (none), found S"):
        restored(house, {data.id: "S"})
    assert restored(house, {secret.id: "S"}) == ()
    with says(NotFound, f"{NOWHERE}: expected an entry that you may read, found none"):
        restored(house, {NOWHERE: "DR"})


def test_steps_are_taken_back_one_by_one_or_at_once_but_never_forward(house: House) -> None:
    data = house.put("data", "NP")
    raised(house, data, to="DR")
    raised(house, data, to="S")
    assert str(restored(house, {data.id: "DR"})[0].new) == "DR"
    raised(house, data, to="S")
    assert str(restored(house, {data.id: "NP"})[0].new) == "NP"
    with says(BadMarking, "marking of dataset data: expected one that it had before it was raised (DR, NP), found DR"):
        restored(house, {data.id: "DR"})


# ── Laws ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
markings = st.sampled_from(["NP", "DR", "S", "DR//ALPHA", "NP//BRAVO", "DR//SF"]).map(POLICY.parse)
webs = st.lists(
    st.tuples(markings, st.frozensets(st.integers(0, 7), max_size=3), st.booleans()), min_size=1, max_size=8
)


@settings(deadline=None, max_examples=60)
@given(webs, st.integers(0, 7), markings, st.randoms(use_true_random=False))
def test_raising_a_spread_holds_and_setting_it_back_is_its_inverse(
    web: list[tuple[object, frozenset[int], bool]], root: int, to: object, chance: object
) -> None:
    house = settled("sqlite://", ceiling=TOP)
    made: list[Entry] = []
    for number, (marking, parents, reads) in enumerate(web):
        of = [made[p] for p in parents if p < len(made)]
        least = POLICY.lowest.join_all(marking, (p.marking for p in of))
        made.append(house.put(f"ports {number % 2}" if number < 2 else f"e {number}", str(least),
                              parents=tuple(p.id for p in of), by=house.officer))  # fmt: skip
        if reads:
            new = NewRun("train", made[-1].digest, "harbour", least, (made[-1].id,))
            house.catalog.add_run(new, by=house.officer)
    view = house.catalog.seen_by(house.officer)
    before = (list(view.walk()), view.runs())
    spread = house.catalog.spread([made[root % len(made)].id], by=house.officer)
    touched = {thing.id: to for thing in (*spread.entries, *spread.runs)}
    changes = house.catalog.raise_markings(touched, by=house.officer, reason=REASON)
    for entry in view.walk():
        assert all(view.get(parent).marking.within(entry.marking) for parent in entry.parents)
        assert entry.id not in touched or to.within(entry.marking)
    for one in view.runs().runs:
        assert all(view.get(read).marking.within(one.marking) for read in one.inputs)
    house.catalog.verify()
    back = list(changes)
    chance.shuffle(back)
    house.catalog.restore_markings({c.id: c.old for c in back}, by=house.officer, reason="mistake")
    assert (list(view.walk()), view.runs()) == before
    house.catalog.verify()
    house.catalog.close()
