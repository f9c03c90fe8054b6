from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from casemate.compute.metrics import append_metric
from casemate.errors import BadInput, Diverged
from casemate.learning.checkpoint import Checkpoint, save_checkpoint
from casemate.modalities.imagery import train, weights
from casemate.modalities.imagery.infer import detect_image, open_detector
from tests.learning.runs import figures, killed_at, together
from tests.modalities.imagery.training_runs import prepared, squares


def test_a_run_killed_then_interrupted_ends_with_the_very_bytes_of_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    settings = {"steps": 24, "checkpoint_every": 3, "validate_every": 12, "validation_share": 0.3}
    train.run(prepared(whole, **settings), whole)
    plan = prepared(torn, **settings)
    killed_at(torn, 5)

    def interrupted(workdir: Path, step: int, total_steps: int, **values: float) -> None:
        append_metric(workdir, step, total_steps, **values)
        if step == 17:
            raise KeyboardInterrupt

    monkeypatch.setattr(train, "append_metric", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train.run(plan, torn)
    monkeypatch.undo()
    train.run(plan, torn)
    for name in (weights.SAFETENSORS, "model.onnx", "model.json"):
        assert (torn / "outputs" / name).read_bytes() == (whole / "outputs" / name).read_bytes(), name


def test_a_run_writes_a_model_folder_that_answers(tmp_path: Path) -> None:
    train.run(prepared(tmp_path), tmp_path)
    assert {p.name for p in (tmp_path / "outputs").iterdir()} == {
        "model.safetensors", "model.json", "model.onnx", "MODEL_CARD.md", "fingerprints.json",
    }  # fmt: skip
    config = json.loads((tmp_path / "outputs/model.json").read_text())
    assert [node["name"] for node in config["taxonomy"]["nodes"]] == ["object", "aircraft", "airplane"]
    assert config["training"]["data"]["squares"]["labels"] == {"airplane": 15}
    found = detect_image(open_detector(tmp_path / "outputs", threads=1), np.zeros((90, 70, 3), np.uint8), score_min=0.0)
    assert found.scores.shape[1] == 3
    assert "squares" in (tmp_path / "outputs/MODEL_CARD.md").read_text()


def test_training_lowers_the_loss_and_finds_the_squares(tmp_path: Path) -> None:
    plan = prepared(tmp_path, steps=150, batch=4, lr=1e-2, freeze=0, ema=0.9, weather=0.0, checkpoint_every=1000)
    train.run(plan, tmp_path)
    losses = figures(tmp_path, "loss")
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])
    image = np.full((96, 96, 3), 30, np.uint8)
    image[40:60, 30:50] = 250
    found = detect_image(open_detector(tmp_path / "outputs", threads=1), image, score_min=0.0)
    best = found.boxes_xyxy_px[0]
    assert np.abs((best[:2] + best[2:]) / 2 - [40, 50]).max() < 6


def test_the_seed_changes_the_weights_and_the_same_seed_does_not(tmp_path: Path) -> None:
    def weights_of(name: str, seed: int) -> bytes:
        train.run(prepared(tmp_path / name, seed=seed), tmp_path / name)
        return (tmp_path / name / "outputs/model.safetensors").read_bytes()

    assert weights_of("a", 1) == weights_of("b", 1)
    assert weights_of("a", 1) != weights_of("c", 2)


def test_several_sets_with_different_labels_train_one_model(tmp_path: Path) -> None:
    squares(tmp_path / "inputs" / "planes", labels=("airplane",))
    squares(tmp_path / "inputs" / "ships", labels=("vessel",), seed=1)
    plan = prepared(tmp_path, {"planes": squares, "ships": squares}, source_weights={"ships": 3.0})
    train.run(plan, tmp_path)
    config = json.loads((tmp_path / "outputs/model.json").read_text())
    assert [node["name"] for node in config["taxonomy"]["nodes"]] == ["object", "aircraft", "airplane", "vessel"]
    assert config["training"]["data"]["ships"]["exhaustive"] == ["vessel"]


def test_a_model_goes_on_from_another_and_keeps_what_it_knew_of_a_node(tmp_path: Path) -> None:
    older = tmp_path / "older"
    train.run(prepared(older), older)
    newer = tmp_path / "newer"
    squares(newer / "inputs" / "mixed", labels=("airplane", "car"))
    (older / "outputs").rename(newer / "inputs" / "first")
    train.run(prepared(newer, {"mixed": squares, "first": squares}, start="input:first", lr=0.0, ema=0.0), newer)
    before, after = load_file(newer / "inputs/first/model.safetensors"), load_file(newer / "outputs/model.safetensors")
    # object, aircraft, airplane, then vehicle and car, which are new; four rows a node
    torch.testing.assert_close(after["node_logits.weight"][:12], before["node_logits.weight"])
    assert after["node_logits.weight"].shape[0] == 20
    torch.testing.assert_close(after["backbone.stem.weight"], before["backbone.stem.weight"])


def test_a_loss_that_is_not_a_number_ends_the_run_naming_the_step(tmp_path: Path) -> None:
    plan = prepared(tmp_path, lr=1e9, clip_norm=1e9, warmup_steps=0, steps=30, freeze=0)
    with pytest.raises(Diverged, match=r"loss at step \d+ of 30: expected a finite number, found (nan|inf)"):
        train.run(plan, tmp_path)
    assert all(math.isfinite(value) for value in figures(tmp_path, "loss"))
    assert not (tmp_path / "outputs").exists()


def test_a_run_that_no_longer_gets_better_stops_and_keeps_its_best_weights(tmp_path: Path) -> None:
    plan = prepared(tmp_path, steps=400, validate_every=2, validation_share=0.3, patience=2, lr=0.0)
    train.run(plan, tmp_path)
    assert len(figures(tmp_path, "loss")) < 400
    assert len(figures(tmp_path, "validation_ap50")) == 3


def test_a_checkpoint_of_another_plan_is_refused(tmp_path: Path) -> None:
    plan = prepared(tmp_path)
    save_checkpoint(tmp_path / "checkpoints", 2, Checkpoint({}, {}), plan_digest="other")
    with pytest.raises(BadInput, match=rf"step-000000002.safetensors: expected a checkpoint of plan {plan.digest}"):
        train.run(plan, tmp_path)


def test_first_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    older, newer = tmp_path / "older", tmp_path / "newer"
    train.run(prepared(older), older)
    squares(newer / "inputs" / "squares")
    (older / "outputs").rename(newer / "inputs" / "first")
    plan = prepared(newer, {"squares": squares, "first": squares}, start="input:first", size="base")
    with pytest.raises(BadInput, match="architecture of first weights: expected Architecture"):
        train.run(plan, newer)


def test_two_processes_train_one_model_and_two_that_go_on_from_their_checkpoint_make_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    prepared(folder, batch=4)
    together(folder)
    model = folder / "outputs" / weights.SAFETENSORS
    before = model.read_bytes()
    (folder / "checkpoints/step-000000006.safetensors").unlink()
    model.unlink()
    together(folder)
    assert model.read_bytes() == before
