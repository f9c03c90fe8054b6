"""A server that stands in for an OpenAI-compatible engine, and misbehaves in every way that it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Act = Callable[["StandIn", dict[str, Any], asyncio.StreamWriter], Any]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n"


@dataclass
class StandIn:
    """What it was asked, how many calls are in it, how many were left by who asked."""

    act: Act
    words: int = 5
    port: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    inside: int = 0
    most: int = 0
    left: int = 0
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.inside += 1
        self.empty.clear()
        self.most = max(self.most, self.inside)
        try:
            line, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            head = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in rest if item)}
            self.heads.append({"request": line, **head})
            self.asked.append(json.loads(await reader.readexactly(int(head["content-length"]))))
            await self.act(self, self.asked[-1], writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left += 1
        finally:
            self.inside -= 1
            writer.close()
            if not self.inside:
                self.empty.set()


@asynccontextmanager
async def stand_in(act: Act, words: int = 5) -> AsyncIterator[StandIn]:
    """The server, on loopback, as long as it is needed."""
    it = StandIn(act, words)
    server = await asyncio.start_server(it.serve, "127.0.0.1", 0, backlog=1024)  # 100 turns some of many away
    it.port = server.sockets[0].getsockname()[1]
    async with server:
        yield it


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return event(json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))


def event(data: str) -> bytes:
    return f"data: {data}\n\n".encode()


def usage(prompt: int, completion: int) -> bytes:
    said = {"prompt_tokens": prompt, "completion_tokens": completion, "prompt_tokens_details": {"cached_tokens": 2}}
    return event(json.dumps({"choices": [], "usage": said}))


async def answers(it: StandIn, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """A good answer: so many words, as asked."""
    writer.write(HEAD + chunk({"role": "assistant", "content": ""}))
    for number in range(min(it.words, asked["max_tokens"])):
        writer.write(chunk({"content": f"mot{number} "}))
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(chunk({}, "stop") + usage(11, it.words) + event("[DONE]"))
    await writer.drain()


async def calls_a_tool(it: StandIn, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}}
    more = {"index": 0, "function": {"arguments": '{"at": "port"}'}}
    writer.write(HEAD + chunk({"tool_calls": [call]}) + chunk({"tool_calls": [more]}))
    writer.write(chunk({}, "tool_calls") + event("[DONE]"))


async def dies(it: StandIn, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + chunk({"content": "one "}) + chunk({"content": "two "}))
    await writer.drain()
    writer.transport.abort()


async def ends_early(it: StandIn, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + chunk({"content": "one "}) + b'data: {"choices": [{"del')


async def falls_silent(it: StandIn, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + chunk({"content": "one "}))
    await writer.drain()
    await asyncio.sleep(60)


async def never_ends(it: StandIn, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    while True:
        writer.write(chunk({"content": "and " * 200}))
        await writer.drain()
        await asyncio.sleep(0)


def says(data: bytes) -> Act:
    async def act(it: StandIn, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return act


def status(code: int, *heads: str) -> Act:
    body = json.dumps({"error": {"message": "the secret words that you sent"}})
    lines = [f"HTTP/1.1 {code} X", "Content-Type: application/json", f"Content-Length: {len(body)}", *heads, "", body]
    return says("\r\n".join(lines).encode())
