"""The pure parts: cleaning, sentences, passages, records, markings that are written, near duplicates, layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casemate.markings import Policy
from casemate.modalities.language.documents import near, records
from casemate.modalities.language.documents.block import Block, NotABlockError
from casemate.modalities.language.documents.chunk import MOST_CHARACTERS, MOST_WORDS, chunk
from casemate.modalities.language.documents.layout import Line, ordered, paragraphs
from casemate.modalities.language.documents.limits import Limits
from casemate.modalities.language.documents.plain import Stripped
from casemate.modalities.language.documents.readers import find, image, names
from casemate.modalities.language.documents.readers.eml import named
from casemate.modalities.language.documents.records import Passage
from casemate.modalities.language.documents.sentences import sentences
from casemate.modalities.language.documents.source import Found, Source, UnreadableError
from casemate.modalities.language.documents.tongue import language_of, language_within
from casemate.modalities.language.documents.written import Words, suggested
from tests.modalities.language.documents import makers

FRENCH = Policy.shipped("fr")
BOXES = st.tuples(*(st.floats(0, 900, allow_nan=False).map(lambda n: round(n, 1)) for _ in range(4)))
BLOCKS = st.lists(
    st.builds(
        Block, st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n .A"), max_size=400),
        st.integers(0, 9), st.none() | BOXES, st.sampled_from(["paragraph", "heading", "table"]),
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BLOCKS)
def test_chunking_loses_no_text_and_keeps_its_order(blocks: list[Block]) -> None:
    drafts = list(chunk(blocks))
    assert "".join("".join(d.text.split()) for d in drafts) == "".join("".join(b.text.split()) for b in blocks)
    for draft in drafts:
        assert draft.text.strip()
        assert len(draft.text.split()) <= MOST_WORDS
        assert len(draft.text) <= 2 * MOST_CHARACTERS


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BLOCKS)
def test_passages_jsonl_round_trips(blocks: list[Block]) -> None:
    document = "a" * 32
    passages = [
        Passage(records.passage_id(document, n), document, n, "t", d.heading, d.text, "fr", d.page, d.boxes, "pdf", "")
        for n, d in enumerate(chunk(blocks), 1)
    ]
    lines = [records.line(passage) for passage in passages]
    assert list(records.passages_of(lines)) == passages
    assert all(line.count(b"\n") == 1 for line in lines)


def test_passages_are_of_a_paragraph_or_two_and_split_no_sentence() -> None:
    sentence = "Le navire déclare sa cargaison à la capitainerie du port. "
    drafts = list(chunk([Block("Titre", kind="heading"), Block(sentence * 100, 1, (1.0, 2.0, 3.0, 4.0))]))
    assert [len(d.text.split()) for d in drafts[:-1]] == [250] * (len(drafts) - 1) or all(
        120 <= len(d.text.split()) <= 250 and d.text.endswith(".") for d in drafts[:-1]
    )
    assert {d.heading for d in drafts} == {"Titre"}
    assert drafts[0].text.startswith("Titre\n")
    assert {d.boxes for d in drafts} == {((1, 1.0, 2.0, 3.0, 4.0),)}


def test_a_sentence_that_goes_over_a_page_stays_one() -> None:
    long = "mot " * 130
    drafts = list(chunk([Block(long.strip(), 1), Block("finit ici. Puis une autre.", 2)]))
    assert drafts[0].text.endswith("mot finit ici. Puis une autre.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Il part. Elle reste.", ["Il part.", "Elle reste."]),
        (
            "M. Noël et Mme. Roy signent l'art. 5 du code. Fin.",
            ["M. Noël et Mme. Roy signent l'art. 5 du code.", "Fin."],
        ),
        ("« Où ? » Là-bas !", ["« Où ? »", "Là-bas !"]),
        ("Le 3.5 est bon. J. R. Hall dit oui.", ["Le 3.5 est bon.", "J. R. Hall dit oui."]),
        ("See fig. 3 for e.g. details. Done.", ["See fig. 3 for e.g. details.", "Done."]),
    ],
)
def test_sentences_end_where_they_end(text: str, expected: list[str]) -> None:
    assert list(sentences(text)) == expected


@settings(deadline=None)
@given(st.text())
def test_sentences_lose_nothing(text: str) -> None:
    line = text.replace("\n", " ")
    assert "".join("".join(sentences(line)).split()) == "".join(line.split())


@settings(deadline=None)
@given(st.text())
def test_clean_text_is_clean(text: str) -> None:
    cleaned = Stripped().clean(text)
    again = Stripped()
    assert again.clean(cleaned) == cleaned
    assert again.notes() == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("DIFFUSION RESTREINTE", ["DR"]),
        ("NON PROTÉGÉ", ["NP"]),
        ("non protege", ["NP"]),
        ("diffusion restreinte", ["DR"]),
        ("Diffusion Restreinte - Special France", ["DR//REL TO FRA"]),
        ("D I F F U S I O N   R E S T R E I N T E", ["DR"]),
        ("DIFFUSlON RESTRElNTE", ["DR"]),
        ("DIFFUSION RESTREINTE 1/3", ["DR"]),
        ("Page 2 sur 5 – DIFFUSION RESTREINTE", ["DR"]),
        ("« DIFFUSION RESTREINTE »", ["DR"]),
        ("DIFFUSION\nRESTREINTE", ["DR"]),
        ("TRÈS\nSECRET", ["S", "TS"]),
        ("Mention de protection : Diffusion restreinte", ["DR"]),
        ("Classification: Secret", ["S"]),
        ("Document classifié SECRET", ["S"]),
        ("SECRET DÉFENSE", ["S"]),
        ("CONFIDENTIEL DÉFENSE", ["S"]),
        ("CONFIDENTIEL", []),
        ("TRES SECRET DEFENSE", ["TS"]),
        ("DIFFUSION RESTREINTE | Ministère des Armées", ["DR"]),
        ("Subject: [DR SPECIAL FRANCE] plan du port", ["DR//REL TO FRA"]),
        ("Subject: TR: DIFFUSION RESTREINTE - plan du port", ["DR"]),
        ("DR-SF", ["DR//REL TO FRA"]),
        ("(dr) le quai", ["DR"]),
        ("(DR)Le quai", ["DR"]),
        ("(Dr) Martin et le personnel(s) (s)", []),
        ("La diffusion restreinte des notes est une règle.", []),
        ("Le secret des affaires - une règle", []),
        ("DR MARTIN", []),
        ("SECRET – SPÉCIAL FRANCE", ["S//REL TO FRA"]),
        ("DIFFUSION RESTREINTE SPÉCIAL FRANCE", ["DR//REL TO FRA"]),
        ("SPÉCIAL FRANCE", ["NP//REL TO FRA"]),
        ("- SECRET -", ["S"]),
        ("CLASSIFICATION : TRÈS SECRET", ["TS"]),
        ("(DR) Le quai est fermé.", ["DR"]),
        ("Le quai est fermé (S//SF).", ["S//REL TO FRA"]),
        ("Le quai est fermé (S//XY).", []),
        ("Le quai est fermé (S//SPÉCIAL FRANCE).", ["S//REL TO FRA"]),
        ("Les document(s) du projet (suite) et (TS) de la fin", ["TS"]),
        ("TS", []),
        ("Secret", []),
        ("LE SECRET DU BONHEUR", []),
        ("une ligne\nSECRET\nune autre", ["S"]),
    ],
)
def test_written_markings_are_those_of_the_policy(text: str, found: list[str]) -> None:
    assert [str(w.marking) for w in Words(FRENCH).find(text, 3)] == found


def test_what_is_suggested_is_the_join_of_what_is_written() -> None:
    written = [w for text in ("(DR) a", "SPÉCIAL FRANCE") for w in Words(FRENCH).find(text, 1)]
    assert str(suggested(FRENCH, written)) == "DR//REL TO FRA"
    assert suggested(FRENCH, []) == FRENCH.lowest


def test_languages_are_found_and_too_little_says_nothing() -> None:
    french = "Les navires à quai déclarent leur cargaison à la capitainerie avant dix-huit heures chaque jour ouvré."
    english = "The ships at the quay declare their cargo to the harbour master before six in the evening every day."
    assert (language_of(french), language_of(english), language_of("12 34 56"), language_of("")) == ("fr", "en", "", "")
    assert language_within(f"{english} {english}", "fr") == "en"
    assert language_within("Short.", "fr") == "fr"


def test_near_duplicates_are_grouped_with_the_first() -> None:
    words = [f"mot{i}" for i in range(400)]
    texts = {"a": words, "b": [*words[:395], "autre"], "c": words[::-1], "d": ["seul"], "e": []}
    sketches = []
    for name, said in texts.items():
        sketcher = near.Sketcher()
        for start in range(0, len(said), 7):
            sketcher.add(" ".join(said[start : start + 7]))
        sketches.append((name, sketcher.sketch()))
    assert near.groups(sketches) == {"a": "a", "b": "a", "c": "c", "d": "d", "e": "e"}


@pytest.mark.parametrize(
    "said",
    [
        None, {}, {"text": "a", "page": 0, "box": None}, {"text": 1, "page": 0, "box": None, "kind": "table"},
        {"text": "a", "page": -1, "box": None, "kind": "table"}, {"text": "a", "page": 0, "box": None, "kind": "x"},
        {"text": "a", "page": 0, "box": [1, 2, 3], "kind": "table"},
        {"text": "a", "page": 0, "box": [1, 2, 3, float("inf")], "kind": "table"},
        {"text": "a" * 80_001, "page": 0, "box": None, "kind": "table"},
    ],
)  # fmt: skip
def test_what_is_no_block_is_refused(said: Any) -> None:
    with pytest.raises(NotABlockError):
        Block.of(said)


def test_two_columns_under_a_title_are_read_in_turn() -> None:
    title = Line("Un titre sur toute la largeur de la page", (50, 20, 550, 34), 14)
    left = [Line(f"gauche ligne {i} du texte", (50, 60 + 12 * i, 280, 70 + 12 * i), 10) for i in range(8)]
    right = [Line(f"droite ligne {i} du texte", (310, 60 + 12 * i, 550, 70 + 12 * i), 10) for i in range(8)]
    mixed = [line for pair in zip(left, right, strict=True) for line in pair]
    assert ordered([*mixed, title]) == [title, *left, *right]
    blocks = paragraphs(ordered([*mixed, title]), 1)
    assert [(b.kind, b.text.count("ligne")) for b in blocks] == [("heading", 0), ("paragraph", 8), ("paragraph", 8)]


def test_names_and_numbers_side_by_side_are_rows_and_no_columns() -> None:
    names_ = [Line(f"nom{i}", (50, 60 + 12 * i, 100, 70 + 12 * i), 10) for i in range(6)]
    numbers = [Line(f"{i}", (310, 60 + 12 * i, 330, 70 + 12 * i), 10) for i in range(6)]
    assert [line.text for line in ordered([*names_, *numbers])] == [f"nom{i} {i}" for i in range(6)]


def test_words_that_a_line_cuts_are_one_word() -> None:
    lines = [Line("une décla\u2010", (50, 60, 280, 70), 10), Line("ration du port", (50, 72, 280, 82), 10)]
    assert paragraphs(lines, 1)[0].text == "une déclaration du port"


def test_readers_are_found_by_listing() -> None:
    assert {"pdf", "docx", "eml", "msg", "image"} <= set(names())
    with pytest.raises(UnreadableError, match=r"expected a reader \(csv, .*\), found nobody"):
        find("nobody")


def test_attachments_are_named_once_each() -> None:
    seen: set[str] = set()
    assert [named(n, seen) for n in ("a.txt", "A.txt", "../b", "")] == ["a.txt", "A (2).txt", "b", "attachment"]


class FakeRecogniser:
    """Recognises two lines, whatever the picture."""

    def read(self, picture: Any) -> list[Line]:
        assert picture.dtype == np.uint8
        return [Line("Une ligne reconnue", (10, 10, 200, 30), 20), Line("qui continue.", (10, 34, 200, 54), 20)]


def test_what_is_recognised_becomes_blocks_in_points() -> None:
    found = Found(Limits(), FakeRecogniser())
    (block,) = image.recognised(makers.picture(), 2, found, 0.5)
    assert (block.text, block.page, block.box) == ("Une ligne reconnue qui continue.", 2, (5.0, 5.0, 100.0, 27.0))
    assert found.ocr_pages == 1


def test_scans_and_pictures_are_recognised_by_the_model_that_is_given() -> None:
    for name, data in (("a.pdf", makers.scan()), ("a.png", makers.png())):
        found = Found(Limits(), FakeRecogniser())
        (block,) = find(name[2:].replace("png", "image")).read(Source(name, data=data), found)
        assert block.text == "Une ligne reconnue qui continue."
        assert (found.ocr_pages, found.notes) == (1, [])


def test_a_page_with_text_is_not_recognised() -> None:
    found = Found(Limits(), FakeRecogniser())
    assert makers.WORDS in " ".join(b.text for b in find("pdf").read(Source("a.pdf", data=makers.pdf()), found))
    assert found.ocr_pages == 0
