"""Checkpoints and moments: everything comes back as it was, or the checkpoint is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from casemate.errors import BadInput
from casemate.learning.checkpoint import Checkpoint, newest_checkpoint, prefixed, save_checkpoint
from casemate.learning.moments import moments, restore_moments


def test_a_checkpoint_gives_back_tensors_and_facts(tmp_path: Path) -> None:
    kept = Checkpoint(prefixed("model", {"a": torch.arange(6.0).reshape(2, 3).T}), {"best": 0.25})
    save_checkpoint(tmp_path, 7, kept, plan_digest="p")
    back = newest_checkpoint(tmp_path, plan_digest="p")
    assert back is not None
    assert torch.equal(back.under("model")["a"], kept.tensors["model.a"])
    assert back.under("mod") == {}
    assert dict(back.facts) == {"step": 7, "plan": "p", "best": 0.25}


def test_the_newest_two_are_kept_and_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / ".step-000000001.safetensors.99").write_bytes(b"half of one, from a run that was killed")
    for step in (5, 10, 15):
        save_checkpoint(tmp_path, step, Checkpoint({}, {}), plan_digest="p")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000010.safetensors", "step-000000015.safetensors"]


def test_the_format_on_disk_is_the_one_that_was_always_read(tmp_path: Path) -> None:
    facts = {"best": None, "plan": "p", "step": 4, "stopped": False, "worse_rounds": 0}
    save_file({"model.w": torch.ones(2)}, tmp_path / "step-000000004.safetensors", {"casemate": json.dumps(facts)})
    back = newest_checkpoint(tmp_path, plan_digest="p")
    assert back is not None
    assert dict(back.facts) == facts
    assert back.under("model")["w"].tolist() == [1.0, 1.0]
    save_checkpoint(tmp_path, 5, back, plan_digest="p")
    assert list(load_file(tmp_path / "step-000000005.safetensors")) == ["model.w"]


def test_a_damaged_one_and_one_of_another_plan_are_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 4, Checkpoint({}, {}), plan_digest="p")
    with pytest.raises(BadInput, match=r"step-000000004.safetensors: expected a checkpoint of plan q, found p"):
        newest_checkpoint(tmp_path, plan_digest="q")
    (tmp_path / "step-000000005.safetensors").write_bytes(b"\x08\x00")
    with pytest.raises(BadInput, match=r"step-000000005.safetensors: expected a whole checkpoint, found"):
        newest_checkpoint(tmp_path, plan_digest="p")


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path / "absent", plan_digest="p") is None


def test_moments_come_back_under_the_names_of_their_parameters() -> None:
    learning = {"a|b": torch.ones(3), "c": torch.zeros(2), "unused": torch.zeros(1)}
    known = [learning["a|b"], learning["c"]]
    state = {p: {"exp_avg": p + 1, "exp_avg_sq": p + 2, "step": torch.tensor(4.0)} for p in known}
    kept = moments(state, learning)
    assert set(kept) == {f"{name}|{m}" for name in ("a|b", "c") for m in ("exp_avg", "exp_avg_sq", "step")}
    again: dict[torch.Tensor, dict[str, torch.Tensor]] = {}
    restore_moments(again, learning, kept)
    assert set(again) == set(known)
    assert all(torch.equal(again[p][m], state[p][m]) for p in known for m in state[p])
