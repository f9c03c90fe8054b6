"""`casemate ask` and the everyday functions: summarise, translate, redact, classify, minutes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from casemate.cli.options import EXISTING, PATH, Caller, acting, facts, printable, text_of
from casemate.cli.saying import WORDS, banner, ending, stream

if TYPE_CHECKING:
    pass

_MARKING = "Marking of the text; the answer carries its join with all that was used."
_ENGINE = "The chat release that answers, or 'quote'; without it the newest that you may use."


def engine_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of whatever asks an engine."""
    for option in (
        click.option("--engine", default="", help=_ENGINE),
        click.option("--project", default="", help="Whose share is used, and who keeps the answer with --keep."),
        click.option("--language", type=click.Choice(["fr", "en"]), help="Of the answer; without it, the question's."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("question")
@click.option("--file", type=EXISTING, help="A text of yours that takes part; needs --marking.")
@click.option("--marking", default="", help="Marking of what you type and of --file; without it, the lowest.")
@click.option("--limit", type=click.IntRange(1, 40), default=8, show_default=True, help="Passages that take part.")
@click.option("--among", multiple=True, help="Only this document set; may be repeated.")
@click.option("--keep", default="", metavar="NAME", help="Keep the answer under this name, in --project.")
@engine_options
@acting
def ask(
    caller: Caller, question: str, file: Path | None, marking: str, limit: int, among: Sequence[str], keep: str,
    engine: str, project: str, language: str | None,
) -> None:  # fmt: skip
    """Answer QUESTION (- reads it from standard input) from the documents that you may read, each sentence cited."""
    from casemate.factory.assistant import Wish
    from casemate.serving.retrieval import Filters

    if question == "-":  # where it stays out of the shell's history
        question = sys.stdin.read()
    factory = caller.factory()
    filters = Filters(documents=frozenset(factory.view.find(e, kind="documents").id for e in among) or None)
    pasted = text_of(file) if file else ""
    wish = Wish(
        marking=marking, pasted=pasted, engine=engine, limit=limit, project=project, keep=keep, language=language or "",
        filters=filters,
    )  # fmt: skip
    stream(caller, factory, factory.ask(question, wish))


@click.command()
@click.argument("entries", nargs=-1, required=True, metavar="DOCUMENTS...")
@click.option("--subject", default="", help="What the synthesis is about.")
@click.option("--sentences", type=click.IntRange(1, 50), default=8, show_default=True, help="How long it is.")
@click.option("--keep", default="", metavar="NAME", help="Keep the synthesis under this name, in --project.")
@engine_options
@acting
def summarise(
    caller: Caller, entries: Sequence[str], subject: str, sentences: int, keep: str, engine: str, project: str,
    language: str | None,
) -> None:  # fmt: skip
    """A synthesis of whole document sets, each sentence with its source."""
    from casemate.factory.assistant import Wish

    wish = Wish(engine=engine, project=project, keep=keep, language=language or "")
    factory = caller.factory()
    stream(caller, factory, factory.summarise(entries, wish, subject=subject, sentences=sentences))


@click.command()
@click.argument("file", type=EXISTING)
@click.option("--to", "target", type=click.Choice(["fr", "en"]), required=True, help="Into which language.")
@click.option("--marking", required=True, help=_MARKING)
@engine_options
@acting
def translate(
    caller: Caller, file: Path, target: str, marking: str, engine: str, project: str, language: str | None
) -> None:
    """Translate a text file with the engine; parts whose numbers differ are flagged."""
    from casemate.factory.assistant import Wish
    from casemate.serving.functions import Translation

    factory = caller.factory()
    wish = Wish(marking=marking, engine=engine, project=project, language=language or "")
    text = text_of(file)
    whole: list[Translation] = []

    async def run() -> None:
        parts = factory.translate(text, target, wish)
        async with aclosing(parts):
            async for part in parts:
                if isinstance(part, Translation):
                    whole.append(part)
                elif not caller.json:
                    click.echo(printable(part.text) + (f"   ⚠ {part.flagged}" if part.flagged else ""))

    asyncio.run(run())
    made = whole[0]
    words = WORDS[target]

    def end() -> None:
        click.echo()
        ending(factory, made.marking, target, made.notes, {words["engine"]: made.engine})

    caller.emit(made.to_json(), end)


@click.command()
@click.argument("file", type=EXISTING)
@click.option("--out", type=PATH, help="Write the masked text here; without it, print it.")
@click.option("--marking", required=True, help="Marking of the text; masking lowers nothing.")
@click.option("--kind", multiple=True, help="Mask only this kind (as the report names it); may be repeated.")
@acting
def redact(caller: Caller, file: Path, out: Path | None, marking: str, kind: Sequence[str]) -> None:
    """Mask personal data and secrets in a text file, and say how many of each kind."""
    factory = caller.factory()
    text = text_of(file)
    found = factory.redact(text, marking=marking, kinds=kind)
    words = WORDS[factory.site.language]
    if out is not None:
        with out.open("x", encoding="utf-8") as stream:
            stream.write(found["text"])
        found = {key: value for key, value in found.items() if key != "text"} | {"file": str(out)}

    def show() -> None:
        if out is None:
            click.echo("\n".join(printable(line) for line in found["text"].split("\n")))
            click.echo()
        facts({words["masked"]: "", **found["counts"]} if found["counts"] else {words["masked"]: words["none"]})
        click.echo(banner(factory, found["marking"]))

    caller.emit(found, show)


@click.command()
@click.argument("file", type=EXISTING)
@click.option("--marking", default="", help="The marking that you think it has; the suggestion is never below it.")
@acting
def classify(caller: Caller, file: Path, marking: str) -> None:
    """Suggest the marking of a text file, by what is written in it and by the documents that it resembles."""
    factory = caller.factory()
    told = factory.classify(text_of(file), marking=marking)
    words = WORDS[factory.site.language]

    def show() -> None:
        click.echo(f"{words['suggested']}  {told['suggestion'] or words['none']}")
        for reason in told["reasons"]:
            click.echo(f"  {words[reason['kind']]}: {reason['marking']} × {reason['count']}")
        click.echo(words["advice"])

    caller.emit(told, show)


@click.command()
@click.argument("file", type=EXISTING)
@click.option("--marking", required=True, help=_MARKING)
@engine_options
@acting
def minutes(caller: Caller, file: Path, marking: str, engine: str, project: str, language: str | None) -> None:
    """Minutes of a meeting from its transcript: who spoke, what was decided, who does what, with the lines."""
    from casemate.factory.assistant import Wish

    factory = caller.factory()
    wish = Wish(marking=marking, engine=engine, project=project, language=language or "")
    made = asyncio.run(factory.minutes(text_of(file), wish))
    spoken = language or factory.site.language
    words = WORDS[spoken]

    def show() -> None:
        click.echo(f"{words['people']}: {printable(', '.join(made.participants))}")
        for title, items in ((words["decisions"], made.decisions), (words["actions"], made.actions)):
            click.echo(f"\n{title}")
            for item in items:
                lines = f"{words['line']} {', '.join(map(str, item.lines))}"
                where = ", ".join(filter(None, (item.speaker, lines)))  # under a heading, nobody is named
                click.echo(printable(f"  • {item.text}  ({where})"))
        click.echo()
        ending(factory, made.marking, spoken, made.notes, {words["engine"]: made.engine})

    caller.emit(made.to_json(), show)


COMMANDS = (ask, summarise, translate, redact, classify, minutes)
