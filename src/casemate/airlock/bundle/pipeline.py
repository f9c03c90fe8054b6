"""Work on several cores whose results come in the order of the items, with only so many at a time in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from casemate.store.cores import cores

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_THREADS_MAX = 8


def in_order(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """`work(item)` for every item, in their order; no more items are taken than cores (at most 8) and two more."""
    threads = min(cores(), _THREADS_MAX)
    waiting: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(threads, "bundle") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > threads + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
