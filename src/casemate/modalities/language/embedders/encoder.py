"""The encoder of BERT in numpy: attention and feed-forward layers over the tokens of one text.

Source: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers" (2019); post-norm layers, GELU by the
error function, learned positions. Sentence vector: the mean over tokens, as sentence-transformers models are trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casemate.modalities.language.embedders.texts import Floats, layer_norm, windows

LAYER_NAMES = (
    "q.w", "q.b", "k.w", "k.b", "v.w", "v.b", "ao.w", "ao.b", "aln.w", "aln.b",
    "fi.w", "fi.b", "fo.w", "fo.b", "oln.w", "oln.b",
)  # fmt: skip


@dataclass(frozen=True)
class Encoder:
    """Weights and how to run them; `words` gives the embeddings of token ids, `layers` hold LAYER_NAMES.

    `first` and `last` are the tokens put around each window; `width` is how many positions there are.
    """

    words: Callable[[npt.NDArray[np.int64]], Floats]
    positions: Floats
    kind: Floats
    norm: tuple[Floats, Floats]
    layers: Sequence[Mapping[str, Floats]]
    heads: int
    eps: float
    first: int
    last: int
    width: int

    def mean(self, tokens: Sequence[int]) -> Floats:
        """The vector of a text: the mean over tokens of each window, averaged by the windows' lengths."""
        parts = windows(tokens, self.width - 2)
        weights = np.array([max(1, len(part)) for part in parts], np.float32)
        means = np.stack([self._hidden(part).mean(axis=0) for part in parts])
        return np.asarray((means * weights[:, None]).sum(axis=0) / weights.sum(), np.float32)

    def _hidden(self, tokens: Sequence[int]) -> Floats:
        ids = np.array([self.first, *tokens, self.last], np.int64)
        x = layer_norm(self.words(ids) + self.positions[: len(ids)] + self.kind, *self.norm, self.eps)
        for layer in self.layers:
            x = self._layer(x, layer)
        return x

    def _layer(self, x: Floats, w: Mapping[str, Floats]) -> Floats:
        seen = self._attention(x, w) @ w["ao.w"].T + w["ao.b"]
        x = layer_norm(x + seen, w["aln.w"], w["aln.b"], self.eps)
        out = _gelu(x @ w["fi.w"].T + w["fi.b"]) @ w["fo.w"].T + w["fo.b"]
        return layer_norm(x + out, w["oln.w"], w["oln.b"], self.eps)

    def _attention(self, x: Floats, w: Mapping[str, Floats]) -> Floats:
        q, k, v = (_heads(x @ w[f"{n}.w"].T + w[f"{n}.b"], self.heads) for n in "qkv")
        scores = q @ k.transpose(0, 2, 1) / np.float32(np.sqrt(q.shape[-1]))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        return np.asarray((scores @ v).transpose(1, 0, 2).reshape(x.shape), np.float32)


def _heads(x: Floats, heads: int) -> Floats:
    return x.reshape(len(x), heads, -1).transpose(1, 0, 2)


def _gelu(x: Floats) -> Floats:
    from scipy.special import erf

    return np.asarray(x * 0.5 * (1 + erf(x * np.float32(np.sqrt(0.5)))), np.float32)
