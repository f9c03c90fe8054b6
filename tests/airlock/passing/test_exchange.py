"""The policy of exchange: strict, never fewer than two people, peers by their officer's key."""

from __future__ import annotations

import pytest

from casemate.airlock.exchange import ExchangePolicy, Peer, load_exchange, sign_exchange
from casemate.errors import BadInput, BadSignature, NotAllowed
from tests.gates.conftest import pen_of

SHIPPED = ExchangePolicy.shipped()
DEPOT = Peer("depot", pen_of("depot's officer").public, frozenset({"out"}), "DR")
MILL = Peer("mill 2", pen_of("mill's officer").public, frozenset({"in", "out"}), "S//SPÉCIAL FRANCE")


def test_a_new_site_asks_for_two_people_and_knows_no_other_site() -> None:
    assert set(SHIPPED.required.values()) == {(("officer", 1), ("sponsor", 1))}
    assert (SHIPPED.local_import, SHIPPED.peers, SHIPPED.inspection.antivirus) == (True, (), None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sponsor = 1\nofficer = 1", "sponsor = 1\nofficer = 0", "exchange policy in: expected at least 2 people"),
        ("sponsor = 1\nofficer = 1", "sponsor = 3\nofficer = -1", "exchange policy in: expected at least 2 people"),
        (
            "sponsor = 1\nofficer = 1",
            "king = 2",
            "exchange policy in: expected roles among sponsor, officer, found king",
        ),
        ("import = true", "imports = true", "exchange policy local.import: expected a value, found none"),
        ("import = true", 'import = "yes"', "exchange policy local.import: expected Input should be a valid boolean"),
        (
            "refuse = []",
            'refuse = ["macros"]',
            "exchange policy inspection.refuse.0: expected Input should be 'secret'",
        ),
        ("[lower]", "[lower", "exchange policy: expected TOML, found"),
        ("casemate-exchange/1", "casemate-exchange/2", "exchange policy format: expected"),
        ('name = "default"', 'name = "default"\nverify = false', "exchange policy verify: expected no such key"),
    ],
)
def test_a_slip_of_the_pen_opens_nothing(old: str, new: str, message: str) -> None:
    with pytest.raises(BadInput) as refused:
        ExchangePolicy.from_toml(SHIPPED.text.replace(old, new, 1))
    assert str(refused.value).startswith(message)


def test_peers_are_written_and_read_back_and_nothing_else_changes() -> None:
    both = SHIPPED.with_peer(DEPOT).with_peer(MILL)
    assert both.peers == (DEPOT, MILL)
    assert ExchangePolicy.from_toml(both.text) == both
    lower = both.with_peer(Peer("depot", DEPOT.officer, frozenset({"out"}), "NP"))
    assert {peer.name: peer.ceiling for peer in lower.peers} == {"depot": "NP", "mill 2": "S//SPÉCIAL FRANCE"}
    assert both.without_peer("mill 2").without_peer("depot").peers == ()
    with pytest.raises(BadInput, match="peer nobody: expected a peer of the exchange policy, found depot, mill 2"):
        both.without_peer("nobody")


def test_things_go_only_the_ways_that_are_named() -> None:
    policy = SHIPPED.with_peer(DEPOT).with_peer(MILL)
    assert policy.peer("mill 2", "in") == MILL
    with pytest.raises(NotAllowed) as refused:
        policy.peer("depot", "in")
    assert str(refused.value) == (
        "site depot: expected a site that the exchange policy names for direction 'in', found depot (mill 2)"
    )
    with pytest.raises(NotAllowed, match=r"found nowhere \(none named\)"):
        SHIPPED.peer("nowhere", "out")


def test_two_peers_share_neither_name_nor_key() -> None:
    twin = Peer("twin", DEPOT.officer, frozenset({"in"}), "NP")
    with pytest.raises(BadSignature, match="expected each peer and each key once, found depot, twin"):
        SHIPPED.with_peer(DEPOT).with_peer(twin)


def test_a_key_that_is_not_the_one_of_its_id_is_refused() -> None:
    text = SHIPPED.with_peer(DEPOT).text.replace(DEPOT.officer.keyid, MILL.officer.keyid)
    with pytest.raises(BadInput, match=f"exchange policy peer depot keyid: expected {DEPOT.officer.keyid}"):
        ExchangePolicy.from_toml(text)


def test_a_setting_after_the_peers_is_not_lost_in_silence() -> None:
    text = SHIPPED.with_peer(DEPOT).text.replace("[local]\nimport = true\n", "") + "\n[local]\nimport = false\n"
    policy = ExchangePolicy.from_toml(text)
    assert not policy.local_import
    with pytest.raises(BadInput, match=r"exchange policy local: expected a value, found none"):
        policy.with_peer(MILL)


def test_only_the_officer_vouches_for_it() -> None:
    envelope = sign_exchange(SHIPPED, pen_of("claire"))
    assert load_exchange(envelope, pen_of("claire").public) == SHIPPED
    with pytest.raises(BadSignature, match="exchange policy signer: expected a trusted key"):
        load_exchange(envelope, pen_of("ines").public)
