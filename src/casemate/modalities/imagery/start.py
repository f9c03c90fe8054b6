"""What a run starts from: the data it learns from, the tree of answers, and the first weights.

Rules. The model answers exactly the nodes that its data labels, and what leads to them. Data sets share one taxonomy,
so that one word means one thing. First weights are the shipped ones, random ones, or another model's among the
inputs; a node that the older model knew keeps its weights, a new one starts from nothing, and everything else must
fit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from casemate.compute.plan import Plan
from casemate.errors import BadInput
from casemate.learning.inputs import inputs
from casemate.modalities.imagery import weights
from casemate.modalities.imagery.boxes import ImageryDataset
from casemate.modalities.imagery.canonical import load_labels
from casemate.modalities.imagery.loss import Tree
from casemate.modalities.imagery.network import SIZES, Architecture, Detector, build
from casemate.modalities.imagery.schedule import TrainingPlan
from casemate.modalities.imagery.taxonomy import Taxonomy

BACKBONE_FORMAT = "casemate-backbone/1"


@dataclass(frozen=True)
class Start:
    """Data sets by name, the tree they teach, the network with its first weights, and where those came from."""

    datasets: Mapping[str, ImageryDataset]
    taxonomy: Taxonomy
    detector: Detector
    architecture: Architecture
    origin: str

    @property
    def tree(self) -> Tree:
        """The taxonomy as tensors."""
        names = self.taxonomy.names
        parents = [self.taxonomy.parent(name) for name in names]
        return Tree.of([-1 if parent is None else self.taxonomy.index(parent) for parent in parents])

    def exhaustive(self) -> list[Tensor]:
        """For each data set, which nodes (bool [nodes]) are absent wherever they are not labelled."""
        sets = [dataset.taxonomy.covered(dataset.exhaustive) for dataset in self.datasets.values()]
        return [torch.tensor([name in covered for name in self.taxonomy.names]) for covered in sets]


def start(plan: Plan, settings: TrainingPlan, workdir: Path) -> Start:
    """Read the inputs of a run and prepare its network."""
    given = inputs(plan.inputs, settings.start)
    datasets = {name: load_labels(workdir / "inputs" / name) for name in given.datasets}
    taxonomy = _common_taxonomy(datasets)
    architecture = SIZES[settings.size]
    detector = build(architecture, len(taxonomy.names), seed=plan.seed)
    origin = _first_weights(detector, taxonomy, architecture, settings, workdir / "inputs" / (given.older or ""))
    return Start(datasets, taxonomy, detector, architecture, origin)


def _common_taxonomy(datasets: Mapping[str, ImageryDataset]) -> Taxonomy:
    (first, one), *others = datasets.items()
    for name, other in others:
        if other.taxonomy != one.taxonomy:
            expected = f"the taxonomy of {first} ({one.taxonomy.name})"
            raise BadInput(f"taxonomy of {name}", expected=expected, found=f"another ({other.taxonomy.name})")
    labels = {label for dataset in datasets.values() for label in dataset.labels}
    if not labels:
        raise BadInput("data sets", expected="at least one box", found="none")
    return one.taxonomy.restricted(labels)


def _first_weights(
    detector: Detector, taxonomy: Taxonomy, architecture: Architecture, settings: TrainingPlan, older: Path
) -> str:
    if settings.start == "random":
        return "random weights"
    if settings.start == "base":
        tensors, config = weights.shipped()
        origin = f"base weights {config['weights']}"
    elif (older / weights.CONFIG).is_file():
        tensors, config = _folder(older)
        origin = f"model {older.name}"
    else:
        raise BadInput(f"input {older.name}", expected="a model folder with model.json", found="none")
    if config["format"] == BACKBONE_FORMAT:
        wanted = {f"backbone.{name}": tensor for name, tensor in tensors.items()}
        weights.fill(detector, detector.state_dict() | wanted, name=older.name)
        return str(config.get("origin", origin))
    if Architecture.from_json(config["architecture"]) != architecture:
        raise BadInput("architecture of first weights", expected=architecture, found=config["architecture"])
    known = Taxonomy.from_json(config["taxonomy"], source="model.json").names
    weights.fill(detector, carried(tensors, known, detector.state_dict(), taxonomy.names), name="first weights")
    return origin


def _folder(older: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    import json

    config = json.loads((older / weights.CONFIG).read_bytes())
    if config.get("format") not in {weights.FORMAT, BACKBONE_FORMAT}:
        expected = f"{weights.FORMAT} or {BACKBONE_FORMAT}"
        raise BadInput(f"input {older.name} format", expected=expected, found=config.get("format"))
    data = (older / weights.SAFETENSORS).read_bytes()
    return weights.from_bytes(data, name=weights.SAFETENSORS), config


def carried(
    older: Mapping[str, Tensor], known: tuple[str, ...], fresh: Mapping[str, Tensor], names: tuple[str, ...]
) -> dict[str, Tensor]:
    """The older model's tensors, with the answers of nodes that it did not know taken from fresh ones.

    The last layer has four rows a node, one for each of the four cells that a position answers for.
    """
    tensors = dict(older)
    for key in ("node_logits.weight", "node_logits.bias"):
        rows = fresh[key].clone()
        for place, name in enumerate(names):
            if name in known and key in older:
                before = known.index(name)
                rows[4 * place : 4 * place + 4] = older[key][4 * before : 4 * before + 4]
        tensors[key] = rows
    return tensors
