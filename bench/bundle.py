"""Bundles: seal and open against `tar`, `zstd -T0`, `sha256sum` (same files, same run); memory; what deltas send.

    python bench/bundle.py                      # 20 GB: one big file, then 200,000 small ones; then the deltas
    python bench/bundle.py --gb 2               # the same, smaller: one file of 2 GB, 20,000 of 100 kB
    python bench/bundle.py --only deltas
    python bench/bundle.py --fuzz-s 600         # change one byte of a bundle at a time for ten minutes: all refused?

Half of the bytes are noise, half compress well. Ours: `seal` from a store (every object digested again), `open` =
receive (copy and verify) and rebuild (every object digested). Theirs: `tar | zstd -T0`, `sha256sum`; opening is `cp`,
`sha256sum -c`, `zstd -dc | tar -x`: the copy from the medium, which ours makes too, is timed by itself, and the ratio
without it is printed as well. The disk is synchronised inside every time taken; CPU time is shown beside it, for
machines that do other work meanwhile. Memory is VmHWM of the process alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from casemate.airlock.bundle import Carried, Label, check, read_head, rebuild, receive, seal, verify_head
from casemate.errors import CasemateError
from casemate.gates.pen import unlock
from casemate.signing import Trust, TrustedKey, generate_key_file
from casemate.store import Digest, put_folder
from casemate.store.posix import PosixStore

NOW = datetime(2030, 6, 1, tzinfo=UTC)
LABEL = Label("harbour", "lighthouse", "DR", 1, "", "2030-06-01T00:00:00Z")
SMALL_BYTES = 100_000
BLOCK = 4 << 20


def blocks(size: int, seed: int) -> Any:
    """`size` bytes, half of them noise, half with little in them."""
    chance, number = np.random.default_rng(seed), 0
    while size > 0:
        count = min(BLOCK, size)
        data = chance.integers(0, 256, count, dtype=np.uint8)
        if number % 2:
            data &= 0x11
        yield data.tobytes()
        size, number = size - count, number + 1


def generate(folder: Path, sizes: list[int]) -> None:
    for number, size in enumerate(sizes):
        file = folder / f"{number // 1000:03}" / f"{number:06}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            for block in blocks(size, number) if size > SMALL_BYTES else [small(size, number)]:
                stream.write(block)


def small(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size // 2) + (b"%012d" % seed) * (size // 24)  # noqa: S311


def timed(act: Callable[[], Any]) -> tuple[float, float]:
    """Seconds that `act`, which works in children, takes until all is on disk, and the CPU seconds in them."""
    os.sync()
    start, before = time.perf_counter(), os.times()
    act()
    os.sync()
    seconds, after = time.perf_counter() - start, os.times()
    worked = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, worked


def shell(command: str, cwd: Path) -> None:
    subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=cwd, check=True)


def child(verb: str, place: Path) -> int:
    """Do `verb` in a process of its own; its VmHWM in bytes."""
    ran = subprocess.run(
        [sys.executable, __file__, "--child", verb, "--at", str(place)], check=True, capture_output=True
    )
    return int(json.loads(ran.stdout)["peak"])


def entry(digest: Digest) -> Carried:
    return Carried("e" * 32, "dataset", "bench", "bench", "DR", digest, "manifest", "anne", "2030-01-01T00:00:00Z")


def key_of(place: Path) -> tuple[Any, Trust]:
    file = place / "site.key"
    if not file.exists():
        generate_key_file(file, None, unprotected=True)
    pen = unlock(file, None)
    window = (datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC))
    return pen, Trust((TrustedKey("harbour", pen.public, frozenset({"site"}), *window),))


def act(verb: str, place: Path) -> None:
    """What a child does."""
    pen, trust = key_of(place)
    if verb == "seal":
        digest = Digest.parse((place / "entry").read_text(encoding="utf-8"))
        seal(PosixStore(place / "store"), LABEL, [entry(digest)], place / "bundle", pen)
    elif verb == "open":
        head = read_head(place / "bundle")
        verify_head(head, trust, NOW)
        got = receive(place / "bundle", place / "area", head)
        rebuild(got.folder, head.manifest, PosixStore(place / "empty"), place / "rebuilt")
    elif verb == "check":
        check(place / "bundle", trust, NOW)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(json.dumps({"peak": int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024}))


def against_tar(place: Path, name: str, sizes: list[int]) -> None:
    generate(place / "files", sizes)
    total = sum(sizes)
    key_of(place)
    figures = {}
    zst = place / "out.tar.zst"
    figures["theirs, seal"] = timed(
        lambda: shell("tar -C files -cf - . | zstd -q -T0 -o out.tar.zst && sha256sum out.tar.zst > sums", place)
    )
    figures["theirs, copy"] = timed(lambda: shell("mkdir in && cp out.tar.zst in/ && cp sums in/", place))
    figures["theirs, open"] = timed(
        lambda: shell(
            "sha256sum --quiet -c sums && mkdir out && zstd -q -dc out.tar.zst | tar -C out -xf -", place / "in"
        )
    )
    packed = zst.stat().st_size
    for used in ("in", "out.tar.zst"):
        shell(f"rm -rf {used}", place)
    manifest = put_folder(PosixStore(place / "store"), place / "files", move=True)
    (place / "entry").write_text(str(manifest.digest), encoding="utf-8")
    peaks: dict[str, int] = {}
    for verb in ("seal", "check", "open"):
        figures[f"ours, {verb}"] = timed(lambda verb=verb: peaks.update({verb: child(verb, place)}))
    sent = sum(file.stat().st_size for file in (place / "bundle").rglob("*") if file.is_file())
    wall = {what: seconds for what, (seconds, _) in figures.items()}
    seal_ratio = wall["ours, seal"] / wall["theirs, seal"]
    open_ratio = wall["ours, open"] / (wall["theirs, copy"] + wall["theirs, open"])
    bare_ratio = wall["ours, open"] / wall["theirs, open"]
    print(f"{name}: {len(sizes)} files, {total / 1e9:.1f} GB; packed to {packed / total:.1%}, ours {sent / total:.1%}")
    print("  " + "; ".join(f"{what} {seconds:.1f} s (CPU {cpu:.1f})" for what, (seconds, cpu) in figures.items()))
    print(f"  seal {seal_ratio:.2f} times theirs; open {open_ratio:.2f} ({bare_ratio:.2f} against no copy)")
    print("  peak memory: " + ", ".join(f"{verb} {peak / 1e6:.0f} MB" for verb, peak in peaks.items()), flush=True)


def rewritten(data: np.ndarray[Any, Any], size: int) -> bytes:
    """One per cent of the bytes written over, in runs of `size`."""
    chance, changed = np.random.default_rng(size), data.copy()
    for at in chance.integers(0, len(data) - size, len(data) // 100 // size):
        changed[at : at + size] = chance.integers(0, 256, size, dtype=np.uint8)
    return changed.tobytes()


def inserted(data: np.ndarray[Any, Any], size: int) -> bytes:
    """One per cent more bytes, in runs of `size` between the old ones."""
    chance = np.random.default_rng(size)
    cuts = np.sort(chance.integers(0, len(data), len(data) // 100 // size))
    pieces = np.split(data, cuts)
    new = [chance.integers(0, 256, size, dtype=np.uint8) for _ in cuts]
    return b"".join(piece.tobytes() for pair in zip(pieces, [*new, data[:0]], strict=True) for piece in pair)


def tuned(data: np.ndarray[Any, Any], share: float) -> tuple[bytes, bytes]:
    """A safetensors model of 64 tensors before and after tuning changed `share` of them."""
    from safetensors.numpy import save

    tensors = {f"layer.{n:02}.weight": part for n, part in enumerate(np.array_split(data, 64))}
    before = save(tensors)
    for name in sorted(tensors)[: int(64 * share)]:
        tensors[name] = tensors[name] ^ np.uint8(1)
    return before, save(tensors)


def deltas(place: Path, gb: float) -> None:
    data = np.random.default_rng(1).integers(0, 256, int(gb * 1e9), dtype=np.uint8)
    old = data.tobytes()
    cases: dict[str, Callable[[], tuple[bytes, bytes]]] = {
        **{
            f"1 % rewritten, in runs of {n} bytes": (lambda n=n: (old, rewritten(data, n)))
            for n in (100, 1000, 100_000)
        },
        **{f"1 % put in, in runs of {n} bytes": (lambda n=n: (old, inserted(data, n))) for n in (1000, 100_000)},
        "10 % appended": lambda: (old, old + np.random.default_rng(2).bytes(len(old) // 10)),
        "safetensors, 8 of 64 tensors tuned": lambda: tuned(data, 0.125),
    }
    pen, _ = key_of(place)
    for name, make in cases.items():
        before, after = make()
        store = PosixStore(place / "store")
        for number, content in enumerate((before, after)):
            (place / f"v{number}").mkdir()
            (place / f"v{number}" / "file").write_bytes(content)
        size = len(after)
        del before, after
        base = put_folder(store, place / "v0", move=True).files[0].digest
        new = put_folder(store, place / "v1", move=True).digest
        start = time.perf_counter()
        sealed = seal(store, LABEL, [entry(new)], place / "bundle", pen, bases=lambda *_, base=base: [base])
        seconds = time.perf_counter() - start
        print(f"{name}: {sealed.sent_bytes / size:.2%} of {size / 1e9:.2f} GB sent, {seconds:.1f} s", flush=True)
        for used in ("bundle", "store"):
            shutil.rmtree(place / used)


def fuzz(place: Path, seconds: float) -> None:
    """Change one byte at a time, anywhere: a check that passes, or does not name the file, is printed."""
    pen, trust = key_of(place)
    generate(place / "files", [SMALL_BYTES // 20] * 20)
    digest = put_folder(PosixStore(place / "store"), place / "files").digest
    bundle = seal(PosixStore(place / "store"), LABEL, [entry(digest)], place / "bundle", pen).folder
    files = [file for file in sorted(bundle.rglob("*")) if file.is_file()]
    chance, end, tried, missed = random.Random(1), time.monotonic() + seconds, 0, 0  # noqa: S311
    while time.monotonic() < end:
        file = chance.choice(files)
        before = file.read_bytes()
        at = chance.randrange(len(before))
        file.write_bytes(before[:at] + bytes([before[at] ^ chance.randrange(1, 256)]) + before[at + 1 :])
        try:
            check(bundle, trust, NOW)
            said = "passed"
        except CasemateError as why:
            said = "" if file.name in str(why) else str(why)
        file.write_bytes(before)
        tried += 1
        if said:
            missed += 1
            print(f"  byte {at} of {file.name}: {said}")
    print(f"fuzz: {tried} bundles with one changed byte, {missed} not refused by the name of the file", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gb", type=float, default=20.0)
    parser.add_argument("--delta-gb", type=float, default=1.0)
    parser.add_argument("--fuzz-s", type=float, default=0.0)
    parser.add_argument("--only", choices=["big", "small", "deltas", "fuzz"])
    parser.add_argument("--at", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--child")
    asked = parser.parse_args()
    if asked.child:
        act(asked.child, asked.at)
        return
    size = int(asked.gb * 1e9)
    steps: dict[str, Callable[[Path], None]] = {
        "big": lambda place: against_tar(place, "one big file", [size]),
        "small": lambda place: against_tar(place, "small files", [SMALL_BYTES] * (size // SMALL_BYTES)),
        "deltas": lambda place: deltas(place, asked.delta_gb),
        "fuzz": lambda place: fuzz(place, asked.fuzz_s),
    }
    for name, step in steps.items():
        if asked.only in {None, name} and (name != "fuzz" or asked.fuzz_s):
            with tempfile.TemporaryDirectory(dir=asked.at, prefix="bench-bundle-") as place:
                step(Path(place))


if __name__ == "__main__":
    main()
