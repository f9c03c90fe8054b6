"""Processor seconds of an inspection, which other work on the machine changes little: children and parent, by case.

    python bench/inspection_cpu.py [case …]           # all: pictures, tensors, texts, start

pictures: 2,500 PNG and 2,500 JPEG of 160 pixels, a text of labels each; tensors: 1 GB of safetensors; texts: 200 MB of
prose, JSON lines and CSV; start: a process for no file, by what it is told to expect. One worker, every scanner.
"""

from __future__ import annotations

import json
import random
import resource
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from casemate.airlock import ScanLimits, admit, formats
from casemate.airlock.inspect import inspect
from casemate.airlock.pool import Child, Order

CHANCE = random.Random(7)  # noqa: S311  the same texts in every run
_WORDS = (  # noqa: SIM905
    "le la un une de des navire avion port piste quai grue vu deux trois nord sud près loin hier image zone Le Une "
    "Dimanche, observations: capitaine réparation (voir annexe) passager système Monsieur 2031 12.5 45 API"
).split()


def seconds(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def pictures(folder: Path) -> None:
    from PIL import Image

    smooth = np.cumsum(np.random.default_rng(7).integers(-3, 4, (1500, 1500, 3)), axis=1).astype(np.uint8)
    scene = Image.fromarray(smooth)
    for i in range(5000):
        x, y = CHANCE.randrange(1340), CHANCE.randrange(1340)
        scene.crop((x, y, x + 160, y + 160)).save(folder / f"{i}.{'png' if i % 2 else 'jpg'}")
        (folder / f"{i}.txt").write_text("0 0.51234 0.25132 0.1 0.1\n" * 5)


def tensors(folder: Path) -> None:
    values, chance = 1 << 24, np.random.default_rng(7)
    facts = {f"l{i}": (i * values * 4, (i + 1) * values * 4) for i in range(16)}
    header = json.dumps(
        {n: {"dtype": "F32", "shape": [values], "data_offsets": at} for n, at in facts.items()}
    ).encode()
    with (folder / "m.safetensors").open("wb") as out:
        out.write(struct.pack("<Q", len(header)) + header)
        for _ in facts:
            out.write((chance.standard_normal(values, dtype=np.float32) * 0.02).tobytes())


def texts(folder: Path) -> None:
    for i in range(12):
        line = (prose, json_line, csv_line)[i % 3]
        name = f"{i}.{('txt', 'jsonl', 'csv')[i % 3]}"
        with (folder / name).open("w", encoding="utf-8") as out:
            while out.tell() < 17 << 20:
                out.write("".join(line() + "\n" for _ in range(1000)))


def prose() -> str:
    return " ".join(CHANCE.choices(_WORDS, k=25)) + "."


def json_line() -> str:
    return json.dumps({"id": CHANCE.randrange(10**6), "text": prose(), "score": CHANCE.random()}, ensure_ascii=False)


def csv_line() -> str:
    return ",".join(f"{CHANCE.random() * 1000:.5f}" for _ in range(6)) + ",car,scene.png"


def whole(name: str, make: Callable[[Path], None]) -> str:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "arrived"
        folder.mkdir()
        make(folder)
        with admit(folder, Path(place) / "quarantine") as admitted:
            before = seconds(resource.RUSAGE_CHILDREN), seconds(resource.RUSAGE_SELF)
            report = inspect(admitted, allowed=frozenset(formats.FORMATS), limits=ScanLimits(workers=1))
            after = seconds(resource.RUSAGE_CHILDREN), seconds(resource.RUSAGE_SELF)
    assert report.clean, report.refused[0]
    size = sum(file.size for file in report.files)
    return (
        f"| {name} | {len(report.files)} | {size / 1e6:.0f} | {after[0] - before[0]:.2f} | {after[1] - before[1]:.2f} |"
    )


def start(types: frozenset[str]) -> str:
    least = float("inf")
    for _ in range(3):
        before = seconds(resource.RUSAGE_CHILDREN)
        child = Child(Path("/usr/share"), Order(types, ScanLimits(), "", types))
        child.hello(60)
        child.end()
        least = min(least, seconds(resource.RUSAGE_CHILDREN) - before)
    return f"| start for {', '.join(sorted(types)) if len(types) < 4 else 'all formats'} | 0 | 0 | {least:.2f} | |"


CASES = {"pictures": pictures, "tensors": tensors, "texts": texts}


def main() -> None:
    wanted = sys.argv[1:] or [*CASES, "start"]
    print("| case | files | MB | children, s | parent, s |\n|---|---|---|---|---|")
    for name in wanted:
        if name == "start":
            for types in ({"text"}, {"safetensors"}, {"jpeg", "png", "text"}, set(formats.FORMATS)):
                print(start(frozenset(types)), flush=True)
        else:
            print(whole(name, CASES[name]), flush=True)


if __name__ == "__main__":
    main()
