"""BERT-like sentence embedders as sentence-transformers writes them: safetensors, tokenizer.json, config.json.

Rules. Mean pooling over tokens and unit length; a folder that asks for another pooling is refused. The tokenizer's file
is read by the maintained `tokenizers` library.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from casemate.errors import BadInput
from casemate.modalities.language.embedders.encoder import Encoder
from casemate.modalities.language.embedders.texts import Floats, TextEmbedder

_PARTS = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip
_POOLING = "1_Pooling/config.json"


def read(folder: Path, name: str) -> TextEmbedder:
    """The embedder of a folder; BadInput for an architecture or a pooling that is not this one."""
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    config = json.loads((folder / "config.json").read_bytes())
    _refuse_other(folder, config)
    weights = load_file(folder / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    encoder = _encoder(weights, config, _ends(folder, tokenizer))

    def one(text: str, query: bool) -> Floats:  # noqa: ARG001  such models read both alike
        return encoder.mean(tokenizer.encode(text, add_special_tokens=False).ids)

    return TextEmbedder(name, int(config["hidden_size"]), one)


def _refuse_other(folder: Path, config: Mapping[str, Any]) -> None:
    thing = f"embedder {folder.name}"
    if config.get("model_type") != "bert" or config.get("hidden_act", "gelu") != "gelu":
        raise BadInput(thing, expected="a BERT encoder with GELU", found=config.get("model_type"))
    pooling = folder / _POOLING
    if pooling.is_file() and not json.loads(pooling.read_bytes()).get("pooling_mode_mean_tokens"):
        raise BadInput(thing, expected="the mean over tokens as pooling", found="another pooling")


def _ends(folder: Path, tokenizer: Any) -> tuple[int, int]:
    """The tokens around a text."""
    first, last = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    if first is None or last is None:
        raise BadInput(f"embedder {folder.name}", expected="the tokens [CLS] and [SEP]", found="none")
    return first, last


def _encoder(weights: Mapping[str, Any], config: Mapping[str, Any], ends: tuple[int, int]) -> Encoder:
    prefix = "bert." if "bert.embeddings.word_embeddings.weight" in weights else ""
    w = {key.removeprefix(prefix): np.asarray(value, np.float32) for key, value in weights.items() if value.ndim}
    words = w["embeddings.word_embeddings.weight"]
    layers = [_layer(w, f"encoder.layer.{n}.") for n in range(int(config["num_hidden_layers"]))]
    return Encoder(
        words=lambda ids: words[ids],
        positions=w["embeddings.position_embeddings.weight"],
        kind=w["embeddings.token_type_embeddings.weight"][0],
        norm=(w["embeddings.LayerNorm.weight"], w["embeddings.LayerNorm.bias"]),
        layers=layers,
        heads=int(config["num_attention_heads"]),
        eps=float(config["layer_norm_eps"]),
        first=ends[0],
        last=ends[1],
        width=int(config["max_position_embeddings"]),
    )


def _layer(w: Mapping[str, Floats], prefix: str) -> dict[str, Floats]:
    ends = {"w": "weight", "b": "bias"}
    return {f"{p}.{e}": w[f"{prefix}{part}.{end}"] for p, part in _PARTS.items() for e, end in ends.items()}
