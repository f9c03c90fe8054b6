"""Laws of markings, on random markings of every shipped policy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.markings import Clearance, Marking, Policy, shipped_policies

POLICIES = {name: Policy.shipped(name) for name in shipped_policies()}
NATIONS = ["FRA", "DEU", "USA"]


@st.composite
def markings(draw: st.DrawFn, policy: Policy) -> Marking:
    compartments = draw(st.frozensets(st.sampled_from(sorted(policy.compartments))))
    nations = draw(st.none() | st.frozensets(st.sampled_from(NATIONS)))
    return Marking(draw(st.sampled_from(policy.levels)), compartments, nations)


@st.composite
def clearances(draw: st.DrawFn, policy: Policy) -> Clearance:
    compartments = draw(st.frozensets(st.sampled_from(sorted(policy.compartments))))
    return Clearance(draw(st.sampled_from(policy.levels)), compartments, draw(st.sampled_from(NATIONS)))


@pytest.fixture(params=sorted(POLICIES))
def policy(request: pytest.FixtureRequest) -> Policy:
    return POLICIES[request.param]


any_policy = st.sampled_from(sorted(POLICIES)).map(POLICIES.__getitem__)


@given(st.data(), any_policy)
def test_join_is_commutative_associative_idempotent(data: st.DataObject, policy: Policy) -> None:
    a, b, c = (data.draw(markings(policy)) for _ in range(3))
    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c))
    assert a.join(a) == a


@given(st.data(), any_policy)
def test_join_is_the_least_upper_bound(data: st.DataObject, policy: Policy) -> None:
    a, b, c = (data.draw(markings(policy)) for _ in range(3))
    assert a.within(a.join(b))
    assert b.within(a.join(b))
    if a.within(c) and b.within(c):
        assert a.join(b).within(c)


@given(st.data(), any_policy)
def test_who_reads_a_join_reads_each_part_and_the_reverse(data: st.DataObject, policy: Policy) -> None:
    a, b = data.draw(markings(policy)), data.draw(markings(policy))
    reader = data.draw(clearances(policy))
    assert reader.dominates(a.join(b)) == (reader.dominates(a) and reader.dominates(b))


@given(st.data(), any_policy)
def test_who_reads_a_marking_reads_all_that_is_within_it(data: st.DataObject, policy: Policy) -> None:
    a, ceiling = data.draw(markings(policy)), data.draw(markings(policy))
    reader = data.draw(clearances(policy))
    if a.within(ceiling) and reader.dominates(ceiling):
        assert reader.dominates(a)


@given(st.data(), any_policy)
def test_parsing_what_is_printed_gives_the_same_value(data: st.DataObject, policy: Policy) -> None:
    marking, clearance = data.draw(markings(policy)), data.draw(clearances(policy))
    assert policy.parse(str(marking)) == marking
    assert policy.parse_clearance(str(clearance)) == clearance


def test_nobody_reads_an_empty_releasability(policy: Policy) -> None:
    marking = policy.parse(f"{policy.levels[0].code}//REL TO NONE")
    top = [Clearance(policy.levels[-1], policy.compartments, nation) for nation in NATIONS]
    assert not any(clearance.dominates(marking) for clearance in top)
