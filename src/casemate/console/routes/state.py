"""`/health`, `/metrics`, `/openapi.json`: that the server answers, what it did, what it can be asked.

Rules. The health check tells nobody anything but that it answers. The metrics are for loopback, which gets what
everybody may know, and for keys with the scope of an operator or an officer, who get what they may read.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from casemate.console.desk import Ask, Route
from casemate.console.faults import Fault
from casemate.console.porter import HEALTH, METRICS


async def health(_: Ask[None]) -> Response:
    """That the server answers."""
    return JSONResponse({"status": "ok"})


async def metrics(ask: Ask[None]) -> Response:
    """What was counted, as far as who asks may read it."""
    guest = ask.who.guest
    policy = ask.console.entrance.opened_by.site.policy
    if guest is None:
        page = ask.console.tally.page(lambda marking: marking == policy.lowest)
    elif guest.may("metrics") and guest.desk.person.roles & {"operator", "officer"}:
        page = ask.console.tally.page(guest.desk.reader.may_read)
    else:
        raise Fault(403, "missing_scope", "Metrics are for keys of operators and officers, with the scope metrics.")
    return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")


async def openapi(ask: Ask[None]) -> Response:
    """What the server can be asked."""
    described: dict[str, Any] = ask.request.app.openapi()
    return JSONResponse(described)


ROUTES = (
    Route("GET", HEALTH, health, "That the server answers; no key"),
    Route("GET", METRICS, metrics, "What was counted, in Prometheus' format"),
    Route("GET", "/openapi.json", openapi, "This description"),
)
