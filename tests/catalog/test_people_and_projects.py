"""People and projects: who may add, change and see them."""

from __future__ import annotations

import pytest

from casemate.catalog import Reader
from casemate.errors import BadInput, BadMarking, NameTaken, NotAllowed, NotFound
from casemate.markings import Clearance
from tests.catalog.house import POLICY, House, says


def test_the_first_person_enrols_themself_as_an_officer_and_nobody_after(house: House) -> None:
    with says(NotAllowed, "person eve: expected an officer who adds them, found nobody"):
        house.catalog.enrol(house.person("eve", "S", "officer"))


def test_only_an_officer_adds_or_changes_a_person(house: House) -> None:
    eve = house.person("eve", "DR", "author")
    with says(NotAllowed, "person lea: expected the role officer, found author"):
        house.catalog.add_person(eve, by=house.low)
    with says(NotAllowed, "person lea: expected the role officer, found author"):
        house.catalog.change_person(house.person("lea", "S//ALPHA", "officer"), by=house.low)
    assert house.catalog.add_person(eve, by=house.officer).display == "eve"


def test_nobody_grants_more_than_they_hold(house: House) -> None:
    house.catalog.add_person(house.person("otto", "DR//ALPHA", "officer"), by=house.officer)
    otto = house.catalog.sign_in("otto").reader()
    with says(NotAllowed, "person eve: expected a clearance within that of otto (DR//ALPHA//FRA), found S//FRA"):
        house.catalog.add_person(house.person("eve", "S", "author"), by=otto)
    with says(
        NotAllowed, "person hugo: expected a clearance within that of otto (DR//ALPHA//FRA), found S//ALPHA//FRA"
    ):
        house.catalog.change_person(house.person("hugo", "DR", "author"), by=otto)


def test_a_person_is_checked_before_they_are_written(house: House) -> None:
    add = house.catalog.add_person
    with says(NameTaken, "person lea: expected a name that nobody has, found the name of a person"):
        add(house.person("lea", "DR", "author"), by=house.officer)
    roles = "approver, author, officer, operator, reader, sponsor"
    with says(BadInput, f"person eve: expected roles among {roles}, found king"):
        add(house.person("eve", "DR", "king"), by=house.officer)
    with pytest.raises(BadInput, match="name of person: expected printable characters other than /"):
        add(house.person("e\nve", "DR", "author"), by=house.officer)
    unknown = house.person("eve", "DR", "author")
    unknown = type(unknown)("eve", Clearance(POLICY.levels[1], frozenset({"CHARLIE"}), "FRA"), unknown.roles)
    with pytest.raises(BadMarking, match="marking DR//CHARLIE//FRA: expected a compartment"):
        add(unknown, by=house.officer)


def test_a_key_is_one_persons(house: House) -> None:
    eve = house.catalog.add_person(house.person("eve", "DR", "author", keyid="k1", public_key="{}"), by=house.officer)
    assert house.catalog.sign_in_by_key("k1") == eve
    with says(NameTaken, "key k1: expected a key that nobody has, found the key of another person"):
        house.catalog.add_person(house.person("bob", "DR", "author", keyid="k1"), by=house.officer)
    for keyid in ("k2", ""):
        with says(NotFound, f"key {keyid}: expected the key of a person of this site, found none"):
            house.catalog.sign_in_by_key(keyid)


def test_who_left_neither_signs_in_nor_acts(house: House) -> None:
    gone = house.catalog.change_person(house.person("lea", "DR", "author", active=False), by=house.officer)
    with says(NotAllowed, "person lea: expected an active person of this site, found one who left"):
        gone.reader()
    with says(NotAllowed, "person lea: expected an active person of this site, found none"):
        house.put(by=house.low)


def test_a_session_from_before_a_clearance_changed_writes_no_more(house: House) -> None:
    house.catalog.change_person(house.person("hugo", "DR", "author"), by=house.officer)
    with says(NotAllowed, "person hugo: expected the clearance on record, found a session with S//ALPHA//FRA"):
        house.put()


def test_one_active_officer_remains(house: House) -> None:
    for change in (house.person("olga", "S//ALPHA,BRAVO", "author"),):
        with says(NotAllowed, "person olga: expected one active officer to remain, found none"):
            house.catalog.change_person(change, by=house.officer)
    house.catalog.add_person(house.person("otto", "S//ALPHA,BRAVO", "officer"), by=house.officer)
    assert house.catalog.change_person(house.person("olga", "S//ALPHA,BRAVO", "author"), by=house.officer)


def test_people_are_listed_for_officers_and_everybody_knows_themself(house: House) -> None:
    assert [p.name for p in house.catalog.seen_by(house.officer).people()] == ["hugo", "lea", "olga", "rene"]
    view = house.catalog.seen_by(house.low)
    with says(NotAllowed, "list of people: expected the role officer, found lea without it"):
        view.people()
    assert view.person("lea").clearance == house.low.clearance
    for name in ("hugo", "nobody"):
        with says(NotFound, f"{name}: expected a person that you may read, found none"):
            view.person(name)
    with says(NotFound, "nobody: expected a person that you may read, found none"):
        house.catalog.sign_in("nobody")


def test_a_role_is_taken_from_the_record_and_not_from_the_session(house: House) -> None:
    house.catalog.add_person(house.person("otto", "DR", "officer"), by=house.officer)
    otto = house.catalog.sign_in("otto").reader()
    assert house.catalog.seen_by(otto).people()
    house.catalog.change_person(house.person("otto", "DR", "officer", active=False), by=house.officer)
    with says(NotAllowed, "list of people: expected the role officer, found otto without it"):
        house.catalog.seen_by(otto).people()


def test_two_projects_share_a_name_at_two_markings(house: House) -> None:
    above = house.catalog.add_project("radar", POLICY.parse("S"), members=["hugo"], by=house.officer)
    below = house.catalog.add_project("radar", POLICY.parse("DR"), members=["lea", "hugo"], by=house.officer)
    assert house.catalog.seen_by(house.low).project("radar") == below
    both = f"radar at DR ({below.id}); radar at S ({above.id})"
    with says(BadInput, f"radar: expected one project, found 2: {both}"):
        house.catalog.seen_by(house.high).project("radar")
    with says(BadInput, f"radar: expected one project, found 2: {both}"):
        house.put(project="radar")
    assert house.put("x", "S", project=above.id).project == "radar"
    with says(NameTaken, "project radar: expected a name that is free at S, found a project of that name"):
        house.catalog.add_project("radar", POLICY.parse("S"), by=house.officer)


def test_members_are_cleared_for_their_project_and_chosen_by_an_officer_who_reads_it(house: House) -> None:
    secret = POLICY.parse("S")
    with says(NotAllowed, "person lea: expected a clearance that dominates S, found DR//FRA"):
        house.catalog.add_project("vault", secret, members=["lea"], by=house.officer)
    with says(NotFound, "nobody: expected a person that you may read, found none"):
        house.catalog.add_project("vault", secret, members=["nobody"], by=house.officer)
    with says(NotAllowed, "person hugo: expected the role officer, found author"):
        house.catalog.add_project("vault", secret, by=house.high)
    vault = house.catalog.add_project("vault", secret, by=house.officer)
    session = Reader("olga", house.officer.clearance, POLICY.parse("DR"))
    with says(NotFound, f"{vault.id}: expected a project that you may read, found none"):
        house.catalog.change_project(vault.id, members=["olga"], by=session)
    changed = house.catalog.change_project("vault", members=["olga"], description="about", by=house.officer)
    assert (changed.members, changed.description) == (frozenset({"olga"}), "about")
    assert house.catalog.seen_by(house.officer).project(vault.id) == changed
    with says(BadInput, "project vault: expected a description of at most 2000 characters, found 2001 characters"):
        house.catalog.change_project("vault", members=[], description="d" * 2001, by=house.officer)
