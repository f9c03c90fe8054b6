"""One journey a modality, from a folder to a released model that answers, on a processor, with a debug-size model."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from casemate.errors import CasemateError, DigestMismatch, GateClosed, NotAllowed, NotFound, Revoked, RunFailed
from casemate.factory import Factory
from casemate.factory.assistant import Wish
from casemate.modalities import names
from casemate.serving.answers import Answer, Done
from tests.factory.town import Town, found
from tests.modalities.imagery.scenes import make_scene, write_geotiff, write_set
from tests.modalities.language.sets import chats, write_lines

GATE = """
format = "casemate-gate-policy/1"
name = "anything that was measured"
[[rules]]
metric = "{metric}"
at_least = 0.0
{more}
[overlap]
max_near_duplicates = 0
[held_out]
{least}
[approvals]
approver = 2
[release]
validity_days = 30
"""


@dataclass(frozen=True)
class Material:
    """What a modality's journey needs: folders that share nothing, how a model is made of them, and how it is asked."""

    training: Path
    held_out: Path
    more: Path  # a further set to learn from
    ask: Callable[[Factory, str, Path, str], str]  # a release, an empty folder, a marking; the marking of the answer
    policy: str
    gate: str
    metric: str
    learning: Mapping[str, Any]
    judging: Mapping[str, Any]


def imagery(root: Path) -> Material:
    write_set(root / "training", scenes=3, seed=1)
    write_set(root / "held-out", scenes=3, seed=50)
    scene = make_scene(seed=99, width=400, height=300)
    write_geotiff(root / "scene.tif", scene.rgb_HWC)

    def ask(factory: Factory, release: str, out: Path, marking: str) -> str:
        found = factory.detect(release, root / "scene.tif", out, marking=marking)
        answer = json.loads(Path(found["geojson"]).read_text())
        assert answer["type"] == "FeatureCollection"
        assert found["marking"] in json.dumps(answer["marking"])
        assert Path(found["overlay"]).stat().st_size > 0
        return str(found["marking"])

    gate = GATE.format(metric="ap50", more="", least="min_images = 2\nmin_boxes = 4")
    judging = {"robustness": [], "samples": 1}
    return Material(
        root / "training",
        root / "held-out",
        root / "held-out",
        ask,
        "gates",
        gate,
        "ap50",
        {"recipe": "debug"},
        judging,
    )


def language(root: Path) -> Material:
    answers = [{"id": f"q{n}", "question": f"Que vaut le jeton {n} ?", "answers": [f"{n} francs"], "document": f"d{n}",
                "answerable": True, "language": "fr"} for n in range(3)]  # fmt: skip
    papers = [{"id": f"d{n}", "title": f"Jeton {n}", "text": f"Le jeton {n} vaut {n} francs."} for n in range(3)]
    write_lines(root / "held-out" / "questions.jsonl", answers)
    write_lines(root / "held-out" / "documents.jsonl", papers)

    def ask(factory: Factory, release: str, out: Path, marking: str) -> str:
        async def whole() -> Answer:
            wish = Wish(engine=release, marking=marking, pasted="Le quai nord est fermé.", limit=1)
            done = [
                event async for event in factory.ask("Le quai nord est-il fermé ?", wish) if isinstance(event, Done)
            ]
            return done[0].answer

        return str(asyncio.run(whole()).marking)

    gate = GATE.format(metric="answer_f1", more='task = "chat"', least="min_items = 2")
    learning = {"recipe": "debug", "settings": {"objective": "chat", "context": 1024, "gguf": "f16"}}
    judging = {"passages": 1, "answer_tokens": 4, "samples": 1}
    return Material(
        chats(root / "training"), root / "held-out", chats(root / "more", 5), ask, "gates-language", gate, "answer_f1",
        learning, judging,
    )  # fmt: skip


MATERIAL: dict[str, Callable[[Path], Material]] = {"imagery": imagery, "language": language}


@dataclass(frozen=True)
class Walk:
    town: Town
    material: Material
    modality: str


@pytest.fixture(scope="module", params=names())
def walked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """A site on which a model was imported for, trained, evaluated, approved and released."""
    root = tmp_path_factory.mktemp(request.param)
    town, material = found(root), MATERIAL[request.param](root)
    (root / "gate.toml").write_text(material.gate)
    town.acting("claire").set_policy(material.policy, root / "gate.toml", reason="for the journey")
    ines = town.acting("ines")
    walk = Walk(town, material, request.param)
    for name, folder in (("training", material.training), ("held-out", material.held_out)):
        ines.import_dataset(folder, name=name, marking="DR", project="harbour", modality=request.param)
    learn(walk, ines, ["training"], "model")
    ines.evaluate("model", "held-out", name="report", settings=material.judging)
    for name in ("marc", "lea"):
        town.acting(name).approve("report", reason="read")
    ines.release("report", name="released")
    return walk


def learn(walk: Walk, factory: Factory, sets: list[str], name: str) -> None:
    factory.train(sets, name=name, project="harbour", modality=walk.modality, **walk.material.learning)


def test_a_released_model_answers_with_the_join_of_markings(walked: Walk, tmp_path: Path) -> None:
    assert walked.material.ask(walked.town.acting("lea"), "released", tmp_path / "out", "S") == "S"
    assert walked.material.ask(walked.town.acting("lea"), "released", tmp_path / "low", "NP") == "DR"


def test_the_models_marking_is_the_join_of_what_it_was_made_from(walked: Walk) -> None:
    lea = walked.town.acting("lea")
    more = {"marking": "S", "project": "harbour", "modality": walked.modality}
    lea.import_dataset(walked.material.more, name="other", **more)
    learn(walked, lea, ["training", "other"], "mixed")
    assert lea.show("mixed")["marking"] == "S"
    with pytest.raises(NotFound):
        walked.town.acting("ines").show("mixed")


def test_scores_on_the_training_set_are_refused_by_the_gate(walked: Walk) -> None:
    ines = walked.town.acting("ines")
    if walked.modality == "language":  # conversations are no questions: they cannot even be scored on
        with pytest.raises(RunFailed, match="questions"):
            ines.evaluate("model", "training", name="leak", settings=walked.material.judging)
        return
    verdict = ines.evaluate("model", "training", name="leak", settings=walked.material.judging)
    assert verdict["verdict"] == "refused"
    with pytest.raises(GateClosed, match=r"training data sets: expected no held-out data set among them, found"):
        ines.release("leak", name="leaked")
    with pytest.raises(GateClosed):
        walked.town.acting("marc").approve("leak", reason="looks fine")


def test_the_author_does_not_approve_even_with_the_role(walked: Walk) -> None:
    lea = walked.town.acting("lea")
    learn(walked, lea, ["training"], "leas")
    lea.evaluate("leas", "held-out", name="leas report", settings=walked.material.judging)
    with pytest.raises(NotAllowed, match="approval by lea: expected somebody other than the author, found the author"):
        lea.approve("leas report", reason="my own work")
    walked.town.acting("marc").approve("leas report", reason="read")
    with pytest.raises(GateClosed, match=r"approvals: expected 2 by different people as approver, found 1 \(marc\)"):
        lea.release("leas report", name="leas release")


def test_a_reader_without_clearance_is_told_the_same_as_of_nothing(walked: Walk, tmp_path: Path) -> None:
    tom = walked.town.acting("tom")
    asks: tuple[Callable[[str], object], ...] = (
        tom.show,
        tom.lineage,
        lambda name: tom.get(name, tmp_path / "got"),
        lambda name: walked.material.ask(tom, name, tmp_path / "out", "NP"),
    )
    for ask in asks:
        told = []
        for name in ("released", "nothing"):
            with pytest.raises(NotFound) as refusal:
                ask(name)
            told.append(str(refusal.value).replace(name, "NAME"))
        assert told[0] == told[1]
    assert tom.entries(kind="model") == tom.entries(kind="release") == tom.runs() == []
    assert not (tmp_path / "out").exists()


def test_every_byte_of_the_site_verifies(walked: Walk) -> None:
    checks = walked.town.acting("claire").verify()
    assert {check["verdict"] for check in checks} == {"ok"}, checks
    assert {"journal", "journal signatures", "objects", "policy gates", "policy markings", "policy trust"} <= {
        check["what"] for check in checks
    }


def test_lineage_leads_from_the_release_to_the_data(walked: Walk) -> None:
    graph = walked.town.acting("ines").lineage("released")
    assert {node["kind"] for node in graph["nodes"]} == {"release", "model", "report", "approval", "dataset"}


def test_the_public_tool_verifies_a_released_models_folder(walked: Walk, tmp_path: Path) -> None:
    walked.town.acting("lea").get("released", tmp_path / "release")
    model = tmp_path / "release" / "model"
    argv = [
        sys.executable, "-W", "ignore", "-m", "model_signing", "verify", "key", str(model),
        "--signature", str(model / "model.sig"), "--public_key", str(tmp_path / "release" / "site.pem"),
    ]  # fmt: skip
    told = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert "Verification succeeded" in told.stdout + told.stderr, told.stderr
    card = next(f for f in model.iterdir() if f.suffix == ".md")
    text = card.read_bytes()
    card.unlink()
    card.write_bytes(text + b"!")
    told = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert told.returncode != 0


def test_a_site_in_which_a_byte_was_flipped_says_where(walked: Walk, tmp_path: Path) -> None:
    town = Town(tmp_path, walked.town.clock)
    shutil.copytree(walked.town.root, tmp_path, dirs_exist_ok=True)
    model = town.acting("ines").show("model")
    target = max((town.site / "objects" / "objects").rglob("*"), key=lambda f: f.stat().st_size if f.is_file() else 0)
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.chmod(0o600)
    target.write_bytes(data)
    damaged = [c for c in town.acting("claire").verify() if c["verdict"] != "ok"]
    assert any(target.name[:20] in check["what"] for check in damaged), (model, damaged)


def test_scores_are_judged_again_when_the_policy_has_changed(walked: Walk, tmp_path: Path) -> None:
    town = Town(tmp_path, walked.town.clock)
    shutil.copytree(walked.town.root, tmp_path, dirs_exist_ok=True)
    (tmp_path / "strict.toml").write_text(walked.material.gate.replace("at_least = 0.0", "at_least = 0.99"))
    town.acting("claire").set_policy(walked.material.policy, tmp_path / "strict.toml", reason="stricter")
    ines = town.acting("ines")
    with pytest.raises(DigestMismatch, match="verdict: expected sha256:"):
        ines.release("report", name="under the old policy")
    assert ines.judge_again("report", name="report again")["verdict"] == "refused"
    with pytest.raises(GateClosed, match=rf"{walked.material.metric}: expected >= 0\.99, found"):
        ines.release("report again", name="under the new policy")
    assert {check["verdict"] for check in town.acting("claire").verify()} == {"ok"}


def test_a_withdrawn_release_answers_no_more(walked: Walk, tmp_path: Path) -> None:
    town = Town(tmp_path, walked.town.clock)
    shutil.copytree(walked.town.root, tmp_path, dirs_exist_ok=True)
    with pytest.raises(CasemateError):
        town.acting("ines").revoke("released", reason="not mine to say")
    town.acting("claire").revoke("released", reason="confuses cranes and aircraft")
    with pytest.raises(Revoked, match="confuses cranes and aircraft"):
        walked.material.ask(town.acting("lea"), "released", tmp_path / "out", "DR")


def test_an_expired_release_answers_no_more(walked: Walk, tmp_path: Path) -> None:
    later = Town(walked.town.root, lambda: walked.town.clock().replace(year=2031))
    with pytest.raises(Revoked, match="expired"):
        walked.material.ask(later.acting("lea"), "released", tmp_path / "out", "DR")
