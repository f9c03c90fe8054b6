"""API keys: who makes them, who sees and ends them, what is on record of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from casemate.catalog import Catalog, NewApiKey, Reader
from casemate.errors import AboveCeiling, BadInput, BadMarking, JournalBroken, NameTaken, NotAllowed, NotFound
from casemate.store.digest import Digest
from tests.catalog.house import POLICY, House, says

END = datetime(2100, 1, 1, tzinfo=UTC)


def new(label: str = "script", **others: Any) -> NewApiKey:
    given = {"project": "harbour", "sha256": Digest.of_bytes(label.encode()).hex, "scopes": frozenset({"models"})}
    return NewApiKey(label, **{**given, "expires": END, **others})


def test_a_person_makes_their_own_key_whatever_their_role(house: House) -> None:
    made = house.catalog.add_api_key(new(), by=house.onlooker)
    assert (made.owner, made.project_name, str(made.marking), made.ceiling) == ("rene", "harbour", "NP", None)
    assert house.catalog.seen_by(house.onlooker).api_keys() == (made,)


def test_owner_and_officers_see_a_key_and_nobody_else(house: House) -> None:
    made = house.catalog.add_api_key(new(), by=house.low)
    assert house.catalog.seen_by(house.officer).api_keys() == (made,)
    assert house.catalog.seen_by(house.high).api_keys() == ()


def test_others_do_not_read_in_the_journal_that_somebody_has_a_key(house: House) -> None:
    made = house.catalog.add_api_key(new(), by=house.low)
    house.catalog.revoke_api_key(made.id, by=house.officer, reason="lost")

    def told(reader: Reader) -> list[str]:
        lines = house.catalog.seen_by(reader).journal().lines
        return [line.act.verb for line in lines if line.act.about == made.id]

    assert told(house.low) == told(house.officer) == ["apikey.revoke", "apikey.add"]
    assert told(house.high) == told(house.onlooker) == []


def test_a_key_with_a_ceiling_is_marked_like_it_and_hidden_from_a_session_below(house: House) -> None:
    made = house.catalog.add_api_key(new(ceiling=POLICY.parse("S")), by=house.high)
    assert str(made.marking) == "S"
    assert house.catalog.seen_by(house.high).api_keys() == (made,)
    low = replace(house.high, ceiling=POLICY.parse("DR"))
    assert house.catalog.seen_by(low).api_keys() == ()
    with says(NotFound, f"API key {made.id}: expected an API key that you may read, found none"):
        house.catalog.revoke_api_key(made.id, by=low)


def test_a_session_under_a_ceiling_makes_no_key_above_it(house: House) -> None:
    low = replace(house.high, ceiling=POLICY.parse("DR"))
    assert house.catalog.add_api_key(new(), by=low).ceiling == POLICY.parse("DR")
    expected = "a marking that hugo may read (S//ALPHA//FRA under the ceiling DR)"
    with says(NotAllowed, f"ceiling of API key other: expected {expected}, found S"):
        house.catalog.add_api_key(new("other", ceiling=POLICY.parse("S")), by=low)


def test_a_ceiling_admits_the_keys_project_and_stays_within_the_site(house: House) -> None:
    house.catalog.add_project("radar", POLICY.parse("DR"), members=["lea"], by=house.officer)
    with says(BadMarking, "ceiling of API key script: expected one that admits its project (DR), found NP"):
        house.catalog.add_api_key(new(project="radar", ceiling=POLICY.lowest), by=house.low)
    with pytest.raises(AboveCeiling, match="ceiling of API key script: expected a marking within the site's ceiling"):
        house.catalog.add_api_key(new(ceiling=POLICY.parse("TS")), by=house.low)


def test_only_members_make_keys_for_a_project(house: House) -> None:
    house.catalog.add_project("radar", POLICY.parse("DR"), members=["hugo"], by=house.officer)
    house.catalog.add_project("secret", POLICY.parse("S"), members=["hugo"], by=house.officer)
    with says(NotAllowed, "project radar: expected lea among its members, found a non-member"):
        house.catalog.add_api_key(new(project="radar"), by=house.low)
    with says(NotFound, "secret: expected a project that you may read, found none"):
        house.catalog.add_api_key(new(project="secret"), by=house.low)


def test_a_key_is_checked_before_it_is_written(house: House) -> None:
    add = house.catalog.add_api_key
    with says(BadInput, "API key script: expected the SHA-256 of its secret, found something else"):
        add(new(sha256="A" * 64), by=house.low)
    known = "all-documents, detect, documents, metrics, models, upload"
    with says(BadInput, f"scopes of API key script: expected some of {known}, found king"):
        add(new(scopes=frozenset({"models", "king"})), by=house.low)
    with says(BadInput, f"scopes of API key script: expected some of {known}, found none"):
        add(new(scopes=frozenset()), by=house.low)
    with says(BadInput, "API key script: expected an end that is to come, found 2020-01-01T00:00:00.000000Z"):
        add(new(expires=datetime(2020, 1, 1, tzinfo=UTC)), by=house.low)
    add(new(), by=house.low)
    with says(NameTaken, "API key again: expected a fresh secret, found one that is in use"):
        add(new("again", sha256=new().sha256), by=house.low)


def test_a_key_is_revoked_once_by_its_owner_or_an_officer(house: House) -> None:
    made = house.catalog.add_api_key(new(), by=house.low)
    with says(NotFound, f"API key {made.id}: expected an API key that you may read, found none"):
        house.catalog.revoke_api_key(made.id, by=house.high)
    revoked = house.catalog.revoke_api_key(made.id, by=house.low)
    assert revoked.revoked is not None
    assert not revoked.in_force(revoked.revoked)
    with says(BadInput, f"API key {made.id}: expected one in force, found one that was revoked"):
        house.catalog.revoke_api_key(made.id, by=house.officer)


def test_a_secret_leads_to_its_key_its_owner_and_their_membership(house: House) -> None:
    made = house.catalog.add_api_key(new(), by=house.low)
    visit = house.catalog.sign_in_by_secret(made.sha256)
    assert visit is not None
    assert (visit.key, visit.owner.name, visit.is_member) == (made, "lea", True)
    house.catalog.change_project("harbour", members=["olga"], by=house.officer)
    visit = house.catalog.sign_in_by_secret(made.sha256)
    assert visit is not None
    assert not visit.is_member
    assert house.catalog.sign_in_by_secret("0" * 64) is None


def test_a_key_is_in_force_from_its_making_to_its_end(house: House) -> None:
    made = house.catalog.add_api_key(new(), by=house.low)
    assert made.in_force(made.created)
    assert not made.in_force(END)
    assert not made.in_force(datetime(2020, 1, 1, tzinfo=UTC))


def test_what_is_done_through_a_key_says_so_in_the_journal(house: House) -> None:
    through = replace(house.low, through="k" * 26)
    line = house.catalog.journal.append(through, "look", "ports", facts={"n": 1})
    assert line.act.facts == {"n": 1, "apikey": "k" * 26}


def test_the_audit_finds_a_key_that_no_line_vouches_for(house_on_disk: House) -> None:
    made = house_on_disk.catalog.add_api_key(new(), by=house_on_disk.low)
    house_on_disk.catalog.verify()
    _behind(house_on_disk.catalog, "UPDATE apikey SET revoked = '2020-01-01T00:00:00.000000Z'")
    with pytest.raises(JournalBroken, match=f"API key {made.id}: expected"):
        house_on_disk.catalog.verify()


def test_the_database_refuses_to_change_or_remove_a_key(house: House) -> None:
    house.catalog.add_api_key(new(), by=house.low)
    for change in ("UPDATE apikey SET owner = 'hugo'", "UPDATE apikey SET scopes = 'upload'", "DELETE FROM apikey"):
        with pytest.raises(DBAPIError, match="apikey is append-only"):
            _behind(house.catalog, change)


def _behind(catalog: Catalog, statement: str) -> None:
    with catalog._database.writing() as connection:
        connection.exec_driver_sql(statement)
