"""Several entries in one act, identifiers made before, and what anybody may write in the site's own project."""

from __future__ import annotations

import pytest

from casemate.catalog import KINDS, SITE_KINDS, SITE_PROJECT, Entry
from casemate.errors import BadInput, BadMarking, NameTaken, NotAllowed, NotFound
from tests.catalog.house import POLICY, House, says


def own_project(house: House) -> None:
    house.catalog.add_project(SITE_PROJECT, POLICY.lowest, members=["olga"], by=house.officer)


def test_a_batch_is_one_act_with_a_line_for_each_and_parents_within_it(house: House) -> None:
    data, model = house.catalog.new_id(), house.catalog.new_id()
    news = [
        house.new("data", "S", id=data),
        house.new("model", "S", kind="model", id=model, parents=(data,)),
        house.new("report", "S", kind="report", parents=(data, model)),
    ]
    before = house.catalog.journal.head().count
    made = house.catalog.register_all(news, by=house.high, reason="delivery 7", sign=lambda act: {"n": len(act)})
    view = house.catalog.seen_by(house.high)
    assert [view.get(entry.id) for entry in made] == list(made)
    assert [entry.id for entry in made[:2]] == [data, model]
    assert made[2].parents == (data, model)
    lines = view.journal(limit=3).lines
    assert {line.act.about: line.act.subject for line in lines} == {e.id: f"{e.kind} harbour/{e.name}" for e in made}
    assert all((x.act.verb, x.act.reason) == ("entry.register", "delivery 7") and x.signature for x in lines)
    assert house.catalog.verify().count == before + 3
    assert house.catalog.register_all([], by=house.high) == ()


def test_a_batch_of_which_one_is_refused_leaves_nothing_but_the_refusal(house: House) -> None:
    before = house.catalog.journal.head().count
    floor = "expected at least S, the join of its marking with those of its parents and its project, found DR"
    news = [house.new("one", "S", id="b" * 26), house.new("two", "DR", parents=("b" * 26,)), house.new("three")]
    with says(BadMarking, f"marking of dataset two: {floor}"):
        house.catalog.register_all(news, by=house.high)
    assert (house.catalog.seen_by(house.high).count(), house.catalog.verify().count) == (0, before + 1)
    act = house.catalog.seen_by(house.high).journal(limit=1).lines[0].act
    assert (act.outcome, act.subject) == ("refused", "dataset harbour/one, dataset harbour/two, dataset harbour/three")


def test_a_parent_that_comes_later_in_the_batch_is_none(house: House) -> None:
    news = [house.new("child", parents=("b" * 26,)), house.new("parent", id="b" * 26)]
    with says(NotFound, f"{'b' * 26}: expected an entry that you may read, found none"):
        house.catalog.register_all(news, by=house.low)


@pytest.mark.parametrize("wanted", ["ports", "A" * 26, "a" * 25, "a" * 27, "1" * 26])
def test_an_identifier_that_is_none_is_refused(house: House, wanted: str) -> None:
    with says(BadInput, f"identifier of dataset ports: expected 26 characters among a-z and 2-7, found {wanted!r}"):
        house.put(id=wanted)


def test_an_identifier_is_given_once_in_the_same_words_whoever_has_it(house: House) -> None:
    run = house.catalog.seen_by(house.officer).project("harbour")
    for taken in (house.put("seen").id, house.put("hidden", "S").id, run.id):
        with says(NameTaken, f"identifier of dataset ports: expected one that is free, found {taken}, which is not"):
            house.put(by=house.low, id=taken)
    assert house.put(by=house.low, id=house.catalog.new_id()) in house.catalog.seen_by(house.low).walk()


@pytest.mark.parametrize("kind", sorted(SITE_KINDS))
def test_anybody_who_acts_writes_what_is_the_sites_own_in_its_project(house: House, kind: str) -> None:
    own_project(house)
    made = house.put(f"a {kind}", "NP", kind=kind, project=SITE_PROJECT, by=house.low)
    assert isinstance(made, Entry)
    assert house.catalog.seen_by(house.low).find(f"site/a {kind}") == made
    house.catalog.add_project("radar", POLICY.lowest, members=["hugo"], by=house.officer)
    with says(NotAllowed, "project radar: expected lea among its members, found a non-member"):
        house.put(kind=kind, project="radar", by=house.low)
    with pytest.raises(NotAllowed, match="person rene: expected one of the roles"):
        house.put(kind=kind, project=SITE_PROJECT, by=house.onlooker)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - SITE_KINDS))
def test_everything_else_in_the_sites_project_is_for_its_members(house: House, kind: str) -> None:
    own_project(house)
    with says(NotAllowed, "project site: expected lea among its members, found a non-member"):
        house.put(kind=kind, project=SITE_PROJECT, by=house.low)
    assert house.put(kind=kind, project=SITE_PROJECT, by=house.officer).kind == kind


def test_a_project_that_takes_the_sites_name_higher_up_is_its_members_alone(house: House) -> None:
    own_project(house)
    above = house.catalog.add_project(SITE_PROJECT, POLICY.parse("S"), members=["olga"], by=house.officer)
    with says(NotAllowed, f"project {above.id}: expected hugo among its members, found a non-member"):
        house.put("x", "S", kind="order", project=above.id)
    assert house.put("x", "S", kind="order", project=SITE_PROJECT).project == SITE_PROJECT
