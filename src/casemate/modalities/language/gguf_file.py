"""A model folder as one GGUF file, written through the gguf package: weights, vocabulary, chat template.

Rules. Every tensor of the folder is written once, under llama.cpp's name for it; one that has no name there is an
error. Matrices take the type that is asked for, where their rows allow it; vectors stay fp32. With q4_0 the
embeddings and the output stay q8_0, because errors there are felt most. Nothing depends on when or where the file is
written.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from casemate.errors import BadInput
from casemate.modalities.language.vocabulary import Vocabulary

_NORMAL, _CONTROL, _USER, _UNUSED = 1, 3, 4, 5
_ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2"}
_FILE_TYPES = {"f16": "MOSTLY_F16", "q8_0": "MOSTLY_Q8_0", "q4_0": "MOSTLY_Q4_0"}
_ROW = 32


def write_gguf(
    file: Path,
    kind: str,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    vocabulary: Vocabulary,
    *,
    name: str,
) -> None:
    """Write `file`; `kind` is f16, q8_0 or q4_0."""
    import gguf

    architecture = _ARCHITECTURES[config["model_type"]]
    writer = gguf.GGUFWriter(str(file), architecture)
    try:
        writer.add_type(gguf.GGUFType.MODEL)
        writer.add_name(name)
        writer.add_file_type(getattr(gguf.LlamaFileType, _FILE_TYPES[kind]))
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        _describe(writer, config)
        _add_vocabulary(writer, vocabulary, int(config["vocab_size"]))
        names = gguf.get_tensor_name_map(getattr(gguf.MODEL_ARCH, architecture.upper()), config["num_hidden_layers"])
        for key in sorted(tensors):
            theirs = names.get_name(key, try_suffixes=(".weight", ".bias"))
            if theirs is None:
                raise BadInput(f"tensor {key}", expected="one that llama.cpp knows", found="no name for it")
            data, stored = _stored(_turned(key, tensors[key], config), kind, theirs)
            writer.add_tensor(theirs, data, raw_dtype=stored)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _describe(writer: Any, config: Mapping[str, Any]) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(float(config["rope_theta"]))
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_layer_norm_rms_eps(float(config["rms_norm_eps"]))
    writer.add_vocab_size(config["vocab_size"])


def _add_vocabulary(writer: Any, vocabulary: Vocabulary, size: int) -> None:
    raw = json.loads(vocabulary.text)
    by_number = {number: token for token, number in vocabulary.tokenizer.get_vocab(with_added_tokens=True).items()}
    added = vocabulary.tokenizer.get_added_tokens_decoder()
    tokens, kinds = [], []
    for number in range(size):
        token = by_number.get(number)
        kind = _UNUSED if token is None else _NORMAL
        if number in added:
            kind = _CONTROL if added[number].special else _USER
        tokens.append(f"[PAD{number}]" if token is None else token)
        kinds.append(kind)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in raw["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre_tokenizer)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(vocabulary.end)
    writer.add_pad_token_id(vocabulary.end)
    if vocabulary.begin is not None:
        writer.add_bos_token_id(vocabulary.begin)
    writer.add_add_bos_token(vocabulary.begin is not None)
    if vocabulary.template:
        writer.add_chat_template(vocabulary.template)


def _turned(key: str, tensor: Tensor, config: Mapping[str, Any]) -> NDArray[np.float32]:
    """A tensor as llama.cpp has it: for Llama, queries and keys with the halves of each head interleaved."""
    array: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    if _ARCHITECTURES[config["model_type"]] != "llama" or not key.endswith(("q_proj.weight", "k_proj.weight")):
        return array
    heads = config["num_attention_heads" if key.endswith("q_proj.weight") else "num_key_value_heads"]
    rows, columns = array.shape
    halves = array.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2)
    return np.ascontiguousarray(halves.reshape(rows, columns))


def _stored(array: NDArray[np.float32], kind: str, name: str) -> tuple[NDArray[Any], Any]:
    from gguf import GGMLQuantizationType as Type
    from gguf import quantize

    if array.ndim < 2:
        return array.astype(np.float32), Type.F32
    if kind == "q4_0" and name.startswith(("token_embd", "output")):
        kind = "q8_0"
    if kind == "f16" or array.shape[-1] % _ROW:
        return array.astype(np.float16), Type.F16
    wanted = Type.Q8_0 if kind == "q8_0" else Type.Q4_0
    return quantize(array, wanted), wanted
