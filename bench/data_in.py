"""Data in: `casemate data import` against `cp -r` + `sha256sum` and against `dvc add`, same files, same run.

    python bench/data_in.py                                  # 20,000 files of 100 kB, then 4 files of 1 GB
    python bench/data_in.py --files 2000 --large-gb 0.1      # smaller
    python bench/data_in.py --dvc /path/to/venv/bin/dvc      # with dvc, from a virtual environment of its own

The files are GeoTIFFs that decode (random pixels, uncompressed), with one labelled box each. The import is the whole
command line as a user runs it: start-up, quarantine, inspection (every image decoded in a child process), reading,
store, catalog, journal, synchronised to disk. `cp -r` and `sha256sum` are two commands, as a user runs them; nothing of
theirs is synchronised inside the time taken. The disk is synchronised before each measurement, outside its time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_BLOCK = 1 << 24


@dataclass(frozen=True)
class Case:
    name: str
    files: int
    side_px: int  # square RGB, 3 bytes a pixel
    tiled: bool


@dataclass(frozen=True)
class Measured:
    case: str
    files: int
    bytes: int
    command: str
    seconds: float
    runs_s: tuple[float, ...]
    ratio: float


def template(case: Case, folder: Path) -> tuple[bytes, int]:
    """What comes before the pixels of such an image, and how many bytes of pixels follow (whole tiles)."""
    import rasterio
    from rasterio.transform import from_origin

    file = folder / "template.tif"
    tiling = {"tiled": True, "blockxsize": 512, "blockysize": 512} if case.tiled else {"blockysize": case.side_px}
    with rasterio.open(
        file, "w", driver="GTiff", width=case.side_px, height=case.side_px, count=3, dtype="uint8", crs="EPSG:32631",
        transform=from_origin(500_000, 4_800_000, 0.5, 0.5), photometric="RGB", interleave="pixel",
        BIGTIFF="NO", SPARSE_OK=False, **tiling,
    ) as image:  # fmt: skip
        image.write(np_zeros(case.side_px))
    with rasterio.open(file) as image:
        start = int(image.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    with file.open("rb") as stream:
        head = stream.read(start)
    size = file.stat().st_size - start
    file.unlink()
    return head, size


def np_zeros(side_px: int) -> Any:
    import numpy as np

    return np.broadcast_to(np.uint8(1), (3, side_px, side_px))


def generate(case: Case, folder: Path) -> int:
    """Fill `folder` with the case's images and their labels; the bytes written."""
    folder.mkdir(parents=True)
    head, size = template(case, folder)
    chance = random.Random(case.name)  # noqa: S311  pixels, the same in every run
    rows = ["path,xmin,ymin,xmax,ymax,label"]
    for number in range(case.files):
        name = f"part{number // 1000:02}/scene{number:05}.tif"
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        with file.open("wb") as stream:
            stream.write(head)
            left = size
            while left > 0:
                left -= stream.write(chance.randbytes(min(left, _BLOCK)))
        rows.append(f"{name},10,10,40,30,car")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


class Bench:
    """One folder on one disk, where each command gets the same files."""

    def __init__(self, place: Path, dvc: str | None, repeat: int) -> None:
        self.place, self.dvc, self.repeat = place, dvc, repeat
        (place / "passphrase").write_text("bench passphrase\n", encoding="utf-8")

    def measure(self, case: Case) -> list[Measured]:
        source = self.place / "source"
        size = generate(case, source)
        commands: dict[str, Callable[[Path], float]] = {
            "cp -r + sha256sum": self.copy,
            "casemate data import": self.casemate,
        }
        if self.dvc:
            commands["dvc add"] = self.dvc_add
        runs: dict[str, list[float]] = {command: [] for command in commands}
        for _ in range(self.repeat):
            for command, run in commands.items():
                runs[command].append(run(source))
                print(f"{case.name}: {command}: {runs[command][-1]:.2f} s", file=sys.stderr, flush=True)
        shutil.rmtree(source)
        base = statistics.median(runs["cp -r + sha256sum"])
        return [
            Measured(case.name, case.files, size, command, statistics.median(times), tuple(times),
                     statistics.median(times) / base)
            for command, times in runs.items()
        ]  # fmt: skip

    def copy(self, source: Path) -> float:
        target = self.place / "copy"
        seconds = timed(["cp", "-r", str(source), str(target)])
        seconds += timed(["sh", "-c", f"find {target} -type f -print0 | xargs -0 sha256sum > {self.place}/sums"])
        shutil.rmtree(target)
        return seconds

    def casemate(self, source: Path) -> float:
        site, key = self.place / "site", self.place / "engineer.key"
        asking = ["--passphrase-file", str(self.place / "passphrase")]
        officer = ["--site", str(site), "--key", str(self.place / "officer.key"), *asking]
        for words in (
            ["init", str(site), "--ceiling", "DR", "--officer", "officer", "--officer-key",
             str(self.place / "officer.key"), *asking],
            ["key", "new", str(key), *asking],
["people", "add", "engineer", "--public-key", f"{key}.pub", "--clearance", "DR", "--role", "author",
             *officer],
            ["project", "add", "bench", "--marking", "DR", "--member", "engineer", *officer],
        ):  # fmt: skip
            run([*CASEMATE, *words])
        acting = ["--site", str(site), "--key", str(key), *asking]
        said = ["data", "import", str(source), "--name", "bench", "--marking", "DR", "--project", "bench", *acting]
        seconds = timed([*CASEMATE, *said])
        shutil.rmtree(site)
        for left in self.place.glob("*.key*"):
            left.unlink()
        return seconds

    def dvc_add(self, source: Path) -> float:
        repository = self.place / "repository"
        repository.mkdir()
        home = os.environ | {
            "HOME": str(self.place),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.place / "dvc"),
        }
        run([str(self.dvc), "init", "--no-scm", "-q"], cwd=repository, env=home)
        shutil.copytree(source, repository / "set")
        seconds = timed([str(self.dvc), "add", "-q", "set"], cwd=repository, env=home)
        shutil.rmtree(repository)
        return seconds


CASEMATE = (str(Path(sys.executable).with_name("casemate")),)


def run(argv: Sequence[str], **how: Any) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **how)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")


def timed(argv: Sequence[str], **how: Any) -> float:
    os.sync()  # what was written before is not this command's to wait for
    start = time.perf_counter()
    run(argv, **how)
    return time.perf_counter() - start


def table(measured: Sequence[Measured]) -> str:
    lines = [
        "| files | command | seconds | MB/s | against cp -r + sha256sum |",
        "|---|---|---:|---:|---:|",
    ]
    for m in measured:
        what = f"{m.case} ({m.bytes / 1e9:.2f} GB)"
        lines.append(f"| {what} | `{m.command}` | {m.seconds:.1f} | {m.bytes / m.seconds / 1e6:.0f} | {m.ratio:.2f} |")
    return "\n".join(lines)


def cases(options: argparse.Namespace) -> list[Case]:
    small_px = int((options.file_kb * 1000 / 3) ** 0.5)
    large_px = int((options.large_gb * 1e9 / 3) ** 0.5)
    wanted = {
        "small": Case(f"{options.files} files of {options.file_kb} kB", options.files, small_px, tiled=False),
        "large": Case(f"{options.large} files of {options.large_gb:g} GB", options.large, large_px, tiled=True),
    }
    return [case for name, case in wanted.items() if options.only in {name, "both"} and case.files]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--file-kb", type=int, default=100)
    parser.add_argument("--large", type=int, default=4)
    parser.add_argument("--large-gb", type=float, default=1.0)
    parser.add_argument("--only", choices=["small", "large", "both"], default="both")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each command, in turns; the median counts")
    parser.add_argument("--dvc", default=shutil.which("dvc"), help="the dvc program; left out where there is none")
    parser.add_argument("--place", type=Path, help="an existing folder on the disk to measure")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    needed = 4 * max((case.files * case.side_px**2 * 3 for case in cases(options)), default=0)
    measured: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="data-in-", dir=options.place) as place:
        free = shutil.disk_usage(place).free
        if free < needed:
            raise SystemExit(f"{place}: expected {needed / 1e9:.0f} GB free, found {free / 1e9:.0f} GB")
        bench = Bench(Path(place), options.dvc, options.repeat)
        for case in cases(options):
            measured += bench.measure(case)
    machine = (
        f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}"
    )
    print(f"{machine}\n\n{table(measured)}")
    if not options.dvc:
        print("\n`dvc add` was left out: no dvc here (--dvc PATH).")
    if options.json:
        facts = {"machine": machine, "measured": [asdict(m) for m in measured]}
        options.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
