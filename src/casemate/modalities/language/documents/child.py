"""The process that reads documents: `python -m casemate.modalities.language.documents.child`, started by `process`.

Rules. It is told its limits first and confines itself before it opens a document; then it answers one question after
another until its input ends. It can write nothing and reach nothing but the documents and the model that it was told
of. A message a page at least, so that whoever waits can tell a long document from a hung reader. An error that no
reader answers ends it, and its parent refuses that document.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from casemate.compute.cell import allow_processor_s, confine
from casemate.compute.messages import Unpacker, pack
from casemate.modalities.language.documents import kinds, readers
from casemate.modalities.language.documents.block import MAX_TEXT, Block
from casemate.modalities.language.documents.limits import Limits
from casemate.modalities.language.documents.source import Found, Recogniser, Source, UnreadableError

_READ_BYTES = 1 << 16
_PIECE_BYTES = 1 << 19
_BROKEN = (ValueError, LookupError, OSError, EOFError, TypeError, AttributeError, SyntaxError, zipfile.BadZipFile,
           NotImplementedError, RecursionError)  # fmt: skip


def main() -> None:
    """Read the first message, then questions, from standard input; answer on standard output."""
    out = os.dup(1)
    os.dup2(2, 1)  # a library that prints must not speak in our name
    mimetypes.knownfiles.clear()  # what a system keeps elsewhere is not read
    messages = _messages()
    start = next(messages)
    limits, folder = Limits(**start["limits"]), Path(start["folder"])
    model = Path(start["ocr"]) if start["ocr"] else None
    facts = confine(folder, *([model] if model else []), memory_bytes=limits.memory_bytes)
    say = _Out(out)
    say.message({"confinement": facts})
    child = _Reading(folder, limits, model, say)
    for message in messages:
        allow_processor_s(limits.page_s)
        try:
            child.draw(message) if "draw" in message else child.read(message)
        except UnreadableError as why:
            say.message({"unreadable": [why.expected[:500], why.found[:500]]})
        except _BROKEN as why:
            # Its name alone: what an error says may be words of the document.
            say.message({"unreadable": ["a document that can be read", f"a broken one ({type(why).__name__})"]})


@dataclass
class _Reading:
    folder: Path
    limits: Limits
    model: Path | None
    say: _Out
    _loaded: list[Recogniser] = field(default_factory=list)
    _attached: dict[tuple[str, ...], dict[str, bytes]] = field(default_factory=dict)  # of the mail read last

    def read(self, message: dict[str, Any]) -> None:
        """Send a document's blocks, then what else there is to say of it."""
        source, gathered = self._source(message), _Gathered(self.say)

        def on_page() -> None:
            gathered.flush()
            allow_processor_s(self.limits.page_s)

        found = Found(self.limits, _Late(self) if self.model else None, on_page)
        for block in readers.find(kinds.reader_of(source.name)).read(source, found):
            gathered.add(block)
        gathered.flush()
        if found.attachments:
            self._keep((str(message["file"]), *message["inside"]), found)
        attached = [
            {"name": name, "size": len(data), "digest": hashlib.sha256(data).hexdigest()}
            for name, data in found.attachments
        ]
        for note in found.notes:
            self.say.message({"note": note})
        for one in attached:
            self.say.message({"attachment": one})
        self.say.message({
            "end": {"title": found.title[:1000], "date": found.date, "pages": found.pages, "ocr": found.ocr_pages}
        })  # fmt: skip

    def draw(self, message: dict[str, Any]) -> None:
        """Send a picture of a page, with boxes and a banner on it."""
        from casemate.modalities.language.documents.drawing import drawn

        wanted = message["draw"]
        png = drawn(self._source(message), wanted["page"], wanted["boxes"], wanted["banner"], self.limits)
        for start in range(0, len(png), _PIECE_BYTES):
            self.say.message({"png": base64.b64encode(png[start : start + _PIECE_BYTES]).decode()})
        self.say.message({"end": {}})

    def recogniser(self) -> Recogniser:
        """The model, loaded when it is first needed."""
        if not self._loaded:
            from casemate.modalities.language.documents import ocr

            if self.model is None:
                raise RuntimeError("a page to be recognised without a model")
            self._loaded.append(ocr.open_model(self.model))
        return self._loaded[0]

    def _source(self, message: dict[str, Any]) -> Source:
        """The file, or what is attached to the mail that it is, however deep."""
        path = str(message["file"])
        source = Source(path.rpartition("/")[2], path=self.folder / path)
        at: tuple[str, ...] = (path,)
        for name in message["inside"]:
            if at not in self._attached:
                found = Found(self.limits)
                for _ in readers.find(kinds.reader_of(source.name)).read(source, found):
                    pass
                self._keep(at, found)
            data = self._attached[at].get(name)
            if data is None:
                raise UnreadableError(f"an attachment {name!a}", "none")
            source, at = Source(name, data=data), (*at, name)
        return source

    def _keep(self, at: tuple[str, ...], found: Found) -> None:
        """Keep what is attached to a mail until another is read: a thousand files in it are not a thousand readings."""
        self._attached = {place: held for place, held in self._attached.items() if at[: len(place)] == place}
        self._attached[at] = dict(found.attachments)


@dataclass(frozen=True)
class _Late:
    """A recogniser that is loaded when it is first asked."""

    reading: _Reading

    def read(self, picture: Any) -> list[Any]:
        """The lines in a picture."""
        return self.reading.recogniser().read(picture)


class _Gathered:
    """Blocks on their way, as many as one message holds."""

    def __init__(self, say: _Out) -> None:
        self._say, self._blocks, self._size = say, list[Block](), 0

    def add(self, block: Block) -> None:
        if self._size + len(block.text) > MAX_TEXT or len(self._blocks) >= 500:
            self.flush()
        self._blocks.append(block)
        self._size += len(block.text)

    def flush(self) -> None:
        self._say.message({"blocks": [block.to_json() for block in self._blocks]})
        self._blocks, self._size = [], 0


class _Out:
    """Messages to the parent."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def message(self, message: dict[str, Any]) -> None:
        data = memoryview(pack(message))
        while data:
            data = data[os.write(self._fd, data) :]


def _messages() -> Iterator[dict[str, Any]]:
    unpacker = Unpacker()
    while data := os.read(0, _READ_BYTES):
        yield from unpacker.feed(data)


if __name__ == "__main__":
    main()
