"""Two sites: what one asks for, two people let out, travels, is inspected, let in by two others, and answered."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from casemate.catalog import NewEntry
from casemate.errors import (
    AboveCeiling,
    AirlockClosed,
    BadInput,
    BadSignature,
    CasemateError,
    DigestMismatch,
    Forked,
    InspectionRefused,
    NotAllowed,
    NotFound,
)
from casemate.factory import peers, policies
from casemate.factory.desk import utc_now
from casemate.factory.members import _trust
from casemate.signing import Trust
from casemate.store import put_folder
from tests.factory.town import Town, decided, found, introduce
from tests.modalities.imagery.scenes import write_set


@pytest.fixture(scope="module")
def towns(tmp_path_factory: pytest.TempPathFactory) -> tuple[Town, Town]:
    """A port (up to S) and a depot (up to DR) that deal with each other up to DR; the port has a data set."""
    port = found(tmp_path_factory.mktemp("port"), clock=utc_now)
    depot = found(tmp_path_factory.mktemp("depot"), clock=utc_now, name="depot", ceiling="DR", people=DEPOT)
    introduce(port, depot)
    ports = write_set(port.root / "ports", scenes=3, seed=1)
    port.acting("ines").import_dataset(ports, name="ports", marking="DR", project="harbour")
    return port, depot


DEPOT: dict[str, tuple[str, set[str]]] = {
    "ines": ("DR//FRA", {"author"}), "paul": ("DR//FRA", {"sponsor"}), "tom": ("NP//FRA", set()),
}  # fmt: skip


def sent(port: Town, into: Path, *entries: str, to: str = "depot", **how: Any) -> dict[str, Any]:
    order = port.acting("ines").ask_out(entries, to=to, reason="for their exercise")
    decided(port, order["id"])
    return port.acting("ines").seal(order["id"], into, **how)


def taken(depot: Town, bundle: Path) -> list[dict[str, Any]]:
    row = depot.acting("ines").take_bundle(bundle, project="harbour", reason="for our exercise")
    decided(depot, row["id"])
    return depot.acting("ines").carry_out(row["id"])


def reconciled(port: Town, depot: Town, folder: Path) -> list[dict[str, Any]]:
    depot.acting("ines").write_receipts("port", folder)
    return port.acting("ines").read_receipts(folder)


def sound(town: Town) -> bool:
    return {check["verdict"] for check in town.acting("claire").verify()} == {"ok"}


def test_a_data_set_crosses_and_is_answered(towns: tuple[Town, Town], tmp_path: Path) -> None:
    port, depot = towns
    sealed = sent(port, tmp_path / "bundle", "ports")
    assert (sealed["sequence"], sealed["marking"]) == (1, "DR")
    there = taken(depot, tmp_path / "bundle")
    here = port.acting("ines").show("ports")
    assert [(e["kind"], e["name"], e["marking"], e["digest"]) for e in there] == [
        ("dataset", "ports", "DR", here["digest"])
    ]
    assert there[0]["facts"]["origin"] == {
        "site": "port", "id": here["id"], "author": "ines", "created": here["created"].replace("+00:00", "Z"),
        "parents": [],
    }  # fmt: skip
    depot.acting("ines").get("ports", tmp_path / "got")
    assert (tmp_path / "got" / "casemate-imagery.json").is_file()
    receipts = reconciled(port, depot, tmp_path / "receipts")
    assert [(r["outcome"], r["sequence"], r["state"]) for r in receipts] == [("taken", 1, "reconciled")]
    assert [r["direction"] for r in port.acting("ines").receipts()] == ["in"]
    assert reconciled(port, depot, tmp_path / "again")[0]["state"] == "known"
    assert sound(port)
    assert sound(depot)


def test_sites_named_from_the_working_folder_exchange_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = found(tmp_path / "port", clock=utc_now)
    depot = found(tmp_path / "depot", clock=utc_now, name="depot", ceiling="DR", people=DEPOT)
    introduce(port, depot)
    monkeypatch.chdir(tmp_path)
    near, far = Town(Path("port"), utc_now), Town(Path("depot"), utc_now)
    ports = write_set(Path("tiles"), scenes=1, seed=1)
    arrived = near.acting("ines").take_folder(
        ports, kind="dataset", name="ports", project="harbour", marking="DR", reason="collected"
    )
    decided(near, arrived["id"])
    near.acting("ines").carry_out(arrived["id"])
    sent(near, Path("bundle"), "ports")
    assert [entry["name"] for entry in taken(far, Path("bundle"))] == ["ports"]


def test_a_replay_is_harmless_and_in_the_journal(towns: tuple[Town, Town], tmp_path: Path) -> None:
    port, depot = towns
    sealed = sent(port, tmp_path / "bundle", "ports")
    taken(depot, tmp_path / "bundle")
    before = len(depot.acting("ines").entries())
    row = depot.acting("ines").take_bundle(tmp_path / "bundle", project="harbour", reason="again")
    assert row["state"] == "already taken in"
    assert row["sequence"] == sealed["sequence"]
    assert len(depot.acting("ines").entries()) == before
    assert depot.acting("ines").journal(limit=1)[0]["verb"] == "airlock.replay"


def test_what_was_acknowledged_does_not_travel_again(towns: tuple[Town, Town], tmp_path: Path) -> None:
    port, depot = towns
    sent(port, tmp_path / "first", "ports")
    taken(depot, tmp_path / "first")
    reconciled(port, depot, tmp_path / "receipts")
    again = sent(port, tmp_path / "second", "ports")
    assert (again["objects"], again["bytes"]) == (0, 0)
    entries = taken(depot, tmp_path / "second")
    assert entries[0]["digest"] == port.acting("ines").show("ports")["digest"]
    assert entries[0]["name"].startswith("ports (of port, ")


def test_a_bundle_waits_until_two_others_let_it_in(towns: tuple[Town, Town], tmp_path: Path) -> None:
    port, depot = towns
    sent(port, tmp_path / "bundle", "ports")
    ines = depot.acting("ines")
    row = ines.take_bundle(tmp_path / "bundle", project="harbour", reason="for our exercise")
    assert ines.take_bundle(tmp_path / "bundle", project="harbour", reason="twice")["id"] == row["id"]
    with pytest.raises(AirlockClosed, match="decisions: expected 1 by different people as officer, found 0"):
        ines.carry_out(row["id"])
    with pytest.raises(NotAllowed, match="decision by ines: expected the role sponsor or officer, found author"):
        ines.decide(row["id"], reason="mine")
    depot.acting("paul").decide(row["id"], reason="read")
    with pytest.raises(AirlockClosed, match="expected 1 by different people as officer, found 0"):
        ines.carry_out(row["id"])
    shown = depot.acting("claire").decide(row["id"], reason="read")
    assert shown["state"] == "decided"
    with pytest.raises(NotAllowed, match="expected ines, who asked, found paul"):
        depot.acting("paul").carry_out(row["id"])
    assert len(ines.carry_out(row["id"])) == 1
    assert ines.carry_out(row["id"])[0]["kind"] == "dataset"
    with pytest.raises(AirlockClosed, match="expected an order to be decided, found one carried out"):
        depot.acting("claire").decide(row["id"], reason="late")


def test_a_no_keeps_it_out(towns: tuple[Town, Town], tmp_path: Path) -> None:
    port, depot = towns
    sent(port, tmp_path / "bundle", "ports")
    row = depot.acting("ines").take_bundle(tmp_path / "bundle", project="harbour", reason="for our exercise")
    depot.acting("paul").decide(row["id"], reason="read")
    shown = depot.acting("claire").decide(row["id"], reason="not today", refuse=True)
    assert shown["state"] == "refused"
    with pytest.raises(AirlockClosed, match="decision by claire: expected approve, found reject: not today"):
        depot.acting("ines").carry_out(row["id"])
    receipts = reconciled(port, depot, tmp_path / "receipts")
    answer = next(r for r in receipts if r["manifest"] == row["facts"]["manifest"])
    assert (answer["outcome"], answer["reason"]) == ("refused", "not let in by those who decide")


def test_what_is_above_the_peers_ceiling_does_not_leave(towns: tuple[Town, Town], tmp_path: Path) -> None:
    port, _ = towns
    lea = port.acting("lea")
    secret = write_set(tmp_path / "secret", scenes=2, seed=5)
    lea.import_dataset(secret, name="secret", marking="S", project="harbour")
    with pytest.raises(AboveCeiling) as refused:
        lea.ask_out(["secret"], to="depot", reason="why not")
    assert str(refused.value) == "dataset secret: expected a marking within DR, the ceiling of depot, found S"
    with pytest.raises(NotFound, match="secret: expected an entry that you may read, found none"):
        port.acting("ines").ask_out(["secret"], to="depot", reason="why not")
    with pytest.raises(NotAllowed, match="site moon: expected a site that the exchange policy names"):
        lea.ask_out(["ports"], to="moon", reason="why not")


def test_a_reader_without_clearance_sees_no_order_and_no_peer_traffic(towns: tuple[Town, Town]) -> None:
    port, _ = towns
    tom = port.acting("tom")
    assert tom.waiting(everything=True) == []
    assert tom.receipts() == []
    assert [(p["name"], p["sent"], p["taken_in"]) for p in tom.peers()] == [("depot", [], [])]
    with pytest.raises(NotFound):
        tom.decide(port.acting("ines").waiting(everything=True)[0]["id"], reason="x")


def test_a_bundle_for_another_site_or_from_a_stranger_is_refused(towns: tuple[Town, Town], tmp_path: Path) -> None:
    port, depot = towns
    sent(port, tmp_path / "bundle", "ports")
    with pytest.raises(NotAllowed, match="bundle of port: expected one for port, found depot"):
        port.acting("ines").take_bundle(tmp_path / "bundle", project="harbour", reason="ours?")
    stranger = found(tmp_path / "stranger", clock=utc_now, name="depot", ceiling="DR", people=DEPOT)
    with pytest.raises(
        NotAllowed, match=r"site port: expected a site that the exchange policy names for direction 'in'"
    ):
        stranger.acting("ines").take_bundle(tmp_path / "bundle", project="harbour", reason="ours?")
    forger = found(tmp_path / "forger", clock=utc_now, name="port")
    introduce(forger, depot_like(tmp_path / "depot2"))
    ports = write_set(tmp_path / "ports", scenes=1, seed=3)
    forger.acting("ines").import_dataset(ports, name="ports", marking="DR", project="harbour")
    sent(forger, tmp_path / "forged", "ports")
    with pytest.raises(BadSignature, match="trust file signer: expected a trusted key"):
        depot.acting("ines").take_bundle(tmp_path / "forged", project="harbour", reason="ours?")


def depot_like(root: Path) -> Town:
    return found(root, clock=utc_now, name="depot", ceiling="DR", people=DEPOT)


def test_any_changed_byte_is_refused_and_named(towns: tuple[Town, Town], tmp_path: Path) -> None:
    port, depot = towns
    fresh = write_set(tmp_path / "fresh", scenes=1, seed=90)
    port.acting("ines").import_dataset(fresh, name="never sent", marking="DR", project="harbour")
    sent(port, tmp_path / "bundle", "never sent")
    for file in sorted(p for p in (tmp_path / "bundle").rglob("*") if p.is_file()):
        hurt = tmp_path / "hurt"
        shutil.copytree(tmp_path / "bundle", hurt)
        path = hurt / file.relative_to(tmp_path / "bundle")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)
        with pytest.raises(CasemateError) as refused:
            depot.acting("ines").verify_bundle([hurt])
        assert path.name in str(refused.value) or path.parent.name in str(refused.value), refused.value
        shutil.rmtree(hurt)
    assert depot.acting("ines").verify_bundle([tmp_path / "bundle"])["entries"] == 1


def test_volumes_arrive_in_any_order(towns: tuple[Town, Town], tmp_path: Path) -> None:
    port, depot = towns
    large = write_set(tmp_path / "large", scenes=20, seed=77)
    port.acting("ines").import_dataset(large, name=f"large {tmp_path.name}", marking="DR", project="harbour")
    sealed = sent(port, tmp_path / "volumes", f"large {tmp_path.name}", volume_bytes=1_300_000)
    volumes = [Path(v) for v in sealed["volumes"]]
    assert len(volumes) > 1
    ines = depot.acting("ines")
    for volume in reversed(volumes[1:]):
        row = ines.take_bundle(volume, project="harbour", reason="in parts")
        assert row["state"] == "incomplete"
    assert row["missing"]
    last = ines.take_bundle(volumes[0], project="harbour", reason="in parts")
    assert last["state"] == "waiting"
    decided(depot, last["id"])
    assert ines.carry_out(last["id"])[0]["name"] == f"large {tmp_path.name}"


def test_a_gap_is_told_and_a_fork_refused(towns: tuple[Town, Town], tmp_path: Path) -> None:
    port, depot = towns
    first = sent(port, tmp_path / "late", "ports")
    second = sent(port, tmp_path / "second", "ports")
    row = depot.acting("ines").take_bundle(tmp_path / "second", project="harbour", reason="early")
    assert first["sequence"] in row["gap"]
    decided(depot, row["id"])
    depot.acting("ines").carry_out(row["id"])
    receipts = reconciled(port, depot, tmp_path / "receipts")
    answer = next(r for r in receipts if r["sequence"] == second["sequence"])
    assert first["sequence"] in answer["missing"]
    late = depot.acting("ines").take_bundle(tmp_path / "late", project="harbour", reason="late")
    assert late["late"] is True


def test_a_site_that_was_set_back_cannot_fork_its_channel(tmp_path: Path) -> None:
    port, depot = found(tmp_path / "port", clock=utc_now), depot_like(tmp_path / "depot")
    introduce(port, depot)
    for number in (1, 2):
        ports = write_set(tmp_path / f"ports {number}", scenes=1, seed=number)
        port.acting("ines").import_dataset(ports, name=f"ports {number}", marking="DR", project="harbour")
    old = Town(shutil.copytree(tmp_path / "port", tmp_path / "backup"), utc_now)
    sent(port, tmp_path / "first", "ports 1")
    taken(depot, tmp_path / "first")
    sent(old, tmp_path / "other first", "ports 2")
    with pytest.raises(Forked, match=r"bundle 1 of port at DR: expected manifest [0-9a-f]{64}, taken before, found"):
        depot.acting("ines").take_bundle(tmp_path / "other first", project="harbour", reason="the same number")


def test_a_hostile_entry_of_a_trusted_peer_is_still_inspected(tmp_path: Path) -> None:
    port = found(tmp_path / "port", clock=utc_now)
    depot = depot_like(tmp_path / "depot")
    introduce(port, depot)
    ports = write_set(tmp_path / "ports", scenes=1, seed=3)
    ines = port.acting("ines")
    ines.import_dataset(ports, name="ports", marking="DR", project="harbour")
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "model.safetensors").write_bytes(b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x07builtins")
    manifest = put_folder(ines.store, tmp_path / "evil")
    ines.catalog.register(
        NewEntry("model", "evil", "harbour", ines.site.policy.parse("DR"), manifest.digest), by=ines.reader
    )
    sent(port, tmp_path / "bundle", "evil")
    with pytest.raises(InspectionRefused, match=r"model\.safetensors: expected one of .*, found .*pickle"):
        depot.acting("ines").take_bundle(tmp_path / "bundle", project="harbour", reason="trust me")
    assert depot.acting("ines").entries(kind="model") == []
    receipts = reconciled(port, depot, tmp_path / "receipts")
    assert [(r["outcome"], "pickle" in r["reason"]) for r in receipts] == [("refused", True)]
    assert [left for left in (depot.site / "receiving").iterdir() if left.is_dir()] == []


def test_a_couriers_folder_waits_for_two_people(towns: tuple[Town, Town], tmp_path: Path) -> None:
    port, _ = towns
    folder = write_set(tmp_path / "stick", scenes=2, seed=40)
    ines = port.acting("ines")
    how = {"marking": "DR", "reason": "survey", "origin": "survey office"}
    row = ines.take_folder(folder, kind="dataset", name="from a stick", project="harbour", **how)
    assert row["state"] == "waiting"
    with pytest.raises(NotFound):
        ines.show("from a stick")
    reports = port.acting("claire").order_reports(row["id"], tmp_path / "reports")
    assert reports["reports"] == 1
    names = {file.name for file in (tmp_path / "reports").iterdir()}
    assert names == {"1-dataset-report.json", "1-dataset-report.html", "1-dataset-report.dsse.json", "order.json"}
    decided(port, row["id"])
    entry = ines.carry_out(row["id"])[0]
    assert (entry["name"], entry["marking"], entry["facts"]["delivery"]) == ("from a stick", "DR", "survey office")
    assert entry["facts"]["images"] == 2
    assert not (port.site / "waiting" / row["id"]).exists()


def test_a_delivery_that_changed_while_it_waited_is_refused(towns: tuple[Town, Town], tmp_path: Path) -> None:
    port, _ = towns
    folder = write_set(tmp_path / "stick", scenes=1, seed=41)
    ines = port.acting("ines")
    row = ines.take_folder(
        folder, kind="dataset", name="swapped", project="harbour", marking="DR", reason="survey", origin="survey office"
    )
    decided(port, row["id"])
    objects = port.site / "waiting" / row["id"] / "objects"
    victim = max((f for f in objects.rglob("*") if f.is_file()), key=lambda file: file.stat().st_size)
    victim.chmod(0o600)
    victim.write_bytes(b"something else")
    with pytest.raises(DigestMismatch, match=f"object sha256:{victim.parent.name}{victim.name} of the delivery"):
        ines.carry_out(row["id"])
    with pytest.raises(NotFound):
        ines.show("swapped")


def test_a_policy_may_forbid_imports_that_skip_the_airlock(tmp_path: Path) -> None:
    town = found(tmp_path / "town", clock=utc_now)
    policy = town.acting("claire").policy_text("exchange").replace("import = true", "import = false")
    (tmp_path / "exchange.toml").write_text(policy)
    town.acting("claire").set_policy("exchange", tmp_path / "exchange.toml", reason="only the airlock")
    folder = write_set(tmp_path / "local", scenes=1, seed=2)
    with pytest.raises(NotAllowed, match=r"dataset local: expected a delivery through the airlock"):
        town.acting("ines").import_dataset(folder, name="local", marking="DR", project="harbour")


def test_peers_are_for_the_officer_and_within_the_sites_ceiling(towns: tuple[Town, Town]) -> None:
    port, _ = towns
    key = port.key("lea").with_name("lea.key.pub")
    ways = frozenset({"out"})
    with pytest.raises(NotAllowed, match="policy exchange: expected the officer whose key signs"):
        port.acting("ines").add_peer("x", officer_key=key, ceiling="DR", directions=ways, reason="?")
    with pytest.raises(AboveCeiling, match="ceiling of x: expected a marking within the site's ceiling S, found TS"):
        port.acting("claire").add_peer("x", officer_key=key, ceiling="TS", directions=ways, reason="?")
    with pytest.raises(BadInput, match="peer: expected another site than this one, found port"):
        port.acting("claire").add_peer("port", officer_key=key, ceiling="DR", directions=ways, reason="?")


def test_a_revoked_site_key_sends_nothing_more(tmp_path: Path) -> None:
    port = found(tmp_path / "port", clock=utc_now)
    depot = depot_like(tmp_path / "depot")
    introduce(port, depot)
    ports = write_set(tmp_path / "ports", scenes=1, seed=3)
    port.acting("ines").import_dataset(ports, name="ports", marking="DR", project="harbour")
    sent(port, tmp_path / "first", "ports")
    taken(depot, tmp_path / "first")
    sent(port, tmp_path / "second", "ports")
    stale = json.loads((tmp_path / "second" / "manifest.json").read_text())
    assert stale["sequence"] == 2
    claire = port.acting("claire")
    keys = tuple(replace(key, revoked=key.name == "site") for key in claire.trust.keys)
    _trust(claire, Trust(keys, claire.trust.serial + 1), "the site's key was stolen")
    # The newer trust file reaches the depot with receipts or a bundle; here by hand.
    fresh = policies.envelope_of(port.acting("claire").store, policies.latest(port.acting("claire").view, "trust"))
    ines = depot.acting("ines")
    news = peers.newer_trust(ines, ines.exchange_policy().peer("port", "in"), fresh)
    ines.catalog.register_all(news, by=ines.reader)
    with pytest.raises(BadSignature, match="expected a key in force, found a revoked key"):
        depot.acting("ines").take_bundle(tmp_path / "second", project="harbour", reason="old trust inside")


def test_a_zip_from_a_courier_is_inspected_member_by_member_and_unpacked(
    towns: tuple[Town, Town], tmp_path: Path
) -> None:
    port, _ = towns
    folder = write_set(tmp_path / "survey", scenes=2, seed=60)
    (tmp_path / "stick").mkdir()
    shutil.make_archive(str(tmp_path / "stick" / "survey"), "zip", folder)
    ines = port.acting("ines")
    how = {"kind": "dataset", "project": "harbour", "marking": "DR", "reason": "survey"}
    row = ines.take_folder(tmp_path / "stick", name="zipped", **how)
    decided(port, row["id"])
    entry = ines.carry_out(row["id"])[0]
    ines.get(entry["id"], tmp_path / "got")
    assert sorted(file.name for file in (tmp_path / "got" / "images").iterdir()) == ["scene_000.png", "scene_001.png"]
    with zipfile.ZipFile(tmp_path / "stick" / "survey.zip", "a") as archive:
        archive.writestr("images/model.bin", b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x07builtins")
    with pytest.raises(InspectionRefused, match=r"survey\.zip!/images/model\.bin: expected one of .*, found pickle"):
        ines.take_folder(tmp_path / "stick", name="worse", **how)


def test_documents_may_come_in_too(towns: tuple[Town, Town], tmp_path: Path) -> None:
    port, _ = towns
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "note.txt").write_text("Appeler M. Dupont au 06 12 34 56 78.\n", encoding="utf-8")
    ines = port.acting("ines")
    row = ines.take_folder(
        tmp_path / "papers", kind="documents", name="notes", project="harbour", marking="DR", reason="archive"
    )
    assert row["facts"]["notes"] >= 1
    decided(port, row["id"])
    assert [(e["kind"], e["facts"]["files"]) for e in ines.carry_out(row["id"])] == [("documents", 1)]


@pytest.mark.real_data
def test_a_publishers_signature_must_hold_where_it_is_named(
    towns: tuple[Town, Town], tmp_path: Path, real_data: Callable[[str], Path]
) -> None:
    signed = real_data("reference_model_signing") / "scripts" / "tests"
    key = signed / "keys" / "certificate" / "signing-key-pub.pem"
    model = Path(shutil.copytree(signed / "v1.1.0-elliptic-key", tmp_path / "model", copy_function=shutil.copyfile))
    ines = towns[0].acting("ines")
    how = {"kind": "model", "project": "harbour", "marking": "DR", "reason": "partner", "modality": "language"}
    row = ines.take_folder(model, name="partner's", publisher_key=key, **how)
    assert row["facts"]["facts"]["publisher_key"].startswith("sha256:")
    (model / "signme-1").write_text("another\n")
    with pytest.raises(DigestMismatch, match="signme-1"):
        ines.take_folder(model, name="changed", publisher_key=key, **how)
    (model / "model.sig").unlink()
    with pytest.raises(BadInput, match=r"model\.sig: expected the publisher's signature in the delivery, found none"):
        ines.take_folder(model, name="unsigned", publisher_key=key, **how)
