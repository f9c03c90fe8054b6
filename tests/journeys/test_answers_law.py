"""The law of whole answers: every event, error, count and step of work is that of a site without anything above.

Two sites tell one story; on the second nobody did what is above DR. Readers then ask the same questions on both, some
made of words that stand only above them. What is random by nature (identifiers) is called by the same name on both.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casemate.errors import CasemateError
from casemate.factory import Factory
from casemate.factory.assistant import Wish
from casemate.factory.desk import utc_now
from casemate.serving.retrieval import Filters
from casemate.serving.retrieval import shard as shards
from tests.factory.town import Town, found

PEOPLE = {
    "ines": ("DR//FRA", {"author"}), "lea": ("S//FRA", {"author"}), "tom": ("NP//FRA", {"author"}),
    "paul": ("S//FRA", {"sponsor"}), "marc": ("DR//FRA", {"approver"}),
}  # fmt: skip
LOW = {
    "accueil": ("NP", "Le badge visiteur est rendu avant 18 h 30 au poste de garde. Les visiteurs sont accompagnés."),
    "navette": ("NP", "La navette de la gare part à 7 h 40. Le dernier retour quitte la base à 18 h 50."),
    "exercice": ("DR", "L'exercice Vigie a lieu chaque année. Sa date n'est dite qu'à ceux qui y prennent part."),
    "astreinte": ("DR", "Mme Kerviel est d'astreinte électrique la semaine du 12 octobre. M. Diallo tient le réseau."),
}
HIGH = {
    "exercice": ("S", "L'exercice Vigie a lieu le 14 octobre à 6 h 30 au quai nord. La permanence n'est pas prévenue."),
    "badges": ("S", "Le badge visiteur rouge ouvre le local Cormoran. Le badge visiteur est rendu chaque heure."),
    "navette": ("S", "La navette du 14 octobre transporte les équipes de l'exercice Vigie. La navette part à 5 h 10."),
}
QUESTIONS = (
    "Quand a lieu l'exercice Vigie ?", "À quelle heure le badge visiteur est-il rendu ?", "Qui est d'astreinte ?",
    "Que transporte la navette du 14 octobre ?", "Où est le local Cormoran ?", "À quelle heure part la navette ?",
    "Quel est le prix du repas ?", "badge", "???", "Cormoran quai nord permanence prévenue",
)  # fmt: skip


SECRETS = ("5 h 10", "14 octobre à 6 h 30", "chaque heure")  # what stands only above DR


@dataclass
class Pair:
    """The site with everything, the site without what is above DR, and what each calls its own entries."""

    full: Town
    lower: Town
    named: tuple[dict[str, str], dict[str, str]]


def told(root: Path, *, high: bool) -> tuple[Town, dict[str, str]]:
    town = found(root, people=PEOPLE, clock=utc_now)
    claire = town.acting("claire")
    claire.add_project("open", marking="NP", members=frozenset(PEOPLE))
    if high:
        claire.add_project("vigie", marking="S", members=frozenset({"lea"}))
    named = {}
    for name, (marking, text) in LOW.items():
        if high and name in HIGH:
            brought(town, name, HIGH[name], "lea")
        named[brought(town, name, (marking, text), "ines")] = name
    if high:
        for name in HIGH.keys() - LOW.keys():
            brought(town, name, HIGH[name], "lea")
        events(town.acting("lea"), QUESTIONS[0], Wish())  # those above ask too, and leave their shards beside
    return town, named


def brought(town: Town, name: str, paper: tuple[str, str], who: str) -> str:
    marking, text = paper
    folder = town.root / f"{name}-{marking}"
    folder.mkdir()
    (folder / f"{name}.txt").write_text(text)
    return str(town.acting(who).import_documents(folder, name=name, marking=marking, project="open")["id"])


def events(factory: Factory, question: str, wish: Wish) -> list[dict[str, Any]]:
    async def run() -> list[dict[str, Any]]:
        try:
            return [event.to_json() async for event in factory.ask(question, wish)]
        except CasemateError as no:
            return [no.facts()]

    return asyncio.run(run())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    (full, named), (lower, others) = (
        told(tmp_path_factory.mktemp("site") / "town", high=high) for high in (True, False)
    )
    return Pair(full, lower, (named, others))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Which shards are opened, in order, and for how many document sets."""
    work: list[tuple[str, ...]] = []
    real = shards.open_shard

    def spied(folder: Path, marking: Any, **more: Any) -> Any:
        work.append((folder.name, str(marking), str(len(more.get("entries", ())))))
        return real(folder, marking, **more)

    monkeypatch.setattr(shards, "open_shard", spied)
    return work


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    question=st.lists(st.sampled_from(QUESTIONS), min_size=1, max_size=3).map(" ".join),
    who=st.sampled_from(["ines", "tom", "marc", "lea"]),
    ceiling=st.sampled_from([None, "NP", "DR"]),
    limit=st.integers(1, 8),
    narrowed=st.sampled_from([Filters(), Filters(projects=frozenset({"vigie"})), Filters(languages=frozenset({"fr"})),
                              Filters(since="2020-01-01"), Filters(kinds=frozenset({"text"}))]),
    pasted=st.sampled_from(["", "Le badge visiteur est bleu. La navette est à l'heure."]),
)  # fmt: skip
def test_an_answer_is_the_one_of_a_site_without_anything_above_the_reader(
    pair: Pair, opened: list[tuple[str, ...]], question: str, who: str, ceiling: str | None, limit: int,
    narrowed: Filters, pasted: str,
) -> None:  # fmt: skip
    capped = "DR" if who == "lea" and ceiling is None else ceiling
    wish = Wish(limit=limit, filters=narrowed, pasted=pasted, marking="NP" if pasted else "")
    answers, work, lines = [], [], []
    for town, named in zip((pair.full, pair.lower), pair.named, strict=True):
        opened.clear()
        factory = town.acting(who, ceiling=capped)
        text = json.dumps(events(factory, question, wish), ensure_ascii=False, sort_keys=True)
        for identifier, name in named.items():
            text = text.replace(identifier, f"<{name}>")
        answers.append(text)
        work.append(list(opened))
        said = factory.journal(limit=1)[-1]
        lines.append((said["verb"], said["subject"], said["outcome"], said["marking"], said["facts"]))
    assert answers[0] == answers[1]
    assert work[0] == work[1]
    assert lines[0] == lines[1]
    assert not any(secret in answers[0] for secret in SECRETS)


def test_who_is_cleared_gets_another_answer_to_the_same_question(pair: Pair) -> None:
    above = events(pair.full.acting("lea"), QUESTIONS[0], Wish())[-1]["answer"]
    below = events(pair.full.acting("ines"), QUESTIONS[0], Wish())[-1]["answer"]
    assert "14 octobre" in above["text"]
    assert above["marking"] == "S"
    assert "14 octobre" not in below["text"]
    assert (below["marking"], below["refused"]) == ("DR", False)
