"""An answer that its reader keeps: an entry like any other, made from the document sets and releases that were used.

Rules. Its marking is the join of the answer's, its project's and its parents', so that a spill of any of them raises it
too. It holds the question, the answer and the cited passages, as JSON and as a page to read; nothing else of a
conversation is kept anywhere.
"""

from __future__ import annotations

import json
from typing import Any

from casemate.catalog import NewEntry
from casemate.factory.answer_page import as_json, as_page, marked
from casemate.factory.desk import Desk
from casemate.factory.reading import entry_row
from casemate.markings import Marking
from casemate.serving.answers import Answer
from casemate.store import get_bytes, get_manifest, put_folder
from casemate.store.staging import staging
from casemate.store.whole import write_whole

FORMAT = "casemate-answer/1"


def keep(
    desk: Desk, whole: Answer, question: str, *, name: str, project: str, parents: tuple[str, ...]
) -> dict[str, Any]:
    """Register an answer as an entry of a project."""
    with desk.act("answer.keep", f"answer {project}/{name}"):
        floor = desk.project_marking(project)
        marking = Marking.join_all(whole.marking, [floor, *(desk.view.get(parent).marking for parent in parents)])
        told = {"format": FORMAT, "question": question, **whole.to_json(), "marking": str(marking)}
        desk.site.shelf.mkdir(mode=0o700, exist_ok=True)
        with staging(desk.site.shelf, ".answer-") as place:  # not in the quarantine, which sweeps what is not its own
            write_whole(place / "answer.json", as_json(told).encode())
            write_whole(place / "answer.md", as_page(told, desk.site.policy.wording(marking, whole.language)))
            manifest = put_folder(desk.store, place, move=True)
        facts = {
            "engine": whole.engine, "prompts": whole.prompts, "passages": len(whole.citations),
            "refused": whole.refused, "language": whole.language,
        }  # fmt: skip
        new = NewEntry("answer", name, project, marking, manifest.digest, parents, facts)
        return entry_row(desk.catalog.register(new, by=desk.reader, sign=desk.sign))


def read(desk: Desk, entry: str) -> dict[str, Any]:
    """A kept answer, with the markings that it and its passages have now."""
    with desk.act("answer.show", entry):
        found = desk.view.find(entry, kind="answer")
        files = {file.path: file.digest for file in get_manifest(desk.store, found.digest).files}
        told: dict[str, Any] = json.loads(get_bytes(desk.store, files["answer.json"]))
        desk.note("answer.show", f"answer {found.project}/{found.name}", about=found, marking=found.marking, facts={})
        return marked(desk, told, found) | {"entry": found.id}
