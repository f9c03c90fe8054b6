"""The airlock attacked: by a peer whose key we trust, by people cleared too low, by insiders, by a stale order."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from casemate.airlock.bundle import Carried, Label, read_head
from casemate.airlock.bundle import seal as seal_bundle
from casemate.catalog import NewEntry
from casemate.errors import (
    AboveCeiling,
    AirlockClosed,
    BadInput,
    BadMarking,
    BadSignature,
    CasemateError,
    Forked,
    NameTaken,
    NotAllowed,
    NotFound,
    NotTrusted,
    Unavailable,
)
from casemate.factory import locks, peers, policies
from casemate.factory.desk import Desk, utc_now
from casemate.factory.members import _trust
from casemate.gates.pen import unlock
from casemate.signing import Trust
from casemate.signing.trust import TRUST_TYPE
from casemate.store import Digest, put_bytes, put_folder
from tests.factory.test_airlock import sent, taken
from tests.factory.town import PEOPLE, Town, decided, found, introduce
from tests.modalities.imagery.scenes import write_set

FORT = {**PEOPLE, "odile": ("S//FRA", {"officer"})}


@dataclass
class Mallory:
    """Whoever holds the key of the site `port`, and says in its bundles what they like."""

    port: Town
    fort: Town

    @property
    def desk(self) -> Desk:
        return self.port.acting("claire")

    def entry(self, folder: Path, text: str = "harmless", **said: Any) -> Carried:
        """Documents; anything about them may be said otherwise."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "note.txt").write_text(f"{text}\n")
        digest = put_folder(self.desk.store, folder).digest
        whole = Carried(
            self.desk.catalog.new_id(), "documents", f"notes {self.desk.catalog.new_id()[:6]}", "theirs", "DR", digest,
            "manifest", "mallory", "2030-01-01T00:00:00Z", {"modality": "language"},
        )  # fmt: skip
        return replace(whole, **said)

    def bundle(self, into: Path, *entries: Carried, marking: str = "DR", key: Path | None = None, **label: Any) -> Path:
        """A bundle with the next number, signed as this site signs."""
        desk, ours = self.desk, self.fort.acting("lea")
        passed = ours.view.passages("port", "in", ours.site.policy.parse(marking))
        number, previous = (passed[-1].sequence + 1, passed[-1].manifest) if passed else (1, "")
        whole = Label("port", "fort", marking, number, previous, "2030-01-01T00:00:00Z")
        trust = policies.envelope_of(desk.store, policies.latest(desk.view, "trust"))
        seal_bundle(
            desk.store, replace(whole, **label), entries, into, unlock(key or desk.site.site_key, None),
            statements={peers.TRUST_STATEMENT: trust},
        )  # fmt: skip
        return into

    def offers(self, into: Path, *entries: Carried, **label: Any) -> dict[str, Any]:
        """What becomes of such a bundle when it is brought to the fort."""
        bundle = self.bundle(into, *entries, **label)
        return self.fort.acting("ines").take_bundle(bundle, project="harbour", reason="they sent it")


@pytest.fixture(scope="module")
def mallory(tmp_path_factory: pytest.TempPathFactory) -> Mallory:
    root = tmp_path_factory.mktemp("towns")
    port = found(root / "port", clock=utc_now)
    fort = found(root / "fort", clock=utc_now, name="fort", people=FORT)
    introduce(port, fort, names=("port", "fort"))
    fort.acting("claire").add_project("open", marking="NP", members=frozenset({"ines", "lea", "paul"}))
    return Mallory(port, fort)


def kept(town: Town, root: Path, name: str, *, by: str = "ines", marking: str = "DR", **how: Any) -> str:
    """Documents that are here already, by their identifier."""
    desk = town.acting(by)
    root.mkdir(parents=True)
    (root / "note.txt").write_text(how.pop("text", name) + "\n")
    new = NewEntry(
        how.pop("kind", "documents"), name, how.pop("project", "harbour"), desk.site.policy.parse(marking),
        put_folder(desk.store, root).digest, **how,
    )  # fmt: skip
    return desk.catalog.register(new, by=desk.reader, sign=desk.sign).id


# ── A hostile peer ───────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("kind", ["policy", "trust", "order", "bundle", "receipt", "spill", "lowering", "recall", "x"])
def test_what_a_site_keeps_to_itself_does_not_come_in(mallory: Mallory, tmp_path: Path, kind: str) -> None:
    facts = {"policy": "trust", "serial": 10**9, "site": "port", "direction": "out", "release": "x"}
    forged = mallory.entry(tmp_path / "f", kind=kind, name="forged", facts=facts)
    with pytest.raises(BadInput, match=f"{kind} forged: expected an entry of kind dataset, .*, found {kind}"):
        mallory.offers(tmp_path / "b", forged)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"name": "up\x1b[2Jdown"}, r"name of documents: expected printable characters other than /"),
        ({"name": "a/b"}, "name of documents: expected printable characters other than /"),
        ({"name": "e\u0301"}, "expected text in normal form C, found another form"),
        ({"name": "a" * 201}, "name of documents: expected 1 to 200 characters"),
        ({"author": "claire\n2030 claire approved"}, "words of documents .*: expected printable text on one line"),
        ({"shape": "single"}, "shape of documents .*: expected manifest, found single"),
        ({"id": "../../etc"}, "identifiers of documents .*: expected 26 characters among a-z and 2-7"),
        ({"marking": "S"}, "marking of documents .*: expected one within DR, the bundle's, found S"),
        ({"marking": "DR//GAMMA"}, "GAMMA"),
    ],
)
def test_a_malformed_entry_is_refused_before_anything_is_copied(
    mallory: Mallory, tmp_path: Path, said: dict[str, Any], message: str
) -> None:
    with pytest.raises((BadInput, BadMarking), match=message):
        mallory.offers(tmp_path / "b", mallory.entry(tmp_path / "f", **said))
    assert not list((mallory.fort.site / "receiving").glob("*/*"))


def test_entries_that_are_one_another_or_made_from_themselves_are_refused(mallory: Mallory, tmp_path: Path) -> None:
    one = mallory.entry(tmp_path / "1")
    with pytest.raises(BadInput, match="expected at least one entry, found none"):
        mallory.offers(tmp_path / "none")
    with pytest.raises(BadInput, match="expected each identifier once, found one of them twice"):
        mallory.offers(tmp_path / "twice", one, replace(one, name="other"))
    two = mallory.entry(tmp_path / "2", parents=(one.id,))
    with pytest.raises(BadInput, match="expected each made from others before it"):
        mallory.offers(tmp_path / "circle", replace(one, parents=(two.id,)), two)
    with pytest.raises(BadInput, match="expected each made from others before it"):
        mallory.offers(tmp_path / "own", replace(one, parents=(one.id,)))
    with pytest.raises(BadInput, match="expected each parent once, found one of them twice"):
        mallory.offers(tmp_path / "parents", one, replace(two, parents=(one.id, one.id)))


@pytest.mark.parametrize("sequence", [20_000, 2**63, 10**30])
def test_a_number_far_ahead_is_refused_and_not_counted_up_to(mallory: Mallory, tmp_path: Path, sequence: int) -> None:
    with pytest.raises(Forked, match=r"expected a number up to 100\d\d, found one that leaves a greater gap"):
        mallory.offers(tmp_path / "b", mallory.entry(tmp_path / "f"), sequence=sequence, previous="0" * 64)


def test_a_peers_words_never_speak_of_our_things(mallory: Mallory, tmp_path: Path) -> None:
    """It learnt an identifier and digests of ours; nothing of ours goes along with what it sent when that goes on."""
    fort = mallory.fort
    ours, secret = kept(fort, tmp_path / "ours", "ours"), put_bytes(fort.acting("lea").store, b"the secret berth")
    facts = {"modality": "language", "plan": str(secret), "run": ours, "model": ours, "order": ours, "words": "kept"}
    there = mallory.offers(tmp_path / "b", mallory.entry(tmp_path / "f", facts=facts, parents=(ours,), name="hollow"))
    decided(fort, there["id"])
    made = fort.acting("ines").carry_out(there["id"])[0]
    assert {key for key in made["facts"] if key in facts} == {"modality", "words"}
    assert ours not in json.dumps(fort.acting("ines").lineage(made["id"]))
    sent(fort, tmp_path / "back", made["id"], to="port")
    assert secret.hex not in (tmp_path / "back" / "objects.jsonl").read_text()


def test_a_withdrawal_or_release_that_its_site_did_not_sign_is_refused(mallory: Mallory, tmp_path: Path) -> None:
    evil = tmp_path / "f"
    evil.mkdir()
    (evil / "report.json").write_text("{}\n")
    digest = put_folder(mallory.desk.store, evil).digest
    fake = mallory.entry(tmp_path / "x", kind="release", name="fake", digest=digest)
    with pytest.raises(BadInput, match=r"release fake: expected a file release\.dsse\.json, found none"):
        mallory.offers(tmp_path / "b", fake)
    pen = unlock(mallory.port.key("ines"), None)  # a key of the port, but neither its site's nor its officer's
    digest = put_bytes(mallory.desk.store, pen.sign_bytes("application/vnd.in-toto+json", b"{}\n").to_json())
    with pytest.raises(CasemateError, match="revocation"):
        mallory.offers(
            tmp_path / "r", mallory.entry(tmp_path / "y", kind="revocation", shape="single", name="no", digest=digest)
        )


def test_a_peer_cannot_have_our_release_thought_withdrawn(mallory: Mallory, tmp_path: Path) -> None:
    from casemate.factory.spills import Reach, _in_force

    fort = mallory.fort
    release = kept(fort, tmp_path / "r", "ours", kind="release")
    lea = fort.acting("lea")
    theirs = NewEntry(
        "revocation", "forged", "site", lea.site.policy.parse("DR"), put_bytes(lea.store, b"{}"),
        facts={"release": release, "origin": {"site": "port", "id": "x"}},
    )  # fmt: skip
    claire = fort.acting("claire")
    claire.catalog.register(theirs, by=claire.reader)
    entry = lea.view.get(release)
    assert _in_force(lea, Reach((entry,), ())) == [entry]


def test_a_newer_trust_file_is_kept_though_its_bundle_is_refused(tmp_path: Path) -> None:
    port, fort = found(tmp_path / "port", clock=utc_now), found(tmp_path / "fort", clock=utc_now, name="fort")
    introduce(port, fort, names=("port", "fort"))
    thief = Mallory(port, fort)
    stolen = (tmp_path / "stolen.key", port.site / "keys" / "site.key")
    stolen[0].write_bytes(stolen[1].read_bytes())
    old = thief.bundle(tmp_path / "signed with a stolen key", thief.entry(tmp_path / "f"))
    claire = port.acting("claire")
    keys = tuple(replace(key, revoked=key.name == "site") for key in claire.trust.keys)
    officer = next(key for key in keys if key.name == "claire")
    _trust(claire, Trust(keys, claire.trust.serial + 1), "the site's key was stolen")
    assert "officer" in officer.roles
    bad = thief.entry(tmp_path / "g", kind="policy")
    with pytest.raises(BadInput, match="expected an entry of kind"):
        thief.offers(tmp_path / "warning", bad, key=port.key("claire"))
    with pytest.raises(BadSignature, match="expected a key in force, found a revoked key"):
        fort.acting("ines").take_bundle(old, project="harbour", reason="from the thief")


@pytest.mark.parametrize(
    "text",
    [b"serial = 1" + b"0" * 5000, b"x = " + b"[" * 100_000, b"\xff", b"x = 1", b""],
    ids=["number", "nesting", "bytes", "other", "empty"],
)
def test_a_trust_file_that_is_none_is_a_clear_no(mallory: Mallory, text: bytes) -> None:
    signed = mallory.desk.pen.sign_bytes(TRUST_TYPE, text).to_json()
    ines = mallory.fort.acting("ines")
    with pytest.raises(BadInput, match="trust file"):
        peers.trust_of(ines, ines.exchange_policy().peer("port", "in"), signed)


def test_what_was_decided_is_held_against_policy_and_trust_as_they_are_when_it_is_taken(tmp_path: Path) -> None:
    port, fort = found(tmp_path / "port", clock=utc_now), found(tmp_path / "fort", clock=utc_now, name="fort")
    introduce(port, fort, names=("port", "fort"))
    peer = Mallory(port, fort)
    row = peer.offers(tmp_path / "b", peer.entry(tmp_path / "f"))
    decided(fort, row["id"])
    officer = port.key("claire").with_name("claire.key.pub")
    both = frozenset({"in", "out"})
    fort.acting("claire").add_peer("port", officer_key=officer, ceiling="NP", directions=both, reason="less trusted")
    with pytest.raises(AboveCeiling, match="bundle 1 of port: expected a marking within NP, the ceiling of port"):
        fort.acting("ines").carry_out(row["id"])
    fort.acting("claire").add_peer("port", officer_key=officer, ceiling="DR", directions=both, reason="again")
    claire = port.acting("claire")
    keys = tuple(replace(key, revoked=key.name == "site") for key in claire.trust.keys)
    _trust(claire, Trust(keys, claire.trust.serial + 1), "the site's key was stolen")
    ines = fort.acting("ines")
    peers.keep_trust(ines, ines.exchange_policy().peer("port", "in"), _trust_of(port))
    with pytest.raises(BadSignature, match="expected a key in force, found a revoked key"):
        fort.acting("ines").carry_out(row["id"])
    assert fort.acting("ines").entries(kind="documents") == []


def _trust_of(town: Town) -> bytes:
    claire = town.acting("claire")
    return policies.envelope_of(claire.store, policies.latest(claire.view, "trust"))


def test_a_refusal_tells_the_peer_nothing_of_us(mallory: Mallory, tmp_path: Path) -> None:
    fort, bundle = mallory.fort, mallory.bundle(tmp_path / "b", mallory.entry(tmp_path / "f"))
    before = len(fort.acting("lea").receipts())
    with pytest.raises(CasemateError, match="reason: expected at most 4000 characters"):
        fort.acting("ines").take_bundle(bundle, project="harbour", reason="operation needle " * 400)
    assert len(fort.acting("lea").receipts()) == before


def test_a_receipt_for_what_was_never_sent_or_by_another_key_is_refused(mallory: Mallory, tmp_path: Path) -> None:
    from casemate.airlock.receipts import Receipt

    port, fort = mallory.port, mallory.fort
    kept(fort, tmp_path / "d", "to be sent")
    sealed = sent(fort, tmp_path / "b", "to be sent", to="port")
    hex_ = Digest.parse(sealed["manifest"]).hex
    receipt = Receipt(hex_, "fort", "port", "DR", sealed["sequence"], "taken", "", {}, (), utc_now())
    folder = tmp_path / "receipts"
    folder.mkdir()
    (folder / "trust.dsse.json").write_bytes(_trust_of(port))
    file = folder / "receipt-1.dsse.json"
    pen = unlock(port.site / "keys" / "site.key", None)
    for wrong in ({"manifest": "0" * 64}, {"sequence": 99}, {"marking": "NP"}, {"sender": "x"}, {"by": "x"}):
        file.write_bytes(pen.sign(replace(receipt, **wrong).statement()).to_json())  # type: ignore[arg-type]
        with pytest.raises((NotFound, BadSignature), match=r"receipt-1\.dsse\.json: expected a receipt for"):
            fort.acting("ines").read_receipts(folder)
    for other in (unlock(port.key("ines"), None), unlock(fort.site / "keys" / "site.key", None)):
        file.write_bytes(other.sign(receipt.statement()).to_json())
        with pytest.raises(BadSignature):
            fort.acting("ines").read_receipts(folder)
    assert [r["outcome"] for r in fort.acting("ines").receipts() if r["manifest"] == hex_] == [""]


def test_scores_of_a_peer_open_no_gate_here(mallory: Mallory, tmp_path: Path) -> None:
    lea = mallory.fort.acting("lea")
    facts = {"model": "x", "origin": {"site": "port", "id": "y"}}
    kept(mallory.fort, tmp_path / "r", "their scores", kind="report", facts=facts)
    for act in (
        lambda: lea.approve("their scores", reason="so they say"),
        lambda: lea.release("their scores", name="by hearsay"),
        lambda: lea.judge_again("their scores", name="again"),
    ):
        with pytest.raises(NotAllowed, match="expected a report of an evaluation on this site, found one of port"):
            act()


def test_a_peer_does_not_say_how_much_is_in_a_data_set(mallory: Mallory, tmp_path: Path) -> None:
    ines = mallory.port.acting("ines")
    ports = write_set(tmp_path / "ports", scenes=1, seed=1)
    there = ines.import_dataset(ports, name="counted", marking="DR", project="harbour")
    facts = {**there["facts"], "images": "many", "boxes": -1, "labels": [], "licence": "theirs"}
    forged = mallory.entry(
        tmp_path / "f", kind="dataset", name="counted", digest=Digest.parse(there["digest"]), facts=facts
    )
    row = mallory.offers(tmp_path / "b", forged)
    decided(mallory.fort, row["id"])
    made = mallory.fort.acting("ines").carry_out(row["id"])[0]
    counted = {key: there["facts"][key] for key in ("images", "boxes", "labels")}
    assert {key: made["facts"][key] for key in counted} == counted
    assert made["facts"]["licence"] == "theirs"


@pytest.mark.parametrize("what", ["pipe", "link", "sparse"])
def test_statements_on_a_couriers_disk_are_regular_files_of_bounded_size(
    mallory: Mallory, tmp_path: Path, what: str
) -> None:
    file = tmp_path / "receipt-1.dsse.json"
    if what == "pipe":
        os.mkfifo(file)
    elif what == "link":
        file.symlink_to("/dev/zero")
    else:
        with file.open("wb") as stream:
            stream.truncate(1 << 40)
    for read in (mallory.fort.acting("ines").read_receipts, mallory.fort.acting("ines").notice):
        with pytest.raises(BadInput, match=r"receipt-1\.dsse\.json: expected (a regular file|at most \d+ bytes)"):
            read(file)


# ── Somebody cleared too low ─────────────────────────────────────────────────────────────────────────────────────────
def test_the_reason_of_a_high_order_is_not_told_low(mallory: Mallory, tmp_path: Path) -> None:
    """A bundle at DR with an entry at NP: whoever reads only the entry learns nothing of why it came."""
    fort = mallory.fort
    low = mallory.entry(tmp_path / "low", marking="NP", name="low notes")
    bundle = mallory.bundle(tmp_path / "b", low, mallory.entry(tmp_path / "high"))
    row = fort.acting("ines").take_bundle(bundle, project="open", reason="operation needle")
    decided(fort, row["id"])
    fort.acting("ines").carry_out(row["id"])
    tom = fort.acting("tom")
    assert "low notes" in {entry["name"] for entry in tom.entries()}
    assert "needle" not in json.dumps(tom.journal(limit=1000)) + json.dumps(tom.entries())
    assert tom.waiting(everything=True) == []


def test_who_may_not_bring_a_bundle_does_not_learn_that_somebody_does(mallory: Mallory, tmp_path: Path) -> None:
    fort, bundle = mallory.fort, mallory.bundle(tmp_path / "b", mallory.entry(tmp_path / "f"))
    with locks.alone(fort.site / "channels", f"bundle\n{read_head(bundle).digest}"):
        with pytest.raises(Unavailable, match="expected nobody who receives it now"):
            fort.acting("ines").take_bundle(bundle, project="open", reason="?")
        with pytest.raises(NotAllowed, match="expected a marking that ines may read"):
            fort.acting("ines", ceiling="NP").take_bundle(bundle, project="open", reason="?")


def test_a_lowered_copy_leaves_for_a_peer_without_the_name_of_its_original(mallory: Mallory, tmp_path: Path) -> None:
    fort = mallory.fort
    original = kept(fort, tmp_path / "s", "sonar", by="lea", marking="S", facts={"model": "a" * 26, "words": "kept"})
    order = fort.acting("lea").ask_lower("sonar", marking="DR", project="harbour", reason="a part of it is not secret")
    decided(fort, order["id"])
    copy = fort.acting("odile").carry_out(order["id"])[0]
    assert copy["facts"] == {"words": "kept"}
    out = fort.acting("lea").ask_out([copy["id"]], to="port", reason="exercise")
    decided(fort, out["id"])
    fort.acting("lea").seal(out["id"], tmp_path / "b")
    told = (tmp_path / "b" / "manifest.json").read_text()
    assert copy["id"] in told
    assert original not in told


def test_only_content_is_lowered(mallory: Mallory, tmp_path: Path) -> None:
    fort = mallory.fort
    kept(fort, tmp_path / "d", "above", by="lea", marking="S")
    order = fort.acting("lea").ask_lower("above", marking="DR", project="harbour", reason="?")
    with pytest.raises(BadInput, match=r"order lower: .*: expected a dataset, .*software, found order"):
        fort.acting("claire").ask_lower(order["id"], marking="NP", project="site", reason="for all to read")


def test_what_a_spill_raises_is_not_told_by_the_order_that_brought_it(mallory: Mallory, tmp_path: Path) -> None:
    fort = mallory.fort
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / "berths.txt").write_text("a list of berths\n")
    how = {"kind": "documents", "project": "harbour", "marking": "DR", "reason": "survey", "modality": "language"}
    row = fort.acting("ines").take_folder(stick, name="berths", **how)
    decided(fort, row["id"])
    made = fort.acting("ines").carry_out(row["id"])[0]
    fort.acting("claire").spill(made["id"], raise_to="S", reason="secret", into=tmp_path / "spill")
    ines = fort.acting("ines")
    assert "berths" not in json.dumps([ines.waiting(everything=True), ines.entries(), ines.journal(limit=1000)])
    with pytest.raises(NotFound):
        ines.order_reports(row["id"], tmp_path / "reports")
    with pytest.raises(NotFound):
        ines.carry_out(row["id"])
    again = ines.take_folder(stick, name="berths", **how)
    with pytest.raises(AirlockClosed, match=r"expected content that is not here above DR .*, found documents"):
        fort.acting("paul").decide(again["id"], reason="it looks harmless")
    fort.acting("paul").decide(again["id"], reason="it is here, and secret", refuse=True)
    damaged = [row["what"] for row in fort.acting("claire").verify() if row["verdict"] != "ok"]
    assert damaged in ([], ["release ours"])  # which another test forged


# ── An insider ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_decision_opens_no_other_order(mallory: Mallory, tmp_path: Path) -> None:
    fort = mallory.fort
    kept(fort, tmp_path / "1", "first of two")
    kept(fort, tmp_path / "2", "second of two")
    one, two = (
        fort.acting("ines").ask_out([name], to="port", reason="?") for name in ("first of two", "second of two")
    )
    decided(fort, one["id"])
    lea = fort.acting("lea")
    for given in [e for e in lea.view.walk(kind="approval") if e.facts.get("order") == one["id"]]:
        facts = {**given.facts, "order": two["id"]}
        forged = NewEntry("approval", f"{given.name} too", "site", given.marking, given.digest, (two["id"],), facts)
        who = fort.acting(given.author)
        who.catalog.register(forged, by=who.reader)
    with pytest.raises(BadSignature, match=r"decision by \w+: order: expected sha256:[0-9a-f]{64}, found sha256:"):
        fort.acting("ines").seal(two["id"], tmp_path / "b")


def test_who_made_it_decides_neither_on_it_nor_on_a_lowered_copy(mallory: Mallory, tmp_path: Path) -> None:
    fort = mallory.fort
    kept(fort, tmp_path / "s", "by paul", by="paul", marking="S")
    order = fort.acting("lea").ask_lower("by paul", marking="DR", project="harbour", reason="?")
    with pytest.raises(NotAllowed, match="decision by paul: expected somebody other than the author"):
        fort.acting("paul").decide(order["id"], reason="mine")
    people = {"second": ("S//FRA", {"sponsor"})}
    _join(fort, people)
    for name in ("second", "claire"):
        fort.acting(name).decide(order["id"], reason="read")
    copy = fort.acting("claire").carry_out(order["id"])[0]
    out = fort.acting("ines").ask_out([copy["id"]], to="port", reason="?")
    with pytest.raises(NotAllowed, match="found the author of what it is a copy of"):
        fort.acting("paul").decide(out["id"], reason="mine, under another name")


def _join(town: Town, people: Mapping[str, tuple[str, set[str]]]) -> None:
    from casemate.factory import new_key

    for name, (clearance, roles) in people.items():
        new_key(town.key(name), None)
        public = town.key(name).with_name(f"{name}.key.pub")
        town.acting("claire").add_person(name, public_key=public, clearance=clearance, roles=frozenset(roles))


def test_who_made_it_at_the_peer_does_not_let_it_in_here(mallory: Mallory, tmp_path: Path) -> None:
    row = mallory.offers(tmp_path / "b", mallory.entry(tmp_path / "f", author="paul"))
    with pytest.raises(NotAllowed, match="decision by paul: expected somebody other than the author"):
        mallory.fort.acting("paul").decide(row["id"], reason="mine")


def test_nobody_lowers_what_they_got_by_importing_it_again(mallory: Mallory, tmp_path: Path) -> None:
    lea = mallory.fort.acting("lea")
    harbour = write_set(tmp_path / "set", scenes=1, seed=7)
    lea.import_dataset(harbour, name="harbour at night", marking="S", project="harbour")
    with pytest.raises(AirlockClosed, match=r"dataset again: expected content that is not here above DR .*, found"):
        lea.import_dataset(harbour, name="again", marking="DR", project="harbour")
    low = mallory.fort.acting("ines").import_dataset(harbour, name="again", marking="DR", project="harbour")
    assert low["marking"] == "DR"  # who does not see the other learns nothing of it


def test_a_mind_changed_twice_is_signed_three_times(mallory: Mallory, tmp_path: Path) -> None:
    fort = mallory.fort
    kept(fort, tmp_path / "d", "pondered")
    order = fort.acting("ines").ask_out(["pondered"], to="port", reason="?")["id"]
    for refuse, state in ((False, "waiting"), (True, "refused"), (False, "waiting"), (True, "refused")):
        assert fort.acting("claire").decide(order, reason="well", refuse=refuse)["state"] == state


def test_a_revoked_key_decides_nothing_any_more(tmp_path: Path) -> None:
    fort = found(tmp_path / "fort", clock=utc_now, name="fort", people=FORT)
    introduce(found(tmp_path / "port", clock=utc_now), fort, names=("port", "fort"))
    kept(fort, tmp_path / "d", "notes")
    order = fort.acting("ines").ask_out(["notes"], to="port", reason="?")["id"]
    decided(fort, order)
    fort.acting("claire").revoke_key("paul", reason="stolen")
    with pytest.raises(BadSignature, match="decision by paul: expected a key in force, found a revoked key"):
        fort.acting("ines").seal(order, tmp_path / "b")


def test_a_sealed_bundle_whose_content_was_raised_is_not_sent_over_a_diode(mallory: Mallory, tmp_path: Path) -> None:
    fort = mallory.fort
    kept(fort, tmp_path / "d", "sealed before the spill")
    sent(fort, tmp_path / "b", "sealed before the spill", to="port")
    fort.acting("claire").spill("sealed before the spill", raise_to="S", reason="?", into=tmp_path / "spill")
    (tmp_path / "drop").mkdir()
    with pytest.raises(NotAllowed, match="expected a bundle that this site sealed, found none on record"):
        fort.acting("ines").diode_drop(tmp_path / "b", tmp_path / "drop")
    with pytest.raises(AboveCeiling, match="expected a marking within DR, the ceiling of port, found S"):
        fort.acting("lea").diode_drop(tmp_path / "b", tmp_path / "drop")
    assert list((tmp_path / "drop").iterdir()) == []


def test_a_stale_order_undoes_no_later_spill(mallory: Mallory, tmp_path: Path) -> None:
    fort = mallory.fort
    notes = kept(fort, tmp_path / "d", "twice spilled")
    first = fort.acting("claire").spill(notes, raise_to="S", reason="?", into=tmp_path / "1")["spill"]
    undo, stale = (fort.acting("claire").ask_restore(first, reason=f"a mistake, {n}") for n in (1, 2))
    for name in ("paul", "odile"):
        for order in (undo, stale):
            fort.acting(name).decide(order["id"], reason="read")
    fort.acting("odile").carry_out(undo["id"])
    assert fort.acting("ines").show(notes)["marking"] == "DR"
    undone = next(e for e in fort.acting("lea").entries(kind="spill") if "restored" in e["facts"])
    with pytest.raises(BadInput, match="expected a spill that raised markings, found the undoing of one"):
        fort.acting("claire").ask_restore(undone["id"], reason="?")
    fort.acting("claire").spill(notes, raise_to="S", reason="this time it is true", into=tmp_path / "2")
    fort.acting("odile").carry_out(stale["id"])
    with pytest.raises(NotFound):
        fort.acting("ines").show(notes)
    assert fort.acting("lea").show(notes)["marking"] == "S"


def test_a_bundle_is_sealed_again_as_it_was_though_the_trust_file_changed(mallory: Mallory, tmp_path: Path) -> None:
    fort = mallory.fort
    kept(fort, tmp_path / "d", "on a lost disk")
    order = fort.acting("ines").ask_out(["on a lost disk"], to="port", reason="?")["id"]
    decided(fort, order)
    first = fort.acting("ines").seal(order, tmp_path / "lost")
    _join(fort, {"newcomer": ("DR//FRA", {"author"})})
    again = fort.acting("ines").seal(order, tmp_path / "again")
    assert (again["manifest"], again["sequence"]) == (first["manifest"], first["sequence"])
    assert len(taken(mallory.port, tmp_path / "again")) == 1


# ── Somebody who writes where we write ───────────────────────────────────────────────────────────────────────────────
def test_what_waits_is_what_was_decided_whatever_is_swapped(mallory: Mallory, tmp_path: Path) -> None:
    fort = mallory.fort
    row = mallory.offers(tmp_path / "b", mallory.entry(tmp_path / "f", "as inspected"))
    decided(fort, row["id"])
    waits = fort.site / "waiting" / row["id"]
    other = mallory.bundle(tmp_path / "o", mallory.entry(tmp_path / "g", "another"))
    for name in ("manifest.json", "manifest.dsse.json", "objects.jsonl"):
        before = (waits / name).read_bytes()
        (waits / name).unlink()
        (waits / name).write_bytes((other / name).read_bytes())
        with pytest.raises(NotTrusted, match=f"{name}|manifest"):
            fort.acting("ines").carry_out(row["id"])
        (waits / name).write_bytes(before)
    victim = next(file for file in sorted(waits.glob("objects/*/*")) if file.read_bytes() == b"as inspected\n")
    before = victim.read_bytes()
    victim.unlink()
    (tmp_path / "elsewhere").write_bytes(before)
    victim.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="expected a regular file that can be read"):
        fort.acting("ines").carry_out(row["id"])
    victim.unlink()
    victim.write_bytes(before)
    assert len(fort.acting("ines").carry_out(row["id"])) == 1


def test_nothing_is_written_through_what_others_planted(mallory: Mallory, tmp_path: Path) -> None:
    fort = mallory.fort
    notes = kept(fort, tmp_path / "d", "planted")
    (tmp_path / "theirs").mkdir()
    for name in ("spill", "reports", "receipts"):
        (tmp_path / f".{name}.partial").symlink_to(tmp_path / "theirs")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    claire, stick = fort.acting("claire"), tmp_path / "stick"
    stick.mkdir()
    (stick / "note.txt").write_text("inspected only\n")
    with pytest.raises(NameTaken, match="link: expected a folder that does not exist, found one that does"):
        claire.spill(notes, raise_to="S", reason="?", into=tmp_path / "link")
    claire.spill(notes, raise_to="S", reason="?", into=tmp_path / "spill")
    claire.inspect(stick, kind="documents", modality="language", out=tmp_path / "reports")
    assert list((tmp_path / "theirs").iterdir()) == []
    assert (tmp_path / "spill").stat().st_mode & 0o077 == 0
