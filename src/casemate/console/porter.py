"""The porter: who is let through to a route, before anything of the request's body is read.

Rules. Deny by default: but for the health check, and the metrics of loopback, nothing is answered without a secret that
opens. The name by which the host was called must be one of its own, so that a page in somebody's browser cannot reach
it by another. A secret that opens nothing is answered in one way; from an address that tries many, in the same way but
for the status, and never by shutting out who has a key and sits at the same address. Every answer has the headers that
keep browsers from guessing, framing or keeping it, and an identifier, random, which the log of a mistake repeats. Pure
ASGI: a stream passes through as it comes.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import Any

from anyio.to_thread import run_sync
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from casemate.console import faults, tally
from casemate.console.buckets import Taken
from casemate.console.desk import Console, Who
from casemate.console.faults import Fault
from casemate.errors import CasemateError
from casemate.markings import Marking

HEALTH, METRICS, REQUEST_ID = "/health", "/metrics", "X-Request-ID"
_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_LONGEST_SECRET = 256


@dataclass(frozen=True)
class Porter:
    """The outermost application."""

    app: ASGIApp
    console: Console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        said = _Said(send, time.monotonic(), secure=scope.get("scheme") == "https")
        try:
            scope["casemate"] = await self._who(scope, said)
        except (Fault, CasemateError) as no:
            response: Response = no.response() if isinstance(no, Fault) else faults.of(no)
            await response(scope, receive, said.send)
        else:
            try:
                await self.app(scope, receive, said.send)
            except asyncio.CancelledError:
                return  # the server ends, and has waited for this answer as long as it waits: no mistake
            except Exception as why:
                why.add_note(f"x-request-id: {said.headers[REQUEST_ID]}")
                if not said.status:
                    await faults.mistake().response()(scope, receive, said.send)
                raise
        finally:
            self._count(scope, said)

    async def _who(self, scope: Scope, said: _Said) -> Who:
        headers = Headers(scope=scope)
        if _host(headers.get("host", "")) not in self.console.names:
            raise Fault(421, "unknown_host", "This server is not called by that name ('casemate serve --name').")
        address, path = _address(scope), scope["path"]
        if path == HEALTH:
            return Who(None)
        secret = _secret(headers)
        if secret is None:
            if path == METRICS and address in _LOOPBACK:
                return Who(None)
            raise faults.no_key()
        guest = await run_sync(
            lambda: self.console.entrance.enter(secret, address=address), limiter=self.console.entering
        )
        if guest is None:
            taken = self.console.strangers.take(address)
            if taken.wait_s:
                raise Fault(429, "too_many_wrong_keys", faults.no_key().message, retry_after_s=taken.wait_s)
            raise faults.no_key()
        size, taken = self.console.requests.size, self.console.requests.take(guest.key.id)
        said.headers |= _rates(size, taken)
        if taken.wait_s:
            message = f"This key may ask {size} times a minute."
            raise Fault(429, "rate_limit_exceeded", message, retry_after_s=taken.wait_s)
        return Who(guest)

    def _count(self, scope: Scope, said: _Said) -> None:
        who: Who | None = scope.get("casemate")
        marking: Marking | None = None
        if who is not None and who.guest is not None:
            marking = who.marking or who.guest.top
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in {"GET", "POST", "DELETE"} else "other"
        spent_s = time.monotonic() - said.began
        self.console.tally.request(tally.Request(route, method, said.status or 499), spent_s=spent_s, marking=marking)


class _Said:
    """What is sent, with the headers that every answer has."""

    def __init__(self, send: Send, began: float, *, secure: bool) -> None:
        self._send, self.began, self._secure, self.status = send, began, secure, 0
        self.headers = {REQUEST_ID: f"req_{secrets.token_hex(12)}"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in (_SECURITY | self.headers).items():
                headers[name] = value
            if self._secure:
                headers["Strict-Transport-Security"] = "max-age=31536000"
        await self._send(message)


def _rates(size: int, taken: Taken) -> dict[str, str]:
    """How often a key may ask, as OpenAI's API says it; it hangs on nobody else's requests."""
    return {
        "X-RateLimit-Limit-Requests": str(size), "X-RateLimit-Remaining-Requests": str(taken.left),
        "X-RateLimit-Reset-Requests": f"{taken.full_s:.3f}s",
    }  # fmt: skip


def _host(text: str) -> str:
    """The name in a Host header, without its port and in lower case."""
    if text.startswith("["):
        return text.partition("]")[0].removeprefix("[").lower()
    return text.partition(":")[0].lower()


def _secret(headers: Headers) -> str | None:
    given = headers.getlist("authorization")
    if not given:
        return None
    scheme, _, secret = given[0].partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer" or len(secret) > _LONGEST_SECRET:
        return ""  # opens nothing, and is counted
    return secret.strip()


def _address(scope: Any) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "local"
