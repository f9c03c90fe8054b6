"""Prompts: what an engine is told before the passages, French and English, versioned like a policy.

Rules. TOML, strict: an unknown key, a missing text or an unknown place is BadInput. Places are `{name}` and filled in
one pass, so that what fills one is never read as another. A site's officer may sign others and put them in force; an
answer names the version that it was made with: a name, a serial (0: shipped) and the digest of the text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Literal

from pydantic import Field

from casemate.errors import BadInput
from casemate.signing.canonical import Door
from casemate.store.digest import Digest

PROMPTS_TYPE = "application/vnd.casemate.prompts+toml"
LANGUAGES = ("fr", "en")
PLACES: Mapping[str, frozenset[str]] = {
    "answer": frozenset({"question", "passages", "delimiter"}),
    "map": frozenset({"passages", "delimiter", "subject"}),
    "reduce": frozenset({"passages", "delimiter", "subject"}),
    "translate": frozenset({"text", "delimiter", "target"}),
    "minutes": frozenset({"text", "delimiter"}),
}
_PLACE = re.compile(r"\{([a-z_]+)\}")
_MAX_CHARACTERS = 200_000


@dataclass(frozen=True)
class Example:
    """A question with passages and the answer that is wanted, put before the real one."""

    user: str
    assistant: str


@dataclass(frozen=True)
class Prompt:
    """What one task is told in one language."""

    system: str
    user: str
    examples: tuple[Example, ...] = ()

    def fill(self, **values: str) -> str:
        """The user's message with its places filled."""
        return fill(self.user, values)


@dataclass(frozen=True)
class Prompts:
    """The prompts of a site; `text` is what the officer signed."""

    name: str
    serial: int
    text: str
    _by_task: Mapping[tuple[str, str], Prompt]

    @classmethod
    def from_toml(cls, text: str, *, serial: int = 0, source: str = "prompts") -> Prompts:
        """Read prompts; BadInput naming `source` for anything unknown, missing or ill-formed."""
        if len(text) > _MAX_CHARACTERS:
            raise BadInput(source, expected=f"at most {_MAX_CHARACTERS} characters", found=len(text))
        try:
            raw = _PromptsToml.enter(tomllib.loads(text), source)
        except (ValueError, RecursionError) as why:
            raise BadInput(source, expected="TOML", found=why) from why
        found: dict[tuple[str, str], Prompt] = {}
        for task in PLACES:
            both: _BothToml = getattr(raw, task)
            for language in LANGUAGES:
                one: _PromptToml = getattr(both, language)
                _check_places(one.user, task, f"{source} {task}.{language}")
                examples = tuple(Example(example.user, example.assistant) for example in one.examples)
                found[task, language] = Prompt(one.system.strip(), one.user.strip(), examples)
        return cls(raw.name, serial, text, found)

    @classmethod
    def shipped(cls) -> Prompts:
        """The prompts that come with Casemate."""
        return _shipped()

    @property
    def version(self) -> str:
        """How an answer names them: name, serial and the beginning of the digest of their text."""
        return f"{self.name} {self.serial} ({Digest.of_bytes(self.text.encode()).hex[:12]})"

    def of(self, task: str, language: str) -> Prompt:
        """The prompt of a task in a language; English where the language is another."""
        return self._by_task[task, language if language in LANGUAGES else "en"]


def fill(template: str, values: Mapping[str, str]) -> str:
    """A template with its places filled, in one pass; other braces stay."""
    return _PLACE.sub(lambda match: values.get(match[1], match[0]), template)


@lru_cache(maxsize=1)
def _shipped() -> Prompts:
    file = resources.files("casemate.serving.answers").joinpath("templates", "prompts.toml")
    return Prompts.from_toml(file.read_text(encoding="utf-8"), source="prompts.toml")


def _check_places(template: str, task: str, source: str) -> None:
    named = set(_PLACE.findall(template))
    if unknown := sorted(named - PLACES[task]):
        known = ", ".join(sorted(PLACES[task]))
        raise BadInput(source, expected=f"places among {known}", found=unknown[0])
    if missing := sorted({"passages", "text", "question"} & PLACES[task] - named):
        raise BadInput(source, expected=f"a place {{{missing[0]}}}", found="none")


class _ExampleToml(Door):
    user: str = Field(min_length=1, max_length=20_000)
    assistant: str = Field(min_length=1, max_length=20_000)


class _PromptToml(Door):
    system: str = Field(min_length=1, max_length=20_000)
    user: str = Field(min_length=1, max_length=20_000)
    examples: list[_ExampleToml] = Field(default=[], max_length=8)


class _BothToml(Door):
    fr: _PromptToml
    en: _PromptToml


class _PromptsToml(Door):
    format: Literal["casemate-prompts/1"]
    name: str = Field(pattern=r"^[\w.\- ]{1,64}\z")
    answer: _BothToml
    map: _BothToml
    reduce: _BothToml
    translate: _BothToml
    minutes: _BothToml
