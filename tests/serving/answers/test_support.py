"""How sure an answer can be, and what a nearer meaning makes up for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from casemate.errors import BadInput
from casemate.serving.answers import pasted
from casemate.serving.answers.confidence import held, sure
from casemate.serving.answers.support import Thresholds, Verdict, check, ground
from tests.serving.answers.fakes import DR, NP, hits, passage

TEXT = "Le véhicule doit être contrôlé chaque année par le garage central de la base."


class Alike:
    """An embedder to which all texts mean the same."""

    dim, name = 2, "0" * 64

    def embed(self, texts: Sequence[str], *, query: bool) -> npt.NDArray[np.float32]:
        assert not query
        return np.array([[1.0, 0.0]] * len(texts), np.float32)


def test_a_near_meaning_makes_up_for_some_words():
    paraphrase = "Le garage central révise chaque véhicule annuellement."
    assert check(paraphrase, [ground(TEXT)], Thresholds()).verdict is Verdict.UNSUPPORTED
    assert check(paraphrase, [ground(TEXT)], Thresholds(), embedder=Alike()).verdict is Verdict.SUPPORTED


@pytest.mark.parametrize(
    "said", ["Le véhicule est contrôlé 12 fois par an au garage central.", "Mme Roy contrôle le garage central."]
)
def test_no_meaning_makes_up_for_a_number_or_a_name(said):
    assert check(said, [ground(TEXT)], Thresholds(), embedder=Alike()).verdict is not Verdict.SUPPORTED


def test_names_and_numbers_that_no_passage_holds_count_against_an_answer():
    found = hits(passage(TEXT), confidence=0.5)
    assert held("Qui contrôle le véhicule du garage ?", found[0]) == 1.0
    assert sure("Qui contrôle le véhicule du garage ?", found) == 0.75
    assert sure("Qui contrôle le véhicule du général Petit en 1999 ?", found) < 0.55
    assert sure("Qui ?", ()) == 0.0


def test_a_pasted_text_becomes_passages_at_its_own_marking():
    text = "\n".join(f"La règle {n} parle du sujet {n}." for n in range(200)) + "\nLe coffre est vert."
    found = pasted(text, "De quelle couleur est le coffre vert ?", DR, title="Texte", language="fr")
    assert "coffre" in found[0].passage.text
    assert {hit.passage.marking for hit in found} == {DR}
    assert [hit.rank for hit in found] == list(range(1, len(found) + 1))
    with pytest.raises(BadInput, match="pasted text: expected at most 1000000 characters, found 1000001"):
        pasted("x" * 1_000_001, "?", NP, title="", language="fr")


@pytest.mark.parametrize(("said", "verdict"), [
    ("L'A320 est contrôlé chaque année.", Verdict.SUPPORTED),
    ("L'A 320 est contrôlé chaque année.", Verdict.UNSUPPORTED),  # two facts, of which the passage holds neither
    ("L'A321 est contrôlé chaque année.", Verdict.UNSUPPORTED),
    ("320 avions sont contrôlés chaque année.", Verdict.UNSUPPORTED),
    ("La note RGPD-32b le dit.", Verdict.SUPPORTED),
    ("La note RGPD-32c le dit.", Verdict.UNSUPPORTED),
])  # fmt: skip
def test_an_identifier_is_one_fact_that_stands_in_the_passage_or_does_not(said, verdict):
    there = ground("L'avion A320 est contrôlé chaque année. La note RGPD-32b le dit.")
    assert check(said, [there], Thresholds()).verdict is verdict


def test_digits_of_an_identifier_that_no_passage_holds_count_once_against_an_answer():
    found = hits(passage("L'avion est contrôlé chaque année."), confidence=0.0)[0]
    assert (
        held("L'avion A320-214 est-il contrôlé ?", found) == 0.5
    )  # two words there, one identifier of twice their weight
