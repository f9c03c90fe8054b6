"""The process that reads a checkpoint and writes its weights as safetensors: started by `convert`, never imported.

Rules. It gets the checkpoint open on standard input, confines itself before it reads a byte of it, and writes to
standard output alone. PyTorch reads with `weights_only`: names of anything but tensors stop it, and nothing is called.
What is not a tensor is left out and told. Whatever goes wrong ends it with one line of JSON on standard error.

This is the one module of the room that imports torch.
"""

from __future__ import annotations

import json
import os
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from casemate.compute.cell import allow_processor_s, confine

_WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "weights")
_MAX_DEPTH, _MAX_TENSORS, _MAX_LEFT_OUT = 16, 1_000_000, 100
_PIECE_BYTES = 1 << 24
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_REASON = re.compile(r"WeightsUnpickler error: ([^\n]{1,200})")


class _NotWeightsError(ValueError):
    """Something that PyTorch read and that is not plain weights."""


def main() -> None:
    """Arguments: bytes of memory, seconds of processor, bytes of weights at most."""
    memory_bytes, processor_s, max_bytes = (int(argument) for argument in sys.argv[1:4])
    out = os.dup(1)
    os.dup2(2, 1)  # a library that prints must not write into the weights
    import torch

    torch.set_num_threads(1)
    sys.excepthook = _say_why
    confine(Path(sys.prefix), memory_bytes=memory_bytes)
    allow_processor_s(processor_s)
    with os.fdopen(0, "rb") as stream:
        loaded = torch.load(stream, map_location="cpu", weights_only=True)
    tensors, left_out = plain_weights(loaded)
    check_size(tensors, max_bytes)
    for piece in as_safetensors(tensors):
        _write(out, piece)
    sys.stderr.write("\n" + json.dumps({"left_out": left_out[:_MAX_LEFT_OUT]}) + "\n")


def plain_weights(loaded: Any) -> tuple[dict[str, Any], list[str]]:
    """Every tensor by its name, and the names of what is none; the weights of a training checkpoint come alone."""
    left_out: list[str] = []
    if isinstance(loaded, dict):
        inside = next((name for name in _WRAPPERS if isinstance(loaded.get(name), dict)), None)
        if inside is not None:
            left_out = [str(name) for name in loaded if name != inside]
            loaded = loaded[inside]
    tensors: dict[str, Any] = {}
    for name, value in _leaves(loaded, "", 0):
        if not _is_tensor(value):
            left_out.append(name)
        elif name in tensors:
            raise _NotWeightsError(f"two tensors named {name!a}")
        else:
            tensors[name] = value
    if not tensors or len(tensors) > _MAX_TENSORS:
        raise _NotWeightsError(f"{len(tensors)} tensors")
    return tensors, left_out


def check_size(tensors: dict[str, Any], max_bytes: int) -> None:
    """Refuse a few bytes that stand for very many, before a copy of them is made."""
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if total > max_bytes:
        raise _NotWeightsError(f"{total} bytes of weights, more than the {max_bytes} that such a file may hold")


def as_safetensors(tensors: dict[str, Any]) -> Iterator[Any]:
    """The file, piece by piece: wide numbers first, so that each tensor lies where its numbers are aligned."""
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name in order:
        tensor = tensors[name]
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _dtype(name, tensor), "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text)) + text
    for name in order:
        yield _bytes(tensors[name])


def _leaves(value: Any, name: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > _MAX_DEPTH:
        raise _NotWeightsError(f"things nested more than {_MAX_DEPTH} deep")
    if isinstance(value, dict | list | tuple):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, f"{name}.{key}" if name else str(key), depth + 1)
    else:
        yield name or "the whole", value


def _is_tensor(value: Any) -> bool:
    import torch

    if not isinstance(value, torch.Tensor):
        return False
    if value.layout is not torch.strided or value.is_quantized or value.device.type != "cpu":
        raise _NotWeightsError(f"a tensor that is sparse, quantised or empty of numbers: {value.layout}, {value.dtype}")
    return True


def _dtype(name: str, tensor: Any) -> str:
    import torch

    names = {
        torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16", torch.uint16: "U16",
        torch.float16: "F16", torch.bfloat16: "BF16", torch.int32: "I32", torch.uint32: "U32", torch.float32: "F32",
        torch.float64: "F64", torch.int64: "I64", torch.uint64: "U64", torch.complex64: "C64",
        torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
    }  # fmt: skip
    if tensor.dtype not in names:
        raise _NotWeightsError(f"tensor {name!a} of {tensor.dtype}, which safetensors does not have")
    return names[tensor.dtype]


def _bytes(tensor: Any) -> Any:
    import torch

    plain = tensor.detach().resolve_conj().resolve_neg().contiguous()
    plain = torch.view_as_real(plain) if plain.is_complex() else plain
    numbers: Any = plain.reshape(-1).view(torch.uint8).numpy()
    return memoryview(numbers)


def _write(fd: int, data: Any) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left[:_PIECE_BYTES]) :]


def _say_why(kind: type[BaseException], why: BaseException, _trace: TracebackType | None) -> None:
    """The end of this process, in one line that its parent reads; the advice of libraries is not passed on."""
    text = str(why)
    named, reason = _GLOBAL.search(text), _REASON.search(text)
    if named:
        found = f"a pickle that names {named[1][:120]}, which is not part of plain weights"
    elif reason:
        found = f"a pickle that is not plain weights: {reason[1]}"
    elif kind.__name__ == "UnpicklingError":  # of a module that nothing here may import
        found = "bytes that are no checkpoint"
    else:
        found = text if kind is _NotWeightsError else f"{kind.__name__}: {' '.join(text.split())[:200]}"
    sys.stderr.write("\n" + json.dumps({"error": found}) + "\n")


if __name__ == "__main__":
    main()
