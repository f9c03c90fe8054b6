"""Work spread over every core by threads, for work that releases the interpreter lock (hashing, copying, reading).

Rules. Results come as they finish. Items are taken from the iterable only as threads ask for them. The first error
stops the rest and is raised to the caller; when the caller stops listening, the threads stop too.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_END: Final = object()

Progress = Callable[[int, int, str], None]
"""Called with (done, total, unit), for example (12, 400, "files"); total 0 means unknown."""


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def on_all_cores(
    work: Callable[[_Item], _Result], items: Iterable[_Item], *, threads: int | None = None
) -> Iterator[tuple[_Item, _Result]]:
    """Pairs of item and `work(item)`, in the order in which they finish, computed by as many threads as cores."""
    crew = _Crew(work, iter(items))
    count = threads or cores()
    members = [threading.Thread(target=crew.labour, daemon=True) for _ in range(count)]
    for member in members:
        member.start()
    try:
        finished = 0
        while finished < count:
            done = crew.results.get()
            if done is None:
                finished += 1
                continue
            yield done
        if crew.failure is not None:
            raise crew.failure
    finally:
        crew.stopped = True
        for member in members:
            member.join()


class _Crew(Generic[_Item, _Result]):
    """Threads that share one iterator of items and one queue of results; None in the queue: a thread went home."""

    def __init__(self, work: Callable[[_Item], _Result], items: Iterator[_Item]) -> None:
        self.results: queue.SimpleQueue[tuple[_Item, _Result] | None] = queue.SimpleQueue()
        self.failure: BaseException | None = None
        self.stopped = False
        self._work, self._items, self._taking = work, items, threading.Lock()

    def labour(self) -> None:
        """Take items until there are none, one failed or the caller left."""
        try:
            while not self.stopped:
                with self._taking:
                    item = next(self._items, _END)
                if item is _END:
                    break
                self.results.put((item, self._work(item)))  # type: ignore[arg-type]
        except BaseException as why:  # noqa: BLE001  it is raised again in the caller's thread
            self.failure, self.stopped = self.failure or why, True
        finally:
            self.results.put(None)


class Tally:
    """Adds up what threads have done and tells a Progress, from one thread at a time and not for every chunk."""

    def __init__(self, progress: Progress | None, total: int, unit: str) -> None:
        self._progress, self._total, self._unit = progress, total, unit
        self._done, self._told, self._lock = 0, 0, threading.Lock()
        self._step = max(1, total // 1000)

    def add(self, amount: int) -> None:
        """Note that `amount` more is done."""
        if self._progress is None:
            return
        with self._lock:
            self._done += amount
            if self._done - self._told >= self._step or self._done >= self._total:
                self._told = self._done
                self._progress(self._done, self._total, self._unit)
