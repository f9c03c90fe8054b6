"""Every "no" of the API, as OpenAI's error object: the one place where errors become HTTP answers.

Rules. A `CasemateError` has the status of its class (`casemate.errors`) and its facts beside OpenAI's fields; what is
above the reader is NotFound in the words of what does not exist. Where OpenAI's API has a code of its own for what is
meant, it is said, because programs act on it. A `Fault` is a "no" of the protocol: no key, a body
that cannot be read, too many requests. Our own mistake is a 500 that says nothing about itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from starlette.responses import JSONResponse

from casemate.errors import BadInput, CasemateError, ContextTooLong, NotFound, QuotaSpent, Refused

_KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    409: "conflict_error", 429: "rate_limit_error", 503: "server_error", 500: "server_error",
}  # fmt: skip


# What programs look for by OpenAI's own codes, with the part of the request that it is about.
_THEIRS: dict[type[CasemateError], tuple[str, str | None]] = {
    ContextTooLong: ("context_length_exceeded", "messages"), QuotaSpent: ("insufficient_quota", None),
}  # fmt: skip


class Fault(Exception):  # noqa: N818
    """A "no" of the protocol; `param` names the part of the request that it is about."""

    def __init__(
        self, status: int, code: str, message: str, *, param: str | None = None, retry_after_s: int | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Keep what the answer will say."""
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param
        self.retry_after_s, self.facts = retry_after_s, facts

    def response(self) -> JSONResponse:
        """The answer."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        said = body(self.message, self.status, self.code, param=self.param, facts=self.facts)
        return _answer(self.status, said, headers)


def of(no: CasemateError) -> JSONResponse:
    """The answer to a deliberate error."""
    return _answer(no.http_status, error_of(no), retry_of(no))


def error_of(no: CasemateError) -> dict[str, Any]:
    """The body of a deliberate error, as an answer or as the last event of a stream."""
    own = "".join("_" + c.lower() if c.isupper() else c for c in type(no).__name__).lstrip("_")
    code, param = _THEIRS.get(type(no), (own, None))
    return body(str(no), no.http_status, code, param=param, facts=no.facts())


def retry_of(no: CasemateError) -> dict[str, str]:
    """When to ask again, where an error says so."""
    retry_after_s = getattr(no, "retry_after_s", None)
    return {} if retry_after_s is None else {"Retry-After": str(int(retry_after_s))}


def body(
    message: str, status: int, code: str, *, param: str | None = None, facts: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """OpenAI's error object, with the facts of ours."""
    kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
    error: dict[str, Any] = {"message": message, "type": kind, "param": param, "code": code}
    return {"error": error if facts is None else {**error, "casemate": dict(facts)}}


def unsupported(what: str, instead: str, *, param: str | None = None) -> Fault:
    """What OpenAI's API has and this one has not, with what to do instead."""
    return Fault(BadInput.http_status, "not_supported", f"{what} is not supported: {instead}", param=param)


@contextmanager
def of_a_model() -> Iterator[None]:
    """What is not found inside is the model that was named: it is not there, or above who asks."""
    try:
        yield
    except NotFound as no:
        raise Fault(no.http_status, "model_not_found", str(no), param="model", facts=no.facts()) from no


def missing_scope(*scopes: str) -> Fault:
    """The answer to a key that was not made for this."""
    return Fault(Refused.http_status, "missing_scope", f"This key lacks the scope {' or '.join(scopes)}.")


def no_key() -> Fault:
    """The one answer to a secret that opens nothing, or to none."""
    message = "No API key in force was given: send 'Authorization: Bearer <secret>' ('casemate apikey new' makes one)."
    return Fault(401, "invalid_api_key", message)


def too_large(most_bytes: int) -> Fault:
    """The answer to a body beyond the site's limit."""
    return Fault(413, "body_too_large", f"The body has more than {most_bytes} bytes, which is the most that is read.")


def mistake() -> Fault:
    """The answer to a mistake of ours, which the server's log tells."""
    return Fault(500, "internal_error", "The server made a mistake; its log says where.")


def _answer(status: int, content: dict[str, Any], headers: Mapping[str, str]) -> JSONResponse:
    # A hostile name may hold a lone surrogate, which UTF-8 has not.
    return _Escaped(content, status_code=status, headers=dict(headers))


class _Escaped(JSONResponse):
    """JSON in which every character beyond ASCII is escaped, so that any text can be told."""

    def render(self, content: Any) -> bytes:
        import json

        return json.dumps(content, separators=(",", ":")).encode("ascii")
