"""Weights as bytes: safetensors only, and the base weights that ship with Casemate.

Rules. Reading is strict: a tensor too many, too few or
of another shape is an error that names it. Shipped weights are half precision and their digest stands in `base.json`,
which is compared before use. Nothing here ever unpickles.
"""

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casemate.errors import BadInput
from casemate.store.digest import Digest

if TYPE_CHECKING:
    from torch import Tensor

    from casemate.modalities.imagery.network import Detector

FORMAT = "casemate-detector/1"
SAFETENSORS, CONFIG = "model.safetensors", "model.json"


def to_bytes(tensors: "Mapping[str, Tensor]", *, half: bool = False) -> bytes:
    """Tensors as safetensors, in the order of their names; `half` stores fp32 as fp16."""
    import torch
    from safetensors.torch import save

    cast = {torch.float32: torch.float16} if half else {}
    ready = {
        name: tensors[name].detach().cpu().to(cast.get(tensors[name].dtype, tensors[name].dtype)).contiguous()
        for name in sorted(tensors)
    }
    return bytes(save(ready))


def from_bytes(data: bytes, *, name: str) -> "dict[str, Tensor]":
    """Tensors of a safetensors file, fp16 widened to fp32."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
    except SafetensorError as why:
        raise BadInput(name, expected="a safetensors file", found=why) from why
    return {key: t.float() if t.dtype in {torch.float16, torch.bfloat16} else t for key, t in tensors.items()}


def read_config(folder: Path) -> dict[str, Any]:
    """A model folder's model.json, of the format known here."""
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except (OSError, ValueError) as why:
        raise BadInput(folder / CONFIG, expected=f"a {FORMAT} description in JSON", found=why) from why
    found = config.get("format") if isinstance(config, dict) else type(config).__name__
    if found != FORMAT:
        raise BadInput(f"{folder / CONFIG} format", expected=FORMAT, found=found)
    return dict(config)


def load_network(folder: Path) -> "tuple[Detector, dict[str, Any]]":
    """The network of a model folder, ready to answer, and its configuration."""
    from casemate.modalities.imagery.network import Architecture, build
    from casemate.modalities.imagery.taxonomy import Taxonomy

    config = read_config(folder)
    try:
        data = (folder / SAFETENSORS).read_bytes()
    except OSError as why:
        raise BadInput(folder / SAFETENSORS, expected="the model's weights", found=why) from why
    nodes = Taxonomy.from_json(config["taxonomy"], source=CONFIG).names
    detector = build(Architecture.from_json(config["architecture"]), len(nodes), seed=0)
    fill(detector, from_bytes(data, name=SAFETENSORS), name=SAFETENSORS)
    return detector.eval(), config


def fill(detector: "Detector", tensors: "Mapping[str, Tensor]", *, name: str) -> None:
    """Give a network its weights: every one of them, and no other."""
    wanted = {key: tuple(value.shape) for key, value in detector.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    for key in sorted(wanted.keys() | found.keys()):
        if wanted.get(key) != found.get(key):
            raise BadInput(f"{name} {key}", expected=wanted.get(key, "no such tensor"), found=found.get(key, "nothing"))
    detector.load_state_dict(dict(tensors), strict=True)


def shipped() -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """The base weights that come with Casemate and their description, compared with the digest that stands in it."""
    folder = resources.files(__package__)
    config = json.loads(folder.joinpath("base.json").read_bytes())
    data = folder.joinpath("base.safetensors").read_bytes()
    found = Digest.of_bytes(data)
    if str(found) != config["weights"]:
        from casemate.errors import DigestMismatch

        raise DigestMismatch("base.safetensors", expected=config["weights"], found=found)
    return from_bytes(data, name="base.safetensors"), config
