"""Documents and conversations packed into blocks of tokens that the network sees at once.

Rules. Nothing is repeated and nothing sees its neighbour: every token has the number of its segment (document or
conversation), positions begin anew in each, and attention stays within it. A document longer than a block goes on in
the next one as a segment of its own. A conversation is never cut in two: what is beyond the context is left out, and
counted; one whose answers all are is left out whole. What is not to be learned has the label -100. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casemate.errors import BadInput
from casemate.modalities.language.corpus import Conversation, Text
from casemate.modalities.language.template import with_answers
from casemate.modalities.language.vocabulary import Vocabulary

IGNORED = -100
Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Blocks:
    """Packed tokens, each array [blocks, context]: ids, the token that comes next (or -100), position, segment."""

    tokens: Ints
    labels: Ints
    positions: Ints
    segments: Ints
    records: int
    cut: int = 0
    left_out: int = 0

    def __len__(self) -> int:
        """How many blocks."""
        return len(self.tokens)

    @property
    def learned(self) -> int:
        """How many tokens are to be predicted."""
        return int((self.labels != IGNORED).sum())


Piece = tuple[Sequence[int], Sequence[int]]
"""Tokens, and for each the token that is to be predicted after it, or -100."""


def pack_texts(texts: Iterable[Text], vocabulary: Vocabulary, context: int) -> Blocks:
    """Documents one after another, cut into blocks."""
    stream: list[int] = []
    owner: list[int] = []
    count = 0
    for text in texts:
        vocabulary.require_plain(text.text, f"text {text.id}")
        tokens = vocabulary.document(text.text)
        stream += tokens
        owner += [count] * len(tokens)
        count += 1
    if not stream:
        raise BadInput("texts to learn from", expected="at least one", found="none")
    ids, whose = np.array(stream, np.int32), np.array(owner, np.int32)
    following = np.append(ids[1:], np.int32(IGNORED))
    following[np.append(whose[1:] != whose[:-1], True)] = IGNORED
    blocks = -(-len(ids) // context)
    shape, filler = (blocks, context), blocks * context - len(ids)
    tokens_ = np.append(ids, np.full(filler, vocabulary.end, np.int32)).reshape(shape)
    labels = np.append(following, np.full(filler, IGNORED, np.int32)).reshape(shape)
    segments = _renumbered(np.append(whose, np.full(filler, -1, np.int32)).reshape(shape))
    return Blocks(tokens_, labels, _positions(segments), segments, count)


def pack_conversations(conversations: Iterable[Conversation], vocabulary: Vocabulary, context: int) -> Blocks:
    """Conversations put together so that blocks are full, the longest first; labels on the assistant's turns alone."""
    pieces, cut, left_out = [], 0, 0
    for conversation in conversations:
        tokens, labels = conversation_tokens(conversation, vocabulary)
        cut += len(tokens) > context
        kept = (tokens[:context], labels[:context])
        if all(label == IGNORED for label in kept[1]):
            left_out += 1
            continue
        pieces.append(kept)
    if not pieces:
        found = f"{left_out} whose answers are all beyond the context of {context} tokens" if left_out else "none"
        raise BadInput("conversations to learn from", expected="at least one", found=found)
    blocks = _filled(pieces, context)
    empty = np.full((len(blocks), context), 0, np.int32)
    tokens_, labels_, segments = empty + vocabulary.end, empty + IGNORED, empty - 1
    for row, places in enumerate(blocks):
        at = 0
        for number, place in enumerate(places):
            ids, following = pieces[place]
            until = at + len(ids)
            tokens_[row, at:until], labels_[row, at:until], segments[row, at:until] = ids, following, number
            at = until
    return Blocks(tokens_, labels_, _positions(segments), segments, len(pieces), cut, left_out)


def conversation_tokens(conversation: Conversation, vocabulary: Vocabulary) -> Piece:
    """A conversation's tokens and labels; a label stands where the token after it is the assistant's."""
    for turn in conversation.turns:
        vocabulary.require_plain(turn.content, f"conversation {conversation.id}")
    text, spans = with_answers(vocabulary.template, conversation.turns, vocabulary.names)
    encoded = vocabulary.tokenizer.encode(text, add_special_tokens=False)
    said = [any(first <= start < last for first, last in spans) for start, _ in encoded.offsets]
    ids = list(encoded.ids)
    following = [(after if theirs else IGNORED) for after, theirs in zip(ids[1:], said[1:], strict=True)]
    return ids, [*following, IGNORED]


def attention(segments: Any) -> Any:
    """Which token sees which: itself and what came before it in its segment; bool [blocks, 1, context, context]."""
    import torch

    length = segments.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    alike = segments[:, :, None] == segments[:, None, :]
    return (alike & before)[:, None]


def order(blocks: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order in which blocks are taken in an epoch: it depends on the seed and the epoch alone."""
    key = hashlib.sha256(f"order {seed} {epoch}".encode()).digest()[:8]
    return np.random.default_rng(int.from_bytes(key, "big")).permutation(blocks)


def _filled(pieces: Sequence[Piece], context: int) -> list[list[int]]:
    """First fit, the longest first: which pieces go into each block."""
    blocks: list[list[int]] = []
    room: list[int] = []
    first_with_room, smallest = 0, min(len(ids) for ids, _ in pieces)
    for place in sorted(range(len(pieces)), key=lambda place: (-len(pieces[place][0]), place)):
        size = len(pieces[place][0])
        for block in range(first_with_room, len(blocks)):
            if room[block] >= size:
                break
        else:
            block = len(blocks)
            blocks.append([])
            room.append(context)
        blocks[block].append(place)
        room[block] -= size
        while first_with_room < len(blocks) and room[first_with_room] < smallest:
            first_with_room += 1
    return blocks


def _renumbered(segments: Ints) -> Ints:
    """Segments counted from nought in each block; filler stays -1."""
    least = np.where(segments < 0, np.iinfo(np.int32).max, segments).min(axis=1, keepdims=True)
    return np.where(segments < 0, np.int32(-1), segments - least).astype(np.int32)


def _positions(segments: Ints) -> Ints:
    """Each token's place in its segment."""
    places = np.broadcast_to(np.arange(segments.shape[1], dtype=np.int32), segments.shape)
    starts = np.ones(segments.shape, bool)
    starts[:, 1:] = segments[:, 1:] != segments[:, :-1]
    return (places - np.maximum.accumulate(np.where(starts, places, 0), axis=1)).astype(np.int32)
