"""Recipes found by name: functions that return the complete parameters of a training run.

Rules. A recipe is a pure function of the changes that a person asks for; what it returns is frozen into the plan, so
that changing a recipe never changes a run that was made. The first one named is the usual one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from casemate.errors import NotFound
from casemate.learning.schedule import Schedule

P = TypeVar("P", bound=Schedule)


class Recipes(Generic[P]):
    """A modality's recipes, each under the name of its function."""

    def __init__(self, *functions: Callable[..., P]) -> None:
        self._by_name: Mapping[str, Callable[..., P]] = {recipe.__name__: recipe for recipe in functions}

    def names(self) -> list[str]:
        """Names of the recipes, the usual one first."""
        return list(self._by_name)

    def find(self, name: str) -> Callable[..., P]:
        """The recipe of this name; NotFound lists those that there are."""
        if name not in self._by_name:
            raise NotFound("recipe", expected=" or ".join(self._by_name), found=repr(name))
        return self._by_name[name]
