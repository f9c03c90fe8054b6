"""The letters of a strip: a network's likelihoods from left to right, and the letters that they spell.

Rules. A line is read alone, so that no other line of the page has a say in it. Likelihoods are decoded greedily
(connectionist temporal classification: Graves and others, 2006): the best sign of each step, repetitions told once,
blanks dropped. The signs come with the network. Constants are those of RapidOCR 3.10 (Apache-2.0): `ch_ppocr_rec/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from casemate.modalities.language.documents.ocr.regions import Network
from casemate.modalities.language.documents.ocr.strips import padded

_LEAST_WIDTH_PX = 320


@dataclass(frozen=True)
class Letters:
    """The network that reads, and its signs; the first stands for none."""

    network: Network
    signs: Sequence[str]

    def read(self, line: Image.Image) -> tuple[str, float]:
        """What a strip says, and how sure that is."""
        return decoded(self.network(padded(line, _LEAST_WIDTH_PX))[0], self.signs)


def decoded(likelihoods: NDArray[np.float32], signs: Sequence[str]) -> tuple[str, float]:
    """What likelihoods (steps, signs) spell, and their mean where a sign was taken; 0 of nothing."""
    best = likelihoods.argmax(axis=1)
    taken = best != 0
    taken[1:] &= best[1:] != best[:-1]
    if not taken.any():
        return "", 0.0
    return "".join(signs[i] for i in best[taken]), float(likelihoods.max(axis=1)[taken].mean())
