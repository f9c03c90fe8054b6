"""Access over HTTP: keys of one's own, what they open at each request, and what the journal tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from casemate.catalog import Person
from casemate.errors import BadInput, NotAllowed, Unavailable
from casemate.factory import Factory
from casemate.factory.access import Entrance, Guest
from casemate.factory.knocks import MOST_COUNTED, Knocks, Told
from tests.factory.town import Clock, Town, found

HERE = "127.0.0.1"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return found(tmp_path_factory.mktemp("town"))


@pytest.fixture
def claire(town: Town) -> Iterator[Factory]:
    factory = town.acting("claire")
    yield factory
    factory.catalog.close()


@pytest.fixture
def entrance(claire: Factory) -> Iterator[Entrance[Factory]]:
    with claire.entrance(address=HERE) as opened:
        yield opened


def key(town: Town, who: str = "ines", *, ceiling: str | None = None, **others: Any) -> dict[str, Any]:
    return town.acting(who, ceiling=ceiling).new_api_key("script", **{"project": "harbour", **others})


def enter(entrance: Entrance[Factory], secret: str) -> Guest[Factory]:
    guest = entrance.enter(secret, address=HERE)
    assert guest is not None
    return guest


def test_a_secret_opens_the_desk_of_its_owner(town: Town, entrance: Entrance[Factory]) -> None:
    guest = enter(entrance, key(town)["secret"])
    assert (guest.desk.person.name, guest.key.project_name) == ("ines", "harbour")
    assert guest.may("models")
    assert not guest.may("upload", "detect")


def test_a_secret_is_256_bits_and_kept_by_its_sha256_alone(town: Town) -> None:
    made = key(town)
    assert len(made["secret"].removeprefix("casemate-")) == 43
    files = [path.read_bytes() for path in town.site.rglob("catalog.sqlite*")]
    assert not any(made["secret"].encode() in data for data in files)
    assert made["secret"] not in str(town.acting("ines").api_keys())


def test_a_key_has_the_ceiling_of_the_session_that_made_it(town: Town, entrance: Entrance[Factory]) -> None:
    guest = enter(entrance, key(town, "lea", ceiling="DR")["secret"])
    assert str(guest.desk.reader.ceiling) == "DR"
    assert str(guest.under("S").desk.reader.ceiling) == "DR"
    assert str(guest.under("NP").desk.reader.ceiling) == "NP"
    assert str(guest.top) == "DR"


def test_whoever_opens_it_under_a_ceiling_opens_no_more_than_that(town: Town) -> None:
    with town.acting("claire", ceiling="NP").entrance(address=HERE) as entrance:
        for key_of, ceiling in (("lea", None), ("ines", "DR")):
            assert str(enter(entrance, key(town, key_of, ceiling=ceiling)["secret"]).desk.reader.ceiling) == "NP"


def test_what_opens_nothing_is_answered_in_one_way(town: Town, entrance: Entrance[Factory], claire: Factory) -> None:
    revoked, expired = key(town), key(town, days=1)
    town.acting("ines").revoke_api_key(revoked["id"])
    assert isinstance(town.clock, Clock)
    town.clock.now += timedelta(days=1)
    for secret in ("", "casemate-", "\udcff", revoked["secret"], expired["secret"], "casemate-" + 43 * "A"):
        assert entrance.enter(secret, address=HERE) is None


def test_who_left_or_is_no_longer_in_the_project_or_is_cleared_lower_finds_so_at_once(
    town: Town, entrance: Entrance[Factory], claire: Factory
) -> None:
    secret = key(town, "lea")["secret"]
    assert str(enter(entrance, secret).desk.reader.clearance) == "S//FRA"
    lea = claire.view.person("lea")

    def change(person: Person) -> None:
        claire.catalog.change_person(person, by=claire.reader, sign=claire.sign)

    change(Person(**{**vars(lea), "clearance": claire.site.policy.parse_clearance("DR")}))
    assert str(enter(entrance, secret).desk.reader.clearance) == "DR//FRA"
    change(Person(**{**vars(lea), "active": False}))
    assert entrance.enter(secret, address=HERE) is None
    change(lea)
    members = claire.view.project("harbour").members
    claire.catalog.change_project("harbour", members=members - {"lea"}, by=claire.reader, sign=claire.sign)
    assert entrance.enter(secret, address=HERE) is None
    claire.catalog.change_project("harbour", members=members, by=claire.reader, sign=claire.sign)
    assert enter(entrance, secret)


def test_acts_are_signed_by_the_site_name_the_key_and_verify(
    town: Town, entrance: Entrance[Factory], claire: Factory
) -> None:
    made = key(town)
    with pytest.raises(Exception, match="nothing: expected an entry that you may read, found none"):
        enter(entrance, made["secret"]).desk.show("nothing")
    last = claire.view.journal(limit=1).lines[0]
    assert (last.act.actor, last.act.facts["apikey"]) == ("ines", made["id"])
    assert last.signature is not None
    assert last.signature["keyid"] not in {row.keyid for row in claire.view.people()}
    assert {row["verdict"] for row in claire.verify()} == {"ok"}


def test_a_line_signed_by_the_site_for_a_key_of_somebody_else_does_not_verify(tmp_path: Path) -> None:
    town = found(tmp_path)
    made = key(town, "lea")
    claire = town.acting("claire")
    with claire.entrance(address=HERE) as entrance:
        desk = enter(entrance, made["secret"]).desk
        ines = claire.view.person("ines").reader()
        claire.catalog.journal.append(ines, "look", "ports", facts={"apikey": made["id"]}, sign=desk.sign)
    row = next(row for row in claire.verify() if row["what"] == "journal signatures")
    assert row["verdict"] == "damaged"
    assert "signed by the site: expected lea, found ines" in row["detail"]


def test_nothing_that_wants_a_persons_or_an_officers_signature_is_had_through_a_key(
    town: Town, claire: Factory
) -> None:
    claire.add_project("desk", marking="NP", members=frozenset({"claire"}))
    with claire.entrance(address=HERE) as entrance:
        desk = enter(entrance, key(town, "claire", project="desk")["secret"]).desk
        with pytest.raises(NotAllowed, match="expected the officer whose key signs the site's policies, found claire"):
            desk.set_policy("gates", town.site / "policy" / "gates.toml", reason="mine")
        with pytest.raises(NotAllowed, match="expected the officer whose key signs the site's policies, found claire"):
            desk.add_person("eve", public_key=town.key("tom").with_name("tom.key.pub"), clearance="S")


def test_only_an_operator_or_an_officer_opens_the_entrance(town: Town) -> None:
    with (
        pytest.raises(NotAllowed, match="casemate serve: expected the role operator or officer, found author"),
        town.acting("ines").entrance(address=HERE),
    ):
        pass


def test_a_key_lasts_a_year_at_most(town: Town) -> None:
    with pytest.raises(BadInput, match="API key script: expected from 1 to 366 days, found 367"):
        key(town, days=367)


def test_a_newer_policy_of_markings_stops_the_entrance(tmp_path: Path) -> None:
    town = found(tmp_path)
    secret, claire = key(town)["secret"], town.acting("claire")
    with claire.entrance(address=HERE) as entrance:
        (tmp_path / "markings.toml").write_text(claire.site.policy.text + "\n")
        claire.set_policy("markings", tmp_path / "markings.toml", reason="a word more")
        with pytest.raises(Unavailable, match="start 'casemate serve' again"):
            entrance.enter(secret, address=HERE)


def test_a_thousand_wrong_secrets_are_two_lines_and_none_is_lost(town: Town, claire: Factory) -> None:
    before = claire.catalog.journal.head().count
    with claire.entrance(address=HERE) as entrance:
        for number in range(1000):
            assert entrance.enter(f"casemate-{number}", address="10.0.0.9") is None
    lines = claire.view.journal(limit=5).lines
    told = [line.act.reason for line in lines if line.act.verb == "apikey.enter"][:2]
    assert told == [f"expected an API key in force, found {count} that are not" for count in (999, 1)]
    assert claire.catalog.journal.head().count <= before + 5
    assert {row["verdict"] for row in claire.verify()} == {"ok"}


NOW = datetime.fromisoformat("2030-01-01T00:00:00+00:00")


def test_wrong_secrets_are_told_at_once_and_then_by_the_minute() -> None:
    knocks = Knocks()
    assert knocks.knock("a", "", now=NOW) == (Told("a", "", 1),)
    assert knocks.knock("a", "", now=NOW) == knocks.knock("a", "", now=NOW) == ()
    assert knocks.knock("b", "k", now=NOW + timedelta(minutes=1)) == (Told("a", "", 2), Told("b", "k", 1))
    assert knocks.rest() == ()


def test_only_so_many_addresses_are_kept() -> None:
    knocks = Knocks()
    for number in range(MOST_COUNTED + 50):
        knocks.knock(str(number), "", now=NOW)
    assert knocks.rest() == (Told("others", "", 49),)
