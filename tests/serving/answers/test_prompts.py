"""Prompts: strict TOML, places filled in one pass, a version that follows from the text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.errors import BadInput
from casemate.serving.answers.prompts import LANGUAGES, PLACES, Prompts, fill

TEXT = Prompts.shipped().text


def test_what_comes_with_casemate_has_every_task_in_both_languages_and_two_examples_for_answers():
    shipped = Prompts.shipped()
    for task in PLACES:
        for language in LANGUAGES:
            assert shipped.of(task, language).system
    assert len(shipped.of("answer", "fr").examples) == len(shipped.of("answer", "en").examples) == 2
    assert shipped.of("answer", "de") == shipped.of("answer", "en")


def test_another_text_is_another_version():
    other = Prompts.from_toml(TEXT.replace("Tu réponds", "Réponds"), serial=3)
    assert other.version.startswith("default 3 (")
    assert other.version[-13:] != Prompts.shipped().version[-13:]


@pytest.mark.parametrize(("old", "new", "message"), [
    ('format = "casemate-prompts/1"', 'format = "casemate-prompts/2"', "prompts"),
    ('name = "default"', 'name = "default"\nmore = 1', "prompts"),
    ("[map.fr]", "[maps.fr]", "prompts"),
    ("{text}\nTraduction", "Traduction", "prompts translate.fr: expected a place {text}, found none"),
    ("{subject}\nRésumé", "{subjects}\nRésumé", "prompts map.fr: expected places among delimiter, passages,"),
])  # fmt: skip
def test_what_is_unknown_or_missing_is_refused_by_name(old, new, message):
    assert old in TEXT
    with pytest.raises(BadInput, match=re.escape(message)):
        Prompts.from_toml(TEXT.replace(old, new, 1))


def test_what_is_no_toml_or_too_long_is_refused():
    with pytest.raises(BadInput, match="prompts: expected TOML, found"):
        Prompts.from_toml("= 1")
    with pytest.raises(BadInput, match="prompts: expected at most 200000 characters, found 200001"):
        Prompts.from_toml("#" * 200_001)


@given(st.text(max_size=60), st.text(max_size=60))
def test_what_fills_a_place_is_never_read_as_another(question, passages):
    said = fill("<{passages}|{question}>", {"question": question, "passages": "{question}" + passages})
    assert said == "<{question}" + passages + "|" + question + ">"
