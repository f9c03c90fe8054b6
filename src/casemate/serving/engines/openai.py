"""An engine on the site's own network that speaks as OpenAI's does: vLLM, llama.cpp's server, others.

Rules. This is the one file that speaks HTTP to another machine. Where to is in the site's settings and resolved once
(`casemate.serving.addresses`); redirects are not followed and the environment's proxies not asked. What comes back is
read as data, within limits, and nothing of it is repeated in an error: it may hold what was asked. The engine is told
to keep the beginnings of prompts apart by `cache_salt` (vLLM); a server that does not know the word keeps its own rule.
What runs at the other end cannot be verified from here: the officer who lists it vouches that it runs the release.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casemate.errors import BadInput, Busy, Unavailable
from casemate.serving.addresses import Resolver, pinned, resolve
from casemate.serving.engines import Message, Piece, Sampling, Usage
from casemate.serving.event_stream import EventStream

if TYPE_CHECKING:
    import httpx

# Where many come at once, what counts is when our own loop looks again, not when the engine took the connection.
_CONNECT_S, _WRITE_S, _WHOLE_S = 60.0, 60.0, 3600.0
_BYTES_A_TOKEN, _BYTES_A_MESSAGE, _MOST_TOKENS = 3, 8, 1 << 40
_EVENT_BYTES, _HEAD_BYTES = 4096, 1 << 20  # of an answer: for each token, and beside them


@dataclass(frozen=True)
class Remote:
    """An engine as the settings list it; `model` is what it calls the release.

    `clear` allows http to another machine, `salt` sends `cache_salt`, `timeout_s` bounds its silence.
    """

    name: str
    url: str
    model: str
    context_tokens: int = 8192
    ca: Path | None = None
    key_file: Path | None = None
    clear: bool = False
    salt: bool = True
    timeout_s: float = 120.0


def open_engine(remote: Remote, *, resolver: Resolver = resolve) -> OpenAI:
    """The engine at an address of the settings; nothing is sent yet."""
    return OpenAI(remote, resolver=resolver)


class OpenAI:
    """A chat model that runs elsewhere on the site."""

    def __init__(self, remote: Remote, *, resolver: Resolver) -> None:
        self._remote, self._thing = remote, f"engine {remote.name}"
        self._address = pinned(remote.url, thing=self._thing, clear=remote.clear, resolver=resolver)
        self._key = _key(remote.key_file, self._thing)
        self._verify = _verify(remote, self._address.scheme, self._thing)
        self._client: tuple[asyncio.AbstractEventLoop, httpx.AsyncClient] | None = None

    @property
    def name(self) -> str:
        """Name of the release that answers."""
        return self._remote.name

    @property
    def context_tokens(self) -> int:
        """What the settings say that the engine takes."""
        return self._remote.context_tokens

    def count(self, messages: Sequence[Message]) -> int:
        """About how many tokens the messages are, rather too many: the engine's own count is not asked for."""
        return sum(_BYTES_A_MESSAGE + len(json.dumps(m.to_json(), ensure_ascii=False).encode("utf-8", "replace"))
                   // _BYTES_A_TOKEN for m in messages)  # fmt: skip

    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Piece]:
        """The answer, piece by piece."""
        events = EventStream(thing=self._thing, most_bytes=_HEAD_BYTES + _EVENT_BYTES * sampling.max_tokens)
        answer = _Answer(self._thing)
        until = asyncio.get_running_loop().time() + _WHOLE_S
        with _said_in_our_words(answer):
            async with self._asked(messages, sampling) as response:
                _refuse_other(response, self._thing)
                async for data in response.aiter_raw():
                    if asyncio.get_running_loop().time() > until:
                        raise Unavailable(
                            self._thing, expected=f"an answer within {_WHOLE_S:g} s", found="more to come"
                        )
                    for event in events.feed(data):
                        for piece in answer.take(event):
                            yield piece
                    if answer.done:
                        break
        yield answer.end()

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            (_, client), self._client = self._client, None
            await client.aclose()

    def _asked(self, messages: Sequence[Message], sampling: Sampling) -> AbstractAsyncContextManager[httpx.Response]:
        own = {"model": self._remote.model, "stream": True, "stream_options": {"include_usage": True}}
        salt = {"cache_salt": sampling.reuse or secrets.token_hex(16)} if self._remote.salt else {}
        body = sampling.to_json() | own | salt | {"messages": [message.to_json() for message in messages]}
        head = {"Host": self._address.netloc, "Accept": "text/event-stream", "Accept-Encoding": "identity"}
        head |= {"Authorization": f"Bearer {self._key}"} if self._key else {}
        # The name is what the certificate must say; the connection goes to the number that the name had.
        name = {"sni_hostname": self._address.host}
        url = f"{self._address.url}/chat/completions"
        return self._connections().stream("POST", url, json=body, headers=head, extensions=name)

    def _connections(self) -> httpx.AsyncClient:
        import httpx

        loop = asyncio.get_running_loop()
        if self._client is None or self._client[0] is not loop:
            timeout = httpx.Timeout(_CONNECT_S, read=self._remote.timeout_s, write=_WRITE_S, pool=None)
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
            client = httpx.AsyncClient(
                verify=self._verify, trust_env=False, follow_redirects=False, timeout=timeout, limits=limits
            )
            self._client = (loop, client)
        return self._client[1]


class _Answer:
    """What has come of an answer so far."""

    def __init__(self, thing: str) -> None:
        self.thing, self.given, self.done = thing, 0, False
        self._finish: str | None = None
        self._usage: Usage | None = None

    def take(self, event: str) -> Iterator[Piece]:
        """The pieces of an event."""
        if event == "[DONE]":
            self.done = True
            return
        try:
            chunk = json.loads(event)
            choices = chunk.get("choices") or ()
            usage = chunk.get("usage")
            for choice in choices:
                yield from self._choice(choice)
            if usage:
                # How much it knew from before is not passed on: it may have been told by somebody else.
                self._usage = Usage(_tokens(usage["prompt_tokens"]), _tokens(usage["completion_tokens"]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as why:
            found = f"something else after {self.given} pieces"
            raise Unavailable(self.thing, expected="the chunks of a chat completion", found=found) from why
        if "error" in chunk:
            raise Unavailable(self.thing, expected="an answer to its end", found=f"its error after {self.given} pieces")

    def end(self) -> Piece:
        """The last piece; Unavailable where the answer was cut."""
        if not self.done and self._finish is None:
            raise self.cut("the end of the connection")
        return Piece("", self._finish or "stop", self._usage)

    def cut(self, by: str) -> Unavailable:
        """What is said of an answer that ended too early."""
        return Unavailable(self.thing, expected="an answer to its end", found=f"{by} after {self.given} pieces")

    def _choice(self, choice: dict[str, Any]) -> Iterator[Piece]:
        delta = choice.get("delta") or {}
        text = delta.get("content") or ""
        extra = {name: delta[name] for name in ("tool_calls", "reasoning_content") if delta.get(name)}
        calls = extra.get("tool_calls", [])
        if not isinstance(text, str) or not isinstance(calls, list) or not all(isinstance(c, dict) for c in calls):
            raise TypeError("a delta of another form")
        if text or extra:
            self.given += 1
            yield Piece(text, extra=extra)
        if choice.get("finish_reason"):
            self._finish = str(choice["finish_reason"])[:32]


@contextmanager
def _said_in_our_words(answer: _Answer) -> Iterator[None]:
    """The errors of the connection as ours."""
    import httpx

    try:
        yield
    except httpx.ConnectError as why:
        raise Unavailable(answer.thing, expected="an engine that listens", found="no connection") from why
    except httpx.TimeoutException as why:
        raise answer.cut("silence") from why
    except httpx.HTTPError as why:
        raise answer.cut("the end of the connection") from why


def _refuse_other(response: httpx.Response, thing: str) -> None:
    """Refuse everything but a stream of events; the body, which may repeat what was asked, is not read."""
    status = response.status_code
    if status in {400, 413, 422}:
        found = f"HTTP {status}; it may be longer than the engine's context"
        raise BadInput("messages", expected=f"a conversation that {thing} takes", found=found)
    if status == 429:
        raise Busy(thing, expected="an engine with a free place", found="HTTP 429")
    if status != 200:
        what = "a redirect, which is not followed" if response.is_redirect else "an error"
        raise Unavailable(thing, expected="HTTP 200", found=f"HTTP {status}, {what}")
    kind = response.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "text/event-stream" or response.headers.get("content-encoding", "identity") != "identity":
        raise Unavailable(thing, expected="text/event-stream", found=repr(kind[:60]))


def _tokens(number: object) -> int:
    """A number of tokens that may be counted against a quota."""
    if type(number) is not int or not 0 <= number <= _MOST_TOKENS:
        raise ValueError("a number of tokens")
    return number


def _key(file: Path | None, thing: str) -> str:
    if file is None:
        return ""
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as why:
        raise Unavailable(thing, expected=f"its key in {file}", found="a file that cannot be read") from why


def _verify(remote: Remote, scheme: str, thing: str) -> ssl.SSLContext | bool:
    """How the other end proves who it is: by the site's own authority, never by those of the system."""
    if scheme == "http":
        return False
    if remote.ca is None:
        raise BadInput(thing, expected="ca, the file of the authority that signs its certificate", found="none")
    try:
        return ssl.create_default_context(cafile=str(remote.ca))
    except (OSError, ssl.SSLError) as why:
        raise BadInput(thing, expected=f"certificates in {remote.ca}", found="a file that cannot be read") from why
