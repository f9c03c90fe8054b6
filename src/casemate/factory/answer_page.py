"""What is written of a kept answer: its facts as JSON, and the page that people read, with the markings of now.

Rules. Pure but for what is written out: the markings in it are those that the answer and its passages have at that
moment, not those of the day on which it was kept.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from casemate.catalog import Entry
from casemate.factory.desk import Desk
from casemate.store.whole import write_whole


def mark_again(desk: Desk, entry: Entry, folder: Path) -> None:
    """Write the markings of now into the files of an answer in `folder`, where it was raised since it was kept."""
    kept, page = folder / "answer.json", folder / "answer.md"
    before: dict[str, Any] = json.loads(kept.read_bytes())
    told = marked(desk, before, entry)
    if told != before:
        banner = desk.site.policy.wording(entry.marking, str(told["language"]))
        for file, data in ((kept, as_json(told).encode()), (page, as_page(told, banner))):
            file.unlink()  # it may be the store's own file under another name
            write_whole(file, data)


def marked(desk: Desk, told: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """What was kept, with the markings of now: whoever may read the answer may read what it was made from."""

    def now(citation: dict[str, Any]) -> str:
        known = citation["entry"] in entry.parents
        return str(desk.view.get(citation["entry"]).marking) if known else str(citation["marking"])

    citations = [citation | {"marking": now(citation)} for citation in told["citations"]]
    return told | {"marking": str(entry.marking), "citations": citations}


def as_json(told: dict[str, Any]) -> str:
    """What is kept, as it is written."""
    return json.dumps(told, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def as_page(told: dict[str, Any], banner: str) -> bytes:
    """The answer as people read it, its marking first and last."""
    lines = [f"**{banner}**", "", f"> {' '.join(told['question'].split())}", "", told["text"], ""]
    lines += ["[{number}] {title}, p. {page} ({marking}): {passage}".format(**c) for c in told["citations"]]
    lines += ["", *(f"- {note['text']}" for note in told["notes"]), "", f"**{banner}**", ""]
    return "\n".join(lines).encode()
