"""Asking a chat model: one question after the other, each answer kept at once.

Rules. Temperature 0, so that the same model on the same machine answers the same (the beginning that questions share is
computed once, and its rounding may turn a near tie where an evaluation was resumed). Answers lie in `checkpoints/`, by
the digest of what was asked: an evaluation that was stopped asks only what it has no answer to. Nothing of them leaves
the work folder but the samples of the report.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from casemate.modalities.language.evaluation.task import Task

FILE = "answers.jsonl"


@dataclass(frozen=True)
class Ask:
    """What is put before a model: a system message (or none), examples of exchanges, and the user's message."""

    id: str
    user: str
    system: str = ""
    examples: tuple[tuple[str, str], ...] = ()

    @property
    def messages(self) -> list[dict[str, str]]:
        """As chat models read them."""
        told = [{"role": "system", "content": self.system}] if self.system else []
        for asked, answered in self.examples:
            told += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        return [*told, {"role": "user", "content": self.user}]


class Chat(Protocol):
    """A model that answers."""

    def reply(self, messages: Sequence[Mapping[str, str]], *, max_tokens: int) -> str:
        """The whole answer, greedily decoded."""


def ask_all(task: Task, chat: Chat, asks: Sequence[Ask]) -> list[str]:
    """The answers, in order; each is kept when it is there."""
    file = task.workdir / "checkpoints" / FILE
    known, answers = _kept(file), []
    for ask in asks:
        name = _name(ask, task.asked.answer_tokens)
        if name not in known:
            known[name] = chat.reply(ask.messages, max_tokens=task.asked.answer_tokens)
            with file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps([name, known[name]]) + "\n")
        answers.append(known[name])
        task.step()
    return answers


def _name(ask: Ask, most_tokens: int) -> str:
    return hashlib.sha256(json.dumps([ask.messages, most_tokens]).encode()).hexdigest()


def _kept(file: Path) -> dict[str, str]:
    """The answers of an earlier start; a line that was torn is asked again."""
    file.parent.mkdir(exist_ok=True)
    if not file.is_file():
        return {}
    text = file.read_text(encoding="utf-8")
    whole, end, torn = text.rpartition("\n")
    if torn:
        file.write_text(whole + end, encoding="utf-8")
    return dict(json.loads(line) for line in whole.splitlines() if line)
