"""Slow work beside the thread that listens: decoding, checking, writing.

Rules. Work runs in a few threads, each with a coding process of its own; what follows from it is done by the thread
that gathers, so that nothing else needs a lock. An error of the work is raised there.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self, TypeVar

from casemate.airlock.diode.coding import Coder
from casemate.airlock.diode.collect import choices, source_only

_T = TypeVar("_T")
_THREADS = 2


class Verdict(Enum):
    """What became of a block that was tried."""

    RIGHT = auto()
    SHORT = auto()
    LIED = auto()


@dataclass(frozen=True)
class Trial:
    """The symbols of a block of `length` bytes, and who says whether the bytes are right (and keeps them if so)."""

    packets: list[bytes]
    needed: int
    symbol_bytes: int
    length: int
    accept: Callable[[bytes], bool]


def attempt(coder: Coder, trial: Trial) -> Verdict:
    """Make the block, leaving out symbols where it comes out wrong."""
    verdict = Verdict.SHORT
    for packets in choices(trial.packets, trial.needed):
        block = _make(coder, trial, packets)
        if block is not None and trial.accept(block):
            return Verdict.RIGHT
        if block is None and verdict is Verdict.SHORT:
            return Verdict.SHORT
        verdict = Verdict.LIED
    return verdict


def _make(coder: Coder, trial: Trial, packets: list[bytes]) -> bytes | None:
    own = source_only(packets, trial.needed)
    if own is not None:
        return b"".join(own)[: trial.length]
    return coder.decode(packets, trial.symbol_bytes, trial.length)


class Workshop:
    """A few threads; use it in a `with`."""

    def __init__(self) -> None:
        """Threads and processes start with the first work."""
        self._jobs: deque[tuple[Future[Any], Callable[[Any], None]]] = deque()
        self._crew = ThreadPoolExecutor(_THREADS)
        self._own = threading.local()
        self._coders: list[Coder] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._crew.shutdown(cancel_futures=True)
        for coder in self._coders:
            coder.close()

    @property
    def busy(self) -> bool:
        """Whether something is being worked on, or was done and not gathered."""
        return bool(self._jobs)

    def do(self, work: Callable[[], _T], then: Callable[[_T], None]) -> None:
        """Work beside; `then` is called with what it gives by who gathers."""
        self._jobs.append((self._crew.submit(work), then))

    def attempt(self, trial: Trial, then: Callable[[Verdict], None]) -> None:
        """Try a block beside."""
        self.do(lambda: attempt(self._coder(), trial), then)

    def gather(self, *, wait: bool = False) -> None:
        """See to what is done; `wait`: to everything, what follows from it included."""
        for _ in range(len(self._jobs)):
            job, then = self._jobs.popleft()
            if wait or job.done():
                then(job.result())
            else:
                self._jobs.append((job, then))
        if wait and self._jobs:
            self.gather(wait=True)

    def _coder(self) -> Coder:
        if not hasattr(self._own, "coder"):
            self._own.coder = Coder()
            self._coders.append(self._own.coder)
        coder: Coder = self._own.coder
        return coder
