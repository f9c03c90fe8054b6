"""Which model answers: the releases in force for a task, as the reader sees them.

Rules. A model is used only as a released entry: the newest release that the reader may read and that holds here and
now, or the one that they name. One that was withdrawn, has expired or is not for this site is passed over when nobody
named it, and refused when somebody did; bytes that do not verify are refused either way. A release above the reader
takes no part. The marking of what answers joins the marking of the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from casemate.catalog import Entry
from casemate.errors import BadInput, NotAllowed, NotFound, Revoked
from casemate.factory import serving
from casemate.factory.desk import Desk
from casemate.markings import Marking
from casemate.serving import LoadedRelease

CHAT, EMBEDDINGS, OCR = "chat", "embeddings", "ocr"


@dataclass(frozen=True)
class Model:
    """A release in force with its verified files, and the marking that it brings to every answer."""

    entry: Entry
    loaded: LoadedRelease
    marking: Marking

    @property
    def folder(self) -> Path:
        """Where the model's verified files are."""
        return self.loaded.model_dir

    @property
    def digest(self) -> str:
        """The release's digest, by which answers name it."""
        return str(self.loaded.digest)


def in_force(desk: Desk, task: str, name: str = "") -> Model | None:
    """The release that answers for `task`: the one named, else the newest that holds; None where there is none.

    A release that is named is refused with its reason: NotFound, BadInput for another task, Revoked, NotAllowed for
    another site, NotTrusted.
    """
    if name:
        return _loaded(desk, _named(desk, task, name))
    for entry in releases(desk, task):
        try:
            return _loaded(desk, entry)
        except (Revoked, NotAllowed):
            continue
    return None


def releases(desk: Desk, task: str) -> Iterator[Entry]:
    """The releases of models for `task` that this reader may read, newest first, whether they hold or not."""
    for entry in desk.view.walk(kind="release"):
        if task_of(desk, entry) == task:
            yield entry


def task_of(desk: Desk, release: Entry) -> str:
    """What the model of a release does; "" where its entry does not say, or is not here."""
    try:
        return str(desk.view.get(str(release.facts.get("model", ""))).facts.get("task", ""))
    except NotFound:
        return ""


def _named(desk: Desk, task: str, name: str) -> Entry:
    entry = desk.view.find(name, kind="release")
    found = task_of(desk, entry)
    if found != task:
        raise BadInput(f"release {name}", expected=f"one of a model for {task}", found=found or "a model for no task")
    return entry


def _loaded(desk: Desk, entry: Entry) -> Model:
    loaded = serving.load(desk, entry)
    return Model(entry, loaded, desk.site.policy.parse(loaded.release.marking).join(entry.marking))
