"""The application: its routes in a table, each behind the porter and its scope, described in OpenAPI.

Rules. No page is served: the description is JSON, for who has a key. A route that is not in the table is not found. The
key's scopes are asked here, once for all routes; the ceiling of a request is taken from its header or its body before a
route sees it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from casemate import __version__
from casemate.console import bodies, faults
from casemate.console.desk import CEILING, Ask, Console, Route, Who, header_of
from casemate.console.faults import Fault
from casemate.console.porter import Porter
from casemate.console.routes import ROUTES
from casemate.errors import CasemateError

_CEILING = {
    "name": CEILING, "in": "header", "required": False, "schema": {"type": "string"},
    "description": "See and make nothing above this marking.",
}  # fmt: skip


_HTTP = {
    404: ("unknown_url", "There is no such route."),
    405: ("method_not_allowed", "This route has no such method."),
}


def make_app(console: Console) -> ASGIApp:
    """The application of a console."""
    return Porter(routed(console), console)


def routed(console: Console) -> FastAPI:
    """The routes without their porter."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await console.pool.close()

    app = FastAPI(
        title="Casemate", version=__version__, docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan,
        summary="Language models and detectors of a site, as OpenAI's API: see docs/api.md for what is added.",
        redirect_slashes=False, separate_input_output_schemas=False,
    )  # fmt: skip
    for route in ROUTES:
        app.add_api_route(
            route.path, _endpoint(console, route), methods=[route.method], summary=route.summary,
            name=route.answer.__name__, openapi_extra=_described(route), response_class=JSONResponse,
        )  # fmt: skip
    app.add_exception_handler(HTTPException, _http_no)
    app.add_exception_handler(Exception, _mistake)
    return app


def _endpoint(console: Console, route: Route) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return await route.answer(await _asked(console, route, request))
        except Fault as no:
            return no.response()
        except CasemateError as no:
            return faults.of(no)

    return endpoint


async def _asked(console: Console, route: Route, request: Request) -> Ask[Any]:
    who: Who = request.scope["casemate"]
    if who.guest is None:
        return Ask(console, request, who, None, None)  # type: ignore[arg-type]  # only routes that ask for nobody
    guest = who.guest
    if route.scopes and not guest.may(*route.scopes):
        raise faults.missing_scope(*route.scopes)
    body = None
    if route.form is not None:
        request = bodies.bounded(request, most_bytes=console.bounds.upload_bytes)
    if route.body is not None:
        data = await bodies.received(request, most_bytes=console.bounds.json_bytes)
        body = bodies.parsed(data, route.body)
    ceilings = (header_of(request, CEILING), getattr(getattr(body, "casemate", None), "ceiling", None))
    for ceiling in ceilings:
        guest = guest if ceiling is None else guest.under(ceiling)
    who.guest = guest
    return Ask(console, request, who, guest, body)


async def _http_no(_: Request, why: Exception) -> Response:
    status = why.status_code if isinstance(why, HTTPException) else 500
    code, message = _HTTP.get(status, ("invalid_form", "The form cannot be read as multipart/form-data."))
    return Fault(status, code, message).response()


async def _mistake(_: Request, __: Exception) -> Response:
    return faults.mistake().response()


def _described(route: Route) -> dict[str, Any]:
    """What OpenAPI says of a route."""
    named = [
        {"name": name, "in": "query", "required": False, "schema": {"type": "string"}, "description": what}
        for name, what in route.query.items()
    ]
    variable = [
        {"name": name.partition(":")[0], "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{([^}]+)\}", route.path)
    ]
    said: dict[str, Any] = {"parameters": [_CEILING, *variable, *named]}
    if route.body is not None:
        schema = route.body.model_json_schema()
        said["requestBody"] = {"required": True, "content": {"application/json": {"schema": _inlined(schema)}}}
    if route.form is not None:
        fields = {
            name: {"type": "string", "description": what} | ({"format": "binary"} if name in {"file", "scene"} else {})
            for name, what in route.form.items()
        }
        form = {"schema": {"type": "object", "properties": fields}}
        said["requestBody"] = {"required": True, "content": {"multipart/form-data": form}}
    return said


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema whose definitions stand where they are used."""
    definitions = schema.pop("$defs", {})

    def of(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return of(definitions[value["$ref"].rpartition("/")[2]])
            return {key: of(one) for key, one in value.items()}
        return [of(one) for one in value] if isinstance(value, list) else value

    return dict(of(schema))
