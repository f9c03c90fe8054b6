"""JSON, a value or lines of them: each item of the outermost list, or each line, as `key: value` in one paragraph."""

from __future__ import annotations

import json
from collections.abc import Iterator

from casemate.modalities.language.documents.block import Block
from casemate.modalities.language.documents.kinds import ending
from casemate.modalities.language.documents.readers.text import cut, decoded
from casemate.modalities.language.documents.source import Found, Source, UnreadableError


def read(source: Source, found: Found) -> Iterator[Block]:
    """The values, with the names that they are under."""
    text = decoded(source.bytes(), found)
    try:
        if ending(source.name) in {"jsonl", "ndjson"}:
            values = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            whole = json.loads(text)
            values = whole if isinstance(whole, list) else [whole]
    except ValueError as why:
        raise UnreadableError("JSON", str(why)) from why
    for value in values:
        told = "\n".join(_told(value, ""))
        if told.strip():
            yield from cut(told)


def _told(value: object, name: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _told(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
        for inner in value:
            yield from _told(inner, name)
    elif isinstance(value, list):
        yield from _told(", ".join(map(str, value)), name)
    elif value not in {None, ""}:
        yield f"{name}: {value}" if name else str(value)
