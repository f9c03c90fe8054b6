"""What a dossier is made of: values only, gathered by the caller.

Rules. Every word shown to people comes in English and French (`Text`). Pictures are PNG bytes; nothing is a path or an
address, because a dossier refers to nothing outside itself. What is not known is absent and shown as not stated: a
dossier does not guess.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from casemate.errors import BadInput
from casemate.gates.judge import Verdict
from casemate.gates.outside import Outside
from casemate.gates.scores import Scores
from casemate.gates.wording import Text
from casemate.store.digest import Digest

_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
Language = Literal["en", "fr"]


@dataclass(frozen=True)
class Shown:
    """A PNG picture with its caption; `kind` is the section that it belongs to."""

    png: bytes
    caption: Text
    kind: Literal["plot", "sample", "confusion"] = "plot"

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height in pixels; BadInput for bytes that are no PNG."""
        if not self.png.startswith(_PNG) or len(self.png) < 24:
            raise BadInput(f"picture {self.caption.en}", expected="a PNG", found=f"{self.png[:8]!r}")
        width, height = struct.unpack_from(">II", self.png, 16)
        return int(width), int(height)


@dataclass(frozen=True)
class DataFacts:
    """A data set that the model learned from or was measured on."""

    name: str
    role: str  # training, held-out, calibration, security or canaries
    digest: Digest
    marking: Text
    images: int
    boxes: int
    licence: str = ""
    source: str = ""
    labels: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingFacts:
    """The run that made the model, as its plan and its log say."""

    recipe: str
    plan: Digest
    seed: int
    code_version: str
    machine: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OriginFacts:
    """Where a model that was not trained here came from; `listed` is the digest of the list that its officer signed."""

    pack: str
    upstream: str = ""
    licence: str = ""
    delivery: str = ""
    listed: Digest | None = None
    arrived: datetime | None = None


@dataclass(frozen=True)
class Exchange:
    """One thing that was asked of a model in its evaluation, what it answered, and how that was judged."""

    kind: str
    asked: str
    answered: str
    outcome: Text
    good: bool


@dataclass(frozen=True)
class Node:
    """An entry of the lineage: its kind, name and digest, and the entries it was made from, by id."""

    id: str
    kind: str
    name: str
    digest: Digest
    made_from: tuple[str, ...] = ()


@dataclass(frozen=True)
class SignatureFacts:
    """A signed act: who, in which role, with which key, when, and the fingerprint of the envelope."""

    act: Literal["approve", "reject", "release", "policy", "trust"]
    name: str
    role: str
    keyid: str
    at: datetime
    envelope: Digest
    reason: str = ""


@dataclass(frozen=True)
class Confusion:
    """How often each true label (rows, the last: nothing) was answered as each label (columns, the last: nothing)."""

    true: tuple[str, ...]
    answered: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Confusion:
        """As an evaluation writes it: `true`, `answered` and one more row and column of `counts` for nothing."""
        try:
            true, answered = tuple(map(str, raw["true"])), tuple(map(str, raw["answered"]))
            counts = tuple(tuple(int(n) for n in row) for row in raw["counts"])
        except (KeyError, TypeError, ValueError) as why:
            raise BadInput("confusion", expected="true, answered and counts", found=repr(why)) from why
        shape = {len(row) for row in counts}
        if len(counts) != len(true) + 1 or shape != {len(answered) + 1}:
            expected = f"{len(true) + 1} rows of {len(answered) + 1} counts"
            raise BadInput("confusion", expected=expected, found=f"{len(counts)} rows of {sorted(shape)}")
        return cls(true, answered, counts)


@dataclass(frozen=True)
class DossierFacts:
    """Everything on which a release rests."""

    name: str
    model: Digest
    project: str
    author: str
    site: str
    created: datetime
    marking: Text
    verdict: Verdict
    policy_name: str
    scores: Scores
    mention: bool = False
    purpose: Text | None = None
    data: Sequence[DataFacts] = ()
    training: TrainingFacts | None = None
    origin: OriginFacts | None = None
    exchanges: Sequence[Exchange] = ()
    outside: Outside | None = None
    lineage: Sequence[Node] = ()
    signatures: Sequence[SignatureFacts] = ()
    pictures: Sequence[Shown] = ()
    confusion: Confusion | None = None
    limits: Sequence[Text] = ()
    files: Sequence[tuple[str, Digest]] = ()
    first_language: Language = "fr"
