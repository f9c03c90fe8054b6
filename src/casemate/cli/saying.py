"""How answers are shown at a terminal: sentences as they come, sources, notes, and the marking at the end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import click

from casemate.cli.options import Caller, facts, printable

if TYPE_CHECKING:
    from casemate.factory.desk import Desk
    from casemate.serving.answers import Answer, Citation, Note

WORDS = {
    "fr": {"sources": "Sources", "read": "Passages lus", "page": "p.", "open": "ouvrir", "kept": "conservée",
           "engine": "moteur", "prompts": "consignes", "decisions": "Décisions", "actions": "Actions",
           "people": "Participants", "line": "ligne", "masked": "masqués", "none": "aucun",
           "suggested": "marquage probable", "written": "écrit dans le texte",
           "resembles": "ressemble à un document", "advice": "Suggestion seulement : une personne décide."},
    "en": {"sources": "Sources", "read": "Passages read", "page": "p.", "open": "open", "kept": "kept",
           "engine": "engine", "prompts": "prompts", "decisions": "Decisions", "actions": "Actions",
           "people": "Participants", "line": "line", "masked": "masked", "none": "none",
           "suggested": "likely marking", "written": "written in the text",
           "resembles": "resembles a document", "advice": "A suggestion only: a person decides."},
}  # fmt: skip


def stream(caller: Caller, desk: Desk, events: AsyncGenerator[Any]) -> None:
    """Print the sentences of an answer as they come, then its sources; or the whole as JSON."""
    answer, kept = asyncio.run(heard(events, aloud=not caller.json))
    told = answer.to_json() | ({"kept": kept[0]} if kept else {})
    caller.emit(told, lambda: end(desk, answer, kept))


async def heard(events: AsyncGenerator[Any], *, aloud: bool) -> tuple[Answer, list[dict[str, Any]]]:
    """The whole of an answer, and the entry that it became, if any; `aloud` prints its sentences as they come."""
    from casemate.factory.assistant import Kept
    from casemate.serving.answers import Done, Sentence

    answers: list[Answer] = []
    kept: list[dict[str, Any]] = []
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Done):
                answers.append(event.answer)
            elif isinstance(event, Kept):
                kept.append(event.entry)
            elif isinstance(event, Sentence) and aloud:
                flag = f" ⚠ {event.flagged}" if event.flagged else ""
                click.echo(event.before + printable(event.written) + flag, nl=False)
                sys.stdout.flush()
    return answers[0], kept


def end(desk: Desk, answer: Answer, kept: Sequence[dict[str, Any]] = ()) -> None:
    """What stands below an answer: its sources, notes, what answered, its marking."""
    words = WORDS[answer.language]
    click.echo(answer.text if not answer.sentences else "")
    if answer.shown:
        click.echo(f"\n{words['sources'] if answer.cited else words['read']}")
        for citation in answer.shown:
            click.echo(_source(citation, words))
    click.echo()
    told = {words["engine"]: answer.engine, words["prompts"]: answer.prompts}
    told |= {words["kept"]: f"{kept[0]['name']} ({kept[0]['id']})"} if kept else {}
    ending(desk, answer.marking, answer.language, answer.notes, told)


def _source(citation: Citation, words: dict[str, str]) -> str:
    from casemate.serving.answers import PASTED

    page = f", {words['page']} {citation.page}" if citation.page else ""
    head = printable(f"  [{citation.number}] {citation.title or citation.document}{page} ({citation.marking})")
    if citation.entry == PASTED:
        return head
    passage = citation.passage.partition(":")[2]
    return f"{head}\n      {words['open']}: casemate docs page {citation.entry} {passage}"


def ending(desk: Desk, marking: Any, language: str, notes: Sequence[Note], told: dict[str, str]) -> None:
    """Notes, facts, and the marking in words."""
    for one in notes:
        click.echo(f"  ! {printable(one.text)}")
    if told:
        facts(told)
    click.echo(desk.site.policy.wording(marking, language))


def banner(desk: Desk, marking: str) -> str:
    """A marking in words."""
    policy = desk.site.policy
    return policy.wording(policy.parse(marking), desk.site.language)
