"""`casemate ask`, `chat` and the everyday functions as their users meet them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from casemate.cli import root
from casemate.errors import BadInput, Unavailable
from casemate.factory.desk import utc_now
from tests.factory.test_assistant import HIGH, LOW, brought
from tests.factory.town import Town, found

Run = Callable[..., Result]
SUBMARINE = "Combien de temps le registre des visiteurs du sous-marin est-il conservé au coffre ?"
GUARD = "Combien de temps le registre des visiteurs est-il conservé au poste de garde ?"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    made = found(tmp_path_factory.mktemp("asking") / "town", clock=utc_now)
    claire = made.acting("claire")
    claire.add_project("open", marking="NP", members=frozenset({"ines"}))
    claire.add_project("deep", marking="S", members=frozenset({"lea"}))
    brought(made, "garde", LOW, marking="NP", project="open", by="ines")
    brought(made, "coffre", HIGH, marking="S", project="deep", by="lea")
    return made


def run(town: Town, who: str, *words: str | Path, stdin: str | None = None) -> Result:
    env = {"CASEMATE_SITE": str(town.site), "CASEMATE_KEY": str(town.key(who)), "COLUMNS": "200"}
    return CliRunner().invoke(root, list(map(str, words)), env=env, input=stdin)


def told(result: Result) -> str:
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


def test_an_answer_is_followed_by_its_sources_how_to_open_them_and_its_marking(town):
    said = told(run(town, "ines", "ask", "Combien de temps le registre des visiteurs est-il conservé ?"))
    lines = said.splitlines()
    assert lines[0].startswith("Le registre des visiteurs est conservé trois mois au poste de garde. [1]")
    assert "Sources" in lines
    assert any(line.strip().startswith("ouvrir: casemate docs page ") for line in lines)
    assert lines[-1] == "NON PROTÉGÉ"
    entry, passage = next(line for line in lines if "docs page" in line).split()[-2:]
    assert LOW[:40] in told(run(town, "ines", "docs", "page", entry, passage))


def test_the_same_question_by_another_clearance_gets_another_honest_answer(town):
    question = "Combien de temps le registre des visiteurs du sous-marin est-il conservé au coffre ?"
    assert "neuf ans" in told(run(town, "lea", "ask", question))
    assert "neuf ans" not in told(run(town, "tom", "ask", question))
    assert "neuf ans" not in told(run(town, "lea", "ask", question, "--ceiling", "NP"))
    nothing = told(run(town, "tom", "ask", "Quel est le mot du jour Cormoran ?"))
    assert nothing.startswith("Rien de ce que vous pouvez lire ne répond à cela.")


def test_an_answer_in_json_has_everything(town):
    said = json.loads(
        told(run(town, "ines", "ask", "-", "--json", stdin="How long is the registre des visiteurs kept?"))
    )
    assert {"text", "sentences", "citations", "marking", "refused", "engine", "prompts", "notes"} <= said.keys()


def test_an_answer_is_kept_under_a_name_and_only_some_documents_are_asked(town):
    kept = ("--among", "garde", "--keep", "qui", "--project", "open")
    said = told(run(town, "ines", "ask", "Qui signe le registre des visiteurs ?", *kept))
    assert "conservée" in said
    assert "answer" in told(run(town, "ines", "list"))


def test_functions_print_what_they_made_and_its_marking(town, tmp_path: Path):
    text = tmp_path / "note.txt"
    text.write_text("(DR) Écrire à a.b@x.fr.\nPaul : Il est décidé de partir.\n", encoding="utf-8")
    assert "[1]" in told(run(town, "ines", "summarise", "garde", "--sentences", "1"))
    masked = told(run(town, "ines", "redact", str(text), "--marking", "DR"))
    assert "[COURRIEL 1]" in masked
    assert masked.splitlines()[-1] == "DIFFUSION RESTREINTE"
    out = tmp_path / "masked.txt"
    told(run(town, "ines", "redact", str(text), "--marking", "DR", "--out", str(out)))
    assert "[COURRIEL 1]" in out.read_text(encoding="utf-8")
    assert "DR" in told(run(town, "ines", "classify", str(text)))
    minutes = told(run(town, "ines", "minutes", str(text), "--marking", "DR"))
    assert "Il est décidé de partir.  (Paul, ligne 2)" in minutes


def test_a_text_of_an_older_office_is_read_as_it_was_written_and_what_is_no_text_is_refused(town, tmp_path: Path):
    text = tmp_path / "ancien.txt"
    text.write_bytes("Éloïse : Il est décidé de fermer le dépôt à l’été.\n".encode("cp1252"))
    assert "Il est décidé de fermer le dépôt à l’été." in told(run(town, "ines", "minutes", text, "--marking", "DR"))
    text.write_bytes(bytes(range(256)))
    no = run(town, "ines", "redact", text, "--marking", "DR").exception
    assert str(no).startswith(f"{text}: expected ")
    assert isinstance(no, BadInput)


def test_what_cannot_be_done_says_why(town, tmp_path: Path):
    text = tmp_path / "note.txt"
    text.write_text("Bonjour.", encoding="utf-8")
    no = run(town, "ines", "translate", str(text), "--to", "en", "--marking", "DR").exception
    assert isinstance(no, Unavailable)
    no = run(town, "ines", "ask", "Quoi ?", "--file", str(text)).exception
    assert isinstance(no, BadInput)


# ── chat ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
def lines(*said: str) -> str:
    return "\n".join(said) + "\n"


def kept(town: Town) -> int:
    return sum(entry["kind"] == "answer" for entry in town.acting("ines").entries())


def test_a_conversation_answers_line_after_line_and_its_end_forgets_everything(town):
    before = kept(town)
    said = told(run(town, "ines", "chat", stdin=lines(GUARD, "", "Qui le signe chaque soir ?", "/new", "/quit", GUARD)))
    assert said.startswith("Conversation sur ce que vous pouvez lire ; rien n'en est gardé.")
    assert "conservé trois mois au poste de garde. [1]" in said
    assert "Le chef de poste le signe chaque soir. [1]" in said
    assert "messages oubliés: 4" in said
    assert said.count("trois mois") == 1  # what stands after /quit is not answered
    assert kept(town) == before


def test_a_lowered_ceiling_forgets_what_was_said_above_it_and_is_not_raised_again(town):
    ask = lines(SUBMARINE, "/ceiling NP", SUBMARINE, "/ceiling S", SUBMARINE)
    answers = told(run(town, "lea", "chat", "--json", stdin=ask)).splitlines()
    first, second, third = (json.loads(line) for line in answers)
    assert (first["marking"], "neuf ans" in first["text"]) == ("S", True)
    assert (second["marking"], "neuf ans" in second["text"]) == ("NP", False)
    assert (third["marking"], "neuf ans" in third["text"]) == ("NP", False)
    aloud = told(run(town, "lea", "chat", stdin=lines(SUBMARINE, "/ceiling NP")))
    assert "messages oubliés: 2" in aloud


def test_the_marking_of_a_conversation_is_in_the_answers_that_follow(town):
    answers = told(run(town, "lea", "chat", "--json", stdin=lines(SUBMARINE, GUARD))).splitlines()
    assert [json.loads(line)["marking"] for line in answers] == ["S", "S"]


def test_a_text_takes_part_in_the_next_question_with_its_marking_and_without_one_it_does_not(town, tmp_path: Path):
    note = tmp_path / "ma note.txt"
    note.write_text("Le portail nord ferme à dix-neuf heures. Le gardien Dupond a la clé.\n", encoding="utf-8")
    asked = "À quelle heure ferme le portail nord ?"
    with_it = told(run(town, "ines", "chat", stdin=lines(f"/file '{note}' DR", asked)))
    assert "dix-neuf heures. [1]" in with_it
    assert with_it.rstrip().endswith("DIFFUSION RESTREINTE")
    without = run(town, "ines", "chat", stdin=lines(f"/file '{note}'", asked))
    assert f"BadInput: {note}: expected the marking of this text behind its name, found none" in without.stderr
    assert "dix-neuf" not in without.stdout


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        ("/marking S", "NotAllowed: question: expected a marking that ines may read"),
        ("/ceiling Z", "BadMarking"),
        ("/file nowhere.txt NP", "NotFound: nowhere.txt: expected a text file, found none"),
        ("/file 'half", "BadInput: /file: expected a name, in quotes if it has spaces, and a marking, found 'half"),
        ("/keep note", "NotFound: answer to keep: expected a question that was answered, found none"),
    ],
)
def test_what_is_refused_is_told_and_the_conversation_goes_on(town, line: str, refusal: str):
    said = run(town, "ines", "chat", stdin=lines(line, GUARD))
    assert refusal in said.stderr
    assert "trois mois" in told(said)


def test_an_answer_is_kept_only_when_its_reader_says_so(town):
    said = told(run(town, "ines", "chat", "--project", "open", stdin=lines(GUARD, "/keep garde", "/nothing")))
    name = next(line for line in said.splitlines() if line.startswith("conservée: ")).split()[-1]
    entry = json.loads(told(run(town, "ines", "show", name, "--json")))
    assert (entry["kind"], entry["marking"]) == ("answer", "NP")
    assert "/keep NOM" in said  # what it does not know is answered by what it knows
