"""The one order of words and meaning: which decides, and what stands in for what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from casemate.serving.retrieval import search
from casemate.serving.retrieval.fusion import SHARE, WORDS, Fusion, Match, scale_of
from tests.serving.retrieval.passages import Words, passage, shard

CROWD = [Match(0.05, 0.2, 0.80 + n / 1000) for n in range(60)]


def first(*matches: Match) -> Match:
    fusion = Fusion.of([*CROWD, *matches])
    return max([*CROWD, *matches], key=fusion.score)


def test_where_no_passage_has_many_of_the_words_meaning_decides() -> None:
    near, worded = Match(0.0, 0.0, 0.92), Match(0.12, 0.3, 0.80)
    assert first(near, worded) is near


def test_where_a_passage_has_all_the_words_they_decide() -> None:
    near, worded = Match(0.0, 0.0, 0.86), Match(0.5, 1.0, 0.83)
    assert first(near, worded) is worded


def test_words_that_stand_out_among_worse_ones_count_for_no_more_than_they_are() -> None:
    """What drowned meaning when words were measured by how far they stand out from others."""
    worse = [Match(0.01, 0.05, 0.80 + n / 1000) for n in range(60)]
    near, worded = Match(0.0, 0.0, 0.92), Match(0.12, 0.3, 0.80)
    fusion = Fusion.of([*worse, near, worded])
    assert fusion.words_of(worded) > 7
    assert fusion.score(near) > fusion.score(worded)


def test_a_score_is_the_sum_of_what_words_attain_and_what_meaning_says() -> None:
    matches = [Match(0.5, 1.0, 0.9), Match(0.25, 0.5, 0.7)]
    fusion = Fusion.of(matches)
    assert fusion.score(matches[0]) == pytest.approx(WORDS * 0.5 + SHARE * 1.0 + 1)
    assert fusion.score(matches[1]) == pytest.approx(WORDS * 0.25 + SHARE * 0.5 - 1)


def test_a_passage_without_a_vector_means_as_well_as_it_matches() -> None:
    bare, other = Match(0.5, 1.0, None), Match(0.1, 0.5, 0.9)
    fusion = Fusion.of([bare, other])
    assert fusion.meaning_of(bare) is None
    assert fusion.score(bare) == pytest.approx(WORDS * 0.5 + SHARE * 1.0 + fusion.words_of(bare))


def test_where_no_passage_has_a_vector_only_what_is_attained_orders() -> None:
    all_words, more = Match(0.3, 1.0, None), Match(0.4, 0.5, None)
    fusion = Fusion.of([all_words, more])
    assert fusion.score(more) > fusion.score(all_words)


def test_the_scale_of_one_score_is_that_it_is_nothing_special() -> None:
    assert scale_of([0.7]).of(0.7) == 0
    assert scale_of([]).of(0.0) == 0


def test_a_search_without_an_embedder_keeps_the_order_of_bm25(tmp_path: Path) -> None:
    texts = ("navire au port", "navire navire grue", "port grue quai quai", "navire port grue de la ville")
    found = search([shard(tmp_path, [passage(n, text) for n, text in enumerate(texts)])], "navire port grue")
    assert [hit.lexical for hit in found] == sorted((hit.lexical for hit in found), reverse=True)
    assert len(found) == len(texts)


def test_what_is_meant_is_found_though_no_word_of_the_question_is_there(tmp_path: Path) -> None:
    """The embedder of these tests hears the first five letters: « naviguons » means what « navires » do."""
    texts = ("navig navig navig", "la ville et le port", "une grue", "le quai du nord", "les dunes")
    held = shard(tmp_path, [passage(n, text) for n, text in enumerate(texts)], Words())
    found = search([held], "naviguons", embedder=Words())
    assert found[0].passage.text == "navig navig navig"
    assert found[0].lexical == 0
