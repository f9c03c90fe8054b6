"""Lists in pages, as OpenAI's API has them: so many, in which order, after which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from casemate.console.faults import Fault


@dataclass(frozen=True)
class Page:
    """What part of a list is asked for; `after` is an identifier, empty at the beginning."""

    limit: int
    ascending: bool
    after: str


def page_of(query: Mapping[str, str], *, most: int, usual: int) -> Page:
    """The page that a query asks for; Fault 400 for one that is none."""
    text, order = query.get("limit", str(usual)), query.get("order", "desc")
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= most):
        raise Fault(400, "invalid_value", f"limit must be a number from 1 to {most}.", param="limit")
    if order not in {"asc", "desc"}:
        raise Fault(400, "invalid_value", "order must be asc or desc.", param="order")
    if query.get("before"):
        raise Fault(400, "invalid_value", "Pages go on with 'after'; there is no 'before'.", param="before")
    return Page(int(text), order == "asc", query.get("after", ""))


def whole_list(data: Sequence[Mapping[str, Any]], *, more: bool) -> dict[str, Any]:
    """A page as it is answered."""
    ids = [str(one["id"]) for one in data] or [""]
    return {"object": "list", "data": list(data), "first_id": ids[0], "last_id": ids[-1], "has_more": more}
