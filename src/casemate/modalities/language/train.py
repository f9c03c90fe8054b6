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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from casemate.compute.metrics import append_metric
from casemate.compute.plan import Plan
from casemate.errors import BadInput, Diverged
from casemate.modalities.language import checkpoint, model_folder
from casemate.modalities.language.packing import IGNORED, Blocks, attention, order
from casemate.modalities.language.parallel import Team, put_back, team, whole
from casemate.modalities.language.schedule import TrainingPlan
from casemate.modalities.language.start import Start, start

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def run(plan: Plan, workdir: Path) -> None:
    """Train as the plan says, from the newest checkpoint if there is one; writes `outputs/`, a model folder."""
    settings = TrainingPlan.from_parameters(plan.parameters)
    with _exact(plan.resources.threads), team(gpus=plan.resources.gpus) as us:
        if settings.batch % us.size:
            raise BadInput("parameter batch", expected=f"a multiple of {us.size} processes", found=settings.batch)
        training = _Training(plan, start(plan, settings, workdir), us, workdir)
        training.resume()
        training.go_on()
        training.write_outputs()
        us.wait()


@contextmanager
def _exact(threads: int) -> Iterator[None]:
    """Deterministic arithmetic on a fixed number of threads."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    torch.set_num_threads(threads)
    # On a GPU a few gradients have no exact form: there the law is "same loss", and not "same bytes".
    torch.use_deterministic_algorithms(mode=True, warn_only=torch.cuda.is_available())
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        memory.fill_uninitialized_memory = filled


class _Training:
    """The state of a run between two steps, and how it takes one."""

    def __init__(self, plan: Plan, begun: Start, us: Team, workdir: Path) -> None:
        self.plan, self.begun, self.us, self.workdir, self.settings = plan, begun, us, workdir, begun.settings
        network = begun.network()
        if self.settings.recompute:
            network.activation_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
        self.half = self.settings.precision == "bf16" and us.device.type == "cuda"
        self.module = us.wrap(network.to(us.device), spread=self.settings.spread, bf16=self.half)
        # After wrapping: what is divided among processes are other tensors than those that went in.
        self.learning = {name: p for name, p in sorted(network.named_parameters()) if p.requires_grad}
        self.optimizer = _optimizer(self.learning, self.settings)
        self.best: dict[str, Tensor] = {}
        self.step, self.best_loss, self.worse_rounds, self.stopped = 0, math.inf, 0, False
        self.epoch, self.blocks = -1, np.empty(0, np.int64)
        self.clock = (time.monotonic(), 0)

    # ── one step after another ───────────────────────────────────────────────────────────────────────────────────────
    def go_on(self) -> None:
        """Take the steps that are left."""
        settings = self.settings
        while self.step < settings.steps and not self.stopped:
            loss = self._learn()
            self.step += 1
            ends = self.step == settings.steps
            if self.step % settings.report_every == 0 or ends:
                self._report(loss)
            if settings.validate_every and (self.step % settings.validate_every == 0 or ends):
                self._validate()
            if ends or self.stopped or self.step % settings.checkpoint_every == 0:
                self._save()

    def _learn(self) -> tuple[float, int]:
        """One step; this process's share of the loss (a sum), and how many tokens the whole batch predicts."""
        settings, mine = self.settings, list(self.us.places(self.settings.batch))
        taught = self.begun.taught
        rows = [self._block(place) for place in range(settings.batch)]
        targets = max(1, int((taught.labels[rows] != IGNORED).sum()))
        for group in self.optimizer.param_groups:
            group["lr"] = settings.lr * settings.rate(self.step)
        torch.manual_seed(_seed(self.plan.seed, self.step, self.us.rank))
        self.module.train()
        self.optimizer.zero_grad(set_to_none=True)
        passes = [mine[at : at + settings.micro_batch] for at in range(0, len(mine), settings.micro_batch)]
        total = 0.0
        for number, places in enumerate(passes, 1):
            with self.us.adding_up(self.module, last=number == len(passes)):
                loss = self._loss(taught, [rows[place] for place in places])
                (loss * (self.us.size / targets)).backward()  # type: ignore[no-untyped-call]  # peers are averaged
            total += float(loss.detach())
        if not math.isfinite(total):
            raise Diverged(f"loss at step {self.step + 1} of {settings.steps}", expected="a finite number", found=total)
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

    def _block(self, place: int) -> int:
        """Which block stands at a place of the present step's batch."""
        index = self.step * self.settings.batch + place
        epoch, place = divmod(index, len(self.begun.taught))
        if epoch != self.epoch:
            self.epoch, self.blocks = epoch, order(len(self.begun.taught), self.plan.seed, epoch)
        return int(self.blocks[place])

    def _report(self, loss: tuple[float, int]) -> None:
        summed, targets = self.us.total(loss[0])[0], loss[1]
        now, step = time.monotonic(), self.step
        tokens = (step - self.clock[1]) * self.settings.batch * self.settings.context
        rate, self.clock = tokens / max(now - self.clock[0], 1e-9), (now, step)
        if self.us.leads:
            mean = summed / targets
            values = {"loss": mean, "perplexity": _perplexity(mean), "tokens_per_s": rate}
            append_metric(self.workdir, step, self.settings.steps, **values, lr=self.optimizer.param_groups[0]["lr"])

    # ── early stop ───────────────────────────────────────────────────────────────────────────────────────────────────
    @torch.no_grad()
    def _validate(self) -> None:
        held = self.begun.held
        if held is None:
            return
        self.module.eval()
        size, micro = self.us.size, self.settings.micro_batch
        passes = [list(range(at, min(at + micro, len(held)))) for at in range(0, len(held), micro)]
        # Every process takes as many passes: where the last round is short, some look at one that does not count.
        padded = passes + [passes[0]] * (-len(passes) % size)
        total = 0.0
        for number in range(self.us.rank, len(padded), size):
            loss = float(self._loss(held, padded[number]))
            total += loss if number < len(passes) else 0.0
        mean = self.us.total(total)[0] / max(held.learned, 1)
        if not math.isfinite(mean):
            raise Diverged(f"validation loss at step {self.step}", expected="a finite number", found=mean)
        if self.us.leads:
            values = {"validation_loss": mean, "validation_perplexity": _perplexity(mean)}
            append_metric(self.workdir, self.step, self.settings.steps, **values)
        if mean < self.best_loss:
            self.best_loss, self.worse_rounds = mean, 0
            self.best = {name: p.detach().clone() for name, p in self.learning.items()}
        else:
            self.worse_rounds += 1
            self.stopped = self.worse_rounds >= self.settings.patience
        self.clock = (time.monotonic(), self.step)

    # ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _save(self) -> None:
        tensors = {
            **checkpoint.prefixed("model", whole(self.learning)),
            **checkpoint.prefixed("best", whole(self.best)),
            **checkpoint.prefixed("moments", whole(self._moments())),
        }
        facts = {
            "best": self.best_loss if math.isfinite(self.best_loss) else None,
            "worse_rounds": self.worse_rounds,
            "stopped": self.stopped,
        }
        if self.us.leads:
            kept = checkpoint.Checkpoint(tensors, facts)
            folder, digest = self.workdir / "checkpoints", str(self.plan.digest)
            checkpoint.save_checkpoint(folder, self.step, kept, plan_digest=digest)

    def _moments(self) -> dict[str, Tensor]:
        """The optimiser's state, by the name of its parameter and its own."""
        state = self.optimizer.state
        return {f"{name}|{m}": state[p][m] for name, p in self.learning.items() if p in state for m in _MOMENTS}

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
        for key, tensor in found.under("moments").items():
            name, moment = key.rsplit("|", 1)
            parameter = self.learning[name]
            like = tensor if moment == "step" else torch.zeros_like(parameter)
            if moment != "step":
                put_back(like, tensor)
            self.optimizer.state[parameter][moment] = like
        self.step, self.worse_rounds = int(found.facts["step"]), int(found.facts["worse_rounds"])
        self.best_loss = math.inf if found.facts["best"] is None else float(found.facts["best"])
        self.stopped = bool(found.facts["stopped"])
        self.clock = (time.monotonic(), self.step)

    def write_outputs(self) -> None:
        """The model folder: the best weights where they were measured, else the last."""
        learned_ = whole(self.best or self.learning)
        if self.us.leads:
            tensors = _finished(self.begun, learned_)
            facts = {"loss": self.best_loss if self.best else None, "steps": self.step}
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
