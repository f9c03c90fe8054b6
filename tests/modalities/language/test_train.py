"""Training language models: exact resume, what is learned and what is not, and every refusal."""

from __future__ import annotations

import json
import math
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from casemate.errors import BadInput, Diverged
from casemate.learning.checkpoint import Checkpoint, save_checkpoint
from casemate.learning.parallel import Team
from casemate.modalities.language import architecture, data, learned, train
from casemate.modalities.language.duplicates import overlap
from tests.learning.runs import figures, killed_at, together
from tests.modalities.language.sets import chats, text, texts, write_lines
from tests.modalities.language.training_runs import prepared

WEIGHTS = "model.safetensors"


def based(workdir: Path, make: object = chats, **changes: object) -> Path:
    """A work folder whose input `base` is a model that was just trained; the folder of that model."""
    train.run(prepared(workdir / "first", make, **changes), workdir / "first")  # type: ignore[arg-type]
    base = workdir / "inputs" / "base"
    base.parent.mkdir(exist_ok=True)
    (workdir / "first" / "outputs").rename(base)
    return base


def test_a_killed_run_ends_with_the_very_bytes_of_one_that_was_not(tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    settings = {"steps": 24, "checkpoint_every": 4, "validate_every": 8, "validation_share": 0.3}
    train.run(prepared(whole, **settings), whole)
    prepared(torn, **settings)
    killed_at(torn, 6)
    left = sorted(file.name for file in (torn / "checkpoints").glob("step-*"))
    train.run(prepared(torn, None, **settings), torn)
    assert left
    for file in sorted(p.name for p in (whole / "outputs").iterdir()):
        assert (torn / "outputs" / file).read_bytes() == (whole / "outputs" / file).read_bytes(), file


def test_with_lora_too_a_run_cut_after_a_checkpoint_ends_with_the_same_bytes(tmp_path: Path) -> None:
    base = based(tmp_path / "whole", objective="chat", context=96)
    settings = {"objective": "chat", "context": 96, "start": "input:base", "tune": "lora", "lora_dropout": 0.1}
    train.run(prepared(tmp_path / "whole", chats, **settings), tmp_path / "whole")
    torn = tmp_path / "torn"
    (torn / "inputs").mkdir(parents=True)
    (torn / "inputs" / "base").symlink_to(base)
    plan = prepared(torn, chats, **settings)
    train.run(plan, torn)
    (torn / "checkpoints/step-000000006.safetensors").unlink()
    (torn / "outputs" / WEIGHTS).unlink()
    train.run(plan, torn)
    assert (torn / "outputs" / WEIGHTS).read_bytes() == (tmp_path / "whole/outputs" / WEIGHTS).read_bytes()
    kept = load_file(torn / "checkpoints/step-000000006.safetensors")
    assert all("lora" in name for name in kept)


def test_a_run_writes_a_folder_that_serves(tmp_path: Path) -> None:
    train.run(prepared(tmp_path, gguf="q8_0", validate_every=3, validation_share=0.3), tmp_path)
    outputs = tmp_path / "outputs"
    assert {p.name for p in outputs.iterdir()} == {
        "MODEL_CARD.md", "config.json", "fingerprints.json", "model.gguf", "model.json", "model.safetensors",
        "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    told = json.loads((outputs / "model.json").read_bytes())
    assert told["entry"]["task"] == "text"
    weights = load_file(outputs / WEIGHTS)
    assert told["entry"]["parameters"] == sum(tensor.numel() for tensor in weights.values())
    assert told["engines"]["model.gguf"]["divergence_mean"] < 0.01
    assert told["training"]["held_out_records"] >= 1
    assert told["training"]["validation_perplexity"] == pytest.approx(min(figures(tmp_path, "validation_perplexity")))
    card = (outputs / "MODEL_CARD.md").read_text()
    assert "words (sha256:" in card
    assert f"Perplexity {told['training']['validation_perplexity']:g}" in card


def test_training_lowers_the_loss_of_texts_held_out(tmp_path: Path) -> None:
    plan = prepared(
        tmp_path, lambda folder: texts(folder, 40), steps=80, batch=8, micro_batch=8, validate_every=20,
        validation_share=0.2, checkpoint_every=1000,
    )  # fmt: skip
    train.run(plan, tmp_path)
    held = figures(tmp_path, "validation_loss")
    assert held[-1] < held[0] - 0.5
    assert figures(tmp_path, "perplexity")[-1] == pytest.approx(math.exp(figures(tmp_path, "loss")[-1]))


def test_fine_tuning_learns_the_answers_and_nothing_but_them(tmp_path: Path) -> None:
    settings = {"objective": "chat", "context": 96, "batch": 8, "micro_batch": 8, "checkpoint_every": 1000}
    based(tmp_path, **settings)
    train.run(prepared(tmp_path, chats, start="input:base", steps=60, **settings), tmp_path)
    losses = figures(tmp_path, "loss")
    assert losses[-1] < 0.6 * losses[0]
    told = json.loads((tmp_path / "outputs/model.json").read_bytes())
    assert (told["entry"]["task"], told["training"]["start"]) == ("chat", "model base")
    assert told["entry"]["base"].startswith("sha256:")


def test_lora_leaves_everything_but_the_linear_layers_as_it_was(tmp_path: Path) -> None:
    base = based(tmp_path, objective="chat", context=96)
    settings = {"objective": "chat", "context": 96, "start": "input:base", "tune": "lora", "lr": 0.1}
    train.run(prepared(tmp_path, chats, **settings), tmp_path)
    before, after = load_file(base / WEIGHTS), load_file(tmp_path / "outputs" / WEIGHTS)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if "_proj." in name}


def test_a_base_in_half_precision_gives_a_model_in_half_precision(tmp_path: Path) -> None:
    base = based(tmp_path, texts)
    tensors = load_file(base / WEIGHTS)
    (base / WEIGHTS).write_bytes(architecture.to_bytes(tensors, torch.bfloat16))
    train.run(prepared(tmp_path, start="input:base"), tmp_path)
    assert {tensor.dtype for tensor in load_file(tmp_path / "outputs" / WEIGHTS).values()} == {torch.bfloat16}
    assert json.loads((tmp_path / "outputs/config.json").read_bytes())["torch_dtype"] == "bfloat16"


def test_passes_recomputation_and_seed_do_what_they_say(tmp_path: Path) -> None:
    def weights_of(name: str, **changes: object) -> dict[str, torch.Tensor]:
        train.run(prepared(tmp_path / name, **changes), tmp_path / name)  # type: ignore[arg-type]
        return load_file(tmp_path / name / "outputs" / WEIGHTS)

    one = weights_of("one", micro_batch=4)
    for name, changes in (("many", {"micro_batch": 1}), ("again", {"micro_batch": 4, "recompute": True})):
        other = weights_of(name, **changes)
        assert all(torch.allclose(one[key], other[key], atol=1e-4) for key in one), name
    assert any(not torch.equal(one[key], value) for key, value in weights_of("seed", micro_batch=4, seed=3).items())


def test_what_is_held_out_shares_no_words_with_what_is_taught(tmp_path: Path) -> None:
    def doubled(folder: Path) -> Path:
        rows = [{"id": f"{copy}{n}", "text": text(n) + f" Copie {copy}."} for n in range(12) for copy in "ab"]
        write_lines(folder / "t.jsonl", rows)
        return folder

    train.run(prepared(tmp_path, doubled, validate_every=3, validation_share=0.3), tmp_path)
    told = json.loads((tmp_path / "outputs/model.json").read_bytes())["training"]
    assert told["held_out_records"] % 2 == 0
    assert told["held_out_records"] + told["records"] == 24


def test_fingerprints_tell_what_a_model_and_its_base_learned_from(tmp_path: Path) -> None:
    based(tmp_path, lambda folder: texts(folder, 3))
    other = lambda folder: write_lines(folder / "t.jsonl", [{"id": "x", "text": text(77)}]).parent  # noqa: E731
    train.run(prepared(tmp_path, other, start="input:base"), tmp_path)
    known = learned.read(tmp_path / "outputs") or {}
    assert set(known) == {"words/t0", "words/t1", "words/t2", "words/x"}
    held = data.read(texts(tmp_path / "held", 2))
    assert {pair.first for pair in overlap(known, data.fingerprints(held))} == {"words/t0", "words/t1"}


def test_a_run_that_no_longer_gets_better_stops_and_keeps_its_best_weights(tmp_path: Path) -> None:
    plan = prepared(tmp_path, steps=400, validate_every=2, validation_share=0.3, patience=2, lr=0.0)
    train.run(plan, tmp_path)
    assert len(figures(tmp_path, "loss")) < 400
    assert len(figures(tmp_path, "validation_loss")) == 3


def test_a_loss_that_is_not_a_number_ends_the_run_naming_the_step(tmp_path: Path) -> None:
    plan = prepared(tmp_path, lr=1e9, clip_norm=1e9, warmup_steps=0, steps=30)
    with pytest.raises(Diverged, match=r"loss at step \d+ of 30: expected a finite number, found (nan|inf)"):
        train.run(plan, tmp_path)
    assert all(math.isfinite(value) for value in figures(tmp_path, "loss"))
    assert not (tmp_path / "outputs").exists()


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_checkpoint_of_another_plan_is_refused(tmp_path: Path) -> None:
    plan = prepared(tmp_path)
    save_checkpoint(tmp_path / "checkpoints", 2, Checkpoint({}, {}), plan_digest="other")
    with pytest.raises(BadInput, match=rf"step-000000002.safetensors: expected a checkpoint of plan {plan.digest}"):
        train.run(plan, tmp_path)


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (chats, {}, r"data set words: expected text, as the recipe's objective, found chat"),
        (texts, {"objective": "chat"}, r"data set words: expected chat, as the recipe's objective, found text"),
        (
            chats, {"objective": "chat", "context": 8},
            r"conversations to learn from: expected at least one, found 8 whose answers are all beyond",
        ),
        (
            lambda folder: texts(folder, 1), {"validate_every": 1, "validation_share": 0.5},
            r"records, to hold some out: expected two that share no words, found 1",
        ),
        (
            lambda folder: write_lines(folder / "t.jsonl", [{"text": "a <|im_end|> b"}]).parent, {},
            r"text t.jsonl:1: expected text without names of special tokens, found <\|im_end\|>",
        ),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_refused(
    tmp_path: Path, make: object, changes: dict[str, object], message: str
) -> None:
    plan = prepared(tmp_path, make, **changes)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=message):
        train.run(plan, tmp_path)


def test_a_base_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    base = based(tmp_path, texts)
    with pytest.raises(BadInput, match=r"input base: expected a base model with a chat template, found none"):
        train.run(prepared(tmp_path, chats, objective="chat", start="input:base"), tmp_path)
    raw = (base / "tokenizer.json").read_text()
    (base / "tokenizer.json").write_text(raw.replace('"normalizer": null', '"normalizer": {"type": "Lowercase"}'))
    for old in (tmp_path / "inputs/words").iterdir():
        old.unlink()
    with pytest.raises(BadInput, match=r"tokenizer.json normalizer: expected no normaliser, or NFC"):
        train.run(prepared(tmp_path, start="input:base", gguf="f16"), tmp_path)
    (base / "tokenizer.json").write_text(raw)
    for old in (tmp_path / "inputs/words").iterdir():
        old.unlink()
    with pytest.raises(BadInput, match=r"parameter context: expected at most the base model's 32, found 64"):
        train.run(prepared(tmp_path, start="input:base", context=64), tmp_path)


# ── several processes ────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("spread", ["ddp", "fsdp"])
def test_two_processes_make_the_model_of_one_and_one_goes_on_from_their_checkpoint(tmp_path: Path, spread: str) -> None:
    settings = {"spread": spread, "validate_every": 3, "validation_share": 0.3, "micro_batch": 1}
    train.run(prepared(tmp_path / "one", **settings), tmp_path / "one")
    prepared(tmp_path / "two", **settings)
    together(tmp_path / "two")
    one, two = (load_file(tmp_path / name / "outputs" / WEIGHTS) for name in ("one", "two"))
    assert all(torch.allclose(one[key], two[key], atol=1e-4) for key in one)
    np.testing.assert_allclose(
        figures(tmp_path / "one", "validation_loss"), figures(tmp_path / "two", "validation_loss"), atol=1e-4
    )
    (tmp_path / "two/checkpoints/step-000000006.safetensors").unlink()
    train.run(prepared(tmp_path / "two", None, **settings), tmp_path / "two")
    again = load_file(tmp_path / "two" / "outputs" / WEIGHTS)
    assert all(torch.allclose(again[key], two[key], atol=1e-4) for key in two)


def test_a_batch_that_processes_cannot_share_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def three(**_: int) -> object:
        return nullcontext(Team(0, 3, torch.device("cpu")))

    monkeypatch.setattr(train, "team", three)
    with pytest.raises(BadInput, match=r"parameter batch: expected a multiple of 3 processes, found 4"):
        train.run(prepared(tmp_path), tmp_path)
