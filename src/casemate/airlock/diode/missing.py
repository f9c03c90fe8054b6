"""The list of missing blocks that a person carries back to the sender: one line, short enough to be read aloud.

    7f3c…(32 hexadecimal digits):0-3,17,20-40#5a1c      the last four digits are a check of what stands before
    7f3c…:all#90be                                      the index is missing: everything has to be sent

Rules. What is not written exactly so is refused, because a wrong list wastes a whole transfer. A list can only make the
sender repeat what it has sent already: it comes from the side that is trusted more, over a way that is trusted less.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from casemate.errors import BadInput

_LINE = re.compile(
    r"([0-9a-f]{32}):(all|[0-9]{1,10}(?:-[0-9]{1,10})?(?:,[0-9]{1,10}(?:-[0-9]{1,10})?)*)#([0-9a-f]{4})", re.ASCII
)


@dataclass(frozen=True)
class Missing:
    """The blocks of a session that are to be sent again, as ranges with both ends; None: all of them."""

    session: bytes
    ranges: tuple[tuple[int, int], ...] | None

    @classmethod
    def of(cls, session: bytes, blocks: Iterable[int]) -> Missing:
        """The list of these blocks."""
        ranges: list[tuple[int, int]] = []
        for block in sorted(set(blocks)):
            if ranges and ranges[-1][1] == block - 1:
                ranges[-1] = (ranges[-1][0], block)
            else:
                ranges.append((block, block))
        return cls(session, tuple(ranges))

    @classmethod
    def parse(cls, text: str) -> Missing:
        """Read a line; BadInput where it was not carried over as it was written."""
        found = _LINE.fullmatch("".join(text.split()).lower())
        if not found:
            expected = "a session, a colon, blocks such as 0-3,17 or all, and a check such as #5a1c"
            raise BadInput("missing blocks", expected=expected, found=repr(text[:80]))
        session, blocks, check = found.groups()
        if check != _check(f"{session}:{blocks}"):
            raise BadInput("missing blocks", expected=f"the check #{_check(f'{session}:{blocks}')}", found=f"#{check}")
        ranges = None if blocks == "all" else tuple(_ranges(blocks))
        return cls(bytes.fromhex(session), ranges)

    def to_text(self) -> str:
        """The line, without an end of line."""
        if self.ranges is None:
            blocks = "all"
        else:
            blocks = ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in self.ranges)
        line = f"{self.session.hex()}:{blocks}"
        return f"{line}#{_check(line)}"

    def blocks(self, of: int) -> Iterator[int]:
        """The numbers of the blocks, out of `of`; BadInput where the list names one that the bundle does not have."""
        for first, last in ((0, of - 1),) if self.ranges is None else self.ranges:
            if last >= of:
                raise BadInput("missing blocks", expected=f"blocks below {of}", found=last)
            yield from range(first, last + 1)

    def count(self, of: int) -> int:
        """How many blocks, out of `of`, are missing."""
        return of if self.ranges is None else sum(last - first + 1 for first, last in self.ranges)


def _ranges(text: str) -> Iterator[tuple[int, int]]:
    end = -1
    for part in text.split(","):
        first, _, last = part.partition("-")
        found = int(first), int(last or first)
        if found[0] <= end or found[1] < found[0]:
            raise BadInput("missing blocks", expected="blocks in rising order, each once", found=part)
        end = found[1]
        yield found


def _check(line: str) -> str:
    return hashlib.sha256(line.encode("ascii")).hexdigest()[:4]
