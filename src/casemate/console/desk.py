"""What a route is given: the console, who asks, and the body; and how it answers.

Rules. A route is a function of an `Ask` and nothing else. Every answer with content says its marking in a header; who
asks gets it only if they may read that marking, which the verbs of the factory see to.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote, unquote

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from pydantic import BaseModel
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from casemate.console.buckets import Buckets
from casemate.console.tally import Tally
from casemate.factory import Factory
from casemate.factory.access import Entrance, Guest
from casemate.factory.models import new_pool
from casemate.factory.site import ApiToml
from casemate.markings import Marking
from casemate.serving.engines import Usage
from casemate.serving.pool import EnginePool
from casemate.store.staging import full_disk_named

# A request says the marking of what it sends by the header of the same name.
MARKING, RELEASE, CEILING = "X-Casemate-Marking", "X-Casemate-Release", "X-Casemate-Ceiling"
HEAVY_AT_ONCE = 2
ENTERING_AT_ONCE = 8  # threads of their own: nobody waits at the door for what others ask inside
_PLAIN = " /,-_"  # what a marking has beside letters and digits
_B = TypeVar("_B")
_T = TypeVar("_T")


@dataclass
class Console:
    """What all requests share."""

    entrance: Entrance[Factory]
    names: frozenset[str]
    bounds: ApiToml = field(default_factory=ApiToml)
    clock: Callable[[], float] = time.monotonic
    tally: Tally = field(default_factory=Tally)
    pool: EnginePool = field(init=False)
    heavy: CapacityLimiter = field(init=False)
    entering: CapacityLimiter = field(init=False)
    requests: Buckets = field(init=False)
    strangers: Buckets = field(init=False)

    def __post_init__(self) -> None:
        """Make what the site's settings and the bounds say."""
        desk = self.entrance.opened_by
        self.pool = new_pool(desk.site, now=desk.now)
        self.heavy, self.entering = CapacityLimiter(HEAVY_AT_ONCE), CapacityLimiter(ENTERING_AT_ONCE)
        self.requests = Buckets(self.bounds.requests_per_minute, self.clock)
        self.strangers = Buckets(self.bounds.wrong_keys_per_minute, self.clock)


@dataclass
class Who:
    """Who asks: nobody known, or the guest of a key; `marking` is that of what they were answered, once it is known."""

    guest: Guest[Factory] | None
    marking: Marking | None = None


@dataclass(frozen=True)
class Ask(Generic[_B]):
    """A request that was let through: who asks, under which ceiling, and what."""

    console: Console
    request: Request
    who: Who
    guest: Guest[Factory]
    body: _B

    @property
    def desk(self) -> Factory:
        """Where its verbs are called."""
        return self.guest.desk

    @property
    def share(self) -> str:
        """The key's project, whose tokens a call spends: its name and identifier, seen under this ceiling or not."""
        return f"{self.guest.key.project_name}\n{self.guest.key.project}"

    @property
    def path(self) -> Mapping[str, str]:
        """The variable parts of the path."""
        return self.request.path_params

    async def do(self, verb: Callable[[], _T]) -> _T:
        """Call a verb of the factory, which may take long, beside the loop."""
        return await run_sync(verb)

    async def heavy(self, verb: Callable[[], _T]) -> _T:
        """Call a verb that decodes or inspects what was sent: so many at a time, the others wait."""
        return await run_sync(verb, limiter=self.console.heavy)

    @asynccontextmanager
    async def form(self, *, most_fields: int) -> AsyncIterator[FormData]:
        """The form that was sent, with one file at most, which is on the site's disk until the block ends; DiskFull."""
        with full_disk_named(self.desk.site.quarantine):
            async with self.request.form(max_files=1, max_fields=most_fields) as form:
                yield form

    def mark(self, text: str | None, thing: str) -> Marking:
        """The marking declared for what was sent; else the highest its sender may read.

        Declared twice, by `text` and in the header, it is both: a program cannot unsay what a gateway before it says.
        """
        said = [one for one in (text, header_of(self.request, MARKING)) if one is not None]
        if not said:
            return self.guest.top
        admitted = [self.desk.admitted_marking(one, thing) for one in said]
        return self.desk.catalog.site.admit_from(Marking.join_all(admitted[0], admitted), self.desk.reader, thing=thing)

    def declared(self, text: object, thing: str) -> str | None:
        """The same, of a field of a form, for a verb that checks it; None where nothing is declared."""
        said = [one for one in (text, header_of(self.request, MARKING)) if isinstance(one, str)]
        return str(self.mark(said[0], thing)) if len(said) > 1 else next(iter(said), None)

    def json(
        self, content: Mapping[str, Any], *, marking: Marking, releases: Iterable[str] = (), status: int = 200
    ) -> Response:
        """An answer as JSON, with its marking and the releases that it was made with."""
        return JSONResponse(content, status_code=status, headers=self.headers(marking, releases))

    def headers(self, marking: Marking, releases: Iterable[str] = ()) -> dict[str, str]:
        """The headers that say an answer's marking and the releases that it was made with."""
        self.who.marking = marking
        named = ", ".join(releases)
        return {MARKING: quote(str(marking), safe=_PLAIN)} | ({RELEASE: named} if named else {})

    def count(self, usage: Usage | None, marking: Marking) -> None:
        """Count the tokens of an answer."""
        if usage is not None:
            tally = self.console.tally
            tally.tokens(prompt=usage.prompt_tokens, completion=usage.completion_tokens, marking=marking)

    def joined(self, markings: Iterable[Marking]) -> Marking:
        """The marking of a list: the join of what is in it."""
        return Marking.join_all(self.desk.site.policy.lowest, markings)


def header_of(request: Request, name: str) -> str | None:
    """A header that holds a marking; characters beyond ASCII come as percent and the digits of UTF-8."""
    said = request.headers.get(name)
    return None if said is None else unquote(said, errors="replace")


Answer = Callable[[Ask[Any]], Awaitable[Response]]


@dataclass(frozen=True)
class Route:
    """A route: what is asked how, with which of the key's scopes (any of them), and what answers."""

    method: str
    path: str
    answer: Answer
    summary: str
    scopes: tuple[str, ...] = ()
    body: type[BaseModel] | None = None
    form: Mapping[str, str] | None = None  # the fields of a multipart body, and what they are
    query: Mapping[str, str] = field(default_factory=dict)
