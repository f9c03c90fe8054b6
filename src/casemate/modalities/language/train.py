"""Training a language model: a pure function of its plan, that can be killed at any moment.

Rules. `run` reads a plan and its inputs and writes outputs, metrics and checkpoints into the work folder, nothing
else. A run that was killed goes on from its newest checkpoint and ends with the very same bytes (same machine, same
plan): the blocks of a step depend on the seed and the step alone, and a checkpoint holds everything that changes. The
loss is that of the whole batch, however many passes and processes it takes. A loss that is not a number ends the run
with Diverged, naming the step. bf16 is for GPUs, ignored elsewhere.
"""

import hashlib
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from casemate.compute.metrics import append_metric
from casemate.compute.plan import Plan
from casemate.errors import BadInput
from casemate.learning import checkpoint
from casemate.learning.exact import exact
from casemate.learning.moments import moments, restore_moments
from casemate.learning.parallel import Team, put_back, team, whole
from casemate.learning.progress import Progress, go_on, require_finite
from casemate.modalities.language import model_folder
from casemate.modalities.language.packing import IGNORED, Blocks, attention, order
from casemate.modalities.language.schedule import TrainingPlan
from casemate.modalities.language.start import Start, start


def run(plan: Plan, workdir: Path) -> None:
    """Train as the plan says, from the newest checkpoint if there is one; writes `outputs/`, a model folder."""
    settings = TrainingPlan.from_parameters(plan.parameters)
    with exact(plan.resources.threads), team(gpus=plan.resources.gpus) as us:
        if settings.batch % us.size:
            raise BadInput("parameter batch", expected=f"a multiple of {us.size} processes", found=settings.batch)
        training = _Training(plan, start(plan, settings, workdir), us, workdir)
        training.resume()
        go_on(training, settings)
        training.write_outputs()
        us.wait()


class _Training:
    """The state of a run between two steps, and how it takes one."""

    def __init__(self, plan: Plan, begun: Start, us: Team, workdir: Path) -> None:
        self.plan, self.begun, self.us, self.workdir, self.settings = plan, begun, us, workdir, begun.settings
        network = begun.network()
        if self.settings.recompute:
            network.activation_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
        self.half = self.settings.precision == "bf16" and us.device.type == "cuda"
        self.module = self._shared(network.to(us.device))
        # After wrapping: what is divided among processes are other tensors than those that went in.
        self.learning = {name: p for name, p in sorted(network.named_parameters()) if p.requires_grad}
        self.optimizer = _optimizer(self.learning, self.settings)
        self.best: dict[str, Tensor] = {}
        self.progress = Progress(lower_is_better=True)
        self.epoch, self.blocks = -1, np.empty(0, np.int64)
        self.clock = (time.monotonic(), 0)

    def _shared(self, network: nn.Module) -> nn.Module:
        """The network, shared with the other processes as the plan says."""
        spread, on_gpu = self.settings.spread, self.us.device.type == "cuda"
        if spread == "fsdp" or (spread == "auto" and on_gpu):
            layers = [part for part in network.modules() if type(part).__name__.endswith("DecoderLayer")]
            return self.us.divided(network, layers, bf16=self.half)
        return self.us.averaging(network)

    # ── one step after another ───────────────────────────────────────────────────────────────────────────────────────
    def learn(self, step: int) -> tuple[float, int]:
        """One step; this process's share of the loss (a sum), and how many tokens the whole batch predicts."""
        settings, mine = self.settings, list(self.us.places(self.settings.batch))
        taught = self.begun.taught
        rows = [self._block(step, place) for place in range(settings.batch)]
        targets = max(1, int((taught.labels[rows] != IGNORED).sum()))
        for group in self.optimizer.param_groups:
            group["lr"] = settings.lr * settings.rate(step)
        torch.manual_seed(_seed(self.plan.seed, step, self.us.rank))
        self.module.train()
        self.optimizer.zero_grad(set_to_none=True)
        passes = [mine[at : at + settings.micro_batch] for at in range(0, len(mine), settings.micro_batch)]
        total = 0.0
        for number, places in enumerate(passes, 1):
            with self.us.adding_up(self.module, last=number == len(passes)):
                loss = self._loss(taught, [rows[place] for place in places])
                (loss * (self.us.size / targets)).backward()  # type: ignore[no-untyped-call]  # peers are averaged
            total += float(loss.detach())
        require_finite("loss", total, step + 1, settings.steps)
        torch.nn.utils.clip_grad_norm_(list(self.learning.values()), settings.clip_norm)
        self.optimizer.step()
        return total, targets

    def _loss(self, blocks: Blocks, rows: list[int]) -> Tensor:
        """The sum of the losses of the tokens that these blocks predict, in nats."""
        device = self.us.device
        parts = (blocks.tokens, blocks.positions, blocks.segments, blocks.labels)
        tokens, positions, segments, labels = (
            torch.from_numpy(part[rows].astype(np.int64)).to(device) for part in parts
        )
        with torch.autocast(device.type, torch.bfloat16, enabled=self.half):
            logits = self.module(
                input_ids=tokens, attention_mask=attention(segments), position_ids=positions, use_cache=False
            ).logits
        return nn.functional.cross_entropy(
            logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum"
        )

    def _block(self, step: int, place: int) -> int:
        """Which block stands at a place of a step's batch."""
        index = step * self.settings.batch + place
        epoch, place = divmod(index, len(self.begun.taught))
        if epoch != self.epoch:
            self.epoch, self.blocks = epoch, order(len(self.begun.taught), self.plan.seed, epoch)
        return int(self.blocks[place])

    def report(self, step: int, loss: tuple[float, int]) -> None:
        """A line of the mean loss of a token, its perplexity, and the speed."""
        summed, targets, now = self.us.total(loss[0]), loss[1], time.monotonic()
        tokens = (step - self.clock[1]) * self.settings.batch * self.settings.context
        rate, self.clock = tokens / max(now - self.clock[0], 1e-9), (now, step)
        if self.us.leads:
            mean = summed / targets
            values = {"loss": mean, "perplexity": _perplexity(mean), "tokens_per_s": rate}
            append_metric(self.workdir, step, self.settings.steps, **values, lr=self.optimizer.param_groups[0]["lr"])

    # ── early stop ───────────────────────────────────────────────────────────────────────────────────────────────────
    @torch.no_grad()
    def measure(self, step: int) -> float | None:
        """The mean loss of a token of what is held out; None where nothing is."""
        held = self.begun.held
        if held is None:
            return None
        self.module.eval()
        size, micro = self.us.size, self.settings.micro_batch
        passes = [list(range(at, min(at + micro, len(held)))) for at in range(0, len(held), micro)]
        # Every process takes as many passes: where the last round is short, some look at one that does not count.
        padded = passes + [passes[0]] * (-len(passes) % size)
        total = 0.0
        for number in range(self.us.rank, len(padded), size):
            loss = float(self._loss(held, padded[number]))
            total += loss if number < len(passes) else 0.0
        mean = self.us.total(total) / max(held.learned, 1)
        require_finite("validation loss", mean, step, self.settings.steps)
        if self.us.leads:
            values = {"validation_loss": mean, "validation_perplexity": _perplexity(mean)}
            append_metric(self.workdir, step, self.settings.steps, **values)
        self.clock = (time.monotonic(), step)
        return mean

    def keep(self) -> None:
        """Keep the present weights as the best."""
        self.best = {name: p.detach().clone() for name, p in self.learning.items()}

    # ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────────
    def save(self) -> None:
        """A checkpoint of everything that changes, gathered by all processes and written by the first."""
        tensors = {
            **checkpoint.prefixed("model", whole(self.learning)),
            **checkpoint.prefixed("best", whole(self.best)),
            **checkpoint.prefixed("moments", whole(moments(self.optimizer.state, self.learning))),
        }
        if self.us.leads:
            kept = checkpoint.Checkpoint(tensors, self.progress.facts())
            folder, digest = self.workdir / "checkpoints", str(self.plan.digest)
            checkpoint.save_checkpoint(folder, self.progress.step, kept, plan_digest=digest)

    def resume(self) -> None:
        """Go back to the newest checkpoint, if there is one."""
        found = checkpoint.newest_checkpoint(self.workdir / "checkpoints", plan_digest=str(self.plan.digest))
        if found is None:
            return
        for name, tensor in found.under("model").items():
            put_back(self.learning[name].detach(), tensor)
        self.best = {name: self.learning[name].detach().clone() for name in found.under("best")}
        for name, tensor in found.under("best").items():
            put_back(self.best[name], tensor)
        restore_moments(self.optimizer.state, self.learning, found.under("moments"))
        self.progress.go_back(found.facts)
        self.clock = (time.monotonic(), self.progress.step)

    def write_outputs(self) -> None:
        """The model folder: the best weights where they were measured, else the last."""
        learned_ = whole(self.best or self.learning)
        if self.us.leads:
            tensors = _finished(self.begun, learned_)
            facts = {"loss": self.progress.best if self.best else None, "steps": self.progress.step}
            model_folder.write(self.workdir / "outputs", self.plan, self.begun, tensors, facts)


def _optimizer(learning: Mapping[str, Tensor], settings: TrainingPlan) -> torch.optim.AdamW:
    """AdamW; what has one dimension (norms, biases) is not drawn towards nought."""
    groups = [
        {"params": [p for p in learning.values() if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in learning.values() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    kept = [group for group in groups if group["params"]]
    return torch.optim.AdamW(kept, lr=settings.lr, betas=(0.9, settings.beta2))


@torch.no_grad()
def _finished(begun: Start, learned_: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All weights of the finished network, with what was learned beside them merged in."""
    network: Any = begun.network()
    mine = dict(network.named_parameters())
    for name, tensor in learned_.items():
        mine[name].copy_(tensor.to("cpu"))
    if begun.settings.tune == "lora":
        network = network.merge_and_unload()
    tied = {"lm_head.weight"} if begun.config["tie_word_embeddings"] else set()
    return {name: tensor for name, tensor in network.state_dict().items() if name not in tied}


def _seed(seed: int, step: int, rank: int) -> int:
    """What chance a step has (dropout): its own, the same every time."""
    return int.from_bytes(hashlib.sha256(f"step {seed} {step} {rank}".encode()).digest()[:7], "big")


def _perplexity(loss: float) -> float:
    return math.exp(min(loss, 50.0))
