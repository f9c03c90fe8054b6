"""The optimiser's moments by the place of each parameter: how checkpoints of detectors hold them.

Rules. Every process has all weights, so that nothing is gathered. What was written is read for ever.
"""

from collections.abc import Mapping

import torch
from torch import Tensor


def moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as tensors, by the place of each parameter."""
    state = optimizer.state_dict()["state"]
    return {f"{place}.{name}": tensor for place, facts in state.items() for name, tensor in facts.items()}


def restore_moments(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `moments` took."""
    whole = optimizer.state_dict()
    whole["state"] = {}
    for key, tensor in tensors.items():
        place, name = key.split(".", 1)
        whole["state"].setdefault(int(place), {})[name] = tensor
    optimizer.load_state_dict(whole)
