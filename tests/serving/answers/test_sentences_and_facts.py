"""Sentences whole, and the facts that they claim."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.serving.answers.facts import all_words, bare, facts, identifier
from casemate.serving.answers.languages import language_of
from casemate.serving.answers.sentences import LONGEST, Sentences, sentences
from casemate.serving.answers.support import Thresholds, Verdict, check, ground


@pytest.mark.parametrize(("text", "parts"), [
    ("M. Durand est venu. Il est parti.", ["M. Durand est venu.", "Il est parti."]),
    ("Cf. art. 3 du code. Voir p. 12.", ["Cf. art. 3 du code.", "Voir p. 12."]),
    ("Il vaut 3.50 euros. Oui !", ["Il vaut 3.50 euros.", "Oui !"]),
    ("J. Smith left. Dr. Jones, e.g. today, stayed.", ["J. Smith left.", "Dr. Jones, e.g. today, stayed."]),
    ("Un titre\nUne phrase. « Une autre. » Fin", ["Un titre", "Une phrase.", "« Une autre. »", "Fin"]),
    ("1. Entrer.\n2. Sortir.", ["1. Entrer.", "2. Sortir."]),
    ("Il dit [1]. Elle dit. [2] Fin.", ["Il dit [1].", "Elle dit. [2]", "Fin."]),
])  # fmt: skip
def test_sentences_end_where_people_end_them(text, parts):
    assert [cut.text for cut in sentences(text)] == parts


@given(st.text(max_size=400), st.integers(1, 50))
def test_no_character_is_lost_and_pieces_change_nothing(text, size):
    whole = [(cut.text, cut.tail) for cut in sentences(text)]
    assert "".join(a + b for a, b in whole) == text
    stream, got = Sentences(), []
    for start in range(0, len(text), size):
        got += stream.feed(text[start : start + size])
    got += stream.end()
    assert [(cut.text, cut.tail) for cut in got] == whole


@pytest.mark.parametrize(
    "text", ["mot " * 1500, "x" * 6000, "... " * 1000, "M. " * 1500, "Fin. \n" + " " * 4000, "a." * 2000]
)
def test_a_sentence_without_end_is_cut_at_the_same_places_however_it_comes(text):
    whole = [(cut.text, cut.tail) for cut in sentences(text)]
    assert "".join(a + b for a, b in whole) == text
    assert max(len(a) for a, _ in whole) <= LONGEST + 64
    for size in (31, 501):
        stream, got = Sentences(), []
        for start in range(0, len(text), size):
            got += stream.feed(text[start : start + size])
        assert [(cut.text, cut.tail) for cut in [*got, *stream.end()]] == whole


def test_a_text_of_a_million_characters_without_end_takes_no_time_that_grows_with_its_square():
    assert sum(len(cut.text) + len(cut.tail) for cut in sentences("x" * 1_000_000)) == 1_000_000


def test_numbers_are_compared_by_value_and_names_by_letters():
    one = facts("Le 14 juillet 2023, M. Durand a versé 1 234,50 euros en deux fois.")
    assert one.numbers == {"14", "2023", "1234.5", "2"}
    assert one.names == {"durand"}
    assert facts("1,234 and 3.50").numbers == facts("1.234 et 3,5").numbers == {"1234", "3.5"}


@pytest.mark.parametrize(("text", "expected"), [
    ("Il n'est pas là.", True), ("He doesn't know.", True), ("Il ne vient que le soir.", False), ("Il vient.", False),
    ("Aucun visiteur.", True), ("It is forbidden.", True),
])  # fmt: skip
def test_what_denies_is_known(text, expected):
    assert facts(text).denies is expected


def test_what_introduces_a_quotation_claims_nothing():
    assert bare("Selon le passage 1, il est midi [1].") == "il est midi ."
    assert bare("According to the document, it rains [2, 3].") == "it rains ."
    assert facts(bare("Selon le document du général Martin, il est midi.")).names == {"martin"}


@pytest.mark.parametrize(("sentence", "verdict"), [
    ("Les données sont conservées trois ans.", Verdict.SUPPORTED),
    ("Les données sont conservées 3 ans.", Verdict.SUPPORTED),
    ("Les données ne sont pas conservées trois ans.", Verdict.CONTRADICTED),
    ("Les données sont conservées cinq ans.", Verdict.CONTRADICTED),
    ("Les données sont transmises à la police.", Verdict.CONTRADICTED),
    ("Le directeur habite à Lyon.", Verdict.UNSUPPORTED),
    ("Mme Leroy reçoit les données.", Verdict.UNSUPPORTED),
    ("Donc voici.", Verdict.EMPTY),
])  # fmt: skip
def test_support_is_what_the_passage_says(sentence, verdict):
    text = "Les données sont conservées trois ans et ne sont pas transmises à la police. Le service les efface ensuite."
    assert check(sentence, [ground(text)], Thresholds()).verdict is verdict


def test_two_passages_may_support_a_sentence_together():
    grounds = [ground("Le dépôt ouvre lundi."), ground("La cantine ferme mardi.")]
    found = check("Le dépôt ouvre lundi et la cantine ferme mardi.", grounds, Thresholds())
    assert (found.verdict, found.places) == (Verdict.SUPPORTED, (0, 1))


def test_languages_are_told_by_their_small_words():
    assert language_of("Quelle est la durée de conservation ?", "en") == "fr"
    assert language_of("How long is it kept?", "fr") == "en"
    assert language_of("Casemate", "fr") == "fr"


@pytest.mark.parametrize(("text", "names", "numbers"), [
    ("L'A320 compte 180 places.", {"a320"}, {"180"}),
    ("La règle RGPD-32b s'applique depuis 2018.", {"rgpd32b"}, {"2018"}),
    ("C'est l'article L.121-3 du code.", {"l121-3"}, set()),
    ("C'est l'article L.\u00a0121-3 du code.", {"l121-3"}, set()),
    ("Le F-16 et le bon 2A04.", {"f16", "2a04"}, set()),
    ("La version v2.1 du moteur.", {"v2.1"}, set()),
    ("Depuis mi-2024, 10km à 9h30, page p.12, en 5G.", set(), {"2024", "10", "9", "30", "12", "5"}),
    ("Le Boeing-747 est plein.", {"boeing"}, {"747"}),
])  # fmt: skip
def test_letters_and_digits_of_one_identifier_are_one_name_and_no_numbers(text, names, numbers):
    found = facts(text)
    assert (found.names, found.numbers) == (names, numbers)


def test_an_identifier_is_found_however_it_is_written():
    there = all_words("Un Airbus A 320, un Boeing 747, l'article R 57-8 et la note DR-12b.")
    assert {identifier(one) for one in ("A320", "A-320", "Boeing-747", "R.57-8", "R. 57-8", "DR12b")} <= there


def test_identifiers_are_looked_for_in_a_time_that_grows_like_the_text():
    for part in ("A1", "a.1", "L.1-", "A 1-1", "A1-", "1.A"):
        facts(part * 20_000)  # ends
        all_words(part * 20_000)
