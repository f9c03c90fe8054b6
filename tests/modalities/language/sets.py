"""Small language data sets: for the tests of reading and training."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_TEXT = (
    "le service public instruit la demande du titre de séjour au guichet de la préfecture où l'usager dépose "
    "son dossier complet avec une pièce d'identité et reçoit un récépissé dans un délai fixé par décret"
)
WORDS = _TEXT.split()


def write_lines(file: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """A file of JSON lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


def sentence(number: int, length: int = 12) -> str:
    """A sentence that differs from number to number, and is the same every time."""
    words = random.Random(number).choices(WORDS, k=length)  # noqa: S311
    return " ".join(words).capitalize() + f", article {number}."


def text(number: int, sentences: int = 4) -> str:
    """A short French-looking document."""
    return " ".join(sentence(number * 31 + place) for place in range(sentences))


def texts(folder: Path, documents: int = 8) -> Path:
    """A set of texts."""
    rows = [{"id": f"t{n}", "text": text(n), "language": "fr"} for n in range(documents)]
    write_lines(folder / "texts.jsonl", rows)
    return folder


def chats(folder: Path, conversations: int = 8) -> Path:
    """A set of conversations, one with a system message."""
    rows = []
    for n in range(conversations):
        turns = [{"role": "user", "content": f"Que dit l'article {n} ?"}, {"role": "assistant", "content": sentence(n)}]
        system = [{"role": "system", "content": "Réponds en français."}] if n % 3 == 0 else []
        rows.append({"messages": [*system, *turns], "language": "fr"})
    write_lines(folder / "chat.jsonl", rows)
    return folder
