"""Vectors of a shard: what is added is found, what is removed is not, whatever way a generation came to be."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import BadInput, Unavailable
from casemate.serving.retrieval import nearest, sketches
from casemate.serving.retrieval.vector_list import read_list, writing
from casemate.serving.retrieval.vector_writing import tail_to_merge
from casemate.serving.retrieval.vectors import Near, Vectors, search_shards
from tests.serving.retrieval.clusters import brute_force, built, clustered, named

DIM = 24


def test_few_vectors_are_searched_exactly(tmp_path: Path) -> None:
    keys, rows = named(300), clustered(300, DIM, 1)
    vectors = built(tmp_path / "v", keys, rows)
    for query in clustered(5, DIM, 2):
        assert vectors.search(query, 10) == brute_force(keys, rows, query, 10)


def test_a_cosine_is_that_of_the_vectors_given_to_four_decimals(tmp_path: Path) -> None:
    keys, rows = named(50), clustered(50, 384, 1)
    query = clustered(1, 384, 2)[0]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    true = dict(zip(keys, (unit @ (query / np.linalg.norm(query))).tolist(), strict=True))
    assert all(abs(true[key] - cosine) < 1e-4 for key, cosine in built(tmp_path / "v", keys, rows).search(query, 50))


def test_equal_vectors_come_in_the_order_of_their_keys(tmp_path: Path) -> None:
    rows = np.repeat(clustered(1, DIM, 1), 5, axis=0)
    vectors = built(tmp_path / "v", ["d", "a", "é", "b", "c"], rows)
    assert [key for key, _ in vectors.search(rows[0], 4)] == ["a", "b", "c", "d"]


def test_asking_for_more_than_there_is_gives_what_there_is(tmp_path: Path) -> None:
    vectors = built(tmp_path / "v", named(3), clustered(3, DIM, 1))
    assert len(vectors.search(clustered(1, DIM, 2)[0], 10)) == 3
    assert vectors.search(clustered(1, DIM, 2)[0], 0) == []


def test_a_folder_that_was_never_written_holds_nothing(tmp_path: Path) -> None:
    vectors = Vectors.open(tmp_path / "never", dim=DIM)
    assert (len(vectors), vectors.dim, vectors.keys.tolist()) == (0, 0, [])
    assert vectors.search(clustered(1, DIM, 1)[0], 5) == []
    assert len(vectors.update(remove=["x"])) == 0


def test_what_is_removed_is_not_found_and_what_is_added_again_is_replaced(tmp_path: Path) -> None:
    rows = clustered(4, DIM, 1)
    vectors = built(tmp_path / "v", ["a", "b", "c"], rows[:3])
    after = vectors.update(add=(["b"], rows[3:]), remove={"a", "unknown"})
    assert sorted(after.keys.tolist()) == [b"b", b"c"]
    assert after.search(rows[3], 1)[0] == pytest.approx(("b", 1.0), abs=1e-4)


def test_a_reader_keeps_the_generation_that_they_opened(tmp_path: Path) -> None:
    rows = clustered(40, DIM, 1)
    before = built(tmp_path / "v", named(40), rows)
    answer = before.search(rows[0], 5)
    after = before.update(remove=[answer[0][0]]).merge()
    rebuilt = built(tmp_path / "v", named(7, "n"), rows[:7])
    assert before.search(rows[0], 5) == answer
    assert after.search(rows[0], 4) == answer[1:]
    assert (before.latest().listed, len(rebuilt)) == (rebuilt.listed, 7)
    assert rebuilt.latest() is rebuilt


def test_only_allowed_keys_are_found(tmp_path: Path) -> None:
    keys, rows, query = named(60), clustered(60, DIM, 1), clustered(1, DIM, 2)[0]
    vectors = built(tmp_path / "v", keys[:50], rows[:50]).update(add=(keys[50:], rows[50:]), remove=keys[:10])
    mask = vectors.mask([*keys[5:30], "unknown", "a key longer than all those of the shard"])
    assert sorted(vectors.keys[mask].tolist()) == [key.encode() for key in keys[10:30]]
    assert vectors.search(query, 8, mask) == brute_force(keys[10:30], rows[10:30], query, 8)
    assert vectors.search(query, 8, np.zeros(50, np.bool_)) == []


def test_a_shard_is_few_files_whatever_its_updates_were(tmp_path: Path) -> None:
    keys, rows = named(200), clustered(200, DIM, 1)
    vectors = Vectors.open(tmp_path / "v")
    for start in range(0, 200, 4):
        vectors = vectors.update(add=(keys[start : start + 4], rows[start : start + 4]))
    assert len(vectors.segments) <= 5
    named_now = {file.name for segment in vectors.listed.segments for file in segment.files()}
    assert {file.name for file in (tmp_path / "v").iterdir()} == {*named_now, "lock", "vectors.json"}
    vectors.check()


@pytest.mark.parametrize(
    ("rows", "start"), [([], 0), ([5], 0), ([5, 5], 0), ([11, 5], 1), ([40, 11, 5, 1], 3), ([38, 11, 5, 3], 0)]
)
def test_each_segment_has_more_than_twice_the_rows_of_all_later_ones(rows: list[int], start: int) -> None:
    assert tail_to_merge(rows) == start


def test_nothing_to_change_is_no_new_generation(tmp_path: Path) -> None:
    vectors = built(tmp_path / "v", named(3), clustered(3, DIM, 1))
    assert vectors.update(remove=["unknown"]).listed == vectors.listed == vectors.merge().listed


def test_a_place_tells_two_shards_with_the_same_key_apart(tmp_path: Path) -> None:
    rows = clustered(1, DIM, 1)
    shards = [built(tmp_path / name, ["k"], rows) for name in "ab"]
    assert search_shards(shards, rows[0], 5) == [
        Near("k", pytest.approx(1, abs=1e-4), 0),
        Near("k", pytest.approx(1, abs=1e-4), 1),
    ]


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "merge"]), st.sets(st.integers(0, 39), max_size=12), st.integers(0, 3)),
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_any_sequence_of_updates_answers_as_a_fresh_build(steps: list[tuple[str, set[int], int]]) -> None:
    names, pool, queries = named(40), clustered(160, 8, 1), clustered(3, 8, 2)
    with tempfile.TemporaryDirectory() as folder:
        vectors, there = Vectors.open(Path(folder) / "v"), {}
        for verb, numbers, version in steps:
            if verb == "add":
                added = {names[number]: pool[40 * version + number] for number in numbers}
                vectors = vectors.update(add=(list(added), np.array(list(added.values())).reshape(-1, 8)))
                there |= added
            elif verb == "remove":
                vectors = vectors.update(remove={names[number] for number in numbers})
                there = {key: row for key, row in there.items() if key not in {names[number] for number in numbers}}
            else:
                vectors = vectors.merge()
        rows = np.array(list(there.values()), np.float32).reshape(-1, 8)
        fresh = built(Path(folder) / "fresh", list(there), rows) if there else Vectors.open(Path(folder) / "fresh")
        for query in queries:
            expected = brute_force(list(there), rows, query, 10)
            assert vectors.search(query, 10) == fresh.search(query, 10) == expected


def test_recall_on_many_clustered_vectors_is_at_least_95_percent(tmp_path: Path) -> None:
    keys, rows = named(30_000), clustered(30_000, 96, 1, clusters=150)
    vectors = built(tmp_path / "v", keys, rows)
    assert len(vectors) > nearest.EXACT_ROWS
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found = 0
    queries = clustered(60, 96, 2, clusters=150)
    for query in queries:
        best = {keys[place] for place in np.argsort(-(unit @ query))[:10]}
        found += len(best & {key for key, _ in vectors.search(query, 10)})
    assert found / (10 * len(queries)) >= 0.95


def test_many_equal_vectors_are_found_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "EXACT_ROWS", 100)
    monkeypatch.setattr(nearest, "FIRST_ROWS", 50)
    monkeypatch.setattr(nearest, "SCORED_MAX", 60)
    rows = np.repeat(clustered(1, DIM, 1), 400, axis=0)
    shards = [built(tmp_path / f"{part}", named(400)[part::3], rows[part::3]) for part in range(3)]
    assert [near.key for near in search_shards(shards, rows[0], 5)] == named(5)


def test_threads_change_no_bit_of_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, rows = named(6000), clustered(6000, DIM, 1)
    shards = [built(tmp_path / f"{part}", keys[part::5], rows[part::5]) for part in range(5)]
    queries = clustered(5, DIM, 2)
    alone = [search_shards(shards, query, 20) for query in queries]
    monkeypatch.setattr(nearest, "_THREAD_ROWS_MIN", 10)
    monkeypatch.setattr(nearest, "_SLICED_MIN", 2)
    monkeypatch.setattr(nearest, "cores", lambda: 3)
    nearest._crew.cache_clear()
    assert [search_shards(shards, query, 20) for query in queries] == alone


def test_a_process_forked_after_a_search_searches_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "cores", lambda: 2)
    rows = clustered(1000, DIM, 1)
    vectors = built(tmp_path / "v", named(1000), rows)
    answer = vectors.search(rows[0], 5)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if vectors.search(rows[0], 5) == answer else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_query_has_the_sketch_that_it_would_have_as_a_row() -> None:
    kept = sketches.whole(sketches.unit_rows(clustered(100, 96, 3), "rows"))
    assert all(
        (sketches.query_sketch(row) == one).all() for row, one in zip(kept, sketches.sketched(kept), strict=True)
    )


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_two_writers_exclude_one_another(tmp_path: Path) -> None:
    vectors = built(tmp_path / "v", named(3), clustered(3, DIM, 1))
    with writing(tmp_path / "v"), pytest.raises(Unavailable) as why:
        vectors.update(remove=["k000000"])
    assert str(why.value) == f"{tmp_path}/v: expected nobody who writes these vectors, found somebody who does"
    assert len(vectors.update(remove=["k000000"])) == 2


def test_vectors_of_another_embedder_are_refused(tmp_path: Path) -> None:
    vectors = built(tmp_path / "v", named(3), clustered(3, DIM, 1))
    file = f"{tmp_path}/v/vectors.json"
    with pytest.raises(BadInput, match=f"{file}: expected vectors of 24 dimensions, found 8"):
        vectors.update(add=(["x"], clustered(1, 8, 1)))
    with pytest.raises(BadInput, match=f"{file}: expected 8 dimensions, found 24"):
        Vectors.open(tmp_path / "v", dim=8)
    with pytest.raises(BadInput, match=f"{file}: expected 8 dimensions, found 24"):
        vectors.search(clustered(1, 8, 1)[0], 3)
    assert len(vectors.latest()) == 3


@pytest.mark.parametrize(
    ("keys", "rows", "words"),
    [
        (["a"], np.zeros((1, 4), np.float32), "expected finite vectors of a length above 0, found length 0.0 in row 0"),
        (["a", "b"], np.array([[1, 0], [np.nan, 0]], np.float32), "found length nan in row 1"),
        (["a"], np.full((1, 2), np.inf), "found length inf in row 0"),
        (["a"], np.ones((2, 4)), "expected 1 vectors of 1 to 65536 dimensions, found an array of (2, 4)"),
        (["a"], np.ones(4), "found an array of (4,)"),
        (["a", "a"], np.ones((2, 4)), "expected each key once, found 'a' twice"),
        ([""], np.ones((1, 4)), "expected keys of 1 to 512 bytes without NUL, found ''"),
        (["a\0"], np.ones((1, 4)), "expected keys of 1 to 512 bytes without NUL, found 'a\\x00'"),
        (["x" * 513], np.ones((1, 4)), "expected keys of 1 to 512 bytes without NUL"),
        (["\ud800"], np.ones((1, 4)), "expected keys that are text, found '\\ud800'"),
    ],
)
def test_what_is_no_vector_or_no_key_is_refused(tmp_path: Path, keys: list[str], rows: object, words: str) -> None:
    with pytest.raises(BadInput) as why:
        Vectors.build(tmp_path / "v", keys, rows)  # type: ignore[arg-type]
    assert words in str(why.value)
    assert str(why.value).startswith(f"{tmp_path}/v: ")
    assert len(Vectors.open(tmp_path / "v")) == 0


def test_a_query_without_direction_or_a_wrong_mask_is_refused(tmp_path: Path) -> None:
    vectors = built(tmp_path / "v", named(3), clustered(3, DIM, 1))
    with pytest.raises(BadInput, match="query: expected finite vectors of a length above 0, found length 0"):
        vectors.search(np.zeros(DIM), 3)
    with pytest.raises(BadInput, match=r"expected a mask of 3 keys, found bool \(2,\)"):
        vectors.search(np.ones(DIM), 3, np.ones(2, np.bool_))
    with pytest.raises(BadInput, match="search of vectors: expected at most 1024 asked for, found 2000"):
        vectors.search(np.ones(DIM), 2000)


def damaged(folder: Path, kind: str) -> tuple[Path, str]:
    """A file of a shard made wrong, and what is said of it."""
    [file] = folder.glob(f"*.{kind}.npy")
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:-1])
    return file, f"{file}: expected {size} bytes, found {size - 1} bytes"


@pytest.mark.parametrize("kind", ["keys", "vectors", "sketches", "dead"])
def test_a_truncated_file_is_named_with_both_sizes(tmp_path: Path, kind: str) -> None:
    built(tmp_path / "v", named(9), clustered(9, DIM, 1)).update(remove=["k000000"])
    file, words = damaged(tmp_path / "v", kind)
    with pytest.raises(BadInput) as why:
        Vectors.open(tmp_path / "v")
    assert str(why.value) == words
    file.unlink()
    with pytest.raises(BadInput, match=f"{file}: expected a regular file that can be read, found No such file"):
        Vectors.open(tmp_path / "v")


def test_a_damaged_shard_is_built_again_and_answers(tmp_path: Path) -> None:
    keys, rows = named(9), clustered(9, DIM, 1)
    for damage in ("vectors", "list"):
        built(tmp_path / "v", keys, rows).update(remove=["k000000"])
        if damage == "list":
            (tmp_path / "v" / "vectors.json").write_text("{")
        else:
            damaged(tmp_path / "v", damage)
        with pytest.raises(BadInput):
            Vectors.open(tmp_path / "v")
        again = built(tmp_path / "v", keys, rows)
        assert again.search(rows[0], 3) == brute_force(keys, rows, rows[0], 3)
        assert len(list((tmp_path / "v").iterdir())) == 5


def test_a_file_of_another_type_shape_or_format_is_named(tmp_path: Path) -> None:
    built(tmp_path / "v", named(9), clustered(9, DIM, 1))
    [file] = (tmp_path / "v").glob("*.vectors.npy")
    size = file.stat().st_size
    np.save(file, np.zeros((DIM, 9), np.int16))
    with pytest.raises(BadInput) as why:
        Vectors.open(tmp_path / "v")
    assert str(why.value) == f"{file}: expected <i2 (9, 24), found <i2 (24, 9)"
    np.save(file, np.zeros((9, DIM // 2), np.float32))
    with pytest.raises(BadInput, match="found <f4"):
        Vectors.open(tmp_path / "v")
    file.write_bytes(b"\x93NUMPY\x07" + bytes(size - 7))
    with pytest.raises(BadInput, match="expected a NumPy array, found a file with another header"):
        Vectors.open(tmp_path / "v")


def test_a_changed_byte_is_found_by_the_check(tmp_path: Path) -> None:
    vectors = built(tmp_path / "v", named(9), clustered(9, DIM, 1))
    [file] = (tmp_path / "v").glob("*.vectors.npy")
    with file.open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x7f")
    with pytest.raises(BadInput, match=f"{file}: expected {vectors.listed.segments[0].vectors.sha256}, found "):
        vectors.check()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "casemate-vectors/9"}, "expected casemate-vectors/1 of 512 bits, found casemate-vectors/9 of 512"),
        ({"bits": 64}, "expected casemate-vectors/1 of 512 bits, found casemate-vectors/1 of 64 bits"),
        ({"dim": 0}, "expected a list of vectors, found dim: Input should be greater than or equal to 1"),
        ({"more": 1}, "expected a list of vectors, found more: Extra inputs are not permitted"),
        ({"generation": "3"}, "expected a list of vectors, found generation: Input should be a valid integer"),
    ],
)
def test_a_list_that_is_not_ours_is_refused(tmp_path: Path, change: dict[str, object], words: str) -> None:
    built(tmp_path / "v", named(3), clustered(3, DIM, 1))
    file = tmp_path / "v" / "vectors.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(BadInput) as why:
        read_list(tmp_path / "v")
    assert str(why.value).startswith(f"{file}: {words}")


@pytest.mark.parametrize("name", ["../x.npy", "/etc/passwd", "00000001-1.vectors.npy\n", "00000001-1.vectors.pt"])
def test_a_list_that_names_a_file_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    built(tmp_path / "v", named(3), clustered(3, DIM, 1))
    file = tmp_path / "v" / "vectors.json"
    facts = json.loads(file.read_text())
    facts["segments"][0]["vectors"]["name"] = name
    file.write_text(json.dumps(facts))
    with pytest.raises(BadInput, match=r"found segments\.0\.vectors\.name: String should match pattern"):
        Vectors.open(tmp_path / "v")


def test_links_and_lists_without_end_are_not_followed(tmp_path: Path) -> None:
    built(tmp_path / "v", named(3), clustered(3, DIM, 1))
    [file] = (tmp_path / "v").glob("*.vectors.npy")
    shutil.move(file, tmp_path / "elsewhere.npy")
    file.symlink_to(tmp_path / "elsewhere.npy")
    with pytest.raises(BadInput, match=f"{file}: expected a regular file that can be read"):
        Vectors.open(tmp_path / "v")
    with (tmp_path / "v" / "vectors.json").open("r+b") as stream:
        stream.truncate(1 << 30)
    with pytest.raises(BadInput, match="expected at most 16777216 bytes, found 1073741824 bytes"):
        Vectors.open(tmp_path / "v")
