"""A chat model so small that it loads in an instant: random weights, a vocabulary of bytes and words, a template."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType

CONTEXT = 512
_WIDTH, _LAYERS, _HEADS, _INNER = 32, 2, 2, 64
_WORDS = [f"▁w{number:02d}" for number in range(64)]
TEMPLATE = (
    "{% for message in messages %}{{ '<' + message['role'] + '> ' + message['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)


def write_tiny_gguf(
    folder: Path, *, seed: int = 0, template: str | None = TEMPLATE, context_tokens: int = CONTEXT
) -> Path:
    """Write `model.gguf` into `folder`; it answers words of its vocabulary, the same for the same prompt."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "model.gguf"
    writer = GGUFWriter(str(file), "llama")
    writer.add_context_length(context_tokens)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_INNER)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    _add_vocabulary(writer)
    if template is not None:
        writer.add_chat_template(template)
    for name, values in _tensors(np.random.default_rng(seed)).items():
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_vocabulary(writer: GGUFWriter) -> None:
    special = ["<unk>", "<s>", "</s>"]
    tokens = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *_WORDS]
    types = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL]
    types += [TokenType.BYTE] * 256 + [TokenType.NORMAL] * len(_WORDS)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(value=True)


def _tensors(random: np.random.Generator) -> dict[str, np.ndarray]:
    count = 3 + 256 + len(_WORDS)
    found = {"token_embd.weight": random.normal(0, 1, (count, _WIDTH))}
    for layer in range(_LAYERS):
        head = f"blk.{layer}."
        found |= {head + f"{name}.weight": np.ones(_WIDTH) for name in ("attn_norm", "ffn_norm")}
        square = {"attn_q": (_WIDTH, _WIDTH), "attn_k": (_WIDTH, _WIDTH), "attn_v": (_WIDTH, _WIDTH)}
        shapes = square | {"attn_output": (_WIDTH, _WIDTH), "ffn_gate": (_INNER, _WIDTH), "ffn_up": (_INNER, _WIDTH)}
        for name, shape in (shapes | {"ffn_down": (_WIDTH, _INNER)}).items():
            found[head + f"{name}.weight"] = random.normal(0, 0.3, shape)
    words = random.normal(0, 1, (count, _WIDTH))
    words[: 3 + 256] = 0  # never a byte, never the end: the greatest of many is above nothing
    return found | {"output_norm.weight": np.ones(_WIDTH), "output.weight": words}
