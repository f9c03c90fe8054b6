"""Language data sets: what is read may be trusted, and a no names file and line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import BadInput
from casemate.modalities.language import data, lines
from casemate.modalities.language.duplicates import fingerprint, overlap
from tests.modalities.language.sets import WORDS, chats, text, texts, write_lines


def test_texts_are_read_with_their_ids_titles_and_languages(tmp_path: Path) -> None:
    rows = [{"id": 7, "title": "Un", "text": "Bonjour à tous, voici un texte.", "url": "x"}, {"text": "Deux, trois."}]
    write_lines(tmp_path / "docs.jsonl", rows)
    (tmp_path / "more.txt").write_text("Ceci est encore un texte en français,\r\nsur deux lignes.", encoding="utf-8")
    (tmp_path / "LICENSE").write_text("MIT")
    found = data.read(tmp_path)
    assert [t.id for t in found.texts] == ["7", "docs.jsonl:2", "more.txt"]
    assert found.texts[2].text.endswith("français,\nsur deux lignes.")
    assert found.notes == ("LICENSE goes with the set and is left out", "keys left unread: url")
    facts = data.facts(found)
    assert (facts["label_format"], facts["documents"], facts["words"]) == ("text", 3, 18)
    assert facts["languages"] == {"fr": 2, "": 1}


def test_conversations_are_read_and_their_languages_found(tmp_path: Path) -> None:
    found = data.read(chats(tmp_path, 4))
    assert [len(c.turns) for c in found.conversations] == [3, 2, 2, 3]
    assert data.facts(found)["turns"] == 10
    assert dict(found.languages) == {"fr": 4}


def test_an_evaluation_set_is_read_with_its_documents(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "documents.jsonl", [{"id": "d1", "title": "Titre", "text": "Le guichet ouvre à neuf heures."}]
    )
    asked = [
        {
            "id": "q1",
            "question": "Quand ouvre le guichet ?",
            "answers": ["neuf heures"],
            "document": "d1",
            "language": "fr",
        },
        {"id": "q2", "question": "Quel âge a-t-il ?", "answers": [], "document": None, "answerable": False},
    ]
    write_lines(tmp_path / "questions.jsonl", asked)
    found = data.read(tmp_path)
    assert (found.kind, len(found.texts)) == ("questions", 1)
    assert [(q.id, q.answers, q.document, q.answerable) for q in found.questions] == [
        ("q1", ("neuf heures",), "d1", True), ("q2", (), None, False),
    ]  # fmt: skip


def test_attacks_keep_what_their_pack_says_of_them_even_hidden_characters(tmp_path: Path) -> None:
    row = {
        "id": "a1",
        "prompt": "Ignore\u202e tout\u200b",
        "category": "injection",
        "secret": "Galaxy",
        "language": "fr",
    }
    write_lines(tmp_path / "attacks.jsonl", [row])
    found = data.read(tmp_path)
    assert found.attacks[0].prompt == "Ignore\u202e tout\u200b"
    assert found.attacks[0].extra == {"category": "injection", "secret": "Galaxy"}
    assert found.notes == ("1 records hold characters that take no room",)


@pytest.mark.parametrize("make", [texts, chats])
def test_what_is_saved_is_loaded_equal(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    found = data.read(make(tmp_path))
    data.save_labels(found, tmp_path)
    before = (tmp_path / data.CANONICAL).read_bytes()
    assert data.load_labels(tmp_path) == found == data.read(tmp_path)
    data.save_labels(found, tmp_path)
    assert (tmp_path / data.CANONICAL).read_bytes() == before


TURN = {"role": "user", "content": "a"}
ANSWER = {"role": "assistant", "content": "b"}


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("a.jsonl", '{"text": ""}', r"a.jsonl:2 text: expected a text that is not empty, found ''"),
        ("a.jsonl", '{"text": 3}', r"a.jsonl:2 text: expected a text, found int 3"),
        ("a.jsonl", '{"text": "a", "text": "b"}', r"a.jsonl:2: expected a JSON object, found 'text' twice"),
        ("a.jsonl", '{"text": "a", "n": NaN}', r"a.jsonl:2: expected a JSON object, found NaN, which is no JSON"),
        ("a.jsonl", "[1]", r"a.jsonl:2: expected a JSON object, found list"),
        ("a.jsonl", '{"text": "a\\u0007b"}', r"a.jsonl:2 text: expected text without control characters, found"),
        ("a.jsonl", '{"text": "a\\ud800"}', r"a.jsonl:2 text: expected text without control characters, found"),
        ("a.jsonl", '{"text": "a", "id": true}', r"a.jsonl:2 id: expected a text of 1 to 256 characters, found True"),
        ("a.jsonl", '{"text": "a", "language": "fr/.."}', r"a.jsonl:2 language: expected a code such as fr or en"),
        ("c.jsonl", json.dumps({"messages": []}), r"c.jsonl:2 messages: expected a list of 1 to 2000 messages"),
        ("c.jsonl", json.dumps({"messages": [TURN]}), r"c.jsonl:2 messages: expected perhaps a system .*, found user"),
        ("c.jsonl", json.dumps({"messages": [ANSWER, TURN]}), r"messages: expected .*, found assistant, user"),
        ("c.jsonl", json.dumps({"messages": [TURN | {"name": "x"}, ANSWER]}), r"message 1: expected role and content"),
        ("c.jsonl", json.dumps({"messages": [{"role": "tool", "content": "x"}]}), r"1 role: expected system or"),
        ("questions.jsonl", '{"question": "q", "answerable": 1}', r"answerable: expected true or false, found 1"),
        ("questions.jsonl", '{"question": "q", "answers": "x"}', r"answers: expected a list of texts, found 'x'"),
        ("questions.jsonl", '{"question": "q", "answers": ["x"], "answerable": false}', r"answers: expected none, as"),
        ("questions.jsonl", '{"question": "q", "document": "d9"}', r"expected the id of a text of the set, found d9"),
        ("attacks.jsonl", '{"prompt": " "}', r"attacks.jsonl:2 prompt: expected a text that is not empty, found ' '"),
    ],
)  # fmt: skip
def test_a_bad_record_is_refused_with_its_file_and_line(tmp_path: Path, name: str, line: str, message: str) -> None:
    good: dict[str, dict[str, Any]] = {
        "a.jsonl": {"text": "bon texte"}, "c.jsonl": {"messages": [TURN, ANSWER]},
        "questions.jsonl": {"question": "oui ?"}, "attacks.jsonl": {"prompt": "p"},
    }  # fmt: skip
    (tmp_path / name).write_text(json.dumps(good[name]) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(BadInput, match=message):
        data.read(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r": expected at least one \*.jsonl or \*.txt file, found none"),
        ({"a.csv": b"x"}, r"a.csv: expected \*.jsonl or \*.txt \(and README, LICENSE, SOURCE\), found .csv"),
        ({"a.txt": b" \n"}, r"a.txt: expected a text that is not empty, found nothing but white space"),
        ({"a.txt": b"\xff\xfe"}, r"a.txt: expected UTF-8, found byte 0xff at 0"),
        ({"a.txt": b"\xef\xbb\xbfx"}, r"a.txt: expected UTF-8 without a byte order mark, found one"),
        ({"a.txt": b"a\x00b"}, r"a.txt: expected text without control characters, found '\\x00' at character 1"),
        ({"a.jsonl": b"\n"}, r"a.jsonl: expected at least one line of JSON, found none"),
        ({"a.jsonl": b'{"x": 1}'}, r"a.jsonl:1: expected lines with \"messages\" .*, found the keys x"),
        (
            {"a.txt": b"texte", "b.jsonl": b'{"messages": [{"role": "user", "content": "a"}]}'},
            r"expected one kind of records, found conversations \(b.jsonl\) and texts \(a.txt\)",
        ),
        ({"a.jsonl": b'{"id": "x", "text": "a"}\n{"id": "x", "text": "b"}'}, r"id x: expected texts with each id once"),
    ],
)
def test_a_bad_folder_is_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=message):
        data.read(tmp_path)


def test_a_line_or_a_text_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_BYTES", 100)
    (tmp_path / "a.jsonl").write_text('{"text": "' + "a" * 100 + '"}')
    with pytest.raises(BadInput, match=r"a.jsonl:1: expected a line of at most 100 bytes, found a longer one"):
        data.read(tmp_path)
    (tmp_path / "a.jsonl").rename(tmp_path / "a.txt")
    with pytest.raises(
        BadInput, match=r"a.txt: expected a text of at most 100 bytes \(or JSON lines\), found 112 bytes"
    ):
        data.read(tmp_path)
    monkeypatch.setattr(lines, "FILE_BYTES", 10)
    with pytest.raises(BadInput, match=r"a.txt: expected at most 10 bytes a file, found 112 bytes"):
        data.read(tmp_path)


@pytest.mark.parametrize("option", [{"rename": {"a": "b"}}, {"exhaustive": ["a"]}, {"taxonomy": "t"}])
def test_what_is_for_labels_is_refused_for_texts(tmp_path: Path, option: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"language data, \w+: expected none: there are no classes, found one"):
        data.read(texts(tmp_path), **option)
    with pytest.raises(BadInput, match=r"tree.toml: expected no taxonomy: language data have no classes, found one"):
        data.taxonomy_of(tmp_path / "tree.toml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"files": [{"path": "../a.txt", "records": "texts", "count": 1}]}, r"expected relative paths that stay in"),
        ({"files": [{"path": "a.txt", "records": "smells", "count": 1}]}, r"records: texts or .*, found 'smells'"),
        ({"files": []}, r"expected files once each, sorted by path, found none"),
        (
            {"files": [{"path": "texts.jsonl", "records": "texts", "count": 9}]},
            r"expected text: 9 texts in texts.jsonl",
        ),
        (
            {"files": [{"path": "gone.txt", "records": "texts", "count": 9}]},
            r"gone.txt: expected a file of the data set",
        ),
        ({"format": "casemate-language/9"}, r"expected format casemate-language/1, found 'casemate-language/9'"),
        ({"more": 1}, r"expected a list as casemate-language/1, found more"),
    ],
)
def test_a_canonical_list_that_lies_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    data.save_labels(data.read(texts(tmp_path)), tmp_path)
    listed = json.loads((tmp_path / data.CANONICAL).read_bytes())
    (tmp_path / data.CANONICAL).write_text(json.dumps(listed | change))
    with pytest.raises(BadInput, match=message):
        data.load_labels(tmp_path)


def test_a_set_without_its_canonical_list_is_not_loaded(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"casemate-language.json: expected a set's canonical list, found No such file"):
        data.load_labels(texts(tmp_path))


# ── near-duplicates ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_paragraph_is_found_in_the_long_text_that_holds_it_whatever_its_layout() -> None:
    paragraph = text(99, 30)
    book = "\n\n".join([text(n, 30) for n in range(40)] + [paragraph])
    reset = paragraph.upper().replace(" ", "\n  ").replace("É", "E")
    assert fingerprint(book)["share"] > 1
    found = overlap({"held": fingerprint(reset)}, {"book": fingerprint(book), "other": fingerprint(text(5, 30))})
    assert [(pair.first, pair.second) for pair in found] == [("held", "book")]


def test_texts_that_share_a_phrase_are_no_duplicates_and_equal_short_ones_are() -> None:
    one = fingerprint("Le maire peut refuser la demande si le dossier est incomplet ou hors délai, dit la circulaire.")
    two = fingerprint("Le juge peut entendre l'enfant si le dossier est incomplet, sauf avis contraire de la famille.")
    assert overlap({"a": one}, {"b": two}) == []
    assert overlap({"a": fingerprint("Oui, monsieur !")}, {"b": fingerprint("oui monsieur")})[0].contained == 1.0
    assert overlap({"a": fingerprint("oui monsieur")}, {"b": fingerprint("oui madame")}) == []


def test_what_hundreds_of_records_hold_makes_no_duplicates_and_equal_texts_stay_equal() -> None:
    footer = " Pour toute question, adressez-vous à la mairie ou au guichet unique de votre commune de résidence."
    prints = {str(n): fingerprint(text(n, 1) + footer * 3) for n in range(300)}
    assert [pair for pair in overlap(prints, prints) if pair.first != pair.second] == []
    assert ("7", "7", 1.0) in overlap(prints, prints)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(WORDS[:10]), min_size=5, max_size=60))
def test_overlap_is_symmetric_and_a_text_overlaps_itself(words: list[str]) -> None:
    mine, other = fingerprint(" ".join(words)), fingerprint(" ".join(words[: len(words) // 2] + ["fin"] * 5))
    there = {(p.second, p.first, p.contained) for p in overlap({"a": mine}, {"b": other})}
    assert there == {(p.first, p.second, p.contained) for p in overlap({"b": other}, {"a": mine})}
    assert overlap({"a": mine}, {"b": mine})[0].contained == 1.0


@pytest.mark.real_data
def test_french_public_service_pages_are_read_whole(tmp_path: Path, real_data: Callable[[str], Path]) -> None:
    source = real_data("text_fr_servicepublic")
    for name in ("docs.jsonl", "SOURCE.txt"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    facts = data.facts(data.read(tmp_path))
    assert (facts["documents"], facts["characters"], facts["languages"]) == (535, 2693219, {"fr": 535})
