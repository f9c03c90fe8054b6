"""Files laid one after another in the order of their paths, and cut into blocks.

Rules. Small files share a block, so that the code that mends losses always has enough symbols to work with; the layout
follows from the manifest alone and is written nowhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from casemate.store.manifest import Manifest, ManifestFile


@dataclass(frozen=True)
class Segment:
    """A part of a file within a block."""

    file: ManifestFile
    offset: int
    length: int


class Layout:
    """Where the files of a manifest lie in the stream of blocks."""

    def __init__(self, manifest: Manifest, block_bytes: int) -> None:
        """Files without bytes lie nowhere."""
        self._files = [file for file in manifest.files if file.size]
        self._starts = [0, *accumulate(file.size for file in self._files)]
        self._block_bytes = block_bytes

    def segments(self, block: int) -> Iterator[Segment]:
        """The parts of files that make a block, in order."""
        at = block * self._block_bytes
        end = min(at + self._block_bytes, self._starts[-1])
        number = bisect_right(self._starts, at) - 1
        while at < end:
            file, start = self._files[number], self._starts[number]
            length = min(end, start + file.size) - at
            yield Segment(file, at - start, length)
            at += length
            number += 1

    def blocks_of(self, path: str) -> range:
        """The blocks in which a file lies."""
        number = next(number for number, file in enumerate(self._files) if file.path == path)
        first, end = self._starts[number], self._starts[number + 1]
        return range(first // self._block_bytes, -(-end // self._block_bytes))
