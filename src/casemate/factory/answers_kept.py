"""An answer that its reader keeps: an entry like any other, made from the document sets and releases that were used.

Rules. Its marking is the join of the answer's, its project's and its parents', so that a spill of any of them raises it
too. It holds the question, the answer and the cited passages, as JSON and as a page to read; nothing else of a
conversation is kept anywhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from casemate.catalog import Entry, NewEntry
from casemate.factory.desk import Desk
from casemate.factory.policies import write_whole
from casemate.factory.reading import entry_row
from casemate.markings import Marking
from casemate.serving.answers import Answer
from casemate.store import get_bytes, get_manifest, put_folder
from casemate.store.staging import staging

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
            write_whole(place / "answer.json", _json(told).encode())
            write_whole(place / "answer.md", _page(told, desk.site.policy.wording(marking, whole.language)))
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
        return _marked(desk, told, found) | {"entry": found.id}


def _marked(desk: Desk, told: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """What was kept, with the markings of now: whoever may read the answer may read what it was made from."""

    def now(citation: dict[str, Any]) -> str:
        known = citation["entry"] in entry.parents
        return str(desk.view.get(citation["entry"]).marking) if known else str(citation["marking"])

    citations = [citation | {"marking": now(citation)} for citation in told["citations"]]
    return told | {"marking": str(entry.marking), "citations": citations}


def mark_again(desk: Desk, entry: Entry, folder: Path) -> None:
    """Write the markings of now into the files of an answer in `folder`, where it was raised since it was kept."""
    kept, page = folder / "answer.json", folder / "answer.md"
    before: dict[str, Any] = json.loads(kept.read_bytes())
    told = _marked(desk, before, entry)
    if told != before:
        banner = desk.site.policy.wording(entry.marking, str(told["language"]))
        for file, data in ((kept, _json(told).encode()), (page, _page(told, banner))):
            file.unlink()  # it may be the store's own file under another name
            write_whole(file, data)


def _json(told: dict[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _page(told: dict[str, Any], banner: str) -> bytes:
    """The answer as people read it, its marking first and last."""
    lines = [f"**{banner}**", "", f"> {' '.join(told['question'].split())}", "", told["text"], ""]
    lines += ["[{number}] {title}, p. {page} ({marking}): {passage}".format(**c) for c in told["citations"]]
    lines += ["", *(f"- {note['text']}" for note in told["notes"]), "", f"**{banner}**", ""]
    return "\n".join(lines).encode()
