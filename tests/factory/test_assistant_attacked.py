"""The assistant, attacked: each test is an exploit that must not work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from casemate.errors import AboveCeiling, QuotaSpent
from casemate.factory import models, searching
from casemate.factory.assistant import Wish
from casemate.factory.conversing import Conversation
from casemate.serving.answers import Done
from casemate.serving.engines import Message, Piece, Sampling
from casemate.serving.retrieval import shard_head
from tests.factory.test_assistant import QUESTION, answered, brought, events, founded, town
from tests.serving.answers.fakes import Says

__all__ = ["founded", "town"]
SUBJECT = "le registre des visiteurs du sous-marin"


class Spent(Says):
    """An engine whose project has no tokens left today."""

    async def stream(self, *_: Any) -> AsyncGenerator[Piece]:
        if not self.text:
            raise QuotaSpent("project open", expected="at most 10 tokens a day", found="10 used", retry_after_s=60)
        yield Piece(self.text)


def elsewhere(monkeypatch: pytest.MonkeyPatch, ceiling: str) -> Says:
    """A chat release on another machine, which gets nothing above `ceiling`; `quote` is there too."""
    engine, real = Says("Le registre des visiteurs est conservé trois mois au poste de garde."), models.engine

    def chosen(desk: Any, name: str = "", **more: Any) -> models.Chosen:
        if name == "quote":
            return real(desk, name, **more)
        marking = desk.site.policy.parse("NP")
        return models.Chosen(engine, marking, "sha256:" + "0" * 64, ceiling=desk.site.policy.parse(ceiling))

    monkeypatch.setattr(models, "engine", chosen)
    return engine


def test_the_subject_of_a_synthesis_is_not_sent_to_a_machine_below_its_marking(town, monkeypatch):
    engine = elsewhere(monkeypatch, "NP")
    with pytest.raises(AboveCeiling, match="expected a marking within NP, the ceiling of its machine, found S"):
        events(town.acting("lea").summarise(["garde"], Wish(marking="S", engine="elsewhere"), subject=SUBJECT))
    said = events(town.acting("lea").summarise(["garde"], Wish(marking="S"), subject=SUBJECT))[-1].answer
    assert (said.engine, str(said.marking), engine.heard) == ("quote", "S", [])


def test_that_an_engine_was_passed_over_for_its_ceiling_is_told(town, monkeypatch):
    engine = elsewhere(monkeypatch, "NP")
    said = answered(town.acting("ines"), marking="DR")
    assert (said.engine, engine.heard) == ("quote", [])
    assert "rien ne lui a été envoyé" in next(note.text for note in said.notes if note.code == "engine ceiling")
    assert not [note for note in answered(town.acting("ines")).notes if note.code == "engine ceiling"]
    done = events(town.acting("ines").summarise(["garde"], Wish(marking="DR")))[-1]
    assert [note.code for note in done.answer.notes] == ["engine ceiling"]
    made = asyncio.run(town.acting("ines").minutes("Ines: il est décidé de fermer la porte.", Wish(marking="DR")))
    assert [note.code for note in made.notes] == ["engine ceiling"]


def test_who_stops_listening_leaves_a_line_no_lower_than_the_question(town):
    ines = town.acting("ines")

    async def first() -> None:
        stream = ines.ask(QUESTION, Wish(marking="DR"))
        async for _ in stream:
            break
        await stream.aclose()

    asyncio.run(first())
    assert {line["marking"] for line in ines.journal() if line["verb"] == "ask"} == {"DR"}
    assert not [line for line in town.acting("tom").journal() if line["verb"] == "ask"]


def test_who_takes_a_translation_part_by_part_and_leaves_is_in_the_journal(town, monkeypatch):
    elsewhere(monkeypatch, "DR")
    ines = town.acting("ines")

    async def first() -> None:
        stream = ines.translate("Bonjour.\nBonsoir.", "en", Wish(marking="DR"))
        async for _ in stream:
            break
        await stream.aclose()

    asyncio.run(first())
    facts = [line["facts"] for line in ines.journal() if line["verb"] == "translate"]
    assert [(one["parts"], one["stopped"]) for one in facts] == [(1, True)]


def test_tokens_that_are_spent_are_told_to_who_asks_and_to_the_journal(town, monkeypatch):
    def chosen(desk: Any, *_: Any, **__: Any) -> models.Chosen:
        return models.Chosen(Spent(""), desk.site.policy.parse("NP"), "sha256:" + "0" * 64)

    monkeypatch.setattr(models, "engine", chosen)
    ines = town.acting("ines")
    with pytest.raises(QuotaSpent):
        answered(ines)
    talk = Conversation(ines, chosen(ines), ines.site.policy.parse("NP"))
    with pytest.raises(QuotaSpent):
        events(talk.pieces([Message("user", "mot secret")], Sampling()))
    told = {line["verb"]: line for line in ines.journal() if line["outcome"] == "refused"}
    assert {verb: line["reason"] for verb, line in told.items()} == dict.fromkeys(
        ("ask", "chat"), "project open: expected at most 10 tokens a day, found 10 used"
    )
    assert "mot secret" not in json.dumps(ines.journal(limit=100))


def test_an_answer_is_kept_although_an_import_sweeps_the_quarantine(town, monkeypatch):
    ines = town.acting("ines")
    seen = []

    def swept(store: Any, place: Any, **more: Any) -> Any:
        seen.append(place.parent)
        return put(store, place, **more)

    from casemate.factory import answers_kept

    put = answers_kept.put_folder
    monkeypatch.setattr(answers_kept, "put_folder", swept)
    events(ines.ask(QUESTION, Wish(keep="registre", project="open")))
    assert seen == [ines.site.shelf]
    assert not list(ines.site.shelf.glob(".answer-*"))


def test_an_answer_that_was_raised_is_written_out_with_the_marking_that_it_has_now(town, tmp_path):
    ines, low = town.acting("ines"), town.acting("ines").site.policy.parse("NP")
    events(ines.ask(QUESTION, Wish(keep="registre", project="open")))
    before, after = tmp_path / "before", tmp_path / "after"
    ines.get("registre", before)
    town.acting("claire").spill("garde", raise_to="DR", reason="secret", into=tmp_path / "spill")
    ines.get("registre", after)
    wordings = [ines.site.policy.wording(one, "fr") for one in (low, ines.site.policy.parse("DR"))]
    for folder, wording, marking in ((before, wordings[0], "NP"), (after, wordings[1], "DR")):
        lines = (folder / "answer.md").read_text(encoding="utf-8").splitlines()
        assert (lines[0], lines[-1]) == (f"**{wording}**", f"**{wording}**")
        assert json.loads((folder / "answer.json").read_bytes())["marking"] == marking
        assert [line for line in lines if line.startswith("[1]") and f"({marking})" in line]
    assert {one["marking"] for one in ines.kept_answer("registre")["citations"]} == {"DR"}
    assert ines.get("registre", tmp_path / "again")["digest"]
    assert ines.catalog.journal.verify()


def test_a_spill_leaves_no_word_of_what_it_raised_in_the_shard_below_and_names_who_searched_or_read(town, tmp_path):
    brought(
        town, "porte", "La porte du hangar se ferme au mot de passe Albatros.", marking="NP", project="open", by="ines"
    )
    tom = town.acting("tom")
    assert tom.search("mot de passe du hangar")["hits"]
    events(town.acting("ines").ask("mot de passe du hangar", Wish(keep="mot", project="open")))
    tom.kept_answer("mot")
    low = tom.site.policy.parse("NP")
    folder = searching.shard_folder(tom, low)
    assert any(b"Albatros" in file.read_bytes() for file in folder.rglob("*") if file.is_file())
    town.acting("claire").spill("porte", raise_to="DR", reason="secret", into=tmp_path / "spill")
    assert not any(b"Albatros" in file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert len(shard_head.read_head(folder).entries) == 1
    told = json.loads((tmp_path / "spill" / "spill.json").read_text(encoding="utf-8"))["handed_out"]
    assert {("tom", "search"), ("tom", "answer.show"), ("ines", "ask")} <= {(one["by"], one["verb"]) for one in told}


def test_a_spill_that_was_killed_before_the_shards_were_made_again_makes_them_at_the_next(town, tmp_path, monkeypatch):
    brought(
        town, "porte", "La porte du hangar se ferme au mot de passe Albatros.", marking="NP", project="open", by="ines"
    )
    tom, claire = town.acting("tom"), town.acting("claire")
    tom.search("hangar")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(searching, "forget", killed)
        with pytest.raises(KeyboardInterrupt):
            claire.spill("porte", raise_to="DR", reason="secret", into=tmp_path / "first")
    folder = searching.shard_folder(tom, tom.site.policy.parse("NP"))
    assert any(b"Albatros" in file.read_bytes() for file in folder.rglob("*") if file.is_file())
    claire.spill("porte", raise_to="DR", reason="secret", into=tmp_path / "second")
    assert not any(b"Albatros" in file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_done_is_the_last_event_of_a_kept_synthesis_whatever_its_subject(town):
    done = [e for e in events(town.acting("ines").summarise(["garde"], Wish(marking="DR"))) if isinstance(e, Done)]
    assert [str(one.answer.marking) for one in done] == ["DR"]
