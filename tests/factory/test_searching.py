"""Searching through the catalog: only the reader's shards, always up to date, the same whatever is above the reader."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.catalog import NewEntry
from casemate.errors import BadInput, DiskFull
from casemate.factory import Factory, searching
from casemate.serving.retrieval import shard as shards
from casemate.serving.retrieval import shard_head, writing
from casemate.store import put_folder
from tests.factory.town import Town, found

PEOPLE = {"lea": ("S//FRA", {"author"}), "ines": ("DR//FRA", {"author"}), "tom": ("NP//FRA", {"author"})}
TEXTS = ("le navire entre au port", "la grue décharge le navire", "le quai nord est fermé", "une note sur la paie")


@pytest.fixture
def town(tmp_path: Path) -> Town:
    made = found(tmp_path / "town", people=PEOPLE)
    made.acting("claire").add_project("open", marking="NP", members=frozenset(PEOPLE))
    return made


def add(factory: Factory, name: str, texts: list[str], marking: str, *, project: str = "open", **facts: str) -> str:
    """A document set with one document and one passage for each text."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "set"
        folder.mkdir()
        rows = [row(n, text, **facts) for n, text in enumerate(texts)]
        (folder / "passages.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        (folder / "documents.jsonl").write_text(name)
        manifest = put_folder(factory.store, folder)
    marked = factory.site.policy.parse(marking)
    new = NewEntry("documents", name, project, marked, manifest.digest, (), {"modality": "language"})
    return factory.catalog.register(new, by=factory.reader, sign=factory.sign).id


def row(n: int, text: str, **facts: str) -> dict[str, Any]:
    given = {"title": f"Note {n}", "heading": "", "language": "fr", "kind": "text", "date": "2029-01-01", **facts}
    return {"id": f"{n:032x}-00000", "document": f"{n:032x}", "number": 0, "text": text, "page": 1,
            "boxes": [[1, 0, 0, 10, 10]], **given}  # fmt: skip


def texts(found_: dict[str, Any]) -> list[str]:
    return [hit["text"] for hit in found_["hits"]]


def without_ids(found_: dict[str, Any]) -> dict[str, Any]:
    rows = [{k: v for k, v in hit.items() if k != "passage"} for hit in found_["hits"]]
    return {**found_, "hits": rows}


def test_a_search_finds_what_was_just_registered_and_says_its_marking(town: Town) -> None:
    entry = add(town.acting("lea"), "notes", list(TEXTS[:2]), "DR", project="harbour")
    told = town.acting("lea").search("grue")
    assert (told["marking"], told["embedder"], told["behind"]) == ("DR", "", False)
    assert [(hit["rank"], hit["passage"], hit["text"]) for hit in told["hits"]] == [
        (1, f"{entry}:{1:032x}-00000", TEXTS[1])
    ]
    assert 0 <= told["hits"][0]["confidence"] <= 1


def test_only_the_shards_of_markings_that_the_reader_sees_are_touched(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    lea = town.acting("lea")
    for name, marking in (("low", "NP"), ("mid", "DR"), ("high", "S")):
        add(lea, name, list(TEXTS), marking)
    lea.search("navire")
    touched: list[Path] = []
    for module, name in ((shards, "read_head"), (shard_head, "read_head"), (shards, "open_segment")):
        monkeypatch.setattr(module, name, _spy(touched, getattr(module, name)))
    tom = town.acting("tom")
    tom.search("navire")
    tom.index_status()
    tom.rebuild_index()
    own = searching.shard_folder(tom, tom.site.policy.parse("NP"))
    assert touched
    assert all(own == path or own in path.parents for path in touched)


def _spy(touched: list[Path], call: Any) -> Any:
    def spied(folder: Path, *rest: Any, **more: Any) -> Any:
        touched.append(folder)
        return call(folder, *rest, **more)

    return spied


def test_what_was_raised_is_found_no_more_and_leaves_the_shard(town: Town) -> None:
    lea = town.acting("lea")
    kept = add(lea, "kept", [TEXTS[0]], "NP")
    raised = add(lea, "raised", [TEXTS[1]], "NP")
    assert sorted(texts(town.acting("tom").search("navire"))) == sorted(TEXTS[:2])
    claire = town.acting("claire")
    claire.catalog.raise_markings({raised: claire.site.policy.parse("DR")}, by=claire.reader, reason="a spill")
    assert texts(town.acting("tom").search("navire")) == [TEXTS[0]]
    searching.forget(lea, [lea.site.policy.parse("NP")])
    folder = searching.shard_folder(lea, lea.site.policy.parse("NP"))
    assert list(shard_head.read_head(folder).entries) == [kept]
    assert all(b"grue" not in file.read_bytes() for file in folder.rglob("texts.npy"))


def gone(file: Path) -> None:
    file.unlink()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5])


@pytest.mark.parametrize("hurt", [gone, cut])
@pytest.mark.parametrize("name", ["head.json", "all-hashes.npy"])
def test_a_damaged_index_is_made_again_and_finds_the_same(town: Town, name: str, hurt: Callable[[Path], None]) -> None:
    add(town.acting("tom"), "harbour notes", list(TEXTS), "NP")
    tom = town.acting("tom")
    before = tom.search("navire")
    assert before["hits"]
    for mended in (lambda: None, tom.freshen):
        (file,) = (town.site / "index").rglob(name)
        hurt(file)
        mended()
        assert tom.search("navire") == before


def test_an_update_that_a_full_disk_stops_is_told_and_a_search_goes_on(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    tom = town.acting("tom")
    add(tom, "harbour notes", list(TEXTS), "NP")
    before = texts(tom.search("navire"))
    add(tom, "more notes", list(TEXTS), "NP")

    def full(folder: Path, *_: object, **__: object) -> None:
        raise DiskFull(folder, expected="room to write", found="No space left on device")

    monkeypatch.setattr(writing, "update_shard", full)
    with pytest.raises(DiskFull, match="expected room to write, found No space left on device"):
        tom.freshen()
    found_ = tom.search("navire")
    assert (texts(found_), found_["behind"]) == (before, True)


def test_filters_say_what_may_be_found(town: Town) -> None:
    lea = town.acting("lea")
    add(lea, "harbour", [TEXTS[0]], "DR", project="harbour", kind="pdf", date="2029-05-01")
    entry = add(lea, "open", [TEXTS[1]], "NP", language="en", kind="html", date="2028-01-01", document="f" * 32)
    for wish, expected in (
        ({"projects": ("harbour",)}, [TEXTS[0]]), ({"kinds": ("html",)}, [TEXTS[1]]),
        ({"languages": ("fr",)}, [TEXTS[0]]), ({"since": "2029-05-01"}, [TEXTS[0]]),
        ({"until": "2028-12-31"}, [TEXTS[1]]), ({"documents": ("open",)}, [TEXTS[1]]),
        ({"documents": (entry,)}, [TEXTS[1]]), ({"documents": (f"{0:032x}",)}, [TEXTS[0]]),
        ({"kinds": ("pdf",), "languages": ("en",)}, []),
    ):  # fmt: skip
        assert texts(lea.search("navire", **wish)) == expected, wish


@pytest.mark.parametrize(
    ("query", "wish", "message"),
    [
        ("  ", {}, "query: expected some words, found none"),
        ("a" * 10_001, {}, "query: expected at most 10000 characters, found 10001"),
        ("a", {"limit": 0}, "limit: expected from 1 to 1000 passages, found 0"),
        ("a", {"since": "yesterday"}, "since: expected a date as YYYY-MM-DD, found 'yesterday'"),
    ],
)
def test_what_is_not_a_search_is_refused(town: Town, query: str, wish: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as no:
        town.acting("tom").search(query, **wish)
    assert str(no.value) == message


def test_the_journal_tells_of_a_search_and_not_what_was_asked(town: Town) -> None:
    add(town.acting("lea"), "notes", list(TEXTS), "NP")
    town.acting("tom").search("navire secret")
    line = town.acting("tom").journal(limit=1)[0]
    assert (line["verb"], line["facts"]) == ("search", {"hits": 2, "embedder": ""})
    assert "secret" not in json.dumps(line, default=str)


def test_the_status_says_what_is_held_and_whether_that_is_all(town: Town) -> None:
    lea = town.acting("lea")
    add(lea, "notes", list(TEXTS), "NP")
    assert [(r["passages"], r["up_to_date"]) for r in lea.index_status()] == [(0, False)]
    expected = {
        "marking": "NP", "document_sets": 1, "passages": 4, "unreadable": 0, "up_to_date": True, "embedder": "",
    }  # fmt: skip
    assert lea.freshen() == [expected]
    assert lea.rebuild_index() == [expected]
    add(lea, "more", list(TEXTS), "DR")
    assert town.acting("tom").index_status() == [expected]


marked = st.lists(
    st.tuples(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3), st.sampled_from(["NP", "DR", "S"])), max_size=4
)


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("founded") / "town"
    made = found(root, people=PEOPLE)
    made.acting("claire").add_project("open", marking="NP", members=frozenset(PEOPLE))
    return root


@settings(max_examples=6, deadline=None)
@given(sets=marked, who=st.sampled_from(["tom", "ines"]), query=st.sampled_from(["navire", "quai paie", "grue port"]))
def test_the_law_a_search_is_that_of_a_site_without_anything_above_the_reader(
    founded: Path, sets: list[tuple[list[str], str]], who: str, query: str
) -> None:
    import shutil

    answers = []
    for above in (True, False):
        with tempfile.TemporaryDirectory() as place:
            shutil.copytree(founded, Path(place) / "town")
            here = Town(Path(place) / "town", Town(founded, _clock).clock)
            lea = here.acting("lea")
            reader = here.acting(who)
            for number, (own, marking) in enumerate(sets):
                if above or reader.reader.may_read(lea.site.policy.parse(marking)):
                    add(lea, f"set{number}", own, marking)
            if above:
                lea.search(query)  # those above search too, and leave their shards beside
            acting = here.acting(who)
            status = [{k: v for k, v in r.items() if k != "up_to_date"} for r in acting.freshen()]
            answers.append((without_ids(acting.search(query)), status))
    assert answers[0] == answers[1]


def _clock() -> Any:
    from casemate.factory.desk import utc_now

    return utc_now()
