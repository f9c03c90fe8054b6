"""A model folder's file for llama.cpp, `model.gguf`, checked against the weights before it is in place.

Rules. An export that answers differently from the network it came from is not written: tokens must be the very same,
and the distributions of the next token and the loss within the limits of the type (`LIMITS`). The file carries the
chat template. Types: f16, q8_0, and q4_0 (4 bits with embeddings and output in 8); those of the k family need tools
that numpy does not have.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from casemate.errors import BadInput, RunFailed
from casemate.modalities.language import architecture
from casemate.modalities.language.gguf_file import write_gguf
from casemate.modalities.language.parity import Parity, compare
from casemate.modalities.language.vocabulary import of_folder
from casemate.store.whole import put_in_place

__all__ = ["GGUF", "LIMITS", "Limit", "Parity", "export_gguf"]

GGUF = "model.gguf"


@dataclass(frozen=True)
class Limit:
    """How far a type may be from the weights: mean divergence of distributions, and of losses (nats)."""

    divergence: float
    loss: float


LIMITS: Mapping[str, Limit] = {"f16": Limit(1e-3, 0.01), "q8_0": Limit(0.01, 0.03), "q4_0": Limit(0.1, 0.1)}


def export_gguf(model_dir: Path, kind: str, texts: Sequence[str] = ()) -> Parity:
    """Write `model.gguf` from the folder's weights; RunFailed if it does not answer as they do on `texts`."""
    if kind not in LIMITS:
        raise BadInput("type of GGUF", expected=" or ".join(LIMITS), found=repr(kind))
    config = architecture.read_config(model_dir)
    vocabulary = of_folder(model_dir, config)
    network, _ = architecture.load(model_dir, config)
    beside = model_dir / f".{GGUF}.{os.getpid()}"
    try:
        write_gguf(beside, kind, config, architecture.read_weights(model_dir), vocabulary, name="model")
        found = compare(beside, network, vocabulary, texts)
        limit = LIMITS[kind]
        if not (found.divergence_mean <= limit.divergence and found.loss_apart <= limit.loss):
            expected = f"PyTorch's answers within {limit.divergence:g} nats (and a loss within {limit.loss:g})"
            raise RunFailed(f"{GGUF} ({kind})", expected=expected, found=found)
        _make_durable(beside)
        put_in_place(beside, model_dir / GGUF)
    finally:
        beside.unlink(missing_ok=True)
    return found


def _make_durable(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
