"""Texts that are made to keep a pattern busy for ever: each is read to its end.

Nothing is timed: with patterns that can be read in several ways, none of these ends in any time that a test has.
"""

from __future__ import annotations

import pytest

from casemate.serving.answers.facts import denies, facts
from casemate.serving.answers.sentences import sentences
from casemate.serving.functions.classification import written
from casemate.serving.functions.minutes import transcript
from tests.serving.answers.fakes import POLICY

_MANY = 200_000


@pytest.mark.parametrize("opening", ["ne ", "n'", "il ne "])
def test_one_long_word_after_a_negation_is_read_in_one_way(opening):
    assert denies(opening + "a" * _MANY) is denies(opening + "a")
    assert facts(opening + "ab" * 1000).stems


def test_words_without_end_after_a_negation_are_read_in_one_way():
    assert denies("n'a " * 20_000 + "!")


def test_a_restriction_is_still_no_denial():
    assert not denies("Le poste n'ouvre le matin que le lundi.")
    assert not denies("Il ne garde que le registre.")
    assert denies("Il ne garde pas le registre.")


@pytest.mark.parametrize("dots", ["." * _MANY, "." * _MANY + "\n", '."' * _MANY, ".[1]" * _MANY, "…»" * _MANY])
def test_full_stops_without_end_are_cut_like_any_sentence(dots):
    assert "".join(cut.text + cut.tail for cut in sentences(dots)) == dots


@pytest.mark.parametrize("text", ["\n" * _MANY, "-" * _MANY + "x", "A" + "-" * _MANY + "b", "_\n" * _MANY])
def test_lines_of_nothing_hold_no_banner(text):
    assert not list(written(text, POLICY))


def test_a_banner_is_found_among_any_decoration():
    line = "*" * 5000 + " DIFFUSION RESTREINTE " + "_" * 5000
    assert [str(marking) for marking in written(line, POLICY)] == [str(POLICY.parse("DR"))]


def test_blanks_without_end_name_no_speaker():
    lines = transcript("Ines: bonjour\nA" + " " * _MANY + "x\n10:00" + " " * _MANY + "x")
    assert {line.speaker for line in lines} == {"Ines"}
