"""A released model crosses to another site, is verified there and answers; and is withdrawn from either side."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from casemate.errors import DigestMismatch, NotAllowed, NotFound, Revoked
from casemate.factory.desk import utc_now
from tests.factory.test_airlock import DEPOT, reconciled, sent, taken
from tests.factory.town import Town, found, introduce
from tests.journeys.test_walk import MATERIAL, Material
from tests.modalities.imagery.scenes import write_set


@dataclass(frozen=True)
class Crossing:
    port: Town
    depot: Town
    material: Material
    scene: Path


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Crossing:
    """A port where a model was trained, judged and released for itself and the depot, which took it in."""
    root = tmp_path_factory.mktemp("crossing")
    port = found(root / "port", clock=utc_now)
    depot = found(root / "depot", clock=utc_now, name="depot", ceiling="DR", people=DEPOT)
    introduce(port, depot)
    material = MATERIAL["imagery"](root)
    (root / "gate.toml").write_text(material.gate)
    port.acting("claire").set_policy("gates", root / "gate.toml", reason="for the journey")
    ines = port.acting("ines")
    for name, folder in (("training", material.training), ("held-out", material.held_out)):
        ines.import_dataset(folder, name=name, marking="DR", project="harbour")
    ines.train(["training"], name="model", project="harbour", recipe="debug")
    ines.evaluate("model", "held-out", name="report", settings={"robustness": [], "samples": 1})
    for name in ("marc", "lea"):
        port.acting(name).approve("report", reason="read")
    ines.release("report", name="for both", sites=["depot"])
    ines.release("report", name="for us alone")
    sent(port, root / "bundle", "for both", "for us alone")
    taken(depot, root / "bundle")
    return Crossing(port, depot, material, root / "scene.tif")


def test_it_travels_with_its_model_report_and_decisions_and_answers_there(crossed: Crossing, tmp_path: Path) -> None:
    zoe = crossed.depot.acting("ines")
    kinds = sorted(entry["kind"] for entry in zoe.entries(project="harbour"))
    assert kinds == ["approval", "approval", "model", "release", "release", "report"]
    there = zoe.detect("for both", crossed.scene, tmp_path / "there", marking="DR")
    here = crossed.port.acting("ines").detect("for both", crossed.scene, tmp_path / "here", marking="DR")
    assert (tmp_path / "there" / "detections.geojson").read_bytes() == (
        tmp_path / "here" / "detections.geojson"
    ).read_bytes()
    assert there["release"] == here["release"]
    lineage = zoe.lineage("for both")
    assert {node["kind"] for node in lineage["nodes"]} >= {"model", "report", "approval", "release"}
    rows = {row["what"]: row["verdict"] for row in crossed.depot.acting("claire").verify()}
    assert rows["release for both"] == "ok"
    assert rows["release for us alone"] == "damaged"  # it says itself that it is not for here


def test_a_release_that_does_not_name_the_site_does_not_answer_there(crossed: Crossing, tmp_path: Path) -> None:
    with pytest.raises(NotAllowed, match="release for us alone: expected site port, found depot"):
        crossed.depot.acting("ines").detect("for us alone", crossed.scene, tmp_path / "out", marking="DR")


def test_a_changed_byte_of_the_model_is_refused_there_too(crossed: Crossing, tmp_path: Path) -> None:
    town = Town(shutil.copytree(crossed.depot.root, tmp_path / "depot"), utc_now)
    ines = town.acting("ines")
    ines.detect("for both", crossed.scene, tmp_path / "out", marking="DR")
    weights = next((town.site / "shelf").rglob("model.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.chmod(0o600)
    weights.write_bytes(data)
    with pytest.raises(DigestMismatch, match=r"model\.safetensors"):
        ines.detect("for both", crossed.scene, tmp_path / "again", marking="DR")


def test_the_receiving_sites_officer_withdraws_it_there(crossed: Crossing, tmp_path: Path) -> None:
    town = Town(shutil.copytree(crossed.depot.root, tmp_path / "depot"), utc_now)
    town.acting("claire").revoke("for both", reason="not on our network")
    with pytest.raises(Revoked, match="release for both: expected a release in force, found revoked by claire"):
        town.acting("ines").detect("for both", crossed.scene, tmp_path / "out", marking="DR")


def test_a_withdrawal_of_the_makers_reaches_the_other_site_and_ends_it(crossed: Crossing, tmp_path: Path) -> None:
    port = Town(shutil.copytree(crossed.port.root, tmp_path / "port"), utc_now)
    depot = Town(shutil.copytree(crossed.depot.root, tmp_path / "depot"), utc_now)
    reconciled(port, depot, tmp_path / "receipts")
    withdrawn = port.acting("claire").revoke("for both", reason="it misses small boats")
    order = port.acting("ines").ask_out([withdrawn["id"]], to="depot", reason="withdrawn")
    for name in ("paul", "claire"):
        port.acting(name).decide(order["id"], reason="read")
    port.acting("ines").seal(order["id"], tmp_path / "bundle")
    taken(depot, tmp_path / "bundle")
    with pytest.raises(Revoked, match="release for both: expected a release in force, found revoked by claire"):
        depot.acting("ines").detect("for both", crossed.scene, tmp_path / "out", marking="DR")


def test_somebody_without_clearance_finds_none_of_it(crossed: Crossing, tmp_path: Path) -> None:
    tom = crossed.depot.acting("tom")
    assert tom.entries(project="site") == [e for e in tom.entries(project="site") if e["kind"] in {"policy", "trust"}]
    with pytest.raises(NotFound):
        tom.detect("for both", crossed.scene, tmp_path / "out", marking="DR")


def test_a_model_from_elsewhere_is_judged_on_the_receiving_sites_own_data(crossed: Crossing, tmp_path: Path) -> None:
    town = Town(shutil.copytree(crossed.depot.root, tmp_path / "depot"), utc_now)
    (tmp_path / "gate.toml").write_text(crossed.material.gate)
    town.acting("claire").set_policy("gates", tmp_path / "gate.toml", reason="for the journey")
    ines = town.acting("ines")
    held_out = write_set(tmp_path / "ours", scenes=3, seed=70)
    ines.import_dataset(held_out, name="ours", marking="DR", project="harbour")
    found_ = ines.evaluate("model", "ours", name="our report", settings={"robustness": [], "samples": 1})
    assert found_["figures"]["ap50"] is not None
    ines.get("our report", tmp_path / "report")
    assert (
        ines.show("model")["digest"].removeprefix("sha256:")[:16] in (tmp_path / "report" / "dossier.html").read_text()
    )
