"""Receipts and notices of recall: signed by a site, about one bundle and no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from casemate.airlock.recall import Recall, Recalled, page, read_recall
from casemate.airlock.receipts import Receipt, read_receipt
from casemate.errors import BadInput, BadSignature
from casemate.signing.trust import Trust
from tests.gates.conftest import NOW, pen_of

RECEIPT = Receipt("a" * 64, "port", "depot", "DR", 3, "taken", "", {"x": "taken"}, (2,), NOW)
RECALL = Recall("port", "depot", "a" * 64, "DR", 3, (Recalled("x", "sha256:" + "b" * 64),), "S", NOW)


def test_a_receipt_is_read_back_as_it_was_signed(trust: Trust, now: datetime) -> None:
    assert read_receipt(pen_of("port").sign(RECEIPT.statement()), trust, now=now) == RECEIPT


def test_only_a_sites_key_signs_receipts_and_recalls(trust: Trust, now: datetime) -> None:
    with pytest.raises(BadSignature, match="receipt by claire: expected a key with role site, found officer"):
        read_receipt(pen_of("claire").sign(RECEIPT.statement()), trust, now=now)
    with pytest.raises(BadSignature, match="recall notice by ines: expected a key with role site, found author"):
        read_recall(pen_of("ines").sign(RECALL.statement()), trust, now=now)


def test_a_receipt_is_no_recall(trust: Trust, now: datetime) -> None:
    with pytest.raises(
        BadSignature, match="recall notice statement: expected urn:casemate:recall:1, found urn:casemate:rec"
    ):
        read_recall(pen_of("port").sign(RECEIPT.statement()), trust, now=now)


def test_a_receipt_with_another_outcome_is_refused(trust: Trust, now: datetime) -> None:
    odd = replace(RECEIPT, outcome="perhaps")  # type: ignore[arg-type]
    with pytest.raises(
        BadInput, match="receipt outcome: expected Input should be 'taken' or 'refused', found 'perhaps'"
    ):
        read_receipt(pen_of("port").sign(odd.statement()), trust, now=now)


def test_a_recall_is_read_back_and_its_page_speaks_both_languages(trust: Trust, now: datetime) -> None:
    assert read_recall(pen_of("port").sign(RECALL.statement()), trust, now=now) == RECALL
    shown = page(RECALL, {"en": "RESTRICTED", "fr": "DIFFUSION RESTREINTE"}, ["port"]).decode()
    assert '<section lang="fr"' in shown
    assert '<section lang="en"' in shown
    assert "DIFFUSION RESTREINTE" in shown
    assert "sha256:" + "b" * 64 in shown


def test_a_page_for_a_peer_that_may_not_know_the_new_marking_does_not_tell_it() -> None:
    shown = page(replace(RECALL, raise_to="", sender="<script>"), {"en": "DR", "fr": "DR"}, []).decode()
    assert "--raise" not in shown
    assert "officier de sécurité" in shown
    assert "<script>" not in shown
