"""The law on whole answers: with and without documents above the reader, every event is the same."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.markings import Marking
from casemate.serving.retrieval import Passage, search
from casemate.serving.retrieval.shard import open_shard
from casemate.serving.retrieval.writing import Source, update_shard
from tests.serving.answers.fakes import POLICY, Says, events, passage

WORDS = (
    "registre",
    "visiteurs",
    "garde",
    "sous-marin",
    "coffre",
    "trois",
    "12",
    "Cormoran",
    "ne",
    "pas",
    "conservé",
    "port",
)
TEXT = st.lists(st.sampled_from(WORDS), min_size=3, max_size=12).map(lambda words: " ".join(words).capitalize() + ".")
MARKINGS = [POLICY.parse(code) for code in ("NP", "DR", "NP//ALPHA", "S", "S//BRAVO", "NP//REL TO FRA")]
READER = POLICY.parse_clearance("DR//ALPHA//FRA")
SITES = st.lists(st.tuples(TEXT, st.sampled_from(MARKINGS)), min_size=1, max_size=8)


def answered(site: list[Passage], question: str, spoken: str | None) -> list[dict[str, Any]]:
    """Everything that the reader is told by a site that holds these passages, each of its own document set."""
    shards = []
    with tempfile.TemporaryDirectory() as root:
        by_marking: dict[Marking, list[Passage]] = {}
        for one in site:
            by_marking.setdefault(one.marking, []).append(one)
        for number, (marking, held) in enumerate(sorted(by_marking.items(), key=lambda pair: str(pair[0]))):
            folder = Path(root) / str(number)
            sources = {p.entry: Source(f"sha256:{p.entry}", "harbour", lambda p=p: iter([p])) for p in held}  # type: ignore[misc]
            update_shard(folder, sources)
            if READER.dominates(marking):
                shards.append(open_shard(folder, marking))
        found = search(shards, question, limit=4)
        engine = Says(spoken) if spoken is not None else None
        return [event.to_json() for event in events(question, found, engine)]


@settings(max_examples=25, deadline=None)
@given(SITES, TEXT, st.none() | TEXT)
def test_an_answer_is_the_one_of_a_site_that_never_held_what_is_above_the_reader(site, question, spoken):
    every = [
        replace(passage(text, number=n, marking=marking), entry=f"{n:026d}") for n, (text, marking) in enumerate(site)
    ]
    within = [one for one in every if READER.dominates(one.marking)]
    assert answered(every, question, spoken) == answered(within, question, spoken)
