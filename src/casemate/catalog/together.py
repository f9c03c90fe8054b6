"""Writing what comes at once in one go: who comes while others write waits, and the next to write writes for all.

Rules. Nothing is lost and nothing is written twice: each item is in one group, and what became of the group is told to
everybody in it. Alone, an item is a group of its own and waits for nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


@dataclass(eq=False)
class _Waiting(Generic[_Item, _Done]):
    item: _Item
    done: tuple[_Done] | None = None
    error: BaseException | None = None


class Together(Generic[_Item, _Done]):
    """Who waits to write; safe for several threads."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._waiting: list[_Waiting[_Item, _Done]] = []

    def write(self, item: _Item, write_all: Callable[[Sequence[_Item]], Sequence[_Done]]) -> _Done:
        """What `write_all` made of an item, or its error; it is called once for all that wait."""
        mine = _Waiting[_Item, _Done](item)
        with self._lock:
            self._waiting.append(mine)
        with self._turn:
            if mine.done is None and mine.error is None:
                with self._lock:
                    group, self._waiting = self._waiting, []
                _write(group, write_all)
        if mine.done is None:
            raise mine.error or RuntimeError("an item that nobody wrote")
        return mine.done[0]


def _write(group: Sequence[_Waiting[_Item, _Done]], write_all: Callable[[Sequence[_Item]], Sequence[_Done]]) -> None:
    try:
        done = write_all([one.item for one in group])
    except BaseException as why:
        for one in group:
            one.error = why
        raise
    for one, made in zip(group, done, strict=True):
        one.done = (made,)
