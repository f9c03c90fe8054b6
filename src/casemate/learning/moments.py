"""An optimiser's moments under the names of the parameters that they belong to, whole, and put back from there.

Rules. A name in a checkpoint is `parameter|moment`: it does not tell how many processes shared the parameter, so that
another number of them may go on.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor

from casemate.learning.parallel import put_back

State = MutableMapping[Any, Any]
"""An Adam optimiser's `state`: of each parameter, its moments."""
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def moments(state: State, learning: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The moments of what learns; what is divided among processes is still so."""
    return {f"{name}|{m}": state[p][m] for name, p in learning.items() if p in state for m in _MOMENTS}


def restore_moments(state: State, learning: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> None:
    """Put back what `moments` took, once it was gathered."""
    for key, tensor in kept.items():
        name, moment = key.rsplit("|", 1)
        parameter = learning[name]
        like = tensor if moment == "step" else torch.zeros_like(parameter)
        if moment != "step":
            put_back(like, tensor)
        state.setdefault(parameter, {})[moment] = like
