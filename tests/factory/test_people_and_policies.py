"""Who may act: keys, roles, policies, and what the journal says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from casemate.errors import (
    AboveCeiling,
    BadInput,
    BadSignature,
    NameTaken,
    NotAllowed,
    NotFound,
    WrongPassphrase,
)
from casemate.factory import Factory, init_site, new_key
from tests.factory.town import Town, found


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return found(tmp_path)


def test_who_acts_is_whose_key_is_unlocked_and_every_act_is_signed_by_it(town: Town) -> None:
    lines = town.acting("claire").journal(limit=100)
    assert {line["actor"] for line in lines} == {"claire"}
    assert all(line["signed_by"] == town.acting("claire").person.keyid for line in lines)


def test_without_a_key_nobody_is_anybody(town: Town) -> None:
    with pytest.raises(NotAllowed, match=r"session: expected your key .*, found none"):
        Factory.open(town.site, key=None, passphrase=lambda: b"")


def test_a_strangers_key_is_refused_and_the_journal_says_so(town: Town, tmp_path: Path) -> None:
    new_key(tmp_path / "eve.key", None)
    with pytest.raises(NotFound, match="expected the key of a person of this site, found none"):
        Factory.open(town.site, key=tmp_path / "eve.key", passphrase=lambda: b"", now=town.clock)
    assert town.acting("claire").journal()[-1]["verb"] == "session.open"
    assert "session.open" not in {line["verb"] for line in town.acting("ines").journal()}


def test_a_wrong_passphrase_opens_nothing(town: Town, tmp_path: Path) -> None:
    new_key(tmp_path / "safe.key", b"right")
    with pytest.raises(WrongPassphrase, match=r"safe\.key: expected its passphrase"):
        Factory.open(town.site, key=tmp_path / "safe.key", passphrase=lambda: b"wrong")


def test_only_the_officer_admits_people_lists_them_and_changes_policies(town: Town, tmp_path: Path) -> None:
    ines = town.acting("ines")
    policy = tmp_path / "gates.toml"
    policy.write_text(ines.policy_text("gates"))
    for act in (
        ines.people,
        lambda: ines.add_person("eve", public_key=tmp_path / "ines.key.pub", clearance="DR"),
        lambda: ines.add_project("p", marking="DR"),
        lambda: ines.set_policy("gates", policy, reason="easier"),
        lambda: ines.revoke_key("marc", reason="dislike"),
    ):
        with pytest.raises(NotAllowed, match="ines"):
            act()
    lines = [line for line in town.acting("claire").journal() if line["outcome"] == "refused"]
    assert {line["actor"] for line in lines} == {"ines"}
    refused = [line["verb"] for line in lines]
    assert refused == ["people.list", "person.add", "project.add", "policy.set", "key.revoke"]


def test_a_changed_policy_is_in_force_at_once_and_leaves_a_trace(town: Town, tmp_path: Path) -> None:
    policy = tmp_path / "gates.toml"
    policy.write_text(town.acting("claire").policy_text("gates").replace("0.60", "0.70"))
    town.acting("claire").set_policy("gates", policy, reason="stricter")
    assert town.acting("ines").policy_text("gates") == policy.read_text()
    assert (town.site / "policy" / "gates.toml").read_text() == policy.read_text()
    assert [line["reason"] for line in town.acting("ines").journal()][-1] == "stricter"


def test_an_older_policy_of_markings_put_back_is_refused(town: Town, tmp_path: Path) -> None:
    file = town.site / "policy" / "markings.dsse.json"
    older = file.read_bytes()
    policy = tmp_path / "markings.toml"
    policy.write_text(town.acting("claire").policy_text("markings") + "CHARLIE = { fr = 'C', en = 'C' }\n")
    town.acting("claire").set_policy("markings", policy, reason="new need-to-know")
    assert town.acting("claire").site.policy.parse("DR//CHARLIE")
    file.write_bytes(older)
    with pytest.raises(BadSignature, match="policy of markings: expected the latest registered"):
        town.acting("claire")


def test_a_policy_of_markings_that_the_officer_did_not_sign_is_refused(town: Town) -> None:
    file = town.site / "policy" / "markings.dsse.json"
    file.write_bytes((town.site / "policy" / "gates.dsse.json").read_bytes())
    with pytest.raises(BadSignature):
        town.acting("claire")


def test_another_officers_public_key_put_in_place_is_refused(town: Town, tmp_path: Path) -> None:
    (town.site / "officer.pub.json").write_bytes((tmp_path / "ines.key.pub").read_bytes())
    with pytest.raises(BadSignature, match=r"officer\.pub\.json: expected key [0-9a-f]{64} of site\.toml, found"):
        town.acting("claire")


def test_a_revoked_key_opens_no_session(town: Town) -> None:
    town.acting("claire").revoke_key("marc", reason="lost")
    with pytest.raises((BadSignature, NotAllowed), match="marc"):
        town.acting("marc")


def test_a_site_is_not_made_over_something_else(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "letter.txt").write_text("mine")
    new_key(tmp_path / "k", None)
    with pytest.raises(NameTaken, match="expected a new or empty folder, found a folder in use"):
        init_site(
            tmp_path / "site", name="x", policy="fr", ceiling="S", officer="o", officer_key=tmp_path / "k",
            passphrase=lambda _: b"",
        )  # fmt: skip
    assert [f.name for f in (tmp_path / "site").iterdir()] == ["letter.txt"]


def test_an_officer_below_the_ceiling_founds_nothing(tmp_path: Path) -> None:
    new_key(tmp_path / "k", None)
    with pytest.raises(AboveCeiling, match="clearance of o: expected one that covers the ceiling S, found DR"):
        init_site(
            tmp_path / "site", name="x", policy="fr", ceiling="S", officer="o", officer_key=tmp_path / "k",
            passphrase=lambda _: b"", clearance="DR",
        )  # fmt: skip
    assert not (tmp_path / "site").exists()


def test_a_folder_without_a_site_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="'casemate init' makes one"):
        Factory.open(tmp_path, key=None, passphrase=lambda: b"")


def test_an_unknown_setting_is_an_error(town: Town) -> None:
    file = town.site / "site.toml"
    file.write_text("surprise = 1\n" + file.read_text())
    with pytest.raises(BadInput, match="surprise"):
        town.acting("claire")


def test_a_session_ceiling_hides_what_is_above_it(town: Town) -> None:
    town.acting("claire").add_project("secret-works", marking="S")
    low = town.acting("claire", ceiling="DR")
    assert [p["name"] for p in low.projects()] == ["harbour", "site"]
