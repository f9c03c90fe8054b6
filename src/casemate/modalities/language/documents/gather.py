"""One document gathered from what its reader says: passages as they come, and at the end its record.

Rules. What comes is data of a process that is not trusted: blocks, notes and facts of known shapes, within limits, or
the document is refused. Text is cleaned before anything else looks at it. Passages are written as drafts, and once more
when language, title and date are known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from casemate.modalities.language.documents import chunk, kinds, near, records
from casemate.modalities.language.documents.block import Block, NotABlockError
from casemate.modalities.language.documents.chunk import Draft
from casemate.modalities.language.documents.limits import Limits
from casemate.modalities.language.documents.plain import Stripped
from casemate.modalities.language.documents.records import Document, Passage, passage_id
from casemate.modalities.language.documents.source import UnreadableError
from casemate.modalities.language.documents.tongue import language_of, language_within
from casemate.modalities.language.documents.written import Words, Written

_SAMPLE_CHARACTERS = 20_000
_MOST_WRITTEN, _MOST_NOTES, _MOST_ATTACHMENTS = 50, 200, 10_000
_NO_TITLES = frozenset({"(anonymous)", "untitled", "sans titre", "sans nom", "document", "présentation powerpoint"})
_DIGEST, _DATE = re.compile(r"[0-9a-f]{64}"), re.compile(r"(\d{4}-\d{2}-\d{2})?")


class Gathering:
    """One document while it is read; its passages go to a new file, `drafts`."""

    def __init__(self, path: str, digest: str, words: Words, drafts: Path, limits: Limits) -> None:
        """`digest` is 64 hexadecimal digits; `words` finds markings."""
        self.written: list[Written] = []
        self.attachments: list[tuple[str, str]] = []
        self.sketch = near.Sketcher()
        self._path, self._digest, self._words, self._limits = path, digest, words, limits
        self._stripped, self._notes = Stripped(), list[str]()
        self._sample, self._heading, self._characters, self._sampled = list[str](), "", 0, 0
        self._drafts = _Drafts(drafts)
        self._end: dict[str, Any] | None = None

    def close(self) -> None:
        """Let go of the file; after `document`, nothing is left to do."""
        self._drafts.close()

    def take(self, message: dict[str, Any]) -> None:
        """One message of the reader."""
        if "blocks" in message and isinstance(message["blocks"], list):
            for said in message["blocks"]:
                self._add(Block.of(said))
        elif "note" in message and len(self._notes) < _MOST_NOTES:
            self._notes.append(self._text(message["note"], 300))
        elif "attachment" in message:
            self._attach(message["attachment"])
        elif "end" in message:
            self._end = self._checked_end(message["end"])

    def document(self) -> Document:
        """The document's record, once its reader has ended; its passages are in the drafts, whole."""
        if self._end is None:
            raise NotABlockError("an answer without an end")
        name = (self._path.rpartition(kinds.INSIDE)[2] or self._path).rpartition("/")[2]
        title = (self._end["title"] if self._end["title"].lower() not in _NO_TITLES else "") or self._heading or name
        language, kind = language_of(" ".join(self._sample)), kinds.kind_of(name) or ""
        identifier = self._digest[:32]
        count = self._drafts.finish(identifier, title, language, kind, self._end["date"])
        notes = [*self._notes, *self._stripped.notes()]
        if not count and not notes:
            notes = ["empty: no text was found"]
        written = tuple(
            {"text": found.text, "marking": str(found.marking), "page": found.page} for found in self.written
        )
        return Document(
            identifier, self._path, f"sha256:{self._digest}", kind, title, language, self._end["date"],
            self._end["pages"], self._characters, count, self._end["ocr"], identifier, written, tuple(notes),
        )  # fmt: skip

    def _add(self, block: Block) -> None:
        text = self._stripped.clean(block.text)
        if not text:
            return
        block = replace(block, text=text)
        self._characters += len(text)
        if self._characters > self._limits.max_characters:
            raise UnreadableError(f"at most {self._limits.max_characters} characters", "more")
        if self._sampled < _SAMPLE_CHARACTERS:
            self._sample.append(text[:_SAMPLE_CHARACTERS])
            self._sampled += len(text)
        if block.kind == "heading" and not self._heading:
            self._heading = " ".join(text.split())[:300]
        self.sketch.add(text)
        known = {(found.text, found.marking) for found in self.written}
        for found in self._words.find(text, block.page):
            if (found.text, found.marking) not in known and len(known) < _MOST_WRITTEN:
                known.add((found.text, found.marking))
                self.written.append(found)
        self._drafts.add(block)

    def _attach(self, said: object) -> None:
        if not isinstance(said, dict) or len(self.attachments) >= _MOST_ATTACHMENTS:
            raise NotABlockError("attachments without end")
        name, digest = said.get("name"), said.get("digest")
        if not isinstance(name, str) or not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise NotABlockError("an attachment that is none")
        if not name or len(name) > 200 or not name.isprintable() or "/" in name:
            raise NotABlockError("an attachment without a plain name")
        self.attachments.append((name, digest))

    def _checked_end(self, said: object) -> dict[str, Any]:
        if not isinstance(said, dict) or said.keys() != {"title", "date", "pages", "ocr"}:
            raise NotABlockError("an end that is none")
        for name in ("pages", "ocr"):
            if type(said[name]) is not int or not 0 <= said[name] < 1 << 31:
                raise NotABlockError("pages that cannot be counted")
        date = self._text(said["date"], 10)
        title = " ".join(self._text(said["title"], 1000).split())[:300]
        return {**said, "title": title, "date": date if _DATE.fullmatch(date) else ""}

    def _text(self, said: object, most: int) -> str:
        if not isinstance(said, str):
            raise NotABlockError("no text where text should be")
        return Stripped().clean(said)[:most]


class _Drafts:
    """Passages in a file, twice: as they come, and in the end whole."""

    def __init__(self, path: Path) -> None:
        self._path, self._count = path, 0
        self._out = path.open("xb")
        self._chunking = chunk.Chunking()

    def add(self, block: Block) -> None:
        self._keep(self._chunking.add(block))

    def close(self) -> None:
        self._out.close()

    def finish(self, document: str, title: str, language: str, kind: str, date: str) -> int:
        """Write the passages whole, and say how many there are."""
        self._keep(self._chunking.end())
        self._out.close()
        whole = self._path.with_name(f"{self._path.name}-whole")
        with self._path.open("rb") as drafts, whole.open("xb") as out:
            for number, line in enumerate(drafts, 1):
                raw = json.loads(line)
                own = language_within(raw["text"], language)
                boxes = tuple(tuple(box) for box in raw["boxes"])
                name = passage_id(document, number)
                out.write(records.line(Passage(
                    name, document, number, title, raw["heading"], raw["text"], own, raw["page"], boxes, kind, date,
                )))  # fmt: skip
        whole.replace(self._path)
        return self._count

    def _keep(self, drafts: Iterator[Draft]) -> None:
        for draft in drafts:
            self._out.write(json.dumps(asdict(draft)).encode() + b"\n")
            self._count += 1
