"""The assistant on a site: answers by clearance, journal without texts, kept answers that a spill follows."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from casemate.errors import BadInput, NameTaken, NotAllowed, NotFound, Unavailable
from casemate.factory import Factory, models
from casemate.factory.assistant import Kept, Wish
from casemate.factory.desk import utc_now
from casemate.serving.answers import Answer, Done, Event
from tests.factory.town import Town, found
from tests.serving.answers.fakes import Says

LOW = "Le registre des visiteurs est conservé trois mois au poste de garde. Le chef de poste le signe chaque soir."
HIGH = "Le registre des visiteurs du sous-marin est conservé neuf ans au coffre. Le mot du jour est Cormoran."
QUESTION = "Combien de temps le registre des visiteurs est-il conservé ?"


def brought(town: Town, name: str, text: str, *, marking: str, project: str, by: str) -> str:
    folder = town.root / f"docs-{name}"
    folder.mkdir()
    (folder / "note.txt").write_text(text, encoding="utf-8")
    return str(town.acting(by).import_documents(folder, name=name, marking=marking, project=project)["id"])


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """A site with a note at NP, which everybody reads; copied for each test, and nobody acts in it."""
    made = found(tmp_path_factory.mktemp("assistant") / "town", clock=utc_now)
    claire = made.acting("claire")
    claire.add_project("open", marking="NP", members=frozenset({"ines", "lea", "tom"}))
    claire.add_project("deep", marking="S", members=frozenset({"lea", "paul"}))
    brought(made, "garde", LOW, marking="NP", project="open", by="ines")
    return made


@pytest.fixture
def town(founded: Town, tmp_path: Path) -> Town:
    """The site once more, for one test."""
    subprocess.run(["cp", "-a", founded.root, tmp_path / "town"], check=True)  # noqa: S607
    return Town(tmp_path / "town", utc_now)


def events(stream: AsyncGenerator[Any]) -> list[Any]:
    async def run() -> list[Any]:
        return [event async for event in stream]

    return asyncio.run(run())


def answered(factory: Factory, question: str = QUESTION, **wish: Any) -> Answer:
    done = [e for e in events(factory.ask(question, Wish(**wish))) if isinstance(e, Done)]
    return done[0].answer


def told(stream: list[Event | Kept]) -> list[dict[str, Any]]:
    return [event.to_json() for event in stream]


def speaking(monkeypatch: pytest.MonkeyPatch, town: Town, text: str, marking: str = "NP") -> Says:
    """A chat release that says `text`, as `models.engine` would give it."""
    engine = Says(text)

    def chosen(desk: Any, name: str = "", **_: Any) -> models.Chosen:
        return models.Chosen(engine, desk.site.policy.parse(marking), "sha256:" + "0" * 64)

    monkeypatch.setattr(models, "engine", chosen)
    return engine


def test_a_question_is_answered_with_the_documents_that_the_reader_may_read(town):
    said = answered(town.acting("tom"))
    assert said.text.startswith("Le registre des visiteurs est conservé trois mois au poste de garde. [1]")
    assert (str(said.marking), said.engine, said.refused) == ("NP", "quote", False)
    assert said.cited[0].title


def test_what_is_above_a_reader_takes_no_part_in_any_event_of_an_answer(town):
    before = told(events(town.acting("tom").ask(QUESTION)))
    brought(town, "coffre", HIGH, marking="S", project="deep", by="lea")
    assert told(events(town.acting("tom").ask(QUESTION))) == before
    assert told(events(town.acting("lea", ceiling="NP").ask(QUESTION))) == before
    above = answered(town.acting("lea"), "Combien de temps est conservé le registre du sous-marin ?")
    assert str(above.marking) == "S"
    assert "neuf ans" in above.text


def test_where_nothing_answers_it_is_said_in_the_same_words_whether_something_is_above_or_not(town):
    before = told(events(town.acting("tom").ask("Quel est le mot du jour du sous-marin Cormoran ?")))
    brought(town, "coffre", HIGH, marking="S", project="deep", by="lea")
    after = told(events(town.acting("tom").ask("Quel est le mot du jour du sous-marin Cormoran ?")))
    assert before == after
    assert after[-1]["answer"]["text"] == "Rien de ce que vous pouvez lire ne répond à cela."


def test_the_journal_names_what_was_used_and_holds_no_text(town):
    tom = town.acting("tom")
    said = answered(tom)
    lines = [line for line in tom.journal() if line["verb"] == "ask"]
    assert [line["about"] for line in lines] == list(said.entries)
    assert lines[0]["facts"]["passages"] == len(said.citations)
    written = json.dumps(town.acting("claire").journal(limit=1000))
    assert "registre" not in written
    assert "poste de garde" not in written


def test_a_reader_who_goes_away_is_in_the_journal_all_the_same(town):
    tom = town.acting("tom")

    async def first() -> None:
        stream = tom.ask(QUESTION)
        async for _ in stream:
            break
        await stream.aclose()

    asyncio.run(first())
    assert [line["facts"].get("stopped") for line in tom.journal() if line["verb"] == "ask"] == [True]


def test_an_engine_speaks_with_its_release_and_its_marking_joins(town, monkeypatch):
    speaking(monkeypatch, town, "Le registre des visiteurs est conservé trois mois. Il est vert.", "DR")
    said = answered(town.acting("ines"))
    assert said.text == "Le registre des visiteurs est conservé trois mois. [1]"
    assert (str(said.marking), said.engine, said.releases) == ("DR", "fake", ("sha256:" + "0" * 64,))


def test_a_kept_answer_is_an_entry_made_from_what_was_used(town):
    ines = town.acting("ines")
    kept = [e for e in events(ines.ask(QUESTION, Wish(keep="registre", project="open"))) if isinstance(e, Kept)]
    row = kept[0].entry
    assert (row["kind"], row["name"], row["marking"]) == ("answer", "registre", "NP")
    documents = ines.show("garde")["id"]
    assert [edge["parent"] for edge in ines.lineage(row["id"])["edges"]] == [documents]
    assert ines.kept_answer("registre")["question"] == QUESTION
    ines.get("registre", town.root / "got")
    assert "NON PROTÉGÉ" in (town.root / "got" / "answer.md").read_text(encoding="utf-8")
    with pytest.raises(NameTaken):
        events(ines.ask(QUESTION, Wish(keep="registre", project="open")))
    assert all(check["verdict"] == "ok" for check in town.acting("claire").verify())


def test_an_answer_is_kept_at_least_as_high_as_its_project(town):
    ines = town.acting("ines")
    row = next(e.entry for e in events(ines.ask(QUESTION, Wish(keep="r", project="harbour"))) if isinstance(e, Kept))
    assert row["marking"] == "DR"


def test_only_members_keep_answers_in_a_project_and_a_project_is_needed(town):
    with pytest.raises(NotAllowed, match="project open: expected marc among its members, found a non-member"):
        events(town.acting("marc").ask(QUESTION, Wish(keep="r", project="open")))
    with pytest.raises(BadInput, match=r"answer r: expected the project that keeps it \(--project\), found none"):
        Wish(keep="r")


def test_a_spill_of_documents_raises_the_answers_made_of_them_and_names_who_was_told(town, tmp_path):
    ines = town.acting("ines")
    events(ines.ask(QUESTION, Wish(keep="registre", project="open")))
    answered(town.acting("tom"))
    report = town.acting("claire").spill("garde", raise_to="DR", reason="secret", into=tmp_path / "spill")
    assert ines.show("registre")["marking"] == "DR"
    with pytest.raises(NotFound):
        town.acting("tom").kept_answer("registre")
    handed = json.loads((tmp_path / "spill" / "spill.json").read_text(encoding="utf-8"))["handed_out"]
    assert {(line["by"], line["verb"]) for line in handed} >= {("ines", "ask"), ("tom", "ask")}
    assert report["raised"] >= 2


def test_a_pasted_text_needs_its_marking_takes_part_and_raises_the_answer(town):
    text = "La barrière nord est fermée la nuit. Elle ouvre à 6 heures."
    with pytest.raises(BadInput, match=r"pasted text: expected the marking of the text \(--marking\), found none"):
        answered(town.acting("ines"), "Quand ouvre la barrière nord ?", pasted=text)
    said = answered(town.acting("ines"), "Quand ouvre la barrière nord la nuit ?", pasted=text, marking="DR")
    assert "La barrière nord est fermée la nuit. [1]" in said.text
    assert (str(said.marking), said.cited[0].entry) == ("DR", "pasted")
    with pytest.raises(NotAllowed, match=r"pasted text: expected a marking that ines may read .*, found DR"):
        answered(town.acting("ines", ceiling="NP"), "Quand ?", pasted=text, marking="DR")


def test_refusals_are_in_the_journal(town):
    with pytest.raises(BadInput):
        answered(town.acting("tom"), " ")
    assert town.acting("tom").journal()[-1]["outcome"] == "refused"


def test_a_synthesis_cites_and_is_marked_and_one_of_what_is_above_is_not_found(town):
    brought(town, "coffre", HIGH, marking="S", project="deep", by="lea")
    done = events(town.acting("lea").summarise(["garde", "coffre"], sentences=2))[-1]
    assert str(done.answer.marking) == "S"
    assert len(done.answer.sentences) == 2
    for name in ("coffre", "nothing"):
        with pytest.raises(NotFound, match=f"{name}: expected an entry that you may read, found none"):
            events(town.acting("tom").summarise([name]))
    with pytest.raises(BadInput, match="documents to summarise: expected at least one document set, found none"):
        events(town.acting("tom").summarise([]))


def test_translation_needs_an_engine_and_a_marking(town, monkeypatch):
    ines = town.acting("ines")
    with pytest.raises(Unavailable, match="translation: expected a released chat model that you may use, found none"):
        events(ines.translate("Bonjour.", "en", Wish(marking="DR")))
    with pytest.raises(
        BadInput, match=r"text to translate: expected the marking of the text \(--marking\), found none"
    ):
        events(ines.translate("Bonjour.", "en", Wish()))
    speaking(monkeypatch, town, "Hello.")
    assert events(ines.translate("Bonjour.", "en", Wish(marking="DR")))[-1].text == "Hello."


def test_redaction_counts_and_keeps_the_marking(town):
    said = town.acting("ines").redact("Écrire à a.b@x.fr.", marking="DR")
    assert said == {"text": "Écrire à [COURRIEL 1].", "counts": {"e-mail address": 1}, "marking": "DR"}
    assert "x.fr" not in json.dumps(town.acting("claire").journal())


def test_a_likely_marking_follows_from_what_is_written_and_from_what_the_reader_may_read(town):
    assert town.acting("ines").classify("(DR) Le port.")["suggestion"] == "DR"
    brought(town, "coffre", HIGH, marking="S", project="deep", by="lea")
    assert town.acting("lea").classify(HIGH)["suggestion"] == "S"
    assert town.acting("tom").classify("Le mot du jour est Cormoran, au coffre du sous-marin.")["suggestion"] is None


def test_minutes_are_marked_as_their_transcript(town):
    made = asyncio.run(town.acting("ines").minutes("Paul : Il est décidé de partir.", Wish(marking="DR")))
    assert (len(made.decisions), str(made.marking)) == (1, "DR")


# ── Prompts ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_prompts_are_signed_by_the_officer_versioned_and_named_in_answers(town, tmp_path):
    claire = town.acting("claire")
    text = claire.policy_text("prompts")
    file = tmp_path / "prompts.toml"
    file.write_text(text.replace('name = "default"', 'name = "port"'), encoding="utf-8")
    assert claire.set_policy("prompts", file, reason="ours")["serial"] == 1
    assert answered(town.acting("tom")).prompts.startswith("port 1 (")
    with pytest.raises(NotAllowed):
        town.acting("ines").set_policy("prompts", file, reason="mine")
    file.write_text(text.replace("{question}", "{questions}"), encoding="utf-8")
    with pytest.raises(BadInput, match=r"prompts answer.fr: expected places among .*, found questions"):
        claire.set_policy("prompts", file, reason="bad")
