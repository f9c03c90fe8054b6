"""`/v1/models`: the releases that the key's owner may use, and `assistant`, which answers over documents.

Rules. What is listed is listed for who asks: releases that they may read, that are for this site, neither expired nor
withdrawn. A release is called by its name, or by its identifier where a namesake is listed too. Whether it holds is
verified when it is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from casemate.console import faults
from casemate.console.desk import Ask, Route
from casemate.errors import NotFound
from casemate.factory import Factory
from casemate.factory.offers import Offer

ASSISTANT = "assistant"
USES = ("models", "documents", "all-documents", "detect")


async def list_models(ask: Ask[None]) -> Response:
    """Every model that may be named in a request."""
    found = await ask.do(ask.desk.usable)
    data = [_model(ask.desk, offer, found) for offer in found]
    if ask.guest.may("documents", "all-documents"):
        data.append(_assistant(ask.desk))
    marking = ask.joined(offer.marking for offer in found)
    return ask.json({"object": "list", "data": data}, marking=marking)


async def get_model(ask: Ask[None]) -> Response:
    """One model by its name or identifier."""
    named = ask.path["model"]
    if named == ASSISTANT and ask.guest.may("documents", "all-documents"):
        return ask.json(_assistant(ask.desk), marking=ask.desk.site.policy.lowest)
    found = await ask.do(ask.desk.usable)
    for offer in found:
        if named in {offer.entry.id, called(offer, found)}:
            return ask.json(_model(ask.desk, offer, found), marking=offer.marking)
    with faults.of_a_model():
        raise NotFound(named, expected="a model that you may use", found="none")


def called(offer: Offer, found: Sequence[Offer]) -> str:
    """What a release is called among those found."""
    names = Counter(other.entry.name for other in found)
    name = offer.entry.name
    return offer.entry.id if names[name] > 1 or name == ASSISTANT else name


def _model(desk: Factory, offer: Offer, found: Sequence[Offer]) -> dict[str, Any]:
    return {
        "id": called(offer, found), "object": "model", "created": int(offer.entry.created.timestamp()),
        "owned_by": desk.site.name,
        "casemate": {
            "entry": offer.entry.id, "task": offer.task, "marking": str(offer.marking), "expires": offer.expires,
            "release": str(offer.entry.facts["release"]), "project": offer.entry.project,
        },
    }  # fmt: skip


def _assistant(desk: Factory) -> dict[str, Any]:
    owner = desk.site.name
    return {"id": ASSISTANT, "object": "model", "created": 0, "owned_by": owner, "casemate": {"task": "assistant"}}


ROUTES = (
    Route("GET", "/v1/models", list_models, "The models that may be used", USES),
    Route("GET", "/v1/models/{model:path}", get_model, "One of them", USES),
)
