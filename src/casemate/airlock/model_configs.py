"""Settings that come with a model: what they would make a library run, or put before the model.

Rules. Settings that name Python code are refused, since the libraries that read them fetch and run it. Chat templates
are read as `templates` says. Words that a tokenizer puts in the place of others are told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from casemate.airlock import templates
from casemate.airlock.report import Finding

# transformers, diffusers, Hydra, jsonpickle, Keras and sentence-transformers, in this order.
_CODE_KEYS = frozenset(
    {
        "auto_map",
        "trust_remote_code",
        "custom_pipelines",
        "_target_",
        "py/object",
        "py/reduce",
        "py/function",
        "py/type",
    }
)
_KERAS_CODE = frozenset({"Lambda", "__lambda__"})
_TEMPLATE_FILES = ("tokenizer_config.json", "chat_template.json", "processor_config.json", "tokenizer.json")
_TEMPLATE_KEY = re.compile(r"chat_templates?|.*_chat_template|jinja_template")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_SENTENCE_MODULES = "modules.json"
_KNOWN_MODULES = "sentence_transformers."
_WORD = re.compile(r"[^\W\d_]{2,}")


def check_settings(name: str, value: Any) -> list[Finding]:
    """What is wrong with a JSON file called `name`, as settings of a model."""
    findings = list(_code(value))
    if name == _SENTENCE_MODULES:
        findings += _modules(value)
    if name in _TEMPLATE_FILES or any(_TEMPLATE_KEY.fullmatch(key) for key in _keys(value)):
        for where, source in _templates(value):
            findings += templates.check(source, where)
    if name == "tokenizer.json" and isinstance(value, dict):
        findings += _replacements(value)
    return findings


def _keys(value: Any) -> list[str]:
    return list(value) if isinstance(value, dict) else []


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with what it holds, at any depth."""
    waiting = [value]
    while waiting:
        now = waiting.pop()
        if isinstance(now, dict):
            yield from now.items()
            waiting += now.values()
        elif isinstance(now, list):
            waiting += now


def _code(value: Any) -> Iterator[Finding]:
    for key, held in _walk(value):
        if key in _CODE_KEYS and held not in (None, False, {}, []):
            yield Finding("settings", "settings that name no code", f"{key}: {held!a}"[:160])
        elif key == "class_name" and isinstance(held, str) and held in _KERAS_CODE:
            yield Finding("settings", "settings that name no code", f"a Keras {held}, which holds a function")


def _modules(value: Any) -> Iterator[Finding]:
    for key, held in _walk(value):
        if key == "type" and isinstance(held, str) and _MODULE.fullmatch(held) and not held.startswith(_KNOWN_MODULES):
            yield Finding("settings", f"modules of {_KNOWN_MODULES[:-1]}", f"{held!a}"[:160])


def _templates(value: Any) -> Iterator[tuple[str, str]]:
    """Every template in settings: a text, or a list or an object of named ones."""
    for key, held in _walk(value):
        if not _TEMPLATE_KEY.fullmatch(key):
            continue
        named = held.items() if isinstance(held, dict) else [("", held)]
        if isinstance(held, list):
            named = [(str(i.get("name", "")), i.get("template")) for i in held if isinstance(i, dict)]
        for label, source in named:
            if isinstance(source, str):
                yield f"{key} {label}".rstrip(), source


def _replacements(value: dict[str, Any]) -> Iterator[Finding]:
    """Parts of a tokenizer that put words in the place of others, in what is asked or in what is answered."""
    for part in ("normalizer", "decoder", "pre_tokenizer"):
        for key, held in _walk({part: value.get(part)}):
            if key == "content" and isinstance(held, str) and _WORD.search(held):
                found = f"{part} puts in {held[:120]!a}"
                yield Finding("settings", "a tokenizer that changes no words", found)
