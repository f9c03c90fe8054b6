"""What the catalog and an assessment know of an assistant, gathered into its page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from casemate.catalog import Entry
from casemate.factory.casefile import exchanges, set_facts, wording
from casemate.factory.desk import Desk
from casemate.gates import Scores, Verdict
from casemate.gates.assessment import AssessmentFacts, build
from casemate.gates.wording import Text
from casemate.markings import Marking

_NAMES = {
    "engine": Text("Engine", "Moteur"),
    "release": Text("Release of the engine", "Version homologuée du moteur"),
    "embedder": Text("Release of the embedder", "Version homologuée du modèle de plongement"),
    "prompts": Text("Prompts", "Consignes"),
    "thresholds": Text("Thresholds", "Seuils"),
    "passages": Text("Passages put before it", "Passages fournis"),
    "index": Text("Searched", "Recherche dans"),
    "code_version": Text("Code version", "Version du code"),
}


@dataclass(frozen=True)
class Assessed:
    """What a page is about."""

    name: str
    project: str
    sets: Sequence[Entry]
    scores: Scores
    verdict: Verdict
    marking: Marking
    policy_name: str
    left_out: int


def compose(desk: Desk, assessed: Assessed) -> bytes:
    """The page."""
    raw = assessed.scores.raw
    facts = AssessmentFacts(
        name=assessed.name,
        project=assessed.project,
        author=desk.person.name,
        site=desk.site.name,
        created=desk.now(),
        marking=wording(desk, assessed.marking),
        mention=assessed.marking.level.mention,
        verdict=assessed.verdict,
        policy_name=assessed.policy_name,
        scores=assessed.scores,
        parts=[(Text("Assistant", "Assistant"), str(assessed.scores.model)), *_parts(raw["parts"])],
        data=[set_facts(desk, entry, "held-out") for entry in assessed.sets],
        exchanges=list(exchanges(raw["samples"])),
        left_out=assessed.left_out,
        first_language="fr" if desk.site.policy.name == "fr" else "en",
    )
    return build(facts)


def _parts(raw: Mapping[str, Any]) -> Iterator[tuple[Text, str]]:
    for name, label in _NAMES.items():
        value = raw[name]
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {one}" for key, one in value.items())
        yield label, str(value)
