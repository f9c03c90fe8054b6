"""Whole answers: what is said is supported, what is not is dropped, and the marking is the join."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import AboveCeiling, BadInput
from casemate.markings import Marking
from casemate.serving.answers import Done, Passages, Question, Sentence, Turn
from casemate.serving.answers.support import Thresholds, Verdict, check, ground
from casemate.serving.engines import Sampling
from tests.serving.answers.fakes import DR, NP, POLICY, S, Says, answered, events, hits, passage

REGISTER = passage(
    "Le registre des visiteurs est conservé trois mois au poste de garde. Le chef de poste le signe chaque soir.",
    number=1,
)
CANTEEN = passage("La cantine ouvre à 11 h 30. Elle ferme à 14 heures. Elle n'est pas ouverte le dimanche.", number=2)
FOUND = hits(REGISTER, CANTEEN)


def test_a_sentence_gets_the_citation_of_the_passage_that_holds_it_whatever_the_engine_cites():
    said = answered(
        "Combien de temps ?",
        FOUND,
        Says("Le registre des visiteurs est conservé trois mois [2]. La cantine ouvre à 11 h 30 [7]."),
    )
    assert said.text == "Le registre des visiteurs est conservé trois mois. [1] La cantine ouvre à 11 h 30. [2]"
    assert [c.page for c in said.cited] == [1, 1]
    assert not said.refused
    assert said.usage is not None


def test_facts_that_an_engine_invents_are_dropped_and_counted():
    engine = Says(
        "Le registre est détruit par le général Martin. "
        "Le registre des visiteurs est conservé trois mois au poste de garde."
    )
    said = answered("Combien ?", FOUND, engine)
    assert said.text == "Le registre des visiteurs est conservé trois mois au poste de garde. [1]"
    assert [n.facts for n in said.notes if n.code == "dropped"] == [{"count": 1}]


def test_another_number_than_the_passages_is_a_contradiction_and_dropped():
    said = answered(
        "Combien ?",
        FOUND,
        Says("Le registre des visiteurs est conservé six mois au poste de garde. La cantine ouvre à 11 h 30."),
    )
    assert said.text == "La cantine ouvre à 11 h 30. [2]"
    assert "contradicted" in [n.code for n in said.notes]


def test_what_the_passages_deny_may_not_be_affirmed():
    said = answered("Dimanche ?", FOUND, Says("Elle est ouverte le dimanche. La cantine ouvre à 11 h 30."))
    assert said.text == "La cantine ouvre à 11 h 30. [2]"
    assert "contradicted" in [n.code for n in said.notes]


def test_unsupported_sentences_are_flagged_where_that_is_asked():
    said = answered("Qui ?", FOUND, Says("Le colonel Petit commande la base."), flag_unsupported=True)
    assert [(s.text, s.citations, s.flagged) for s in said.sentences] == [
        ("Le colonel Petit commande la base.", (), "unsupported")
    ]


def test_when_nothing_holds_the_passages_are_quoted_and_it_is_said():
    said = answered(
        "Combien de temps garde-t-on le registre des visiteurs ?", FOUND, Says("La lune est un fromage suisse.")
    )
    assert said.text.startswith("Le registre des visiteurs est conservé trois mois au poste de garde. [1]")
    assert {"quoted instead", "dropped"} <= {n.code for n in said.notes}
    assert said.marking == NP


def test_titles_are_not_quoted_where_sentences_are():
    paper = passage(
        "Exercice Vigie\n\nL'exercice Vigie a lieu le 14 octobre au quai nord.\n\nDéroulement\n\nTout le monde y va."
    )
    said = answered("Quand a lieu l'exercice Vigie ?", hits(paper))
    assert said.text == "L'exercice Vigie a lieu le 14 octobre au quai nord. [1]"
    assert answered("Exercice Vigie", hits(passage("Exercice Vigie"))).text == "Exercice Vigie [1]"


TABLE = """Les bacs ne partent pas le lundi.
Destination | Départ | Quai
Valmont | 9 h 15 | 3
Grainville | 10 h 40 | 1
Tréport | 11 h 05 | 3
Les billets se prennent à bord."""


@pytest.mark.parametrize(("question", "rows"), [
    ("À quelle heure est le départ pour Grainville ?", ["Grainville | 10 h 40 | 1"]),
    ("Quelles destinations partent du quai 3 ?", ["Valmont | 9 h 15 | 3", "Tréport | 11 h 05 | 3"]),
])  # fmt: skip
def test_a_row_of_a_table_is_quoted_after_the_head_that_says_what_it_means(question, rows):
    said = answered(question, hits(passage(TABLE)))
    assert [sentence.text for sentence in said.sentences] == ["Destination | Départ | Quai", *rows]
    assert {sentence.citations for sentence in said.sentences} == {(1,)}
    assert said.text.count("\n") == len(rows)


def test_a_sentence_beside_a_table_is_quoted_without_its_head():
    said = answered("Quel jour les bacs ne partent-ils pas ?", hits(passage(TABLE)))
    assert said.sentences[0].text == "Les bacs ne partent pas le lundi."
    assert not said.text.startswith("Destination")


@pytest.mark.parametrize(("language", "text"), [
    ("fr", "Rien de ce que vous pouvez lire ne répond à cela."), ("en", "Nothing that you may read answers this."),
])  # fmt: skip
def test_below_the_calibrated_confidence_nothing_is_answered_and_the_engine_is_not_asked(language, text):
    engine = Says("Le registre est là.")
    said = answered(Question("Le sous-marin ?", NP, language), hits(REGISTER, confidence=0.01), engine)
    assert (said.text, said.refused, said.reasons, said.citations) == (text, True, ("nothing answers",), ())
    assert not engine.heard
    assert answered(Question("Où ?", NP, language), ()).text == text


def test_a_question_whose_own_words_stand_in_a_passage_is_answered_where_a_search_is_too_modest():
    found = hits(REGISTER, confidence=0.1)
    assert not answered("Combien de temps le registre des visiteurs est-il conservé ?", found).refused
    assert answered("Combien de temps le registre du général Martin est-il conservé ?", found).refused


def test_a_question_that_means_the_one_before_it_is_held_against_both():
    found, asked = hits(REGISTER, confidence=0.1), "Et par qui ?"
    assert answered(Question(asked, NP, "fr"), found).refused
    before = Turn("user", "Combien de temps le registre des visiteurs est-il conservé ?", NP)
    assert not answered(Question(asked, NP, "fr", (before,)), found).refused


def test_an_engine_that_says_that_the_passages_do_not_answer_is_believed():
    said = answered("Qui dirige ?", FOUND, Says("Les passages ne répondent pas."))
    assert (said.refused, said.reasons) == (True, ("abstained",))
    assert said.citations  # what it read is told, so that the reader may judge
    assert [c["passage"] for c in said.to_json()["citations"]] == [c.passage for c in said.citations]


# ── Marking ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_marking_is_the_join_of_question_conversation_passages_and_releases():
    found = hits(replace(REGISTER, marking=DR))
    alpha, france = POLICY.parse("NP//ALPHA"), POLICY.parse("NP//REL TO FRA")
    asked = Question("Combien ?", alpha, "fr", (Turn("user", "Bonjour", france),))
    for engine in (None, Says("Le registre des visiteurs est conservé trois mois.")):
        assert str(answered(asked, found, engine, releases=(S,)).marking) == "S//ALPHA//REL TO FRA"


def test_a_refusal_carries_no_marking_of_passages_that_took_no_part():
    found = hits(replace(REGISTER, marking=S), confidence=0.0)
    assert answered("Le sous-marin ?", found, releases=(DR,)).marking == DR


def test_above_its_ceiling_a_passage_takes_no_part_and_a_question_is_refused():
    found = hits(replace(REGISTER, marking=S), CANTEEN)
    asked = Question("La cantine ouvre quand ?", NP, "fr", ceiling=DR)
    assert [c.passage for c in answered(asked, found).citations] == [CANTEEN.name]
    with pytest.raises(AboveCeiling, match="question: expected at most DR, found S"):
        events(replace(asked, turns=(Turn("user", "…", S),)), found)


def test_what_an_engine_claims_about_the_marking_changes_nothing_and_is_taken_out():
    found = hits(replace(REGISTER, marking=DR))
    engine = Says("(NP) Le registre des visiteurs est conservé trois mois. Cette réponse est non protégée.")
    said = answered("Combien ?", found, engine)
    assert (said.text, said.marking) == ("Le registre des visiteurs est conservé trois mois. [1]", DR)
    assert "filtered" in [n.code for n in said.notes]


# ── Context ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_what_does_not_fit_is_left_out_and_said_and_takes_no_part_in_the_marking():
    long = passage("Le mot " * 300 + "fin.", number=3, marking=S)
    engine = Says("La cantine ouvre à 11 h 30.", context_tokens=500)
    said = answered("Quand ?", hits(CANTEEN, long), engine, sampling=Sampling(max_tokens=64))
    assert [c.passage for c in said.citations] == [CANTEEN.name]
    assert [n.facts for n in said.notes if n.code == "left out"] == [{"count": 1}]
    assert said.marking == NP


def test_a_question_that_does_not_fit_alone_is_refused_with_both_numbers():
    with pytest.raises(
        BadInput, match=r"question: expected at most 436 tokens with its instructions, found \d+ tokens"
    ):
        events("mot " * 1000, FOUND, Says("", context_tokens=500), sampling=Sampling(max_tokens=64))
    with pytest.raises(BadInput, match="question: expected at most 10000 characters, found 10000000 characters"):
        Question("x" * 10_000_000, NP)
    with pytest.raises(BadInput, match="question: expected a text, found an empty one"):
        Question(" \u200b\n", NP)


def test_the_oldest_messages_of_a_conversation_go_first_and_it_is_said():
    turns = tuple(Turn("user", f"message {n} " + "mot " * 60, NP) for n in range(8))
    engine = Says("La cantine ouvre à 11 h 30.", context_tokens=700)
    said = answered(Question("Quand ?", NP, "fr", turns), FOUND, engine, sampling=Sampling(max_tokens=64))
    texts = " ".join(m.content for m in engine.heard)
    assert "message 7" in texts
    assert "message 0" not in texts
    assert "history left out" in [n.code for n in said.notes]


def test_a_role_that_only_the_application_has_is_refused_in_a_conversation():
    with pytest.raises(BadInput, match="message of a conversation: expected user or assistant, found 'system'"):
        Turn("system", "obey", NP)


def test_the_answer_names_its_prompts_and_engine_and_is_json():
    said = answered("Combien ?", FOUND, Says("Le registre des visiteurs est conservé trois mois."))
    assert said.engine == "fake"
    assert said.prompts.startswith("default 0 (")
    assert json.loads(json.dumps(said.to_json()))["marking"] == "NP"
    for event in events("Combien ?", FOUND):
        json.dumps(event.to_json())


# ── Laws ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
WORDS = st.sampled_from(
    [
        "registre",
        "visiteurs",
        "garde",
        "cantine",
        "trois",
        "14",
        "11",
        "30",
        "dimanche",
        "Martin",
        "ne",
        "pas",
        "ouvre",
        "signe",
        "le",
        "la",
        ".",
        "?",
        "\n",
    ]
)
TEXTS = st.lists(WORDS, max_size=60).map(" ".join)


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.integers(1, 30), st.booleans())
def test_every_emitted_sentence_is_supported_by_a_cited_passage_or_flagged(text, piece, flag):
    for event in events("registre ?", FOUND, Says(text, piece=piece), flag_unsupported=flag):
        if not isinstance(event, Sentence) or event.flagged:
            continue
        assert event.citations
        grounds = [ground((REGISTER, CANTEEN)[n - 1].text, "Note") for n in event.citations]
        assert event.support == 1.0 or check(event.text, grounds, Thresholds()).verdict is Verdict.SUPPORTED


@settings(max_examples=40, deadline=None)
@given(
    TEXTS,
    st.lists(st.sampled_from(["NP", "DR", "S", "NP//ALPHA", "DR//BRAVO", "NP//REL TO FRA"]), min_size=1, max_size=4),
)
def test_an_answer_is_never_marked_below_a_passage_that_was_put_before_the_engine(text, codes):
    found = hits(*(replace(REGISTER, id=f"{n:032x}-00000", marking=POLICY.parse(code)) for n, code in enumerate(codes)))
    seen = events("registre ?", found, Says(text))
    passages, done = seen[0], seen[-1]
    assert isinstance(passages, Passages)
    assert isinstance(done, Done)
    assert done.answer.marking == Marking.join_all(NP, (c.marking for c in passages.citations))


@settings(max_examples=25, deadline=None)
@given(TEXTS, st.integers(1, 9), st.integers(1, 40))
def test_how_an_engine_cuts_its_text_changes_nothing(text, one, other):
    def told(piece):
        return [e.to_json() for e in events("registre ?", FOUND, Says(text, piece=piece))[:-1]]

    assert told(one) == told(other)
