"""Networks that are known here, by a strict reading of their config.json, and their weights in safetensors.

Rules. Llama, Qwen2 and Mistral, as the transformers library builds them, each by its own class and never by a name in
a file. Every key of a config.json is known, of its type and within bounds, or refused; no code of a folder runs,
nothing is fetched. Weights are every tensor that the network has, of its shape, and no other; a tied output layer may
be absent.
"""

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from casemate.errors import BadInput

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
CLASSES = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM"}
_SIZES: Mapping[str, tuple[int, int]] = {
    "vocab_size": (2, 1_048_576),
    "hidden_size": (8, 65_536),
    "intermediate_size": (8, 1_048_576),
    "num_hidden_layers": (1, 512),
    "num_attention_heads": (1, 1024),
    "num_key_value_heads": (1, 1024),
    "max_position_embeddings": (8, 16_777_216),
}
_NUMBERS: Mapping[str, tuple[float, float]] = {"rms_norm_eps": (1e-12, 1e-2), "rope_theta": (1.0, 1e12)}
_FIXED: Mapping[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "attention_dropout": (0, 0.0),
    "rope_scaling": (None,),
    "use_sliding_window": (False,),
    "pretraining_tp": (1,),
    "tie_word_embeddings": (True, False),
}
_UNREAD = frozenset({
    "architectures", "bos_token_id", "eos_token_id", "pad_token_id", "head_dim", "initializer_range", "torch_dtype",
    "dtype", "transformers_version", "use_cache", "max_window_layers", "sliding_window", "layer_types",
    "rope_parameters", "_name_or_path", "model_type",
})  # fmt: skip
STORED = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_DTYPES = set(STORED.values())


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a model folder, checked key by key."""
    file = folder / CONFIG
    if not file.is_file():
        raise BadInput(f"{folder.name}/{CONFIG}", expected="a model's configuration", found="none")
    try:
        raw = json.loads(file.read_bytes())
    except ValueError as why:
        raise BadInput(CONFIG, expected="JSON", found=f"{why!s:.200}") from why
    return checked(raw)


def checked(raw: Any) -> dict[str, Any]:
    """A configuration whose every key is known and right."""
    kind = raw.get("model_type") if isinstance(raw, dict) else None
    if kind not in CLASSES:
        raise BadInput(f"{CONFIG} model_type", expected=" or ".join(CLASSES), found=repr(kind))
    if raw.get("architectures", [CLASSES[kind]]) != [CLASSES[kind]]:
        raise BadInput(f"{CONFIG} architectures", expected=[CLASSES[kind]], found=raw["architectures"])
    known = _SIZES.keys() | _NUMBERS.keys() | _FIXED.keys() | _UNREAD
    unknown = sorted(set(raw) - known)
    if unknown:
        raise BadInput(CONFIG, expected="keys that are known here", found=", ".join(map(str, unknown))[:200])
    found = {"num_key_value_heads": raw.get("num_attention_heads"), "tie_word_embeddings": False, **raw}
    found.setdefault("rms_norm_eps", 1e-6)
    found["rope_theta"] = _theta(found)
    for name, (low, high) in _SIZES.items():
        _require(name, type(found.get(name)) is int and low <= found[name] <= high, f"{low} to {high}", found.get(name))
    for name, (least, most) in _NUMBERS.items():
        value = found[name]
        right = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
        _require(name, right, f"{least:g} to {most:g}", value)
    for name, values in _FIXED.items():
        if name in found:
            _require(name, found[name] in values, " or ".join(map(str, values)), found[name])
    return _heads_checked(found)


def _heads_checked(found: dict[str, Any]) -> dict[str, Any]:
    width, heads, kv = (found[name] for name in ("hidden_size", "num_attention_heads", "num_key_value_heads"))
    head = found.get("head_dim") or width // heads
    _require("head_dim", head * heads == width and head % 2 == 0, "hidden_size / num_attention_heads, even", head)
    _require("num_key_value_heads", heads % kv == 0, f"a divisor of {heads}", kv)
    window = found.get("sliding_window")
    if window is not None and found["model_type"] == "mistral":
        raise BadInput(f"{CONFIG} sliding_window", expected="none", found=window)
    return found | {"head_dim": head}


def _theta(found: Mapping[str, Any]) -> Any:
    """The base of the rotary positions, which newer files keep one level down; scaled positions are refused."""
    rope = found.get("rope_parameters")
    if rope is None:
        return found.get("rope_theta", 10_000.0)
    right = isinstance(rope, dict) and rope.keys() <= {"rope_theta", "rope_type"}
    _require("rope_parameters", right and rope.get("rope_type", "default") == "default", "rope_type default", rope)
    return rope.get("rope_theta", 10_000.0)


def from_scratch(
    *, vocabulary: int, layers: int, width: int, heads: int, kv_heads: int, feed_forward: int, context: int, end: int
) -> dict[str, Any]:
    """The configuration of a Llama of these sizes."""
    return checked({
        "architectures": [CLASSES["llama"]], "model_type": "llama", "vocab_size": vocabulary, "hidden_size": width,
        "intermediate_size": feed_forward, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "max_position_embeddings": max(context, 8), "hidden_act": "silu",
        "rms_norm_eps": 1e-6, "rope_theta": 10_000.0, "tie_word_embeddings": True, "attention_bias": False,
        "mlp_bias": False, "attention_dropout": 0.0, "initializer_range": 0.02, "eos_token_id": end,
    })  # fmt: skip


def build(config: Mapping[str, Any], *, seed: int) -> nn.Module:
    """The network of a checked configuration, with random weights of this seed."""
    classes = {"llama": ("llama", "Llama"), "mistral": ("mistral", "Mistral"), "qwen2": ("qwen2", "Qwen2")}
    module, name = classes[config["model_type"]]
    with offline():
        import importlib

        within = f"transformers.models.{module}"
        settings = getattr(importlib.import_module(f"{within}.configuration_{module}"), f"{name}Config")
        network = getattr(importlib.import_module(f"{within}.modeling_{module}"), f"{name}ForCausalLM")
        sizes = {key: config[key] for key in (*_SIZES, "rms_norm_eps", "head_dim", "tie_word_embeddings")}
        rope = {"rope_theta": float(config["rope_theta"]), "rope_type": "default"}
        built = settings(**sizes, rope_parameters=rope, use_cache=False, bos_token_id=None, eos_token_id=None)
        built._attn_implementation = "sdpa"  # noqa: SLF001  # the library's own way for a configuration made here
        torch.manual_seed(seed)
        made: nn.Module = network(built)
    return made.to(torch.float32)


def load(folder: Path, config: Mapping[str, Any]) -> tuple[nn.Module, torch.dtype]:
    """The network of a model folder with its weights in fp32, and the type in which they are stored."""
    network = build(config, seed=0)
    tensors = read_weights(folder)
    fill(network, tensors)
    return network, next(iter(tensors.values())).dtype


def fill(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a network its weights: every one of them, and no other."""
    wanted = network.state_dict()
    tied = {"lm_head.weight"} if network.config.tie_word_embeddings else set()  # type: ignore[union-attr]
    for name in sorted(wanted.keys() | tensors.keys()):
        expected, found = wanted.get(name), tensors.get(name)
        if name in tied and found is None:
            continue
        if expected is None or found is None or expected.shape != found.shape:
            told = [("no such tensor" if t is None else tuple(t.shape)) for t in (expected, found)]
            raise BadInput(f"{WEIGHTS} {name}", expected=told[0], found=told[1])
    missing = network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=False)
    if set(missing.missing_keys) - tied:
        raise RuntimeError(f"weights were checked and are missing all the same: {missing}")


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder's safetensors, one file or several named by their index."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for name in _weight_files(folder):
        try:
            tensors |= load_file(str(folder / name))
        except (SafetensorError, OSError) as why:
            raise BadInput(name, expected="a safetensors file", found=f"{why!s:.200}") from why
    odd = sorted(f"{name} {tensor.dtype}" for name, tensor in tensors.items() if tensor.dtype not in _DTYPES)
    if odd or not tensors:
        raise BadInput(WEIGHTS, expected="tensors of fp32, fp16 or bf16", found=odd[0] if odd else "none")
    return tensors


def _weight_files(folder: Path) -> list[str]:
    if (folder / WEIGHTS).is_file() or not (folder / INDEX).is_file():
        return [WEIGHTS]
    try:
        names = set(json.loads((folder / INDEX).read_bytes())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as why:
        raise BadInput(INDEX, expected="a weight_map", found=f"{why!r:.100}") from why
    for name in names:
        if not isinstance(name, str) or "/" in name or not name.endswith(".safetensors"):
            raise BadInput(INDEX, expected="names of safetensors files beside it", found=repr(name))
    return sorted(names)


def to_bytes(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> bytes:
    """Tensors as safetensors, in the order of their names."""
    from safetensors.torch import save

    ready = {name: tensors[name].detach().cpu().to(dtype).contiguous() for name in sorted(tensors)}
    return bytes(save(ready, metadata={"format": "pt"}))


@contextmanager
def offline() -> Iterator[None]:
    """Import and use of the model libraries: told to stay off every network, one notice of theirs not repeated."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with warnings.catch_warnings():
        # peft asks transformers by a name that transformers calls deprecated: nothing that we could write otherwise.
        notice = r"`is_gradient_checkpointing` is deprecated"
        warnings.filterwarnings("ignore", message=notice, category=FutureWarning)
        yield


def _require(name: str, holds: bool, expected: object, found: object) -> None:
    if not holds:
        raise BadInput(f"{CONFIG} {name}", expected=expected, found=f"{found!r:.80}")
