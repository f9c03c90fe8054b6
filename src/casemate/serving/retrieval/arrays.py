"""Arrays of a folder: written once with a list of what they are, read where they lie.

Rules. A folder's list names every array with its type, shape and size; an array that is not as listed is BadInput
(`mapped`). Nothing is read that is not listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from casemate.errors import BadInput
from casemate.serving.retrieval.mapped import mapped, write_array

_DTYPE = "^(<[iuf][1248]|[|][ui]1|[|]S[0-9]{1,3})$"


class ListedArray(BaseModel):
    """One array as a list names it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    dtype: Annotated[str, Field(pattern=_DTYPE)]
    rows: Annotated[int, Field(ge=0)]
    size: Annotated[int, Field(ge=0)]


def write_arrays(folder: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, ListedArray]:
    """Write one-dimensional arrays as `<name>.npy`; the list of what was written."""
    listed = {}
    for name, array in arrays.items():
        file = folder / f"{name}.npy"
        write_array(file, array)
        listed[name] = ListedArray(dtype=array.dtype.str, rows=len(array), size=file.stat().st_size)
    return listed


def read_array(folder: Path, name: str, listed: Mapping[str, ListedArray]) -> npt.NDArray[Any]:
    """One array of a folder, read-only; BadInput where it is not as listed, or not listed."""
    if name not in listed:
        raise BadInput(folder, expected=f"an array {name} in its list", found="none")
    array = listed[name]
    return mapped(folder / f"{name}.npy", array.size, np.dtype(array.dtype), (array.rows,))
