"""Everything a run needs to go on as if nothing had happened: one safetensors file a checkpoint.

Rules. A checkpoint holds everything that changes, under names that its modality chooses: the weights that learn, their
best so far, the optimiser's moments, and the state of a generator where chance does not depend on the seed and the step
alone. It appears whole, by rename, or not at all, and nothing in it is ever unpickled. It belongs to one plan: another
plan's is refused. The newest is used; the one before it is kept until the next is there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from casemate.errors import BadInput
from casemate.store.whole import write_whole

_KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and plain facts (the step that comes next, what was best so far)."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under a prefix, without it."""
        start = f"{prefix}."
        return {name.removeprefix(start): tensor for name, tensor in self.tensors.items() if name.startswith(start)}


def save_checkpoint(folder: Path, step: int, checkpoint: Checkpoint, *, plan_digest: str) -> None:
    """Write the checkpoint of a step, then remove all but the newest two."""
    facts = {"step": step, "plan": plan_digest, **checkpoint.facts}
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in checkpoint.tensors.items()}
    data = save(tensors, metadata={"casemate": json.dumps(facts, sort_keys=True)})
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / f"step-{step:09d}.safetensors", data)
    for leftover in folder.glob(".step-*"):
        leftover.unlink(missing_ok=True)
    for old in sorted(folder.glob("step-*.safetensors"))[:-_KEPT]:
        old.unlink()


def newest_checkpoint(folder: Path, *, plan_digest: str) -> Checkpoint | None:
    """The newest checkpoint of this plan; None where there is none."""
    found = sorted(folder.glob("step-*.safetensors"))
    if not found:
        return None
    path = found[-1]
    try:
        with safe_open(str(path), framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("casemate", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    except SafetensorError as why:
        raise BadInput(path, expected="a whole checkpoint", found=why) from why
    if facts.get("plan") != plan_digest:
        raise BadInput(path, expected=f"a checkpoint of plan {plan_digest}", found=facts.get("plan"))
    return Checkpoint(tensors, facts)


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names with a prefix."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}
