"""Vocabularies and chat templates: made the same every time, nothing forged, nothing foreign run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.errors import BadInput
from casemate.modalities.language.corpus import Turn
from casemate.modalities.language.template import CHATML, rendered, with_answers
from casemate.modalities.language.vocabulary import learned, of_folder
from tests.modalities.language.sets import text

MADE = learned([text(n) for n in range(20)], 400, chat=True)
TURNS = (Turn("user", "Où ?"), Turn("assistant", "À Lyon."), Turn("user", "Et ?"), Turn("assistant", "À Évry."))
CONFIG: dict[str, Any] = {"vocab_size": 400, "eos_token_id": 0, "bos_token_id": None}


def saved(folder: Path, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in MADE.files().items():
        (folder / name).write_bytes(content)
    settings = json.loads((folder / "tokenizer_config.json").read_bytes()) | changes
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@given(st.text(max_size=60))
def test_any_text_comes_back_from_its_tokens(words: str) -> None:
    assert MADE.tokenizer.decode(MADE.encode(words), skip_special_tokens=False) == words


def test_a_vocabulary_is_the_same_for_the_same_texts_and_has_its_size() -> None:
    assert learned([text(n) for n in range(20)], 400, chat=True).text == MADE.text
    assert MADE.size <= 400
    assert set(MADE.special) == {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}
    assert MADE.pre_tokenizer == "qwen2"


def test_a_saved_vocabulary_is_read_back(tmp_path: Path) -> None:
    found = of_folder(saved(tmp_path / "m"), CONFIG)
    assert (found.end, found.begin, found.template) == (MADE.end, None, CHATML)
    assert found.encode("L'été à Évry") == MADE.encode("L'été à Évry")
    (tmp_path / "m" / "chat_template.jinja").write_text("{{ messages[0].content }}")
    assert of_folder(tmp_path / "m", CONFIG).template == "{{ messages[0].content }}"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("tokenizer.json", "{}", r"tokenizer.json: expected a vocabulary of the tokenizers library, found"),
        ("tokenizer_config.json", "[]", r"tokenizer_config.json: expected a JSON object, found list"),
        ("tokenizer_config.json", "{", r"tokenizer_config.json: expected JSON, found"),
        (
            "tokenizer_config.json",
            '{"chat_template": [1]}',
            r"chat_template: expected one template, a text, found list",
        ),
    ],
)
def test_a_vocabulary_that_is_none_is_refused(tmp_path: Path, file: str, content: str, message: str) -> None:
    (saved(tmp_path / "m") / file).write_text(content)
    with pytest.raises(BadInput, match=message):
        of_folder(tmp_path / "m", CONFIG)


def test_a_vocabulary_larger_than_the_network_or_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"tokenizer.json: expected at most vocab_size 300 tokens, found {MADE.size}"):
        of_folder(saved(tmp_path / "m"), CONFIG | {"vocab_size": 300})
    with pytest.raises(BadInput, match=r"m end of text: expected eos_token or eos_token_id, found none"):
        of_folder(saved(tmp_path / "m", eos_token=None), CONFIG | {"eos_token_id": None})
    (tmp_path / "m" / "tokenizer.json").unlink()
    with pytest.raises(BadInput, match=r"tokenizer.json: expected a file in m, found none"):
        of_folder(tmp_path / "m", CONFIG)


def test_a_vocabulary_that_splits_as_nobody_does_has_no_name(tmp_path: Path) -> None:
    raw = json.loads(MADE.text)
    raw["pre_tokenizer"] = {"type": "Whitespace"}
    (saved(tmp_path / "m") / "tokenizer.json").write_text(json.dumps(raw))
    with pytest.raises(
        BadInput, match=r"expected byte-level BPE that splits as GPT-2, .*, found BPE with \['Whitespace'\]"
    ):
        _ = of_folder(tmp_path / "m", CONFIG).pre_tokenizer


def test_a_vocabulary_that_changes_text_as_llama_cpp_does_not_has_no_name(tmp_path: Path) -> None:
    raw = json.loads(MADE.text)
    for kind in ("NFC", "Lowercase"):
        raw["normalizer"] = {"type": kind}
        (saved(tmp_path / kind) / "tokenizer.json").write_text(json.dumps(raw))
    composing = of_folder(tmp_path / "NFC", CONFIG)
    assert (composing.pre_tokenizer, composing.composed("e\u0301"), MADE.composed("e\u0301")) == (
        "qwen2",
        "é",
        "e\u0301",
    )
    with pytest.raises(
        BadInput, match=r"normalizer: expected no normaliser, or NFC: llama.cpp has none, found .*Lowerc"
    ):
        _ = of_folder(tmp_path / "Lowercase", CONFIG).pre_tokenizer


# ── templates ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_what_the_assistant_says_is_found_in_the_text() -> None:
    whole, spans = with_answers(CHATML, TURNS, {})
    assert [whole[a:b] for a, b in spans] == ["À Lyon.<|im_end|>", "À Évry.<|im_end|>"]
    assert rendered(CHATML, TURNS[:1], {}, answer_next=True).endswith("<|im_start|>assistant\n")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages[-1].content }}", r"expected one that leaves what was said before as it was, .*, found another"),
        ("{% for m in %}", r"chat template: expected a Jinja template, found"),
        ("{{ messages.nothing.at.all }}", r"chat template: expected one that renders a conversation, found"),
        ("{{ ''.__class__.__mro__ }}", r"chat template: expected one that renders a conversation, found .*unsafe"),
        ("{{ messages.append(1) }}", r"chat template: expected one that renders a conversation, found .*"),
        (
            "{% for n in range(10**9) %}x{% endfor %}",
            r"expected one that renders a conversation, found a range of more",
        ),
        ("{{ cycler.__init__.__globals__ }}", r"chat template: expected one that renders a conversation, found"),
        ("{% include '/etc/passwd' %}", r"chat template: expected one that renders a conversation, found"),
        (
            "{{ raise_exception('alternate!') }}",
            r"chat template: expected a conversation that it takes, found alternate!",
        ),
        ("x" * 200_001, r"chat template: expected at most 200000 characters, found 200001"),
    ],
)
def test_a_template_that_is_hostile_or_forgets_is_refused(template: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        with_answers(template, TURNS, {})
