"""The law of search: what a reader gets does not depend on how passages are spread, nor on what was there before."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.serving.retrieval import Filters, Passage, search, writing
from casemate.serving.retrieval.shard import open_shard
from casemate.serving.retrieval.writing import update_shard
from tests.serving.retrieval.passages import FRENCH, MARKING, Words, passage, shard, source, sources, told

WORDS = (
    "port",
    "quai",
    "navire",
    "grue",
    "données",
    "l'accès",
    "employés",
    "mail",
    "de",
    "la",
    "the",
    "ship",
    "navires",
    "PQ",
    "port du quai (PQ),",
    "poste de quarantaine (PQ),",
)
MARKINGS = [FRENCH.parse(text) for text in ("NP", "DR", "S", "S//SPÉCIAL FRANCE")]

texts = st.lists(st.sampled_from(WORDS), min_size=0, max_size=12).map(" ".join)
facts = st.fixed_dictionaries({
    "title": texts, "heading": st.sampled_from(["", "quai nord"]), "language": st.sampled_from(["fr", "en", ""]),
    "kind": st.sampled_from(["pdf", "html"]), "date": st.sampled_from(["", "2029-05-01", "2030-01-01"]),
})  # fmt: skip
bodies = st.lists(st.tuples(texts, facts), min_size=1, max_size=14)
queries = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)
filters = st.builds(
    Filters,
    kinds=st.sampled_from([None, frozenset({"pdf"})]),
    languages=st.sampled_from([None, frozenset({"fr", ""})]),
    since=st.sampled_from([None, "2029-06-01"]),
)


@settings(max_examples=8, deadline=None)
@given(bodies, queries, filters, st.data(), st.booleans())
def test_hits_and_scores_are_those_of_one_index_to_the_last_bit(
    made: list[tuple[str, dict[str, str]]], query: str, kept: Filters, data: st.DataObject, meaning: bool
) -> None:
    passages = [passage(n, text, **more) for n, (text, more) in enumerate(made)]
    homes = data.draw(st.lists(st.sampled_from(range(3)), min_size=len(made), max_size=len(made)), label="shards")
    embedder = Words() if meaning else None
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        one = shard(root / "one", passages, embedder)
        spread = [
            _grown(root / str(n), [p for p, home in zip(passages, homes, strict=True) if home == n], n, embedder, data)
            for n in range(3)
        ]
        whole = search([one], query, embedder=embedder, filters=kept)
        for order in (spread, spread[::-1]):
            assert told(search(order, query, embedder=embedder, filters=kept)) == told(whole)


def _grown(folder: Path, own: list[Passage], n: int, embedder: Words | None, data: st.DataObject):
    """A shard that came to hold `own` by steps: sets added one by one, and others that were there and are no more."""
    own = [replace(p, entry=f"set{place % 3}", marking=MARKINGS[n]) for place, p in enumerate(own)]
    guests = [
        replace(passage(100 + k, "navire données grue port"), entry=f"gone{k}", marking=MARKINGS[n]) for k in (1, 2)
    ]
    wanted = sources(own)
    steps = data.draw(st.permutations([*wanted, "gone1", "gone2"]), label="steps")[-3:]
    held = {}
    for step in steps:
        held[step] = wanted.get(step) or source(step, [g for g in guests if g.entry == step])
        update_shard(folder, held, embedder=embedder)
    update_shard(folder, wanted, embedder=embedder)
    return open_shard(folder, MARKINGS[n])


@settings(max_examples=10, deadline=None)
@given(bodies, queries, st.booleans())
def test_a_set_that_the_reader_does_not_see_any_more_takes_no_part_in_a_shard_that_still_lists_it(
    made: list[tuple[str, dict[str, str]]], query: str, meaning: bool
) -> None:
    passages = [passage(n, text, entry=f"set{n % 2}", **more) for n, (text, more) in enumerate(made)]
    embedder = Words() if meaning else None
    with tempfile.TemporaryDirectory() as name:
        shard(Path(name) / "both", passages, embedder)
        late = open_shard(Path(name) / "both", MARKING, entries={"set0"})
        clean = shard(Path(name) / "one", [p for p in passages if p.entry == "set0"], embedder)
        assert told(search([late], query, embedder=embedder)) == told(search([clean], query, embedder=embedder))


def test_merging_segments_changes_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(writing, "SMALL_SEGMENTS_MAX", 2)
    passages = [passage(n, f"navire {n} au port quai {n % 3}", entry=f"set{n}", title=f"grue {n}") for n in range(9)]
    held = {}
    for entry, found in sources(passages).items():
        held[entry] = found
        update_shard(tmp_path / "grown", held)
    grown = open_shard(tmp_path / "grown", MARKING)
    assert len(grown.parts) <= 3
    clean = shard(tmp_path / "clean", passages)
    assert told(search([grown], "navire quai 2")) == told(search([clean], "navire quai 2"))
