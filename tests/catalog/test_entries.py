"""Entries: what is refused and in which words, polyinstantiation, finding, lineage, pages."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.catalog import KINDS, Reader
from casemate.catalog.site import meet
from casemate.errors import (
    AboveCeiling,
    BadInput,
    BadMarking,
    CasemateError,
    NameTaken,
    NotAllowed,
    NotFound,
)
from casemate.markings import Clearance, Marking
from casemate.store.digest import Digest
from tests.catalog.house import POLICY, House, says


def test_an_entry_comes_back_as_it_was_registered(house: House) -> None:
    parent = house.put("ports", "DR", by=house.low)
    child = house.put("detector", "S", kind="model", parents=(parent.id,), facts={"seed": 1, "é": [None, 2.5]})
    view = house.catalog.seen_by(house.high)
    assert view.get(child.id) == view.find("harbour/detector") == child
    assert (child.parents, child.facts, child.author) == ((parent.id,), {"seed": 1, "é": [None, 2.5]}, "hugo")
    assert re.fullmatch("[a-z2-7]{26}", child.id)


def test_the_same_name_lives_at_two_markings_and_neither_tells_of_the_other(house: House) -> None:
    above = house.put("ports", "S")
    below = house.put("ports", "DR", by=house.low)
    assert house.catalog.seen_by(house.low).find("ports") == below
    low_session = Reader(house.high.person_name, house.high.clearance, POLICY.parse("DR"))
    assert house.catalog.seen_by(low_session).find("ports") == below
    both = f"dataset harbour/ports at S ({above.id}); dataset harbour/ports at DR ({below.id})"
    with says(BadInput, f"ports: expected one entry, found 2: {both}"):
        house.catalog.seen_by(house.high).find("ports")


def test_a_name_is_taken_only_for_the_same_project_kind_and_marking(house: House) -> None:
    house.catalog.add_project("radar", POLICY.lowest, members=["hugo"], by=house.officer)
    house.put()
    house.put(kind="model")
    house.put(project="radar")
    expected = "expected a name that no dataset of the project has at DR, found a dataset of that name"
    with says(NameTaken, f"dataset harbour/ports: {expected}"):
        house.put(by=house.low)


def test_a_name_is_the_same_however_its_accents_are_written(house: House) -> None:
    made = house.put("e\u0301te\u0301")
    assert made.name == "\u00e9t\u00e9"
    assert house.catalog.seen_by(house.low).find("e\u0301te\u0301") == made
    assert house.catalog.seen_by(house.low).list(text="ETE").entries == (made,)


def test_a_marking_below_the_join_of_the_parents_is_refused(house: House) -> None:
    one = house.put("one", "S")
    two = house.put("two", "DR//ALPHA//SF")
    floor = "S//ALPHA//REL TO FRA"
    with says(
        BadMarking,
        f"marking of dataset mix: expected at least {floor}, "
        "the join of its marking with those of its parents and its project, found S",
    ):
        house.put("mix", "S", parents=(one.id, two.id))
    assert house.put("mix", floor, parents=(one.id, two.id)).marking == POLICY.parse(floor)


def test_a_marking_below_that_of_its_project_is_refused(house: House) -> None:
    house.catalog.add_project("vault", POLICY.parse("S"), members=["hugo"], by=house.officer)
    with pytest.raises(BadMarking, match=r"expected at least S, .* found DR"):
        house.put("mix", "DR", project="vault")


@pytest.mark.parametrize(
    ("marking", "error", "message"),
    [
        ("TS", AboveCeiling, "expected a marking within the site's ceiling S//ALPHA,BRAVO//REL TO NONE, found TS"),
        ("S", NotAllowed, "expected a marking that lea may read (DR//FRA), found S"),
        ("DR//REL TO DEU", NotAllowed, "expected a marking that lea may read (DR//FRA), found DR//REL TO DEU"),
    ],
)
def test_a_marking_above_the_site_or_the_person_is_refused(
    house: House, marking: str, error: type[CasemateError], message: str
) -> None:
    with says(error, f"dataset ports: {message}"):
        house.put(marking=marking, by=house.low)


def test_a_marking_above_the_session_is_refused_so_that_people_can_work_low(house: House) -> None:
    session = Reader("hugo", house.high.clearance, POLICY.parse("DR"))
    with says(
        NotAllowed,
        "dataset ports: expected a marking that hugo may read (S//ALPHA//FRA under the ceiling DR), found S",
    ):
        house.put(marking="S", by=session)


def test_without_a_marking_that_the_policy_knows_there_is_no_entry(house: House) -> None:
    new = house.new()
    for marking, found in [(None, "none"), ("DR", "'DR'")]:
        with says(BadMarking, f"dataset ports: expected a marking, found {found}"):
            house.catalog.register(type(new)(**{**vars(new), "marking": marking}), by=house.low)
    foreign = Marking(POLICY.levels[1], frozenset({"CHARLIE"}))
    with says(BadMarking, "dataset ports: expected a marking that the site's policy knows, found DR//CHARLIE"):
        house.catalog.register(type(new)(**{**vars(new), "marking": foreign}), by=house.low)
    assert house.catalog.seen_by(house.officer).count() == 0


def test_a_parent_above_the_reader_is_refused_in_the_words_of_one_that_does_not_exist(house: House) -> None:
    hidden = house.put("hidden", "S")
    for parent in (hidden.id, "a" * 26):
        with says(NotFound, f"{parent}: expected an entry that you may read, found none"):
            house.put("child", by=house.low, parents=(parent,))
    with says(BadInput, "parents of dataset child: expected each parent once, found one of them twice"):
        house.put("child", parents=(hidden.id, hidden.id))


def test_only_active_members_with_a_role_act_in_a_project(house: House) -> None:
    house.catalog.add_project("radar", POLICY.lowest, members=["hugo"], by=house.officer)
    with says(NotAllowed, "project radar: expected lea among its members, found a non-member"):
        house.put(by=house.low, project="radar")
    with says(NotFound, "sonar: expected a project that you may read, found none"):
        house.put(by=house.low, project="sonar")
    roles = "approver, author, officer, operator, sponsor"
    with says(NotAllowed, f"person rene: expected one of the roles {roles}, found reader"):
        house.put(by=house.onlooker)
    with says(NotAllowed, "person mallory: expected an active person of this site, found none"):
        house.put(by=Reader("mallory", house.high.clearance))
    with says(NotAllowed, "person lea: expected the clearance on record, found a session with S//ALPHA//FRA"):
        house.put(by=Reader("lea", house.high.clearance))


@pytest.mark.parametrize("name", ['it\'s "ports"', "100 % ;--", "⚓ ports", "'; DROP TABLE entry", "..", "a\\b"])
def test_a_hostile_name_is_only_a_name(house: House, name: str) -> None:
    made = house.put(name)
    assert house.catalog.seen_by(house.low).find(name) == made
    assert house.catalog.seen_by(house.low).list(text=name).entries == (made,)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "1 to 200 characters without spaces at the ends"),
        (" ports", "1 to 200 characters without spaces at the ends"),
        ("p" * 201, "1 to 200 characters without spaces at the ends"),
        ("two\nlines", "printable characters other than /"),
        ("a\u202eb", "printable characters other than /"),
        ("a/b", "printable characters other than /"),
        ("a" * 26, "a name that is no identifier or digest"),
        ("sha256:0", "a name that is no identifier or digest"),
    ],
)
def test_a_name_that_could_mislead_is_refused(house: House, name: str, expected: str) -> None:
    with pytest.raises(BadInput) as no:
        house.put(name)
    assert (no.value.thing, no.value.expected) == ("name of dataset", expected)
    assert no.value.found == repr(name).replace("\u202e", "\\u202e")


def test_kinds_and_facts_that_are_unknown_are_refused(house: House) -> None:
    with says(BadInput, f"kind: expected one of {', '.join(KINDS)}, found 'spell'"):
        house.put(kind="spell")
    with pytest.raises(BadInput, match="facts of dataset ports: expected JSON values only, without NaN or infinity"):
        house.put(facts={"loss": float("nan")})
    with pytest.raises(BadInput, match="facts of dataset ports: expected JSON values only, without NaN or infinity"):
        house.put(facts={"loss": object()})


def test_an_entry_is_found_by_name_path_beginning_and_digest(house: House) -> None:
    made = house.put()
    view = house.catalog.seen_by(house.low)
    for text in ("ports", "harbour/ports", made.id, made.id[:6], str(made.digest)):
        assert view.find(text) == made
    for text in ("Ports", "radar/ports", made.id[:5], "sha256:" + "0" * 64, "", "harbour/"):
        with says(NotFound, f"{text}: expected an entry that you may read, found none"):
            view.find(text)
    with says(NotFound, "ports: expected an entry that you may read, found none"):
        view.get("ports")
    with says(NotFound, "ports: expected an entry that you may read, found none"):
        view.find("ports", kind="model")
    with pytest.raises(BadInput, match="digest: expected sha256: and 64 lower-case hexadecimal digits"):
        view.find("sha256:12")


def test_entries_that_share_a_digest_are_listed_to_choose_from(house: House) -> None:
    one, two = house.put("one", digest=Digest.of_bytes(b"x")), house.put("two", digest=Digest.of_bytes(b"x"))
    view = house.catalog.seen_by(house.low)
    with pytest.raises(BadInput) as no:
        view.get(str(one.digest))
    assert no.value.found == f"2: {one}; {two}"


def test_lineage_stops_where_the_reader_stops(house: House) -> None:
    data = house.put("data")
    model = house.put("model", kind="model", parents=(data.id,))
    secret = house.put("secret", "S", kind="model", parents=(model.id,))
    report = house.put("report", "S", kind="report", parents=(secret.id, data.id))
    low = house.catalog.seen_by(house.low).lineage(model.id)
    assert ([e.name for e in low.nodes], low.ancestors, low.descendants) == (["data", "model"], (data,), ())
    high = house.catalog.seen_by(house.high).lineage(data.id)
    assert high.descendants == (model, secret, report)
    assert len(high.edges) == 4
    with says(NotFound, f"{secret.id}: expected an entry that you may read, found none"):
        house.catalog.seen_by(house.low).lineage(secret.id)


def test_pages_follow_one_another_whatever_is_added_meanwhile(house: House) -> None:
    made = [house.put(f"entry {n}", "S" if n % 2 else "DR") for n in range(7)]
    view = house.catalog.seen_by(house.high)
    first = view.list(limit=3)
    house.put("newcomer")
    second = view.list(limit=3, after=first.after)
    third = view.list(limit=3, after=second.after)
    listed = [*first.entries, *second.entries, *third.entries]
    assert listed == sorted(made, key=lambda e: (e.created, e.id), reverse=True)
    assert third.after is None
    assert [e.name for e in view.walk()] == ["newcomer", *(e.name for e in listed)]


@pytest.mark.parametrize("cursor", ["", "!", "AAAA", "é", "MjAyNi0wMS0wMQ=="])
def test_a_cursor_that_no_page_gave_is_refused(house: House, cursor: str) -> None:
    with says(BadInput, f"cursor: expected the cursor of a page before, found {cursor!r}"):
        house.catalog.seen_by(house.low).list(after=cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_a_sane_size(house: House, limit: int) -> None:
    with says(BadInput, f"limit: expected 1 to 1000 lines a page, found {limit}"):
        house.catalog.seen_by(house.low).list(limit=limit)


def test_facets_add_up_what_the_reader_sees(house: House) -> None:
    house.put("one")
    house.put("two", "S")
    house.put("three", kind="model")
    low = house.catalog.seen_by(house.low).facets()
    assert (low.total, low.kinds, low.markings) == (2, {"dataset": 1, "model": 1}, {"DR": 2})
    high = house.catalog.seen_by(house.high)
    assert (high.facets().total, high.facets().projects, high.count()) == (3, {"harbour": 3}, 3)
    assert high.facets(text="t").total == high.count(text="t") == 2


def test_many_markings_are_read_as_well_as_few(house: House) -> None:
    """More markings than one compound select takes."""
    nations = ("".join(letters) for letters in itertools.product("ABCDEFGH", repeat=3))
    made = [house.put(f"entry {n}", f"NP//REL TO FRA,{nation}") for n, nation in zip(range(120), nations, strict=False)]
    assert len(made) == house.catalog.seen_by(house.low).count() == 120
    assert list(house.catalog.seen_by(house.low).walk()) == sorted(made, key=lambda e: (e.created, e.id), reverse=True)


levels = st.sampled_from(POLICY.levels)
compartments = st.frozensets(st.sampled_from(["ALPHA", "BRAVO"]))
nations = st.sampled_from(["FRA", "DEU"])
markings = st.builds(Marking, levels, compartments, st.none() | st.frozensets(nations))


@settings(deadline=None, max_examples=100)
@given(markings, markings, markings)
def test_the_meet_is_the_strictest_marking_within_both(one: Marking, two: Marking, other: Marking) -> None:
    assert meet(one, two).within(one)
    assert meet(one, two).within(two)
    assert other.within(meet(one, two)) == (other.within(one) and other.within(two))


@settings(deadline=None, max_examples=100)
@given(st.builds(Clearance, levels, compartments, nations), st.none() | markings, markings)
def test_the_top_of_a_session_is_as_strict_as_all_that_it_reads_and_is_read_by_it(
    clearance: Clearance, ceiling: Marking | None, other: Marking
) -> None:
    reader = Reader("rita", clearance, ceiling)
    assert reader.may_read(reader.top)
    assert not reader.may_read(other) or other.within(reader.top)
