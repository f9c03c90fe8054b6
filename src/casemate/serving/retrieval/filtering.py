"""Which rows a search may find: the filters, decided on the columns of a segment before anything is ranked."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from casemate.serving.retrieval.passages import Filters
from casemate.serving.retrieval.segments import Bools, Segment


def allowed(segment: Segment, filters: Filters, projects: Mapping[str, str]) -> Bools | None:
    """The rows that `filters` let pass, None for all; `projects` are those of the shard's document sets."""
    if filters.none:
        return None
    columns, shown = segment.columns, np.ones(segment.rows, np.bool_)
    if filters.projects is not None:
        shown &= _among(columns["entries"], [e for e, project in projects.items() if project in filters.projects])
    if filters.entries is not None:
        shown &= _among(columns["entries"], filters.entries)
    if filters.kinds is not None:
        shown &= _among(columns["kinds"], filters.kinds)
    if filters.languages is not None:
        shown &= _among(columns["languages"], filters.languages)
    if filters.documents is not None:
        shown &= _among(columns["entries"], filters.documents) | _among(columns["documents"], filters.documents)
    dates = columns["dates"]
    if filters.since is not None:
        shown &= dates >= filters.since.encode()
    if filters.until is not None:
        shown &= (dates <= filters.until.encode()) & (dates != b"")
    return shown


def _among(column: npt.NDArray[np.bytes_], values: Collection[str]) -> Bools:
    return np.isin(column, np.array(sorted(value.encode() for value in values), "S"))
