"""Training a detector: a pure function of its plan, that can be killed at any moment.

Rules. `run` reads a plan and its inputs and writes outputs, metrics and checkpoints into the work folder, nothing else.
A run that was killed goes on from its newest checkpoint and ends with the very same bytes (same machine, same plan):
the crops of a step depend on the seed and the step alone, and a checkpoint holds everything that changes. A loss that
is not a number ends the run with Diverged, naming the step. bf16 and compilation are for GPUs, ignored elsewhere.
"""

import ctypes
import math
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from casemate.compute.metrics import append_metric
from casemate.compute.plan import Plan
from casemate.errors import Diverged
from casemate.modalities.imagery import checkpoint, learned, model_folder
from casemate.modalities.imagery.boxes import ImageryDataset
from casemate.modalities.imagery.loss import Loss, detection_loss
from casemate.modalities.imagery.network import Detector, build
from casemate.modalities.imagery.parallel import Team, team
from casemate.modalities.imagery.sample import Read, Sample, Sampler, Setting, pixels_reader
from casemate.modalities.imagery.schedule import TrainingPlan
from casemate.modalities.imagery.start import Start, start
from casemate.modalities.imagery.targets import Truth
from casemate.modalities.imagery.validate import average_precision_50, divide

_PARITY_IMAGES = 2


def run(plan: Plan, workdir: Path) -> None:
    """Train as the plan says, from the newest checkpoint if there is one; writes `outputs/`, a model folder."""
    settings = TrainingPlan.from_parameters(plan.parameters)
    with _exact(plan.resources.threads), team(gpus=plan.resources.gpus) as us:
        begun = start(plan, settings, workdir)
        settings = settings.fitted(_median_side_px(begun))
        read = pixels_reader()
        training = _Training(plan, settings, begun, us, workdir, read)
        training.resume()
        training.go_on()
        if us.leads:
            training.write_outputs()
        us.wait()


@contextmanager
def _exact(threads: int) -> Iterator[None]:
    """Deterministic arithmetic on a fixed number of threads; a step keeps the memory that the one before it freed."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    torch.set_num_threads(threads)
    # On a GPU a few gradients have no exact form: there the law is "same loss", and not "same bytes".
    torch.use_deterministic_algorithms(mode=True, warn_only=torch.cuda.is_available())
    memory.fill_uninitialized_memory = False
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "gnu_get_libc_version"):
            libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD: large tensors come from the heap,
            libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: which is not given back between steps
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        memory.fill_uninitialized_memory = filled


class _Training:
    """The state of a run between two steps, and how it takes one."""

    def __init__(self, plan: Plan, settings: TrainingPlan, begun: Start, us: Team, workdir: Path, read: Read) -> None:
        self.plan, self.settings, self.begun, self.us, self.workdir, self.read = (
            plan,
            settings,
            begun,
            us,
            workdir,
            read,
        )
        parts = {name: divide(dataset, settings.validation_share) for name, dataset in begun.datasets.items()}
        self.taught = {name: part[0] for name, part in parts.items()}
        self.held = [part[1] for part in parts.values() if part[1].images]
        names = ("crop_px", "scale_min", "scale_max", "anywhere", "weather", "source_weights")
        setting = Setting(**{name: getattr(settings, name) for name in names})
        self.sampler = Sampler(self.taught, begun.taxonomy, setting, read)
        self.exhaustive, self.tree = [known.to(us.device) for known in begun.exhaustive()], begun.tree
        self.detector = begun.detector.to(us.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.detector.freeze(settings.freeze)
        self.module = us.wrap(self.detector)
        if settings.compile and us.device.type == "cuda":
            self.module = torch.compile(self.module)  # type: ignore[assignment]
        self.optimizer = _optimizer(self.detector, settings)
        self.average = {name: tensor.detach().clone() for name, tensor in self.detector.state_dict().items()}
        self.best: dict[str, Tensor] = {}
        self.step, self.best_figure, self.worse_rounds, self.stopped = 0, -1.0, 0, False

    # ── one step after another ───────────────────────────────────────────────────────────────────────────────────────
    def go_on(self) -> None:
        """Take the steps that are left; the next crops are cut while the network works on the present ones."""
        with ThreadPoolExecutor(max_workers=1) as cutter:
            ahead = cutter.submit(self._cut, self.step)
            while self.step < self.settings.steps and not self.stopped:
                ahead = self._advance(cutter, ahead)

    def _advance(self, cutter: ThreadPoolExecutor, ahead: "Future[list[Sample]]") -> "Future[list[Sample]]":
        samples, step = ahead.result(), self.step
        ahead = cutter.submit(self._cut, step + 1)
        loss = self._learn(samples)
        self.step = step + 1
        if self.us.leads and (self.step % self.settings.report_every == 0 or self.step == self.settings.steps):
            self._report(loss)
        if self.settings.validate_every and self.step % self.settings.validate_every == 0:
            self._validate()
        ends = self.step == self.settings.steps or self.stopped
        if self.us.leads and (ends or self.step % self.settings.checkpoint_every == 0):
            self._save()
        return ahead

    def _cut(self, step: int) -> list[Sample]:
        return [self.sampler.sample(self.plan.seed, step, place) for place in self.us.places(self.settings.batch)]

    def _learn(self, samples: list[Sample]) -> Loss:
        share = self.settings.rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * share
        device = self.us.device
        crops_NCHW = torch.from_numpy(np.stack([sample.crop_HWC for sample in samples])).permute(0, 3, 1, 2).to(device)
        bf16 = self.settings.precision == "bf16" and device.type == "cuda"
        self.module.train()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits, logs = self.module(crops_NCHW)
        loss = detection_loss(logits, logs, [self._truth(sample) for sample in samples], self.tree.to(device))
        self._refuse_nan(loss)
        self.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        learning = [p for group in self.optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(learning, self.settings.clip_norm)
        self.optimizer.step()
        self._follow()
        return loss

    def _truth(self, sample: Sample) -> Truth:
        device = self.us.device
        boxes, nodes = torch.from_numpy(sample.boxes_xyxy_px).to(device), torch.from_numpy(sample.nodes).to(device)
        return Truth(boxes, nodes, torch.from_numpy(sample.difficult).to(device), self.exhaustive[sample.source])

    def _refuse_nan(self, loss: Loss) -> None:
        value = float(loss.total.detach())
        if not math.isfinite(value):
            step = f"loss at step {self.step + 1} of {self.settings.steps}"
            raise Diverged(step, expected="a finite number", found=value)

    @torch.no_grad()
    def _follow(self) -> None:
        """Let the moving average follow the weights, faster at the start."""
        keep = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        for name, tensor in self.detector.state_dict().items():
            if tensor.dtype.is_floating_point:
                self.average[name].lerp_(tensor, 1 - keep)
            else:
                self.average[name].copy_(tensor)

    def _report(self, loss: Loss) -> None:
        parts = {"loss": loss.total, "presence": loss.presence, "nodes": loss.nodes, "boxes": loss.boxes}
        values = {name: float(value.detach()) for name, value in parts.items()}
        append_metric(self.workdir, self.step, self.settings.steps, **values, lr=self.optimizer.param_groups[-1]["lr"])

    # ── early stop ───────────────────────────────────────────────────────────────────────────────────────────────────
    def _validate(self) -> None:
        figure = average_precision_50(self._averaged(), self._config(), self.held, self.read) if self.us.leads else 0.0
        figure = self.us.agree(figure)
        if self.us.leads and math.isfinite(figure):
            append_metric(self.workdir, self.step, self.settings.steps, validation_ap50=figure)
        if figure > self.best_figure:
            self.best_figure, self.worse_rounds = figure, 0
            self.best = {name: tensor.clone() for name, tensor in self.average.items()}
        else:
            self.worse_rounds += 1
            self.stopped = self.worse_rounds >= self.settings.patience

    # ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _save(self) -> None:
        tensors = {
            **checkpoint.prefixed("model", self.detector.state_dict()),
            **checkpoint.prefixed("average", self.average),
            **checkpoint.prefixed("best", self.best),
            **checkpoint.prefixed("moments", checkpoint.moments(self.optimizer)),
        }
        facts = {"best": self.best_figure, "worse_rounds": self.worse_rounds, "stopped": self.stopped}
        kept = checkpoint.Checkpoint(tensors, facts)
        digest = str(self.plan.digest)
        checkpoint.save_checkpoint(self.workdir / "checkpoints", self.step, kept, plan_digest=digest)

    def resume(self) -> None:
        """Go back to the newest checkpoint, if there is one."""
        found = checkpoint.newest_checkpoint(self.workdir / "checkpoints", plan_digest=str(self.plan.digest))
        if found is None:
            return
        self.detector.load_state_dict(checkpoint.with_prefix("model", found.tensors))
        checkpoint.restore_moments(self.optimizer, checkpoint.with_prefix("moments", found.tensors))
        for name, tensor in checkpoint.with_prefix("average", found.tensors).items():
            self.average[name].copy_(tensor)
        best = checkpoint.with_prefix("best", found.tensors)
        self.best = {name: tensor.to(self.us.device) for name, tensor in best.items()}
        self.step, self.best_figure = int(found.facts["step"]), float(found.facts["best"])
        self.worse_rounds, self.stopped = int(found.facts["worse_rounds"]), bool(found.facts["stopped"])

    def write_outputs(self) -> None:
        """The model folder: the best weights where they were measured, else the moving average."""
        detector, images = self._averaged(best=True), self._parity_images()
        model_folder.write(self.workdir / "outputs", detector, self._config(), images=images)
        older = learned.before(self.settings.start, self.workdir / "inputs")
        learned.write(self.workdir / "outputs", self.begun.datasets, older)
        if self.settings.int8:
            from casemate.modalities.imagery import export

            export.quantize(self.workdir / "outputs", images)

    def _averaged(self, *, best: bool = False) -> Detector:
        detector = build(self.begun.architecture, len(self.begun.taxonomy.names), seed=0)
        detector.load_state_dict(self.best if best and self.best else self.average)
        return detector.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]

    def _parity_images(self) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
        places = range(min(self.settings.batch, 8 if self.settings.int8 else _PARITY_IMAGES))
        return [self.sampler.sample(self.plan.seed, self.settings.steps, place).crop_HWC for place in places]

    def _config(self) -> dict[str, Any]:
        data = {name: _facts(dataset, str(self.plan.inputs[name])) for name, dataset in self.begun.datasets.items()}
        training = {
            "data": data,
            "start": self.begun.origin,
            "recipe": self.plan.recipe,
            "plan": str(self.plan.digest),
            "code_version": self.plan.code_version,
            "seed": self.plan.seed,
            "steps": self.settings.steps,
        }
        scale = self.settings.input_scale
        return model_folder.describe(self.begun.architecture, self.begun.taxonomy, input_scale=scale, training=training)


def _optimizer(detector: Detector, settings: TrainingPlan) -> torch.optim.Optimizer:
    backbone = [p for p in detector.backbone.parameters() if p.requires_grad]
    others = [p for name, p in detector.named_parameters() if not name.startswith("backbone.")]
    groups = [{"params": backbone, "lr": settings.lr * settings.backbone_lr}] if backbone else []
    optimizer = torch.optim.AdamW([*groups, {"params": others, "lr": settings.lr}], weight_decay=settings.weight_decay)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def _median_side_px(begun: Start) -> float:
    boxes = [box for data in begun.datasets.values() for image in data.images for box in image.boxes]
    return float(np.median([math.sqrt(box.area) for box in boxes if not box.difficult] or [1.0]))


def _facts(dataset: ImageryDataset, digest: str) -> dict[str, Any]:
    gsd = sorted(image.gsd_m for image in dataset.images if image.gsd_m is not None)
    return {
        "digest": digest,
        "images": len(dataset.images),
        "labels": dataset.labels,
        "exhaustive": sorted(dataset.exhaustive),
        "gsd_m": [gsd[0], gsd[-1]] if gsd else None,
        "source": dataset.source,
    }
