"""What acronyms of a query stand for, by the passages that the reader sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from casemate.serving.retrieval import search
from casemate.serving.retrieval.acronyms import spelled_out
from tests.serving.retrieval.passages import Words, passage, shard, told

OFFICER = "Adressez-vous au délégué à la protection des données (DPO) de la société."


@pytest.mark.parametrize(
    ("text", "query", "read"),
    [
        (OFFICER, "Le DPO est-il salarié ?", "Le délégué à la protection des données est-il salarié ?"),
        (OFFICER, "le dpo est-il salarié ?", "le délégué à la protection des données est-il salarié ?"),
        ("Une analyse d’impact (AI), puis", "Faut-il une AI ?", "Faut-il une analyse d’impact ?"),
        ("The Data Protection Officer (DPO).", "Who is the DPO?", "Who is the data protection officer?"),
        ("Électeurs Français à l'Étranger (EFE).", "EFE", "électeurs français à l'étranger"),
    ],
)
def test_an_acronym_is_read_as_the_passages_spell_it_out(text: str, query: str, read: str) -> None:
    assert spelled_out(query, [text]) == read


@pytest.mark.parametrize(
    ("texts", "query"),
    [
        ([OFFICER], "Qui est le CIL ?"),
        ([OFFICER], "Le dpoint est-il salarié ?"),
        ([OFFICER], "Le délégué à la protection des données, ou DPO ?"),
        (["Voir (DPO)."], "Le DPO ?"),
        (["Une infection sexuellement transmissible (IST)."], "L'interdiction de sortie du territoire (IST) ?"),
        (["Il désigne quelqu'un. (DPO)."], "Le DPO ?"),
        (["Un volontariat international en entreprise (VIE).", "La vie est belle."], "garantie de la vie"),
        (["La société anonyme (SA)."], "prouver sa nationalité"),
        ([], "Le DPO ?"),
    ],
)
def test_a_query_stays_as_it_is_where_nothing_tells_or_the_word_is_an_ordinary_one(texts, query: str) -> None:
    assert spelled_out(query, texts) == query


def test_of_several_meanings_the_most_often_written_counts_then_the_first_by_spelling() -> None:
    agency, society = "Une agence réelle (AR).", "Une association rare (AR)."
    assert spelled_out("AR", [society, society, agency]) == "association rare"
    assert spelled_out("AR", [society, agency]) == spelled_out("AR", [agency, society]) == "agence réelle"


def test_a_passage_that_never_has_the_acronym_is_found_by_it(tmp_path: Path) -> None:
    told_here = passage(0, OFFICER)
    other = passage(3, "Le délégué peut être un salarié, chargé de la protection des données.")
    held = shard(tmp_path / "one", [told_here, other, passage(6, "La cantine ouvre à midi.")])
    assert {hit.passage.id for hit in search([held], "DPO")} == {told_here.id, other.id}
    assert not search([shard(tmp_path / "other", [other])], "DPO")


def test_what_an_acronym_stands_for_is_not_learned_from_what_the_reader_does_not_see(tmp_path: Path) -> None:
    low = [passage(n, f"Le délégué numéro {n} protège des données, dit le DPO.") for n in range(4)]
    seen = shard(tmp_path / "low", low, Words())
    shard(tmp_path / "high", [passage(30, OFFICER)], Words())
    assert told(search([seen], "DPO", embedder=Words())) == told(
        search([shard(tmp_path / "alone", low, Words())], "DPO", embedder=Words())
    )


def test_an_acronym_told_in_one_shard_is_read_in_all_as_in_one_index(tmp_path: Path) -> None:
    passages = [passage(3 * n, f"Le délégué numéro {n} protège des données, dit le DPO.") for n in range(5)]
    passages.append(passage(30, OFFICER))
    whole = shard(tmp_path / "whole", passages, Words())
    spread = [shard(tmp_path / f"{n}", passages[n::2], Words()) for n in range(2)]
    for query in ("DPO salarié", "le dpo"):
        assert told(search(spread, query, embedder=Words())) == told(search([whole], query, embedder=Words()))
