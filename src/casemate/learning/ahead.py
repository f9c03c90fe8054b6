"""What the next step needs, made in a thread while the present one is learned."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

Made = TypeVar("Made")


class Ahead(Generic[Made]):
    """`take(step)` gives what `make(step)` makes, and has that of the next step made meanwhile."""

    def __init__(self, make: Callable[[int], Made]) -> None:
        self._make = make
        self._maker = ThreadPoolExecutor(max_workers=1)
        self._next: tuple[int, Future[Made]] | None = None

    def __enter__(self) -> Self:
        """Make things until the end of the context."""
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, tb: TracebackType | None) -> None:
        """Wait for what is being made, and let it go."""
        self._maker.shutdown()

    def take(self, step: int) -> Made:
        """What this step needs; its making may have failed, and is then raised here."""
        if self._next is None or self._next[0] != step:
            self._next = step, self._maker.submit(self._make, step)
        made = self._next[1].result()
        self._next = step + 1, self._maker.submit(self._make, step + 1)
        return made
