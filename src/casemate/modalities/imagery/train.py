"""Training a detector: a pure function of its plan, that can be killed at any moment.

Rules. `run` reads a plan and its inputs and writes outputs, metrics and checkpoints into the work folder, nothing else.
A run that was killed goes on from its newest checkpoint and ends with the very same bytes (same machine, same plan):
the crops of a step depend on the seed and the step alone, and a checkpoint holds everything that changes. A loss that
is not a number ends the run with Diverged, naming the step. bf16 and compilation are for GPUs, ignored elsewhere.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from casemate.compute.metrics import append_metric
from casemate.compute.plan import Plan
from casemate.learning import checkpoint
from casemate.learning.ahead import Ahead
from casemate.learning.exact import exact, keep_freed_memory
from casemate.learning.parallel import Team, team
from casemate.learning.progress import Progress, go_on, require_finite
from casemate.modalities.imagery import learned, model_folder
from casemate.modalities.imagery.boxes import ImageryDataset
from casemate.modalities.imagery.loss import Loss, detection_loss
from casemate.modalities.imagery.moments import moments, restore_moments
from casemate.modalities.imagery.network import Detector, build
from casemate.modalities.imagery.sample import Read, Sample, Sampler, Setting, pixels_reader
from casemate.modalities.imagery.schedule import TrainingPlan
from casemate.modalities.imagery.start import Start, start
from casemate.modalities.imagery.targets import Truth
from casemate.modalities.imagery.validate import average_precision_50, divide

_PARITY_IMAGES = 2
_CHANCE = "generator.torch"


def run(plan: Plan, workdir: Path) -> None:
    """Train as the plan says, from the newest checkpoint if there is one; writes `outputs/`, a model folder."""
    settings = TrainingPlan.from_parameters(plan.parameters)
    keep_freed_memory()
    with exact(plan.resources.threads), team(gpus=plan.resources.gpus) as us:
        begun = start(plan, settings, workdir)
        settings = settings.fitted(_median_side_px(begun))
        training = _Training(plan, settings, begun, us, workdir, pixels_reader())
        training.resume()
        training.go_on()
        if us.leads:
            training.write_outputs()
        us.wait()


class _Training:
    """The state of a run between two steps, and how it takes one."""

    def __init__(self, plan: Plan, settings: TrainingPlan, begun: Start, us: Team, workdir: Path, read: Read) -> None:
        self.plan, self.settings, self.begun = plan, settings, begun
        self.us, self.workdir, self.read = us, workdir, read
        parts = {name: divide(dataset, settings.validation_share) for name, dataset in begun.datasets.items()}
        self.taught = {name: part[0] for name, part in parts.items()}
        self.held = [part[1] for part in parts.values() if part[1].images]
        names = ("crop_px", "scale_min", "scale_max", "anywhere", "weather", "source_weights")
        setting = Setting(**{name: getattr(settings, name) for name in names})
        self.sampler = Sampler(self.taught, begun.taxonomy, setting, read)
        self.exhaustive, self.tree = [known.to(us.device) for known in begun.exhaustive()], begun.tree
        self.detector = begun.detector.to(us.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.detector.freeze(settings.freeze)
        self.module = us.averaging(self.detector)
        if settings.compile and us.device.type == "cuda":
            self.module = torch.compile(self.module)  # type: ignore[assignment]
        self.optimizer = _optimizer(self.detector, settings)
        self.average = {name: tensor.detach().clone() for name, tensor in self.detector.state_dict().items()}
        self.best: dict[str, Tensor] = {}
        self.progress = Progress(lower_is_better=False)

    # ── one step after another ───────────────────────────────────────────────────────────────────────────────────────
    def go_on(self) -> None:
        """Take the steps that are left; the next crops are cut while the network works on the present ones."""
        with Ahead(self._cut) as self.crops:
            go_on(self, self.settings)

    def _cut(self, step: int) -> list[Sample]:
        return [self.sampler.sample(self.plan.seed, step, place) for place in self.us.places(self.settings.batch)]

    def learn(self, step: int) -> Loss:
        """One step over one batch of crops."""
        samples, share = self.crops.take(step), self.settings.rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * share
        device = self.us.device
        crops_NCHW = torch.from_numpy(np.stack([sample.crop_HWC for sample in samples])).permute(0, 3, 1, 2).to(device)
        bf16 = self.settings.precision == "bf16" and device.type == "cuda"
        self.module.train()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits, logs = self.module(crops_NCHW)
        loss = detection_loss(logits, logs, [self._truth(sample) for sample in samples], self.tree.to(device))
        require_finite("loss", float(loss.total.detach()), step + 1, self.settings.steps)
        self.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        learning = [p for group in self.optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(learning, self.settings.clip_norm)
        self.optimizer.step()
        self._follow(step)
        return loss

    def _truth(self, sample: Sample) -> Truth:
        device = self.us.device
        boxes, nodes = torch.from_numpy(sample.boxes_xyxy_px).to(device), torch.from_numpy(sample.nodes).to(device)
        return Truth(boxes, nodes, torch.from_numpy(sample.difficult).to(device), self.exhaustive[sample.source])

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        """Let the moving average follow the weights, faster at the start."""
        keep = min(self.settings.ema, (1 + step) / (10 + step))
        for name, tensor in self.detector.state_dict().items():
            if tensor.dtype.is_floating_point:
                self.average[name].lerp_(tensor, 1 - keep)
            else:
                self.average[name].copy_(tensor)

    def report(self, step: int, loss: Loss) -> None:
        """A line of the loss and its parts."""
        if self.us.leads:
            parts = {"loss": loss.total, "presence": loss.presence, "nodes": loss.nodes, "boxes": loss.boxes}
            values = {name: float(value.detach()) for name, value in parts.items()}
            append_metric(self.workdir, step, self.settings.steps, **values, lr=self.optimizer.param_groups[-1]["lr"])

    # ── early stop ───────────────────────────────────────────────────────────────────────────────────────────────────
    def measure(self, step: int) -> float:
        """The average precision of the moving average on images held out; process 0 works it out for all."""
        figure = average_precision_50(self._averaged(), self._config(), self.held, self.read) if self.us.leads else 0.0
        figure = self.us.total(figure)
        if self.us.leads and math.isfinite(figure):
            append_metric(self.workdir, step, self.settings.steps, validation_ap50=figure)
        return figure

    def keep(self) -> None:
        """Keep the moving average as the best weights."""
        self.best = {name: tensor.clone() for name, tensor in self.average.items()}

    # ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────────
    def save(self) -> None:
        """A checkpoint of everything that changes."""
        if not self.us.leads:
            return
        tensors = {
            **checkpoint.prefixed("model", self.detector.state_dict()),
            **checkpoint.prefixed("average", self.average),
            **checkpoint.prefixed("best", self.best),
            **checkpoint.prefixed("moments", moments(self.optimizer)),
            _CHANCE: torch.get_rng_state(),
        }
        kept = checkpoint.Checkpoint(tensors, self.progress.facts())
        folder, digest = self.workdir / "checkpoints", str(self.plan.digest)
        checkpoint.save_checkpoint(folder, self.progress.step, kept, plan_digest=digest)

    def resume(self) -> None:
        """Go back to the newest checkpoint, if there is one."""
        found = checkpoint.newest_checkpoint(self.workdir / "checkpoints", plan_digest=str(self.plan.digest))
        if found is None:
            return
        self.detector.load_state_dict(found.under("model"))
        restore_moments(self.optimizer, found.under("moments"))
        for name, tensor in found.under("average").items():
            self.average[name].copy_(tensor)
        self.best = {name: tensor.to(self.us.device) for name, tensor in found.under("best").items()}
        torch.set_rng_state(found.tensors[_CHANCE])
        self.progress.go_back(found.facts)

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
