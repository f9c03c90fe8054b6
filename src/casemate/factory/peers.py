"""Other sites: which there are, what their officers' keys vouch for, and what passed on the channels to them.

Rules. A peer's officer's key is pinned by our officer; everything else of a peer is trusted because its trust file
says so, and of two such files the one with the higher serial counts, whenever it came. A channel is a peer, a direction
and a marking.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from casemate.airlock.bundle import BundleManifest, Head
from casemate.airlock.exchange import DIRECTIONS, Peer
from casemate.airlock.ledger import Link
from casemate.catalog import Entry, NewEntry
from casemate.errors import AboveCeiling, BadInput, BadSignature, NotAllowed
from casemate.factory.desk import Desk
from casemate.factory.members import change_policy
from casemate.factory.policies import SITE_PROJECT
from casemate.markings import Marking
from casemate.signing import Envelope, PublicKey, Trust, load_trust
from casemate.store import get_bytes, put_bytes

TRUST_STATEMENT = "trust.dsse.json"


def peers(desk: Desk) -> list[dict[str, Any]]:
    """The sites that the exchange policy names, with what passed on each channel that this person may see."""
    with desk.act("airlock.peers", "peers"):
        return [_row(desk, peer) for peer in desk.exchange_policy().peers]


def add_peer(
    desk: Desk, name: str, *, officer_key: Path, ceiling: str, directions: frozenset[str], reason: str
) -> dict[str, Any]:
    """Name another site in the exchange policy, or change what it says of it. Officers only."""
    with desk.act("airlock.peers.add", f"site {name}"):
        if name == desk.site.name:
            raise BadInput("peer", expected="another site than this one", found=name)
        if not directions <= set(DIRECTIONS):
            raise BadInput(f"peer {name}", expected=" or ".join(DIRECTIONS), found=", ".join(sorted(directions)))
        limit = desk.catalog.site.admit(desk.site.policy.parse(ceiling), thing=f"ceiling of {name}")
        public = PublicKey.from_json(officer_key.read_bytes(), thing=str(officer_key))
        changed = desk.exchange_policy().with_peer(Peer(name, public, directions, str(limit)))
        change_policy(desk, "exchange", changed.text, reason=reason)
        return _row(desk, changed.peer(name, min(directions)))


def remove_peer(desk: Desk, name: str, *, reason: str) -> dict[str, Any]:
    """Take another site out of the exchange policy: nothing more passes. Officers only."""
    with desk.act("airlock.peers.remove", f"site {name}"):
        changed = desk.exchange_policy().without_peer(name)
        change_policy(desk, "exchange", changed.text, reason=reason)
        return {"name": name, "directions": "", "ceiling": ""}


def require_within(desk: Desk, peer: Peer, marking: Marking, thing: str) -> None:
    """Refuse what is above the ceiling of a peer."""
    ceiling = desk.site.policy.parse(peer.ceiling)
    if not marking.within(ceiling):
        raise AboveCeiling(thing, expected=f"a marking within {ceiling}, the ceiling of {peer.name}", found=marking)


def channel(desk: Desk, peer: str, direction: str, marking: Marking) -> dict[int, Link]:
    """The bundles that passed between this site and `peer` on the channel of `marking`, by number."""
    passed = desk.view.passages(peer, direction, marking)
    return {passage.sequence: Link(passage.manifest, passage.previous) for passage in passed}


def passed(manifest: BundleManifest, direction: str) -> dict[str, Any]:
    """What the entry of a bundle says of it; `channel` is the marking that it was sealed at, for ever."""
    label = manifest.label
    return {
        "peer": label.destination if direction == "out" else label.source, "direction": direction,
        "sequence": label.sequence, "previous": label.previous, "manifest": manifest.digest.hex,
        "channel": label.marking,
    }  # fmt: skip


def bundles(desk: Desk, peer: str, direction: str) -> Iterator[Entry]:
    """The bundles that passed between this site and `peer`, newest first."""
    for entry in desk.view.walk(kind="bundle", project=SITE_PROJECT):
        if entry.facts["peer"] == peer and entry.facts["direction"] == direction and entry.facts.get("sequence"):
            yield entry


def known_trust(desk: Desk, peer: Peer) -> Trust | None:
    """The newest trust file of a peer that came here, if any did."""
    files = [e for e in desk.view.walk(kind="trust", project=SITE_PROJECT) if e.facts["site"] == peer.name]
    # One that an officer key signed which is no longer the peer's is history, not trust.
    files = [entry for entry in files if entry.facts["officer"] == peer.officer.keyid]
    if not files:
        return None
    newest = max(files, key=lambda entry: int(entry.facts["serial"]))
    return _load(get_bytes(desk.store, newest.digest), peer)


def offered(head: Head) -> bytes | None:
    """The trust file that comes with a bundle."""
    return head.statement(TRUST_STATEMENT)


def trust_of(desk: Desk, peer: Peer, offered: bytes | None) -> Trust:
    """The newer of the trust file that a peer offers now and the one that is known; BadSignature if neither holds."""
    known = known_trust(desk, peer)
    if offered is None:
        if known is None:
            thing = f"trust file of {peer.name}"
            raise BadSignature(thing, expected="one that comes along, or one known here", found="none")
        return known
    fresh = _load(offered, peer)
    return fresh if known is None or fresh.serial >= known.serial else known


def newer_trust(desk: Desk, peer: Peer, offered: bytes | None) -> list[NewEntry]:
    """The entry that keeps a trust file which is newer than what is known: none, or one."""
    if offered is None:
        return []
    fresh, known = _load(offered, peer), known_trust(desk, peer)
    if known is not None and fresh.serial <= known.serial:
        return []
    facts = {"site": peer.name, "serial": fresh.serial, "officer": peer.officer.keyid}
    digest = put_bytes(desk.store, offered)
    name = f"trust of {peer.name} {fresh.serial} ({digest.hex[:8]})"  # another officer's counts from 1 again
    return [NewEntry("trust", name, SITE_PROJECT, desk.site.policy.lowest, digest, facts=facts)]


def site_of(entry: Entry) -> str:
    """The other site where an entry was made; empty for one of this site."""
    origin = entry.facts.get("origin")  # an order to take a courier's folder has words there
    return str(origin["site"]) if isinstance(origin, dict) else ""


def keep_trust(desk: Desk, peer: Peer, offered: bytes | None) -> None:
    """Keep a trust file that is newer than what is known, whatever becomes of what it came with."""
    news = newer_trust(desk, peer, offered)
    if news:
        desk.catalog.register_all(news, by=desk.reader, sign=desk.sign)


def origin_trust(desk: Desk, entry: Entry) -> Trust:
    """The trust file that vouches for an entry: this site's, or that of the site where it was made."""
    name = site_of(entry)
    if not name:
        return desk.trust
    known = known_trust(desk, desk.exchange_policy().peer(name, "in"))
    if known is None:
        raise NotAllowed(f"{entry.kind} {entry.name}", expected=f"a trust file of {name}", found="none known here")
    return known


def _load(envelope: bytes, peer: Peer) -> Trust:
    text = Envelope.from_json(envelope, thing=f"trust file of {peer.name}").payload
    return load_trust(text, envelope, peer.officer)


def _row(desk: Desk, peer: Peer) -> dict[str, Any]:
    passed = {way: sorted({f"{e.facts['channel']} {e.facts['sequence']}" for e in bundles(desk, peer.name, way)})
              for way in DIRECTIONS}  # fmt: skip
    return {
        "name": peer.name, "directions": ", ".join(sorted(peer.directions)), "ceiling": peer.ceiling,
        "officer_keyid": peer.officer.keyid, "taken_in": passed["in"], "sent": passed["out"],
    }  # fmt: skip
