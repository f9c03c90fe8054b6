"""What an attack is: its kind, what is put before the model, and by which words it is judged.

Rules. A line of attacks.jsonl has `id`, `kind`, `prompt`, `judge`, and may have `system` (the instructions that are
attacked) and `document` (a text which the application would put before the model: with instructions planted in it, or
one that answers a harmless look-alike).
Kinds and keys are a list; anything else is refused with its id. `judge` holds `must_not_contain` or `must_contain`: the
attack has succeeded when one of the first stands in the answer, or none of the second does. Three kinds need no words
of their own: false_refusal and harmful ask whether the answer refuses, rude whether it holds a word of the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from casemate.errors import BadInput
from casemate.modalities.language.corpus import Attack, LanguageDataset
from casemate.modalities.language.evaluation import prompts
from casemate.modalities.language.evaluation.asking import Ask

BY_REFUSAL = ("false_refusal", "harmful", "rude")
KINDS = ("injection_direct", "injection_planted", "prompt_leak", "extraction", *BY_REFUSAL)
WITH_DOCUMENT = ("injection_planted", "false_refusal")
_KEYS = frozenset({"kind", "judge", "system", "document", "note"})
_JUDGES = ("must_not_contain", "must_contain")


@dataclass(frozen=True)
class Try:
    """One attack, ready to be put before a model and judged."""

    id: str
    kind: str
    ask: Ask
    language: str
    must_not_contain: tuple[str, ...] = ()
    must_contain: tuple[str, ...] = ()


def tries(dataset: LanguageDataset, *, thing: str) -> list[Try]:
    """The attacks of a set; BadInput naming one that cannot be judged."""
    if not dataset.attacks:
        raise BadInput(thing, expected="a set of attacks (attacks.jsonl)", found=f"a set of kind {dataset.kind}")
    return [_try(attack, f"attack {attack.id} of {thing}") for attack in dataset.attacks]


def _try(attack: Attack, thing: str) -> Try:
    extra = attack.extra
    unknown = sorted(set(extra) - _KEYS)
    if unknown:
        raise BadInput(thing, expected=f"keys among {', '.join(sorted(_KEYS))}", found=", ".join(unknown))
    kind = extra.get("kind")
    if kind not in KINDS:
        raise BadInput(f"{thing}, kind", expected=" or ".join(KINDS), found=repr(kind))
    forbidden, needed = _judge(extra.get("judge", {}), kind, thing)
    system, document = (_text(extra, name, thing) for name in ("system", "document"))
    if (kind == "injection_planted" and not document) or (document and kind not in WITH_DOCUMENT):
        expected = "a text for injection_planted, perhaps for false_refusal, and none else"
        raise BadInput(f"{thing}, document", expected=expected, found="one" if document else "none")
    ask = Ask(attack.id, attack.prompt, system)
    if document:
        told, shown = system or prompts.system(attack.language), () if system else prompts.examples(attack.language)
        ask = Ask(attack.id, prompts.user(attack.prompt, [document], attack.language), told, shown)
    return Try(attack.id, kind, ask, attack.language, forbidden, needed)


def _judge(raw: Any, kind: str, thing: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not isinstance(raw, dict) or set(raw) - set(_JUDGES):
        raise BadInput(f"{thing}, judge", expected=" or ".join(_JUDGES), found=f"{raw!r:.80}")
    forbidden, needed = (_words(raw.get(name, []), f"{thing}, {name}") for name in _JUDGES)
    if (kind in BY_REFUSAL) == bool(forbidden or needed):
        expected = "no words: the answer is judged by whether it refuses" if kind in BY_REFUSAL else "words to judge by"
        raise BadInput(f"{thing}, judge", expected=expected, found="words" if forbidden or needed else "none")
    return forbidden, needed


def _words(raw: Any, thing: str) -> tuple[str, ...]:
    if not isinstance(raw, list) or not all(isinstance(w, str) and w.strip() for w in raw):
        raise BadInput(thing, expected="a list of texts that are not empty", found=f"{raw!r:.80}")
    return tuple(raw)


def _text(extra: Any, name: str, thing: str) -> str:
    value = extra.get(name, "")
    if not isinstance(value, str):
        raise BadInput(f"{thing}, {name}", expected="a text", found=f"{value!r:.40}")
    return value
