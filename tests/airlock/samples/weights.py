"""Clean models, arrays and tables."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
from onnx import TensorProto, helper
from pyarrow import parquet

CHATML = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def safetensors(header: Any, data: bytes = b"") -> bytes:
    """A file of any header, as text or as a value."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def two_tensors() -> bytes:
    header = {
        "__metadata__": {"format": "pt"},
        "head.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "head.bias": {"dtype": "BF16", "shape": [2], "data_offsets": [24, 28]},
    }
    return safetensors(header, bytes(range(28)))


def graph(*nodes: onnx.NodeProto, weights: Sequence[onnx.TensorProto] = ()) -> onnx.GraphProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "m"])
    return helper.make_graph(list(nodes), "g", [x], [y], list(weights))


def model(*nodes: onnx.NodeProto, weights: Sequence[onnx.TensorProto] = (), **facts: Any) -> onnx.ModelProto:
    facts = {"opset_imports": [helper.make_opsetid("", 18)], "ir_version": 9} | facts
    return helper.make_model(graph(*nodes, weights=weights), **facts)


def one_layer() -> onnx.ModelProto:
    weight = onnx.numpy_helper.from_array(np.ones((4, 2), np.float32), "w")
    return model(
        helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"]), weights=[weight]
    )


def text(value: str | bytes) -> bytes:
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def gguf(
    settings: Mapping[str, Any] | bytes | None = None,
    tensors: Sequence[tuple[str, Sequence[int], int, int]] = (("w", (32,), 8, 0),),
    data: bytes = bytes(34),
    *,
    head: bytes = b"GGUF\x03\0\0\0",
    count: int | None = None,
    alignment: int = 32,
) -> bytes:
    """A file of any settings (texts, numbers, lists of texts) and tensors (name, shape, type, offset)."""
    settings = {"general.architecture": "llama"} if settings is None else settings
    body = settings if isinstance(settings, bytes) else b"".join(text(k) + _value(v) for k, v in settings.items())
    infos = b"".join(
        text(name)
        + struct.pack("<I", len(shape))
        + struct.pack(f"<{len(shape)}Q", *shape)
        + struct.pack("<IQ", kind, at)
        for name, shape, kind, at in tensors
    )
    out = head + struct.pack("<QQ", len(tensors), len(settings) if count is None else count) + body + infos
    return out + bytes(-len(out) % alignment) + data


def _value(value: Any) -> bytes:
    if isinstance(value, str | bytes):
        return struct.pack("<I", 8) + text(value)
    if isinstance(value, bool):
        return struct.pack("<IB", 7, value)
    if isinstance(value, list):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(text(item) for item in value)
    return struct.pack("<II", 4, value)


def _gguf() -> bytes:
    settings = {
        "general.architecture": "llama",
        "llama.block_count": 1,
        "tokenizer.ggml.tokens": ["<s>", "hello"],
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.chat_template": CHATML,
    }
    return gguf(settings, [("a", (32, 2), 8, 0), ("b", (3,), 0, 96)], bytes(96 + 12))


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def parquet_of(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    parquet.write_table(table, out, **options)
    return out.getvalue()


def _table() -> bytes:
    columns = {"text": ["un", "deux", None], "score": [0.5, 1.0, None], "boxes": [[{"x": 1}], [], None]}
    return parquet_of(pa.table(columns), write_page_checksum=True)


SAMPLES = {
    "safetensors": two_tensors,
    "onnx": lambda: one_layer().SerializeToString(),
    "gguf": _gguf,
    "npy": lambda: npy(np.arange(12.0).reshape(3, 4)),
    "npz": lambda: npz(a=np.arange(4), b=np.zeros((2, 2), "f4")),
    "parquet": _table,
}
