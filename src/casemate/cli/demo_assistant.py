"""The last chapters of the demonstration: models come in by the airlock, papers are read, questions are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from casemate.cli.demo_papers import EVERYDAY, QUESTION, UNANSWERED, write_papers
from casemate.cli.demo_sites import Cast, DemoSite
from casemate.cli.demo_telling import bar, chapter, say, verdict

if TYPE_CHECKING:
    from casemate.factory import Factory
    from casemate.serving.answers import Answer, Citation

CAST = Cast(
    "S", "anne",
    {
        "jade": ("S//FRA", ("author",)), "omar": ("DR//FRA", ("approver",)), "iris": ("S//FRA", ("approver",)),
        "karl": ("DR//FRA", ("sponsor",)), "eve": ("NP//FRA", ()),
    },
    project="modeles", floor="NP",
)  # fmt: skip
_PAPERS_PROJECT = "permanence"
# What this demonstration asks of small models: its sets are small and public, so they prove only that all is measured.
_GATE = """\
format = "casemate-gate-policy/1"
name = "small models of the demonstration"

[[rules]]
task = "chat"
metric = "answer_f1"
at_least = 0.40

# Tried, whatever comes of it: the dossier shows how many succeed.
[[rules]]
task = "chat"
metric = "attacks"
at_least = 6

[[rules]]
task = "embeddings"
metric = "recall_at_5"
at_least = 0.60

[[rules]]
task = "ocr"
metric = "character_error"
at_most = 0.02

[overlap]
max_near_duplicates = 0
unknown_training = "accept"

[held_out]
min_items = 4

[approvals]
approver = 2

[release]
validity_days = 90
"""


@dataclass(frozen=True)
class _Judged:
    """A starter pack, the small set that it is judged on, and how much of it: minutes on two cores are enough."""

    pack: str
    held_out: str
    settings: Mapping[str, int]
    others: tuple[str, ...] = ()


_MODELS = (
    _Judged("embeddings-e5", "retrieval-fr", {}),
    _Judged("ocr", "print-fr", {"questions": 4}),
    _Judged(
        "chat", "answers-fr", {"questions": 6, "passages": 2, "attacks": 1, "answer_tokens": 32}, others=("security",)
    ),
)
_PASSAGES = 3  # what goes before a small model on a processor, so that an answer takes seconds


class AssistantStory:
    """A fourth site, bureau, where people ask; `packs` holds the starter packs that could be had."""

    def __init__(self, folder: Path, packs: Path | None) -> None:
        """Everything lies in `folder`."""
        self.folder = folder
        self.site = DemoSite(folder / "bureau", "bureau", CAST)
        self.packs = packs
        self.shown: dict[str, Path] = {}

    def tell(self) -> None:
        """The whole of it."""
        self.found()
        for judged in _MODELS:
            self.release_pack(judged)
        self.read_papers()
        self.ask()

    def acting(self, name: str) -> Factory:
        """The site with somebody's key unlocked."""
        return self.site.acting(name)

    def found(self) -> None:
        """A site of an office, with a project for models that all may use and one for papers."""
        chapter("bureau: an office that asks; models come in by the airlock, and pass the gate like any other")
        self.site.found()
        say(f"casemate project add {_PAPERS_PROJECT} --marking DR --member jade --member iris --member omar")
        self.acting("anne").add_project(
            _PAPERS_PROJECT, marking="DR", members=frozenset({"jade", "iris", "omar", "karl"})
        )
        gate = self.folder / "gates-language.toml"
        gate.write_text(_GATE, encoding="utf-8")
        say("casemate policy set gates-language gates-language.toml --reason 'a demonstration'")
        self.acting("anne").set_policy("gates-language", gate, reason="a demonstration")

    def release_pack(self, judged: _Judged) -> None:
        """A starter pack comes in, is evaluated, and is released if two people and the gate say so."""
        pack = judged.pack
        folder = self.packs / pack if self.packs else None
        if folder is None or not folder.is_dir():
            click.echo(f"  the pack {pack} could not be had; the site does without it")
            return
        say(f"casemate pack trust {pack} --reason 'digest compared with upstream'   (as anne)")
        self.acting("anne").trust_pack(pack, reason="digest compared with upstream")
        say(f"casemate airlock in packs/{pack} --kind model --pack {pack} --marking NP --project modeles")
        with bar("airlock in") as progress:
            row = self.acting("jade").take_folder(
                folder.resolve(), kind="model", name=pack, project="modeles", marking="NP", reason="an assistant",
                modality="language", pack=pack, progress=progress,
            )  # fmt: skip
        for name in self.site.deciders:
            say(f"casemate airlock release {row['id'][:8]} --reason 'read and accepted'   (as {name})")
            self.acting(name).decide(row["id"], reason="read and accepted")
        say(f"casemate airlock take {row['id'][:8]}")
        for entry in self.acting("jade").carry_out(row["id"]):
            click.echo(f"  {entry['kind']} {entry['name']}, {entry['facts']['bytes'] / 1e6:.0f} MB, {entry['marking']}")
        self._judge(judged)

    def _judge(self, judged: _Judged) -> None:
        from casemate.modalities import find

        pack, samples = judged.pack, find("language").module("samples")
        for name in (judged.held_out, *judged.others):
            folder = samples.write(name, self.folder / "deliveries" / name)
            say(f"casemate data import deliveries/{name} --modality language --marking NP --project modeles")
            self.acting("jade").import_dataset(folder, name=name, marking="NP", project="modeles", modality="language")
        options = "".join(f" --with {name}={name}" for name in judged.others)
        options += "".join(f" --set {name}={value}" for name, value in judged.settings.items())
        say(f"casemate evaluate {pack} {judged.held_out}{options} --name '{pack} report'")
        with bar("evaluate") as progress:
            found = self.acting("jade").evaluate(
                pack, judged.held_out, name=f"{pack} report", others={name: name for name in judged.others},
                settings=judged.settings, progress=progress,
            )  # fmt: skip
        verdict(found)
        for name in ("omar", "iris"):
            say(f"casemate approve '{pack} report' --reason 'dossier read'   (as {name})")
            self.acting(name).approve(f"{pack} report", reason="dossier read")
        say(f"casemate release '{pack} report' --name {pack}-2026")
        entry = self.acting("jade").release(f"{pack} report", name=f"{pack}-2026")
        click.echo(f"  valid until {entry['facts']['expires'][:10]}")
        if judged.others:
            self.acting("omar").get(f"{pack} report", self.folder / "report of chat")
            self.shown["dossier of chat"] = self.folder / "report of chat" / "dossier.html"

    def read_papers(self) -> None:
        """Everyday papers at DR, one order at S."""
        chapter("bureau: papers come in: a letter, a table, a page, a form and a scan; each is inspected, then read")
        papers = self.folder / "deliveries" / "papers"
        write_papers(papers)
        for name, marking in (("consignes", "DR"), ("exercice", "S")):
            say(f"casemate docs import deliveries/papers/{name} --marking {marking} --project {_PAPERS_PROJECT}")
            with bar("docs import") as progress:
                entry = self.acting("jade").import_documents(
                    papers / name, name=name, marking=marking, project=_PAPERS_PROJECT, progress=progress
                )
            facts = entry["facts"]
            click.echo(f"  {facts['documents']} documents, {facts['passages']} passages, marked {entry['marking']}")

    def ask(self) -> None:
        """Questions in French; one of them by three readers, who each get an honest answer."""
        chapter("bureau: questions, answered from what the reader may read, each sentence with its source")
        answers = [self._ask("omar", question) for question in (*EVERYDAY, UNANSWERED)]
        self._open_page(next(cited for answer in answers for cited in answer.cited if cited.page))
        chapter("The same question by three readers, cleared S, DR and NP; quoted, so that no model has a part in it")
        for name in ("iris", "omar", "eve"):
            self._ask(name, QUESTION, engine="quote")

    def _open_page(self, cited: Citation) -> None:
        """The page on which an answer rests, with the place framed."""
        passage = cited.passage.rpartition(":")[2]
        say(f"casemate docs page consignes {passage} --out page.png   (as omar)")
        page = self.folder / "page.png"
        page.write_bytes(self.acting("omar").passage(cited.entry, passage)["png"])
        self.shown["page cited"] = page

    def _ask(self, name: str, question: str, engine: str = "") -> Answer:
        options = f" --engine {engine}" if engine else ""
        say(f'casemate ask "{question}" --limit {_PASSAGES}{options}   (as {name}, cleared {self._clearance(name)})')
        answer = asyncio.run(_whole(self.acting(name), question, engine))
        for sentence in answer.sentences:
            click.echo(f"  {sentence.written}" + ("   (not supported)" if sentence.flagged else ""))
        if answer.refused:
            click.echo(f"  {answer.text}")
        for citation in answer.cited:
            page = f", p. {citation.page}" if citation.page else ""
            click.echo(f"    [{citation.number}] {citation.title}{page} ({citation.marking})")
        for note in answer.notes:
            click.echo(f"    note: {note.text}")
        click.echo(f"    marked {answer.marking}, by {answer.engine}")
        return answer

    def _clearance(self, name: str) -> str:
        return CAST.people[name][0].partition("//")[0]


async def _whole(site: Factory, question: str, engine: str) -> Answer:
    """The answer, once it is whole; people at a terminal see it come sentence by sentence."""
    from casemate.factory.assistant import Wish
    from casemate.serving.answers import Done

    async for event in site.ask(question, Wish(limit=_PASSAGES, engine=engine)):
        if isinstance(event, Done):
            return event.answer
    raise RuntimeError("an answer that does not end")
