"""What can be learned: one folder a modality, found by listing this one.

Rules. Each modality has the same five modules (data, train, evaluate, predict, export) and knows nothing of its
sisters. A module is imported when it is first asked for, by name and never statically: finding a modality is light, and
whoever only names one carries none of its libraries. Nothing outside this folder can add a modality.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from casemate.errors import NotFound

__all__ = ["VERBS", "Modality", "find", "names"]

VERBS = ("data", "train", "evaluate", "predict", "export")


@dataclass(frozen=True)
class Modality:
    """One modality; its modules are imported when they are asked for."""

    name: str

    @property
    def data(self) -> ModuleType:
        """Reading, checking and comparing data sets."""
        return self.module("data")

    @property
    def train(self) -> ModuleType:
        """Making a model from a data set."""
        return self.module("train")

    @property
    def evaluate(self) -> ModuleType:
        """Scoring a model on data that it has not seen."""
        return self.module("evaluate")

    @property
    def predict(self) -> ModuleType:
        """Answering with a model."""
        return self.module("predict")

    @property
    def export(self) -> ModuleType:
        """Writing a model for the engines that run it."""
        return self.module("export")

    def module(self, name: str) -> ModuleType:
        """One of the modality's modules by name; NotFound lists those that there are."""
        known = self.modules()
        if name not in known:
            raise NotFound(f"modality {self.name}", expected=f"a module ({', '.join(known)})", found=repr(name))
        return importlib.import_module(f"casemate.modalities.{self.name}.{name}")

    def modules(self) -> list[str]:
        """Names of the modality's modules, by listing its folder."""
        folder = Path(__file__).parent / self.name
        return sorted(f.stem for f in folder.glob("*.py") if not f.stem.startswith("_"))


def names() -> list[str]:
    """Names of the modalities, by listing the folder."""
    folders = (f for f in Path(__file__).parent.iterdir() if (f / "__init__.py").is_file())
    return sorted(f.name for f in folders if not f.name.startswith("_"))


def find(name: str) -> Modality:
    """The modality of this name; NotFound lists those that there are."""
    if name not in names():
        raise NotFound("modality", expected=" or ".join(names()), found=repr(name))
    return Modality(name)
