"""Base models: only what is known is built, key by key, and weights fit or are refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from casemate.errors import BadInput
from casemate.modalities.language import architecture

SIZES = {
    "vocabulary": 64,
    "layers": 2,
    "width": 32,
    "heads": 4,
    "kv_heads": 2,
    "feed_forward": 48,
    "context": 32,
    "end": 0,
}
LLAMA = architecture.from_scratch(**SIZES)  # type: ignore[arg-type]


def config(kind: str = "llama", **changes: Any) -> dict[str, Any]:
    found = {**LLAMA, "model_type": kind, "architectures": [architecture.CLASSES[kind]], **changes}
    return {name: value for name, value in found.items() if value != "absent"}


def saved(folder: Path, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / architecture.CONFIG).write_text(json.dumps(config(**changes)))
    network = architecture.build(architecture.checked(config(**changes)), seed=3)
    tensors = {name: t for name, t in network.state_dict().items() if name != "lm_head.weight"}
    (folder / architecture.WEIGHTS).write_bytes(architecture.to_bytes(tensors, torch.float32))
    return folder


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2"])
def test_networks_that_are_known_are_built_saved_and_loaded(tmp_path: Path, kind: str) -> None:
    folder = saved(tmp_path / kind, kind=kind)
    network, dtype = architecture.load(folder, architecture.read_config(folder))
    again = architecture.build(architecture.checked(config(kind)), seed=3)
    assert dtype == torch.float32
    ids = torch.arange(10)[None]
    with torch.inference_mode():
        assert torch.equal(network.eval()(input_ids=ids).logits, again.eval()(input_ids=ids).logits)


def test_weights_in_several_files_are_read_by_their_index(tmp_path: Path) -> None:
    folder = saved(tmp_path / "m")
    tensors = architecture.read_weights(folder)
    (folder / architecture.WEIGHTS).unlink()
    half = len(tensors) // 2
    parts = {
        "model-1.safetensors": dict(list(tensors.items())[:half]),
        "model-2.safetensors": dict(list(tensors.items())[half:]),
    }
    for name, some in parts.items():
        (folder / name).write_bytes(architecture.to_bytes(some, torch.float32))
    index = {"weight_map": {key: name for name, some in parts.items() for key in some}}
    (folder / architecture.INDEX).write_text(json.dumps(index))
    assert architecture.read_weights(folder).keys() == tensors.keys()
    (folder / architecture.INDEX).write_text(json.dumps({"weight_map": {"a": "../../x.safetensors"}}))
    with pytest.raises(BadInput, match=r"expected names of safetensors files beside it, found '../../x.safetensors'"):
        architecture.read_weights(folder)
    (folder / architecture.INDEX).write_text("{}")
    with pytest.raises(BadInput, match=r"model.safetensors.index.json: expected a weight_map"):
        architecture.read_weights(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, r"config.json: expected keys that are known here, found auto_map"),
        ({"quantization_config": {}}, r"config.json: expected keys that are known here, found quantization_config"),
        ({"model_type": "gpt2"}, r"config.json model_type: expected llama or mistral or qwen2, found 'gpt2'"),
        ({"architectures": ["Evil"]}, r"architectures: expected \['LlamaForCausalLM'\], found \['Evil'\]"),
        ({"hidden_size": "32"}, r"config.json hidden_size: expected 8 to 65536, found '32'"),
        ({"hidden_size": True}, r"config.json hidden_size: expected 8 to 65536, found True"),
        ({"num_hidden_layers": 10**9}, r"config.json num_hidden_layers: expected 1 to 512, found 1000000000"),
        ({"vocab_size": "absent"}, r"config.json vocab_size: expected 2 to 1048576, found None"),
        ({"num_key_value_heads": 3}, r"config.json num_key_value_heads: expected a divisor of 4, found 3"),
        ({"head_dim": 12}, r"config.json head_dim: expected hidden_size / num_attention_heads, even, found 12"),
        ({"hidden_act": "gelu"}, r"config.json hidden_act: expected silu, found 'gelu'"),
        ({"rope_scaling": {"type": "yarn"}}, r"config.json rope_scaling: expected None, found"),
        ({"rope_parameters": {"rope_type": "yarn"}}, r"config.json rope_parameters: expected rope_type default, found"),
        ({"rope_theta": -1.0}, r"config.json rope_theta: expected 1 to 1e\+12, found -1.0"),
        ({"attention_bias": True}, r"config.json attention_bias: expected False, found True"),
    ],
)
def test_a_configuration_is_read_key_by_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        architecture.checked(config() | changes if "absent" not in changes.values() else config(**changes))


def test_a_window_of_attention_is_refused_where_it_would_count() -> None:
    with pytest.raises(BadInput, match=r"config.json sliding_window: expected none, found 16"):
        architecture.checked(config("mistral", sliding_window=16))


def test_a_folder_without_configuration_or_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"/config.json: expected a model's configuration, found none"):
        architecture.read_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(BadInput, match=r"config.json: expected JSON, found"):
        architecture.read_config(tmp_path)
    with pytest.raises(BadInput, match=r"model.safetensors: expected a safetensors file, found"):
        architecture.read_weights(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(BadInput, match=r"model.safetensors: expected a safetensors file, found"):
        architecture.read_weights(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(architecture.to_bytes({"a": torch.zeros(2)}, torch.int32))
    with pytest.raises(BadInput, match=r"expected tensors of fp32, fp16 or bf16, found a torch.int32"):
        architecture.read_weights(tmp_path)


def test_weights_that_are_too_many_too_few_or_of_another_shape_are_named(tmp_path: Path) -> None:
    folder = saved(tmp_path / "m")
    tensors = architecture.read_weights(folder)
    network = architecture.build(architecture.read_config(folder), seed=0)
    with pytest.raises(BadInput, match=r"model.safetensors backdoor: expected no such tensor, found \(2,\)"):
        architecture.fill(network, tensors | {"backdoor": torch.zeros(2)})
    with pytest.raises(BadInput, match=r"model.norm.weight: expected \(32,\), found no such tensor"):
        architecture.fill(network, {name: t for name, t in tensors.items() if name != "model.norm.weight"})
    with pytest.raises(BadInput, match=r"model.norm.weight: expected \(32,\), found \(31,\)"):
        architecture.fill(network, tensors | {"model.norm.weight": torch.zeros(31)})
