"""Weights out of a checkpoint: what is a pickle goes into a confined process, what comes out is safetensors.

Rules. Nothing of the checkpoint is executed: PyTorch reads it with `weights_only`, in a process without network, which
may write nothing and reads no other file than the one it is handed. What that process sends is not trusted either: it
is bounded while it comes, read as every safetensors file that arrives is, and only then gets its name. A process that
dies leaves nothing under that name.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from casemate.airlock.inspect.safetensors_file import Tensor, read_header
from casemate.airlock.limits import ScanLimits
from casemate.airlock.pool import environment
from casemate.errors import BadInput, NameTaken
from casemate.store.staging import full_disk_named, staging, sweep

_PREFIX, _ENDING = ".convert-", ".safetensors"
_PLAIN = "a PyTorch checkpoint of plain weights"
_TIMES_ITS_SIZE = 4  # tied weights are written once each
_COPIES_IN_MEMORY = 3
_PIECE_BYTES, _MAX_SAID_BYTES, _HEADER_BYTES = 1 << 20, 64 << 10, 100 << 20


@dataclass(frozen=True)
class Converted:
    """The tensors that a new file holds, and the names of what was no tensor and was left out."""

    tensors: tuple[Tensor, ...]
    left_out: tuple[str, ...]


def convert(file: Path, out: Path, *, limits: ScanLimits | None = None) -> Converted:
    """Write the weights of a checkpoint (.pt, .pth, .bin, .ckpt) as safetensors to `out`, which must not exist.

    Raises BadInput where the checkpoint holds anything else than plain weights, NameTaken, DiskFull.
    """
    limits = limits or ScanLimits()
    if out.suffix != _ENDING:
        raise BadInput(out.name, expected=f"a name ending in {_ENDING}", found=out.suffix or "no ending")
    if out.exists() or out.is_symlink():
        raise NameTaken(out, expected="a new file", found="one that exists")
    if not file.is_file():
        raise BadInput(file.name, expected=_PLAIN, found="no such file")
    sweep(out.parent, _PREFIX)
    with staging(out.parent, _PREFIX) as place, full_disk_named(out.parent):
        partial = place / "weights"
        left_out = _receive(file, partial, limits)
        tensors, findings = read_header(partial, limits)
        refused = next((finding for finding in findings if not finding.note), None)
        if refused is not None:
            raise BadInput(file.name, expected=refused.expected, found=refused.found)
        os.link(partial, out)  # unlike a rename, refuses to replace what came meanwhile
        _settle(out.parent)
    return Converted(tuple(tensors), left_out)


def _receive(file: Path, partial: Path, limits: ScanLimits) -> tuple[str, ...]:
    """Run the child on `file`, keep what it sends, and return what it left out."""
    size = file.stat().st_size
    max_bytes = max(limits.expands_freely_bytes, size * _TIMES_ITS_SIZE)
    seconds = int(limits.time_for(size))
    memory_bytes = limits.memory_bytes + size * _COPIES_IN_MEMORY
    numbers = [str(number) for number in (memory_bytes, seconds, max_bytes)]
    with file.open("rb") as checkpoint, partial.open("wb") as weights:
        process = subprocess.Popen(
            [sys.executable, "-I", "-W", "ignore", "-m", "casemate.airlock.convert_child", *numbers],
            stdin=checkpoint,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            cwd="/",
        )
        status, said = _drain(process, weights, max_bytes + _HEADER_BYTES, seconds * 2)
        weights.flush()
        os.fsync(weights.fileno())
    told = _told(said)
    if status != 0 or not isinstance(told.get("left_out"), list):
        raise BadInput(file.name, expected=_PLAIN, found=_why(told, status))
    return tuple(str(name)[:200] for name in told["left_out"])


def _drain(process: subprocess.Popen[bytes], into: IO[bytes], at_most: int, within_s: float) -> tuple[int, bytes]:
    """Keep what a child sends until it ends: how it ended, and what it said. One that sends or takes too much dies."""
    said = bytearray()
    listener = threading.Thread(target=_listen, args=(process.stderr, said), daemon=True)
    alarm = threading.Timer(within_s, process.kill)
    listener.start()
    alarm.start()
    try:
        sent = 0
        while process.stdout is not None and (piece := process.stdout.read(_PIECE_BYTES)):
            sent += len(piece)
            if sent > at_most:
                process.kill()
                break
            into.write(piece)
        status = process.wait()
        listener.join()
    finally:
        alarm.cancel()
        process.kill()  # where writing failed; one that has ended is left alone
        process.wait()
        listener.join()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    return status, bytes(said)


def _listen(pipe: IO[bytes] | None, said: bytearray) -> None:
    while pipe is not None and (piece := os.read(pipe.fileno(), _MAX_SAID_BYTES)):
        said += piece
        del said[:-_MAX_SAID_BYTES]


def _told(said: bytes) -> dict[str, Any]:
    """The last line that a child wrote, where that is what it should be."""
    last = said.decode("utf-8", "replace").strip().rpartition("\n")[2]
    try:
        told = json.loads(last)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _why(told: dict[str, Any], status: int) -> str:
    if status < 0:
        return f"one that does not convert within its limits: killed by {signal.Signals(-status).name}"
    return str(told.get("error") or f"one that cannot be read: exit {status}")[:300]


def _settle(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
