"""How fast each kind of file is inspected, against reading it and taking its SHA-256 in the same run.

Run: python bench/inspection.py [MiB a format] [format …]
A format is one line of MAKERS: a function that writes a clean file of about so many bytes. Inspection is the whole of
it, with one worker, every scanner and confinement; the time to start the worker (that of inspecting one small file) is
told apart. The scanner of the format is also measured alone, in this process. The reference reads and hashes the same
files, one after the other, warm as they are.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from casemate.airlock import ScanLimits, admit, scanners
from casemate.airlock.formats import FORMATS
from casemate.airlock.inspect import inspect

Make = Callable[[Path, int], None]
_FILES, _RUNS, _SMALL_BYTES = 4, 3, 256 << 10
CHANCE = np.random.default_rng(3)


def noise(size: int) -> bytes:
    return CHANCE.bytes(size)


def safetensors(file: Path, size: int) -> None:
    count = 200
    each = size // count // 4 * 4
    header = {
        f"layer.{i}.weight": {"dtype": "F32", "shape": [each // 4], "data_offsets": [i * each, (i + 1) * each]}
        for i in range(count)
    }
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + noise(count * each))


def onnx(file: Path, size: int) -> None:
    import onnx as library
    from onnx import TensorProto, helper, numpy_helper

    layers = 50
    side = max(8, int((size / layers / 4) ** 0.5))
    weights = [numpy_helper.from_array(CHANCE.random((side, side), np.float32), f"w{i}") for i in range(layers)]
    nodes = [helper.make_node("MatMul", [f"x{i}", f"w{i}"], [f"x{i + 1}"]) for i in range(layers)]
    x, y = (helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, [1, side]) for i in (0, layers))
    graph = helper.make_graph(nodes, "g", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    library.save_model(model, file)


def gguf(file: Path, size: int) -> None:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    each, count = size // 100 // 34 * 34, 100
    padded = -(-each // 32) * 32
    tokens = [f"token{i}" for i in range(50_000)]
    out = (
        b"GGUF" + struct.pack("<IQQ", 3, count, 2) + text("general.architecture") + struct.pack("<I", 8) + text("llama")
    )
    out += text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, len(tokens)) + b"".join(map(text, tokens))
    for i in range(count):
        out += text(f"blk.{i}.w") + struct.pack("<IQIQ", 1, each // 34 * 32, 8, i * padded)
    out += bytes(-len(out) % 32)
    file.write_bytes(out + b"".join(noise(each) + bytes(padded - each) for _ in range(count)))


def npy(file: Path, size: int) -> None:
    with file.open("wb") as stream:
        np.save(stream, np.frombuffer(noise(size), "f4"))


def npz(file: Path, size: int) -> None:
    with file.open("wb") as stream:
        np.savez_compressed(stream, a=np.arange(size // 8), b=np.frombuffer(noise(size // 2), "u1"))


def parquet(file: Path, size: int) -> None:
    import pyarrow as pa
    from pyarrow import parquet as library

    rows = size // 24
    words = np.array(["avion", "navire", "grue", "camion"])[CHANCE.integers(0, 4, rows)]
    columns = {"n": CHANCE.integers(0, 1 << 60, rows), "f": CHANCE.random(rows), "w": words}
    library.write_table(pa.table(columns), file, write_page_checksum=True)


# The formats that have a line in the table; a format is added by adding its maker.
MAKERS: dict[str, Make] = {
    "safetensors": safetensors,
    "onnx": onnx,
    "gguf": gguf,
    "npy": npy,
    "npz": npz,
    "parquet": parquet,
}


def rate(size: int, seconds: float) -> float:
    return size / seconds / 1e6


def reference_s(files: list[Path]) -> float:
    start = time.perf_counter()
    for file in files:
        with file.open("rb") as stream:
            hashlib.file_digest(stream, "sha256")
    return time.perf_counter() - start


def inspected_s(folder: Path, quarantine: Path, name: str) -> float:
    with admit(folder, quarantine) as admitted:
        start = time.perf_counter()
        report = inspect(admitted, allowed=frozenset({name}), limits=ScanLimits(workers=1))
        seconds = time.perf_counter() - start
    assert report.clean, [(f.path, f.findings) for f in report.refused]
    return seconds


def alone_s(files: list[Path], name: str) -> float:
    scanner = scanners.find(FORMATS[name].scanner)
    scanner.versions()
    start = time.perf_counter()
    for file in files:
        assert all(finding.note for finding in scanner.scan(file, name, ScanLimits()))
    return time.perf_counter() - start


def made(folder: Path, name: str, count: int, size: int) -> list[Path]:
    folder.mkdir()
    files = [folder / f"{i}.{max(FORMATS[name].endings)}" for i in range(count)]
    for file in files:
        MAKERS[name](file, size)
    return files


def measure(name: str, size: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        files = made(place / "arrived", name, _FILES, size // _FILES)
        made(place / "small", name, 1, _SMALL_BYTES)
        total = sum(file.stat().st_size for file in files)
        reference_s(files)  # warms the cache
        plain = min(reference_s(files) for _ in range(_RUNS))
        alone = min(alone_s(files, name) for _ in range(_RUNS))
        start = min(inspected_s(place / "small", place / "quarantine", name) for _ in range(_RUNS))
        whole = min(inspected_s(place / "arrived", place / "quarantine", name) for _ in range(_RUNS))
    seconds = max(whole - start, 1e-9)
    speeds = " | ".join(f"{rate(total, s):.0f}" for s in (seconds, alone, plain))
    return f"| {name} | {total / 1e6:.0f} | {start:.2f} | {speeds} | {seconds / plain:.2f} |"


def main() -> None:
    size = int(sys.argv[1]) << 20 if len(sys.argv) > 1 else 256 << 20
    heads = ("start, s", "inspected, MB/s", "its scanner alone, MB/s", "read and SHA-256, MB/s", "time against reading")
    print(f"| format | MB | {' | '.join(heads)} |")
    print("|---|---|---|---|---|---|---|")
    for name in sys.argv[2:] or MAKERS:
        print(measure(name, size), flush=True)


if __name__ == "__main__":
    main()
