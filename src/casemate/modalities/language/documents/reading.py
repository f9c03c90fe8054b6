"""A folder of documents read into a document set: what stands in them, passage by passage, and who refused to open.

Rules. Children read (`process`), in parallel, one document after another; what they say is data, cleaned and chunked
here. Records come in the order of the documents' paths, whatever finished first. The same file twice is one document.
What is attached to mail is a document of its own. What cannot be read is refused with its reason, and the rest goes on;
after `max_failures` broken readers the rest is refused unread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from casemate.markings import Marking, Policy
from casemate.modalities.language.documents import kinds, near, records
from casemate.modalities.language.documents.block import NotABlockError
from casemate.modalities.language.documents.gather import Gathering
from casemate.modalities.language.documents.limits import Limits
from casemate.modalities.language.documents.process import BrokenReaderError, ReadingProcess
from casemate.modalities.language.documents.records import DOCUMENTS, PASSAGES, Document, Tally
from casemate.modalities.language.documents.source import UnreadableError
from casemate.modalities.language.documents.written import Words, suggested
from casemate.store.cores import Progress, cores, on_all_cores

_DOCUMENTS_A_CHILD = 8  # starting a process for fewer takes longer than it saves
_MOST_NAMED = 100


@dataclass(frozen=True)
class Task:
    """A document to be read: a file below the folder, what is inside of it, its digest as 64 hexadecimal digits."""

    file: str
    digest: str
    inside: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The document's path in the set."""
        return kinds.INSIDE.join((self.file, *self.inside))

    def question(self) -> dict[str, Any]:
        """What its reader is asked."""
        return {"file": self.file, "inside": list(self.inside)}


@dataclass(frozen=True)
class Refusal:
    """A document that was not read, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class ReadSet:
    """What was read: the documents, those refused, the markings that are written in them."""

    documents: tuple[Document, ...]
    refused: tuple[Refusal, ...]
    suggested: Marking
    written: tuple[tuple[str, Marking], ...]

    def facts(self) -> dict[str, Any]:
        """What an entry says of it."""
        tally = Tally()
        for document in self.documents:
            tally.add(document)
        return {
            **tally.facts(),
            "refused": len(self.refused),
            "refused_documents": [vars(refusal) for refusal in self.refused[:_MOST_NAMED]],
            "suggested_marking": str(self.suggested),
        }


def read_folder(
    folder: Path,
    files: Mapping[str, str],
    into: Path,
    *,
    policy: Policy,
    model: Path | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> ReadSet:
    """Read the files of `folder` (path to digest, as 64 hexadecimal digits) and write both records into `into`.

    `model` is the folder of the models that recognise print, verified by the caller.
    """
    crew = _Crew(folder, into, Words(policy), model, limits or Limits(), progress)
    twins = crew.take(files)
    crew.work()
    read = sorted(crew.read, key=lambda done: done.document.path)
    documents = _grouped(_unlike(read, twins))
    _write(into, documents, {done.document.path: done.drafts for done in read})
    for done in read:
        done.drafts.unlink()
    wrote = {document.path for document in documents}
    said = [(done.document.path, found) for done in read for found in done.written if done.document.path in wrote]
    refused = tuple(sorted(crew.refused, key=lambda refusal: refusal.path))
    return ReadSet(
        tuple(documents), refused, suggested(policy, (found for _, found in said)),
        tuple((path, found.marking) for path, found in said),
    )  # fmt: skip


@dataclass(frozen=True)
class _Done:
    document: Document
    drafts: Path
    sketch: near.Sketch | None
    written: tuple[Any, ...]


@dataclass
class _Crew:
    """Threads with a child each, which share a queue of documents."""

    folder: Path
    into: Path
    words: Words
    model: Path | None
    limits: Limits
    progress: Progress | None
    read: list[_Done] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    _tasks: deque[Task] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _number: int = 0
    _failures: int = 0

    def take(self, files: Mapping[str, str]) -> dict[str, list[str]]:
        """Queue the files that are to be read; by digest, the paths of those that are the same as one before."""
        twins: dict[str, list[str]] = {}
        first: dict[str, str] = {}
        for path, digest in sorted(files.items()):
            if kinds.kind_of(path) is None:
                self._refuse(path, f"expected a kind of document that is read, found .{kinds.ending(path)}")
            elif digest in first:
                twins.setdefault(digest, []).append(path)
            else:
                first[digest] = path
                self._tasks.append(Task(path, digest))
        return twins

    def work(self) -> None:
        """Read everything."""
        most = self.limits.workers or cores()
        count = max(1, min(most, -(-len(self._tasks) // _DOCUMENTS_A_CHILD)))
        for _ in on_all_cores(lambda _: self._labour(), range(count), threads=count):
            pass

    def _labour(self) -> None:
        process: ReadingProcess | None = None
        try:
            while (task := self._next()) is not None:
                if self._failures >= self.limits.max_failures:
                    self._refuse(task.path, f"not read: readers broke {self._failures} times before")
                    continue
                process = process or ReadingProcess(self.folder, self.limits, self.model)
                try:
                    self._read(task, process)
                except UnreadableError as why:
                    self._refuse(task.path, str(why))
                    if process.owes:
                        process.end()
                        process = None
                except (BrokenReaderError, NotABlockError) as why:
                    process.end()
                    process = None
                    with self._lock:
                        self._failures += 1
                    self._refuse(task.path, f"expected a document that is read within its limits, found {why}")
        finally:
            if process is not None:
                process.end()

    def _next(self) -> Task | None:
        with self._lock:
            return self._tasks.popleft() if self._tasks else None

    def _read(self, task: Task, process: ReadingProcess) -> None:
        with self._lock:
            self._number += 1
            drafts = self.into / f".drafts-{self._number}"
        with ExitStack() as undo:
            undo.callback(drafts.unlink, missing_ok=True)
            gathering = Gathering(task.path, task.digest, self.words, drafts, self.limits)
            undo.callback(gathering.close)
            for message in process.answers(task.question()):
                gathering.take(message)
            document = gathering.document()
            undo.pop_all()
        gathering.close()
        attached = list(self._attached(task, gathering))
        with self._lock:
            self.read.append(_Done(document, drafts, gathering.sketch.sketch(), tuple(gathering.written)))
            self._tasks.extend(attached)
        self._tell()

    def _attached(self, task: Task, gathering: Gathering) -> Iterable[Task]:
        for name, digest in gathering.attachments:
            inner = Task(task.file, digest, (*task.inside, name))
            if kinds.kind_of(name) is None:
                self._refuse(inner.path, f"expected a kind of document that is read, found .{kinds.ending(name)}")
            elif len(inner.inside) > self.limits.max_depth:
                self._refuse(inner.path, f"expected at most {self.limits.max_depth} mails in one another, found more")
            else:
                yield inner

    def _refuse(self, path: str, reason: str) -> None:
        with self._lock:
            self.refused.append(Refusal(path, reason[:500]))
        self._tell()

    def _tell(self) -> None:
        if self.progress is not None:
            done = len(self.read) + len(self.refused)
            self.progress(done, done + len(self._tasks), "documents")


def _unlike(read: Sequence[_Done], twins: Mapping[str, Sequence[str]]) -> list[_Done]:
    """Each document once, with a note of the other places where it was."""
    places: dict[str, list[str]] = {}
    for done in read:
        places.setdefault(done.document.id, []).append(done.document.path)
    first: dict[str, _Done] = {}
    for done in read:
        if done.document.id in first:
            continue
        digest = done.document.digest.removeprefix("sha256:")
        others = sorted({*places[done.document.id][1:], *twins.get(digest, ())})
        notes = (*done.document.notes, *(f"the same file: {other}" for other in others))
        first[done.document.id] = replace(done, document=replace(done.document, notes=notes))
    return list(first.values())


def _grouped(read: Sequence[_Done]) -> list[Document]:
    group = near.groups((done.document.id, done.sketch) for done in read)
    return [replace(done.document, group=group[done.document.id]) for done in read]


def _write(into: Path, documents: Sequence[Document], drafts: Mapping[str, Path]) -> None:
    with (into / DOCUMENTS).open("xb") as out:
        out.writelines(records.line(document) for document in documents)
    with (into / PASSAGES).open("xb") as out:
        for document in documents:
            with drafts[document.path].open("rb") as stream:
                while data := stream.read(1 << 20):
                    out.write(data)
