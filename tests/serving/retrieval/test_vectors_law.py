"""The law for dense vectors: shards that a reader doesn't see change nothing, and how vectors are spread neither."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.serving.retrieval import nearest
from casemate.serving.retrieval.vectors import Near, Vectors, search_shards
from tests.serving.retrieval.clusters import built, clustered, named

DIM = 12


@dataclass(frozen=True)
class Site:
    """Which shard each vector is in, whether a search looks at all of them, and which shards a reader sees."""

    count: int
    seed: int
    exact: bool
    seen: set[int]

    @property
    def places(self) -> list[int]:
        """The shard of each vector; few are in the last shards."""
        return np.random.default_rng(self.seed).choice(5, self.count, p=[0.5, 0.25, 0.15, 0.07, 0.03]).tolist()


sites = st.builds(
    Site,
    count=st.integers(1, 150),
    seed=st.integers(0, 2**32 - 1),
    exact=st.booleans(),
    seen=st.sets(st.integers(0, 4)),
)


@contextmanager
def searching(site: Site) -> Iterator[None]:
    """Search all rows, or as few as a search of a million would."""
    few = {"EXACT_ROWS": 30, "FIRST_ROWS": 6, "SCORED_MAX": 40}
    with mock.patch.multiple(nearest, **({"EXACT_ROWS": 4096} if site.exact else few)):
        yield


def answers(shards: list[Vectors], seed: int) -> list[list[tuple[str, float]]]:
    return [
        [(near.key, near.cosine) for near in search_shards(shards, query, 7)] for query in clustered(4, DIM, seed + 1)
    ]


@settings(max_examples=30, deadline=None)
@given(sites)
def test_what_a_reader_does_not_see_changes_no_bit_of_what_they_find(site: Site) -> None:
    keys, rows, places = named(len(site.places)), clustered(len(site.places), DIM, site.seed), np.array(site.places)
    with tempfile.TemporaryDirectory() as folder, searching(site):
        whole, lower = Path(folder) / "whole", Path(folder) / "lower"
        for place in sorted(set(site.places)):
            own = np.flatnonzero(places == place)
            for root in [whole, *([lower] if place in site.seen else [])]:
                built(root / f"{place}", [keys[number] for number in own], rows[own])
        found = [[Vectors.open(root / f"{place}") for place in sorted(site.seen)] for root in (whole, lower)]
        assert answers(found[0], site.seed) == answers(found[1], site.seed)
        digests = [[segment.vectors.sha256 for one in shards for segment in one.listed.segments] for shards in found]
        assert digests[0] == digests[1]


@settings(max_examples=30, deadline=None)
@given(sites)
def test_how_vectors_are_spread_over_shards_changes_no_bit(site: Site) -> None:
    keys, rows, places = named(len(site.places)), clustered(len(site.places), DIM, site.seed), np.array(site.places)
    with tempfile.TemporaryDirectory() as folder, searching(site):
        one = built(Path(folder) / "one", keys, rows)
        many = []
        for place in sorted(set(site.places)):
            own = np.flatnonzero(places == place)
            half = len(own) // 2
            shard = Vectors.open(Path(folder) / f"{place}").update(
                add=([keys[n] for n in own[half:]], rows[own[half:]])
            )
            many.append(shard.update(add=([keys[n] for n in own[:half]], rows[own[:half]])))
        assert answers([one], site.seed) == answers(many, site.seed)


@settings(max_examples=30, deadline=None)
@given(sites)
def test_a_search_of_allowed_keys_is_one_of_a_shard_of_them_alone(site: Site) -> None:
    keys, rows, places = named(len(site.places)), clustered(len(site.places), DIM, site.seed), np.array(site.places)
    allowed = [number for number in range(len(keys)) if places[number] in site.seen]
    with tempfile.TemporaryDirectory() as folder, searching(site):
        dead = named(20, "removed")
        both = np.concatenate([rows, clustered(20, DIM, site.seed + 2)])
        whole = built(Path(folder) / "whole", [*keys, *dead], both).update(remove=dead)
        mask = whole.mask([keys[number] for number in allowed])
        alone = Vectors.open(Path(folder) / "alone")
        if allowed:
            alone = built(Path(folder) / "alone", [keys[number] for number in allowed], rows[allowed])
        for query in clustered(4, DIM, site.seed + 1):
            found: list[Near] = search_shards([whole], query, 7, [mask])
            assert found == search_shards([alone], query, 7)
