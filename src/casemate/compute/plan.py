"""A plan: the complete, frozen description of a run, as `plan.json`.

Rules. Everything that decides the result is in it: inputs by digest, recipe parameters, code version, seed, resources.
Reading is strict (unknown keys, repeated keys, wrong types are BadInput); printing is canonical (sorted, ASCII), and a
plan's digest is that of its text. Verbs are listed here; modalities are those found in the folder (see worker).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from casemate.errors import BadInput
from casemate.store.digest import Digest

FORMAT = "casemate-plan/1"
VERBS = ("evaluate", "train")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_KEYS = {
    "format": str, "verb": str, "modality": str, "recipe": str, "inputs": dict, "parameters": dict,
    "code_version": str, "seed": int, "resources": dict,
}  # fmt: skip
_RESOURCES = {"processes": int, "threads": int, "gpus": int, "time_limit_s": int}
_INPUT = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Resources:
    """What a run may take: `processes` of `threads` each, `gpus` for all together, a time limit (0: none)."""

    processes: int = 1
    threads: int = 1
    gpus: int = 0
    time_limit_s: int = 0


@dataclass(frozen=True)
class Plan:
    """What is run: a verb of a modality, over inputs named by the digests of their manifests."""

    verb: str
    modality: str
    recipe: str
    inputs: Mapping[str, Digest]
    parameters: Mapping[str, Any]
    code_version: str
    seed: int
    resources: Resources = field(default_factory=Resources)

    def __post_init__(self) -> None:
        """Check what becomes a module or a folder name, and take a private JSON copy of the parameters."""
        _require("verb", self.verb in VERBS, " or ".join(VERBS), self.verb)
        _require("modality", bool(_NAME.fullmatch(self.modality)), "a modality's folder name", self.modality)
        for name in self.inputs:
            _require("inputs", bool(_INPUT.fullmatch(name)), "names of a-z, 0-9, _ and -", name)
        for name, least in (("processes", 1), ("threads", 1), ("gpus", 0), ("time_limit_s", 0)):
            value = getattr(self.resources, name)
            _require(f"resources.{name}", value >= least, f"at least {least}", value)
        _require("seed", 0 <= self.seed < 2**63, "from 0 to 2**63 - 1", self.seed)
        object.__setattr__(self, "inputs", dict(self.inputs))
        object.__setattr__(self, "parameters", _json_copy(self.parameters))

    def to_json(self) -> bytes:
        """The canonical text."""
        facts = {
            "format": FORMAT,
            "verb": self.verb,
            "modality": self.modality,
            "recipe": self.recipe,
            "inputs": {name: str(digest) for name, digest in self.inputs.items()},
            "parameters": self.parameters,
            "code_version": self.code_version,
            "seed": self.seed,
            "resources": vars(self.resources),
        }
        return (json.dumps(facts, indent=1, sort_keys=True, allow_nan=False) + "\n").encode("ascii")

    @classmethod
    def from_json(cls, data: bytes, *, source: str = "plan.json") -> Plan:
        """Read a plan; anything unknown, repeated or of another type is BadInput that names `source`."""
        try:
            raw = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
        except (ValueError, RecursionError) as why:
            raise BadInput(source, expected="a plan in JSON", found=why) from why
        facts = dict(_typed(raw, _KEYS, source))
        if facts.pop("format") != FORMAT:
            raise BadInput(source, expected=f"format {FORMAT}", found=repr(raw["format"]))
        resources = Resources(**_typed(raw["resources"], _RESOURCES, source, "resources."))
        inputs = _typed(raw["inputs"], dict.fromkeys(raw["inputs"], str), source, "inputs.")
        digests = {name: Digest.parse(text) for name, text in inputs.items()}
        return cls(**(facts | {"resources": resources, "inputs": digests}))

    @classmethod
    def read(cls, workdir: Path) -> Plan:
        """The plan of a work folder."""
        file = workdir / "plan.json"
        if not file.is_file():
            raise BadInput(file, expected="a plan", found="no such file")
        return cls.from_json(file.read_bytes(), source=str(file))

    @property
    def digest(self) -> Digest:
        """The digest of the canonical text."""
        return Digest.of_bytes(self.to_json())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} twice")
    return found


def _typed(raw: Any, kinds: Mapping[str, type], source: str, inside: str = "") -> dict[str, Any]:
    """`raw` as an object that has exactly the keys of `kinds`, each of its type."""
    if not isinstance(raw, dict):
        raise BadInput(source, expected=f"an object for {inside or 'the plan'}", found=type(raw).__name__)
    if raw.keys() != kinds.keys():
        expected, found = (", ".join(sorted(map(str, names))) for names in (kinds, raw))
        raise BadInput(source, expected=f"the keys {inside}({expected})", found=f"({found})")
    for name, kind in kinds.items():
        if type(raw[name]) is not kind:  # not isinstance: true is no number
            found = f"{raw[name]!r:.60}"
            raise BadInput(source, expected=f"{inside}{name} of type {kind.__name__}", found=found)
    return raw


def _require(fact: str, holds: bool, expected: str, found: object) -> None:
    if not holds:
        raise BadInput(f"plan {fact}", expected=expected, found=repr(found))


def _json_copy(parameters: Mapping[str, Any]) -> dict[str, Any]:
    try:
        copy = json.loads(json.dumps(dict(parameters), allow_nan=False))
    except (TypeError, ValueError) as why:
        raise BadInput("plan parameters", expected="finite numbers, text, lists and objects", found=why) from why
    if not isinstance(copy, dict) or copy.keys() != dict(parameters).keys():
        raise BadInput("plan parameters", expected="names that are text", found=repr(sorted(map(str, parameters))))
    return copy
