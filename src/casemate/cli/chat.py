"""`casemate chat`: a conversation over documents at a terminal, kept nowhere.

Rules. A line is a question, or begins with a slash and is said to the conversation itself. What is refused is told, and
the conversation goes on; it ends with /quit or with the input. A text that takes part has a marking, which is asked
for. Editing a line keeps no history on disk.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from casemate.cli.ask import engine_options
from casemate.cli.options import Caller, acting, printable, text_of
from casemate.cli.saying import end, heard
from casemate.errors import BadInput, CasemateError, NotFound

if TYPE_CHECKING:
    from casemate.factory.dialogue import Dialogue

_HELP = {
    "fr": """\
/file FICHIER MARQUAGE   ce texte prend part à la prochaine question
/marking MARQUAGE        marquage de ce que vous tapez, à partir d'ici
/ceiling MARQUAGE        travailler plus bas : ce qui a été dit au-dessus est oublié
/keep NOM                garder la dernière réponse dans le projet (--project)
/new                     oublier ce qui a été dit
/quit                    finir : tout est oublié""",
    "en": """\
/file FILE MARKING       this text takes part in the next question
/marking MARKING         marking of what you type, from here on
/ceiling MARKING         work lower: what was said above it is forgotten
/keep NAME               keep the last answer in the project (--project)
/new                     forget what was said
/quit                    end: everything is forgotten""",
}
_WORDS = {
    "fr": {"hello": "Conversation sur ce que vous pouvez lire ; rien n'en est gardé. /help dit le reste.",
           "forgotten": "messages oubliés", "ceiling": "plafond", "marking": "marquage de ce que vous tapez",
           "kept": "conservée", "stopped": "arrêté", "ready": "prend part à la prochaine question",
           "asks": "Marquage de ce texte"},
    "en": {"hello": "A conversation over what you may read; nothing of it is kept. /help tells the rest.",
           "forgotten": "messages forgotten", "ceiling": "ceiling", "marking": "marking of what you type",
           "kept": "kept", "stopped": "stopped", "ready": "takes part in the next question",
           "asks": "Marking of this text"},
}  # fmt: skip


@click.command()
@click.option("--marking", default="", help="Marking of what you type; without it, the lowest.")
@click.option("--limit", type=click.IntRange(1, 40), default=8, show_default=True, help="Passages that take part.")
@click.option("--among", multiple=True, help="Only this document set; may be repeated.")
@engine_options
@acting
def chat(
    caller: Caller, marking: str, limit: int, among: Sequence[str], engine: str, project: str, language: str | None
) -> None:
    """Ask one question after another, each knowing those before it; with --json, an answer a line."""
    from casemate.factory.assistant import Wish
    from casemate.factory.dialogue import Dialogue
    from casemate.serving.retrieval import Filters

    factory = caller.factory()
    filters = Filters(documents=frozenset(factory.view.find(e, kind="documents").id for e in among) or None)
    wish = Wish(engine=engine, limit=limit, project=project, language=language or "", filters=filters)
    if marking:
        factory.admitted_marking(marking, "question")
    with asyncio.Runner() as runner:
        talk = _Talk(caller, runner, Dialogue(factory, wish), marking)
        try:
            talk.run()
        finally:
            runner.run(talk.dialogue.close())


@dataclass
class _Talk:
    """A conversation at a terminal: the marking of what is typed, and the text that the next question takes along."""

    caller: Caller
    runner: asyncio.Runner
    dialogue: Dialogue
    marking: str
    brought: tuple[str, str] | None = None

    @property
    def words(self) -> dict[str, str]:
        """The words of the site's language."""
        return _WORDS[self.dialogue.desk.site.language]

    def run(self) -> None:
        """Answer line after line, until the input ends."""
        if not self.caller.json:
            click.echo(self.words["hello"])
        for line in self._lines():
            if line.strip() == "/quit":
                return
            try:
                self._said(line.strip())
            except CasemateError as refusal:
                self._refused(refusal)
            except KeyboardInterrupt:
                click.echo(f"\n{self.words['stopped']}", err=True)

    def _lines(self) -> Iterator[str]:
        """What is typed; at a terminal, behind the marking of what was said so far."""
        if not sys.stdin.isatty():
            yield from sys.stdin
            return
        import readline  # noqa: F401  # lines can be edited then

        while True:
            try:
                yield input(f"[{self.dialogue.marking}] > ")
            except EOFError:
                return

    def _said(self, line: str) -> None:
        if not line.startswith("/"):
            if line:
                self._ask(line)
            return
        command, _, rest = line.partition(" ")
        match command, rest.strip():
            case "/file", named if named:
                self._tell(self._bring(named), self.words["ready"])
            case "/marking", asked if asked:
                self.dialogue.desk.admitted_marking(asked, "question")
                self.marking = asked
                self._tell(self.words["marking"], asked)
            case "/ceiling", asked if asked:
                forgotten = self.dialogue.under(asked)
                self._tell(self.words["ceiling"], str(self.dialogue.desk.reader.ceiling))
                self._tell(self.words["forgotten"], forgotten)
            case "/keep", name if name:
                self._tell(self.words["kept"], self.dialogue.keep(name)["id"])
            case "/new", "":
                self._tell(self.words["forgotten"], self.dialogue.forget())
            case _:
                click.echo(_HELP[self.dialogue.desk.site.language], err=self.caller.json)

    def _ask(self, question: str) -> None:
        (text, marking), self.brought = self.brought or ("", self.marking), None
        events = self.dialogue.ask(question, marking=marking, pasted=text)
        answer, _ = self.runner.run(heard(events, aloud=not self.caller.json))
        if self.caller.json:
            click.echo(json.dumps(answer.to_json(), ensure_ascii=False))
        else:
            end(self.dialogue.desk, answer)

    def _bring(self, said: str) -> str:
        """Take the text of a file along, with its marking, which stands behind its name or is asked for; its name."""
        try:
            name, *rest = shlex.split(said)
        except ValueError as error:
            raise BadInput("/file", expected="a name, in quotes if it has spaces, and a marking", found=said) from error
        if not Path(name).is_file():
            raise NotFound(name, expected="a text file", found="none")
        marking = " ".join(rest)
        if not marking and sys.stdin.isatty():
            marking = input(f"{self.words['asks']} > ").strip()
        if not marking:
            raise BadInput(name, expected="the marking of this text behind its name", found="none")
        joined = self.dialogue.desk.admitted_marking(marking, name)
        if self.marking:  # the question has one too
            joined = joined.join(self.dialogue.desk.admitted_marking(self.marking, "question"))
        self.brought = (text_of(Path(name)), str(joined))
        return name

    def _tell(self, name: str, value: object) -> None:
        click.echo(printable(f"{name}: {value}"), err=self.caller.json)

    def _refused(self, refusal: CasemateError) -> None:
        if self.caller.json:
            click.echo(json.dumps({"error": refusal.facts()}, ensure_ascii=False))
        else:
            click.echo(printable(f"{type(refusal).__name__}: {refusal}"), err=True)


COMMANDS: tuple[Any, ...] = (chat,)
