"""Fingerprints in a model's folder: those of the model and of the one before it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from casemate.errors import BadInput
from casemate.learning import fingerprints


def test_a_model_keeps_what_the_one_before_it_learned_from(tmp_path: Path) -> None:
    older, newer = tmp_path / "older", tmp_path / "newer"
    for folder in (older, newer):
        folder.mkdir()
    fingerprints.write(older, "records", {"a": {"n": 1}, "b": {"n": 2}})
    fingerprints.write(newer, "records", {"b": {"n": 3}}, older)
    assert fingerprints.read(newer, "records") == {"a": {"n": 1}, "b": {"n": 3}}
    text = '{"format":"casemate-fingerprints/1","records":{"a":{"n":1},"b":{"n":3}}}\n'
    assert (newer / fingerprints.FILE).read_text() == text
    assert fingerprints.read(newer / fingerprints.FILE, "records") == fingerprints.read(newer, "records")


def test_without_a_file_there_are_none_and_a_new_model_starts_its_own(tmp_path: Path) -> None:
    assert fingerprints.read(tmp_path, "images") is None
    fingerprints.write(tmp_path, "images", {"a": {}}, tmp_path / "gone")
    assert fingerprints.read(tmp_path, "images") == {"a": {}}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("[", r"fingerprints.json: expected fingerprints \(casemate-fingerprints/1\), found"),
        ({"format": "casemate-fingerprints/1"}, r"fingerprints.json: expected fingerprints .*, found 'images'"),
        ({"format": "x", "images": {}}, "fingerprints.json: expected format casemate-fingerprints/1, found x"),
        ({"format": "casemate-fingerprints/1", "images": []}, "fingerprints.json: expected format casemate-fing"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, document: object, message: str) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    (tmp_path / fingerprints.FILE).write_text(text)
    with pytest.raises(BadInput, match=message):
        fingerprints.read(tmp_path, "images")
