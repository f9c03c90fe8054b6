"""A copy at a lower marking, by a decision that others verified: what is checked, what is told, and to whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from casemate.catalog import Entry, Reader
from casemate.errors import BadInput, BadMarking, JournalBroken, NameTaken, NotAllowed, NotFound
from casemate.store.digest import Digest
from tests.catalog.house import POLICY, House, says, settled

REASON = "source no longer sensitive; decision 12"
DIGEST = Digest.of_bytes(b"words")


@pytest.fixture
def house() -> Iterator[House]:
    """As elsewhere, with a ceiling that its officer may read, and a sponsor who is a member of nothing."""
    made = settled("sqlite://", ceiling=POLICY.parse("S//ALPHA,BRAVO//REL TO FRA"))
    made.catalog.add_person(made.person("sara", "S//ALPHA", "sponsor"), by=made.officer)
    yield made
    made.catalog.close()


def sponsor(house: House) -> Reader:
    return house.catalog.sign_in("sara").reader()


def lowered(house: House, of: Entry, marking: str = "DR", *, by: Reader | None = None, **others: Any) -> Entry:
    new = house.new(**{"name": "cleared", "marking": marking, "digest": DIGEST} | others)
    return house.catalog.register_lowered(new, of=of.id, by=by or sponsor(house), reason=REASON)


def test_a_lowered_copy_is_read_below_and_its_origin_is_not(house: House) -> None:
    secret = house.put("secret", "S//ALPHA", digest=DIGEST)
    copy = lowered(house, secret, facts={"decision": 12})
    low, high = house.catalog.seen_by(house.low), house.catalog.seen_by(house.high)
    assert (low.get(copy.id).parents, high.get(copy.id)) == ((), copy)
    assert (copy.parents, copy.author, copy.facts) == ((secret.id,), "sara", {"decision": 12})
    assert (low.lineage(copy.id).nodes, low.lineage(copy.id).edges) == ((low.get(copy.id),), ())
    assert high.lineage(secret.id).descendants == (copy,)
    assert low.find(str(DIGEST)) == low.get(copy.id)
    house.catalog.verify()


def test_the_line_of_a_lowering_tells_of_both_and_is_for_who_reads_both(house: House) -> None:
    secret = house.put("secret", "S", digest=DIGEST)
    copy = lowered(house, secret, "DR//SF")
    assert house.catalog.seen_by(house.low).journal(about=copy.id).lines == ()
    (line,) = house.catalog.seen_by(house.high).journal(about=copy.id).lines
    assert (line.act.verb, line.act.subject, line.act.reason) == ("entry.lower", "dataset harbour/cleared", REASON)
    assert line.act.marking == "S//REL TO FRA"
    facts = {"digest": str(DIGEST), "of": secret.id, "old": "S", "new": "DR//REL TO FRA"}
    assert line.act.facts == facts


def test_only_an_officer_or_a_sponsor_who_reads_it_lowers(house: House) -> None:
    secret = house.put("secret", "S//ALPHA", digest=DIGEST)
    with says(NotAllowed, "person hugo: expected the role officer or sponsor, found author"):
        lowered(house, secret, by=house.high)
    house.catalog.add_person(house.person("sven", "S", "sponsor"), by=house.officer)
    with says(NotFound, f"{secret.id}: expected an entry that you may read, found none"):
        lowered(house, secret, by=house.catalog.sign_in("sven").reader())
    assert lowered(house, secret, by=house.officer).author == "olga"


def test_a_lowering_lowers_the_same_bytes_and_nothing_else(house: House) -> None:
    secret, other = house.put("secret", "S", digest=DIGEST), house.put("other", "S")
    same = f"dataset cleared: expected a dataset with digest {DIGEST}, as {secret.id} is"
    with says(BadInput, f"{same}, found a dataset with digest {other.digest}"):
        lowered(house, secret, digest=other.digest)
    with says(BadInput, f"model {same.removeprefix('dataset ')}, found a model with digest {DIGEST}"):
        lowered(house, secret, kind="model")
    with says(BadInput, f"parents of dataset cleared: expected only {secret.id}, which is lowered, found others"):
        lowered(house, secret, parents=(other.id,))
    for marking in ("S", "S//ALPHA", "S//SF"):
        found = str(POLICY.parse(marking))
        with says(BadMarking, f"marking of dataset cleared: expected one lower than S, found {found}"):
            lowered(house, secret, marking)
    assert lowered(house, secret, parents=(secret.id,)).parents == (secret.id,)
    with pytest.raises(NameTaken, match="expected a name that no dataset of the project has at DR"):
        lowered(house, secret)


def test_a_lowered_copy_is_not_below_its_project_nor_in_one_that_is_none(house: House) -> None:
    secret = house.put("secret", "S", digest=DIGEST)
    house.catalog.add_project("vault", POLICY.parse("DR"), members=["hugo"], by=house.officer)
    floor = "expected at least DR, the join of its marking with those of its parents and its project, found NP"
    with says(BadMarking, f"marking of dataset cleared: {floor}"):
        lowered(house, secret, "NP", project="vault")
    with says(NotFound, "nowhere: expected a project that you may read, found none"):
        lowered(house, secret, project="nowhere")


def test_what_is_made_from_a_lowered_copy_follows_the_copy(house: House) -> None:
    secret = house.put("secret", "S", digest=DIGEST)
    copy = lowered(house, secret)
    assert house.put("model", "DR", by=house.low, kind="model", parents=(copy.id,)).parents == (copy.id,)


def test_a_spread_names_what_was_lowered_and_a_raise_leaves_it_to_people(house: House) -> None:
    data = house.put("data", "DR//ALPHA")
    secret = house.put("secret", "S//ALPHA", digest=DIGEST, parents=(data.id,))
    copy = lowered(house, secret)
    model = house.put("model", "DR", kind="model", parents=(copy.id,))
    found = house.catalog.spread([data.id], by=house.officer)
    assert (found.entries, found.lowered) == ((data, secret), (copy,))
    assert house.catalog.spread([data.id, copy.id], by=house.officer).entries == (data, secret, copy, model)
    to = POLICY.parse("S//BRAVO")
    changes = house.catalog.raise_markings({data.id: to, secret.id: to}, by=house.officer, reason="spill")
    assert len(changes) == 2
    assert house.catalog.seen_by(house.low).get(copy.id).marking == POLICY.parse("DR")
    with says(
        BadMarking, "what is raised: expected every entry and run made from it to be raised too, found 1 that is not"
    ):
        house.catalog.raise_markings({copy.id: to}, by=house.officer, reason="spill")
    both = house.catalog.raise_markings({copy.id: to, model.id: to}, by=house.officer, reason="spill")
    back = {change.id: change.old for change in both}
    assert len(house.catalog.restore_markings(back, by=house.officer, reason="mistake")) == 2  # below its origin again
    house.catalog.verify()


def test_a_link_made_to_look_lowered_behind_the_catalog_is_found(house: House) -> None:
    data = house.put("data")
    child = house.put("child", parents=(data.id,))
    with house.catalog._database.writing() as connection:
        connection.exec_driver_sql("DROP TRIGGER lineage_no_update")
        connection.exec_driver_sql("UPDATE lineage SET place = -1")
    with pytest.raises(JournalBroken) as no:
        house.catalog.verify()
    assert no.value.thing == f"dataset child ({child.id})"
