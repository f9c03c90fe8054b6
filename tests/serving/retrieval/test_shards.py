"""Shards on disk: exactly what is wanted, whoever is killed, whoever else writes, whatever lies half-written there."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest

from casemate.errors import BadInput, Unavailable
from casemate.serving.retrieval import Passage, search
from casemate.serving.retrieval.shard import Shard, open_shard, vector_folder
from casemate.serving.retrieval.shard_head import HEAD, LOCK, read_head
from casemate.serving.retrieval.vectors import Vectors
from casemate.serving.retrieval.writing import Source, update_shard
from tests.serving.retrieval.passages import EMBEDDER, MARKING, Words, passage, shard, sources, told

PORT = [
    passage(n, f"le navire {n} entre au port par le quai {n % 4}", entry="port", title="Entrées") for n in range(12)
]
CRANES = [passage(50 + n, f"la grue {n} décharge le navire", entry="cranes", title="Grues") for n in range(5)]
_FORK = get_context("fork")


def found(held: Shard, query: str = "navire grue quai 2", embedder: Words | None = None) -> list[object]:
    return list(told(search([held], query, embedder=embedder)))


def test_a_shard_that_was_never_written_is_empty(tmp_path: Path) -> None:
    assert found(open_shard(tmp_path / "none", MARKING)) == []
    assert not (tmp_path / "none").exists()


def test_what_is_fresh_is_not_written_again(tmp_path: Path) -> None:
    first = update_shard(tmp_path, sources(PORT), embedder=Words())
    before = sorted(f.name for f in tmp_path.rglob("*"))
    assert update_shard(tmp_path, sources(PORT), embedder=Words()) == first
    assert sorted(f.name for f in tmp_path.rglob("*")) == before


def test_a_text_that_comes_again_is_not_embedded_again(tmp_path: Path) -> None:
    update_shard(tmp_path, sources(PORT), embedder=Words())
    again = [passage(n, p.text, entry="again", title=p.title) for n, p in enumerate(PORT)]
    embedder = Words()
    update_shard(tmp_path, sources([*again, *CRANES]), embedder=embedder)
    assert embedder.asked
    assert all("grue" in text.casefold() for text in embedder.asked)


def test_vectors_are_those_of_the_passages_that_are_there(tmp_path: Path) -> None:
    update_shard(tmp_path, sources([*PORT, *CRANES]), embedder=Words())
    update_shard(tmp_path, sources(CRANES))  # by somebody who has no embedder
    shard(tmp_path / "clean", CRANES, Words())
    kept = [Vectors.open(vector_folder(folder, EMBEDDER)).keys.tolist() for folder in (tmp_path, tmp_path / "clean")]
    assert sorted(kept[0]) == sorted(kept[1])
    assert EMBEDDER in read_head(tmp_path).embedded


def test_a_reader_keeps_the_generation_that_they_opened_while_all_is_made_again(tmp_path: Path) -> None:
    held = shard(tmp_path, [*PORT, *CRANES])
    before = found(held)
    update_shard(tmp_path, sources(PORT), afresh=True)
    update_shard(tmp_path, {}, afresh=True)
    assert found(held) == before
    assert found(open_shard(tmp_path, MARKING)) == []


def test_one_bad_document_set_does_not_keep_the_others_from_being_found(tmp_path: Path) -> None:
    def bad() -> Iterator[Passage]:
        yield passage(1, "le navire", entry="bad")
        raise BadInput("passages.jsonl of bad, line 2", expected="a passage as JSON", found="another thing")

    head = update_shard(tmp_path, {**sources(PORT), "bad": Source("d", "harbour", bad)})
    assert head.entries["bad"].unreadable == (
        "passages.jsonl of bad, line 2: expected a passage as JSON, found another thing"
    )
    assert found(open_shard(tmp_path, MARKING)) == found(shard(tmp_path / "clean", PORT))


def test_a_set_that_names_two_passages_alike_is_unreadable(tmp_path: Path) -> None:
    head = update_shard(tmp_path, sources([PORT[0], PORT[0]]))
    expected = f"passages of port: expected each identifier once, found {PORT[0].id}"
    assert (head.entries["port"].unreadable, head.entries["port"].passages) == (expected, 0)


def test_two_writers_exclude_each_other(tmp_path: Path) -> None:
    update_shard(tmp_path, sources(PORT))
    fd = os.open(tmp_path / LOCK, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(Unavailable) as no:
        update_shard(tmp_path, sources(CRANES), wait=False)
    assert str(no.value) == f"{tmp_path}: expected nobody who writes this shard, found somebody who does"
    os.close(fd)
    update_shard(tmp_path, sources(CRANES), wait=False)


def test_a_half_written_generation_is_never_seen_and_is_swept(tmp_path: Path) -> None:
    before = found(shard(tmp_path, PORT))
    segment = next(tmp_path.glob("segment-*"))
    shutil.copytree(segment, tmp_path / "segment-00000099-0")
    (tmp_path / "segment-00000099-0" / "segment.json").write_text("{")
    (tmp_path / f"{HEAD}.new").write_text("{")
    assert found(open_shard(tmp_path, MARKING)) == before
    update_shard(tmp_path, sources([*PORT, *CRANES]))
    assert not (tmp_path / "segment-00000099-0").exists()
    assert not (tmp_path / f"{HEAD}.new").exists()


@pytest.mark.parametrize("name", ["segment.json", "texts.npy", "all-rows.npy", "names.npy"])
def test_a_file_that_is_not_as_listed_is_refused_by_name_and_the_shard_is_made_again(tmp_path: Path, name: str) -> None:
    before = found(shard(tmp_path, PORT))
    file = next(tmp_path.glob("segment-*")) / name
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(BadInput, match=name):
        open_shard(tmp_path, MARKING)
    update_shard(tmp_path, sources(PORT), afresh=True)
    assert found(open_shard(tmp_path, MARKING)) == before


def test_a_head_that_cannot_be_read_is_refused_and_the_shard_is_made_again(tmp_path: Path) -> None:
    before = found(shard(tmp_path, PORT))
    (tmp_path / HEAD).write_text('{"format": 3}')
    with pytest.raises(BadInput) as no:
        open_shard(tmp_path, MARKING)
    assert str(no.value).startswith(f"{tmp_path / HEAD}: expected the head of a shard, found format")
    update_shard(tmp_path, sources(PORT))
    assert found(open_shard(tmp_path, MARKING)) == before


def test_a_head_of_another_format_counts_as_nothing(tmp_path: Path) -> None:
    shard(tmp_path, PORT)
    head = json.loads((tmp_path / HEAD).read_text())
    (tmp_path / HEAD).write_text(json.dumps({**head, "format": "casemate-index/0"}))
    assert read_head(tmp_path).entries == {}


def test_an_embedder_that_is_not_named_by_a_digest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as no:
        vector_folder(tmp_path, "../escape")
    assert str(no.value) == "embedder: expected a digest as its name, found '../escape'"


def test_whoever_is_killed_leaves_one_generation_or_the_other(tmp_path: Path) -> None:
    """Killed before changes of the disk, one after the other, until a writer gets to its end.

    Before every one of them where CASEMATE_TEST_EVERY_STEP is set, else before some.
    """
    shard(tmp_path / "start", PORT, Words())
    ends = {tuple(map(str, found(shard(tmp_path / name, passages, Words()), embedder=Words())))
            for name, passages in (("before", PORT), ("after", [*PORT[:6], *CRANES]))}  # fmt: skip
    for step in range(0, 210, 1 if os.environ.get("CASEMATE_TEST_EVERY_STEP") else 13):
        folder = tmp_path / str(step)
        shutil.copytree(tmp_path / "start", folder)
        child = _FORK.Process(target=_write_until, args=(folder, step))
        child.start()
        child.join()
        got = tuple(map(str, found(open_shard(folder, MARKING), embedder=Words())))
        words = tuple(map(str, found(open_shard(folder, MARKING))))
        assert words in {tuple(map(str, found(open_shard(tmp_path / n, MARKING)))) for n in ("before", "after")}
        update_shard(folder, sources([*PORT[:6], *CRANES]), embedder=Words())
        mended = tuple(map(str, found(open_shard(folder, MARKING), embedder=Words())))
        assert mended == tuple(map(str, found(open_shard(tmp_path / "after", MARKING), embedder=Words())))
        shutil.rmtree(folder)
        if child.exitcode == 0:
            assert got in ends
            return
    raise AssertionError("a writer of more than 200 steps")


def _write_until(folder: Path, step: int) -> None:
    """Write in a process that dies, with nothing flushed, before its change number `step` of the disk."""
    left = step

    def watch(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        if event in {"os.rename", "os.remove", "os.mkdir", "os.rmdir"} or (
            event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        ):
            if not left:
                os._exit(9)
            left -= 1

    import sys

    sys.addaudithook(watch)
    update_shard(folder, sources([*PORT[:6], *CRANES]), embedder=Words())
    os._exit(0)


@pytest.mark.parametrize("damage", ["list", "vectors"])
def test_damaged_vectors_are_made_again_under_a_number_that_no_reader_holds(tmp_path: Path, damage: str) -> None:
    update_shard(tmp_path, sources(PORT), embedder=Words())
    place = vector_folder(tmp_path, EMBEDDER)
    update_shard(tmp_path, sources([*PORT, *CRANES]), embedder=Words())
    held = Vectors.open(place)
    for file in place.glob("vectors.json" if damage == "list" else "*.vectors.npy"):
        file.write_bytes(file.read_bytes()[:-1])
    update_shard(tmp_path, sources(PORT), embedder=Words(), afresh=True)
    again = Vectors.open(place)
    assert again.listed.generation > held.listed.generation
    assert len(again) < len(held)


def test_what_is_made_afresh_keeps_no_vector_of_what_has_gone(tmp_path: Path) -> None:
    update_shard(tmp_path, sources([*PORT, *CRANES]), embedder=Words())
    update_shard(tmp_path, sources(PORT), afresh=True)  # by whoever forgets what was raised, without an embedder
    vectors = Vectors.open(vector_folder(tmp_path, EMBEDDER))
    assert [segment.dead_rows for segment in vectors.listed.segments] == [0]
