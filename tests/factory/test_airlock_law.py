"""The law of non-interference at the airlock: two forts, one of which also deals in what is above the reader.

Whatever is asked, decided, sealed, answered or refused higher up, those who read less get the same orders, receipts,
channels, entries, journal and errors, and what they then do is numbered and answered the same.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from casemate.airlock.receipts import Receipt
from casemate.catalog import NewEntry
from casemate.errors import CasemateError
from casemate.factory import policies
from casemate.factory.desk import utc_now
from casemate.gates.pen import unlock
from casemate.store import Digest, put_folder
from tests.factory.test_airlock import sent
from tests.factory.town import Town, decided, found, introduce

_NUMBERS = count()
NOWHERE = "a" * 26


@dataclass
class High:
    """Somebody cleared for S who does what they do in a fort; `ids` are those of what they made."""

    fort: Town
    moon: Town
    root: Path
    ids: list[str]

    def document(self, name: str = "") -> str:
        """Documents at S, of a name of their own or of one that is taken below."""
        lea, number = self.fort.acting("lea"), next(_NUMBERS)
        folder = self.root / f"d{number}"
        folder.mkdir()
        (folder / "note.txt").write_text(f"{number}\n")
        digest = put_folder(lea.store, folder).digest
        new = NewEntry("documents", name or f"high {number}", "harbour", lea.site.policy.parse("S"), digest)
        self.ids.append(lea.catalog.register(new, by=lea.reader, sign=lea.sign).id)
        return self.ids[-1]

    def namesake(self) -> None:
        if self.fort.acting("lea", ceiling="S").view.count(kind="documents", text="notes") == 1:
            self.document("notes")

    def ask(self) -> str:
        self.ids.append(self.fort.acting("lea").ask_out([self.document()], to="moon", reason="needle")["id"])
        return self.ids[-1]

    def decide(self) -> str:
        order = self.ask()
        decided(self.fort, order)
        return order

    def refuse(self) -> None:
        self.fort.acting("paul").decide(self.ask(), reason="needle", refuse=True)

    def seal(self) -> dict[str, Any]:
        return self.fort.acting("lea").seal(self.decide(), self.root / f"b{next(_NUMBERS)}")

    def answer(self) -> None:
        sealed = self.seal()
        manifest = Digest.parse(sealed["manifest"]).hex
        answered(self.moon, self.fort, Receipt(
            manifest, "fort", "moon", "S", sealed["sequence"], "taken", "", {}, (), utc_now()
        ), self.root / f"r{next(_NUMBERS)}", by="lea")  # fmt: skip

    def lower(self) -> None:
        order = self.fort.acting("lea").ask_lower(self.document(), marking="DR", project="harbour", reason="needle")
        self.ids.append(order["id"])
        self.fort.acting("paul").decide(order["id"], reason="needle")

    def fail(self) -> None:
        for act in (
            lambda lea: lea.ask_out([self.document()], to="nowhere", reason="needle"),
            lambda lea: lea.seal(self.ask(), self.root / "never"),
            lambda lea: lea.decide(self.ids[-1], reason="needle"),
        ):
            with pytest.raises(CasemateError):
                act(self.fort.acting("lea"))


ACTS: tuple[Callable[[High], object], ...] = (
    High.document, High.namesake, High.ask, High.decide, High.refuse, High.seal, High.answer, High.lower, High.fail,
)  # fmt: skip


def answered(moon: Town, fort: Town, receipt: Receipt, folder: Path, *, by: str) -> None:
    """A receipt of the moon's comes back."""
    folder.mkdir()
    claire = moon.acting("claire")
    trust = policies.envelope_of(claire.store, policies.latest(claire.view, "trust"))
    (folder / "trust.dsse.json").write_bytes(trust)
    pen = unlock(moon.site / "keys" / "site.key", None)
    (folder / "receipt-1.dsse.json").write_bytes(pen.sign(receipt.statement()).to_json())
    fort.acting(by).read_receipts(folder)


@dataclass
class Forts:
    """A fort with things at DR, and what those who read no more get of it."""

    fort: Town
    moon: Town
    expected: dict[str, Any]


@pytest.fixture(scope="module")
def forts(tmp_path_factory: pytest.TempPathFactory) -> Forts:
    root = tmp_path_factory.mktemp("forts")
    fort, moon = found(root / "fort", clock=utc_now, name="fort"), found(root / "moon", clock=utc_now, name="moon")
    introduce(fort, moon, names=("fort", "moon"), ceiling="S")
    ines = fort.acting("ines")
    for name in ("notes", "more"):
        (root / name).mkdir()
        (root / name / "note.txt").write_text(f"{name}\n")
        digest = put_folder(ines.store, root / name).digest
        ines.catalog.register(
            NewEntry("documents", name, "harbour", ines.site.policy.parse("DR"), digest), by=ines.reader, sign=ines.sign
        )
    sealed = sent(fort, root / "sealed", "notes", to="moon")
    hex_ = Digest.parse(sealed["manifest"]).hex
    answered(moon, fort, Receipt(hex_, "fort", "moon", "DR", 1, "taken", "", {}, (), utc_now()), root / "r", by="ines")
    sent(fort, root / "unanswered", "more", to="moon")
    fort.acting("ines").ask_out(["notes"], to="moon", reason="asked and not decided")
    copy = Town(shutil.copytree(root / "fort", root / "copy"), utc_now)
    return Forts(fort, moon, {"reads": reads(copy), "acts": acts(copy, root, [NOWHERE])})


def reads(fort: Town) -> str:
    """All that those who read no more than DR get to see."""
    told = {}
    for name, ceiling in (("ines", None), ("tom", None), ("claire", "DR"), ("lea", "NP")):
        who = fort.acting(name, ceiling=ceiling)
        told[name] = [
            who.waiting(), who.waiting(everything=True), who.receipts(), who.peers(), who.entries(), who.projects(),
            who.journal(limit=1000), [who.lineage(entry["id"]) for entry in who.entries(project="harbour")],
        ]  # fmt: skip
    return json.dumps(told, sort_keys=True)


def acts(fort: Town, root: Path, above: list[str]) -> list[Any]:
    """What becomes of acts at DR: refusals of what is above (or nowhere) in the same words, and the same numbers."""
    ines = fort.acting("ines")
    asked: tuple[Callable[[str], object], ...] = (
        ines.show,
        lambda it: ines.decide(it, reason="?"),
        ines.carry_out,
        lambda it: ines.seal(it, root / "never"),
        lambda it: ines.order_reports(it, root / "never"),
        lambda it: ines.ask_out([it], to="moon", reason="?"),
        lambda it: ines.ask_lower(it, marking="NP", project="harbour", reason="?"),
        lambda it: ines.ask_restore(it, reason="?"),
    )
    refused = set()
    for identifier in above:
        for number, ask in enumerate(asked):
            with pytest.raises(CasemateError) as no:
                ask(identifier)
            refused.add((number, str(no.value).replace(identifier, "it")))
    sealed = sent(fort, root / f"b{next(_NUMBERS)}", "more", to="moon")
    told = {key: sealed[key] for key in ("peer", "marking", "sequence", "objects", "bytes")}
    return [sorted(refused), told, len(ines.waiting(everything=True)), len(ines.receipts())]


def test_who_reads_less_gets_what_a_fort_without_the_rest_would_give(
    forts: Forts, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @settings(max_examples=8, deadline=None, phases=[Phase.generate])
    @given(done=st.lists(st.sampled_from(ACTS), min_size=1, max_size=3))
    def law(done: list[Callable[[High], object]]) -> None:
        root = tmp_path_factory.mktemp("example")
        fort = Town(shutil.copytree(forts.fort.root, root / "fort"), utc_now)
        high = High(fort, forts.moon, root, [])
        for act in done:
            act(high)
        assert reads(fort) == forts.expected["reads"]
        assert acts(fort, root, high.ids[-2:]) == forts.expected["acts"]

    law()
