"""`/v1/chat/completions`: a released model as it is, or `assistant`, which answers over documents.

Rules. Tools are passed through to the model and its calls are passed back: none is ever run here. Messages are text;
what is declared in `casemate.marking` marks them all, and where nothing is declared they count as the highest that
their sender may have read. An answer comes whole or as events, and an engine is let go when its client has gone.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from casemate.console import faults
from casemate.console.desk import Ask, Route
from casemate.console.routes import asking
from casemate.console.routes.chat_body import ChatBody
from casemate.console.routes.models import ASSISTANT
from casemate.console.routes.talk import new_id, told, usage_of
from casemate.console.streams import DONE, Events, begun, line, while_connected
from casemate.factory.conversing import Conversation
from casemate.serving.engines import Piece

_EXTRA = ("tool_calls", "reasoning_content")


async def chat(ask: Ask[ChatBody]) -> Response:
    """Answer a conversation."""
    body = ask.body
    body.refuse_what_no_engine_obeys()
    if body.model == ASSISTANT:
        return await asking.answer(ask, [(said.role, said.text) for said in body.messages])
    if not ask.guest.may("models"):
        raise faults.missing_scope("models")
    marking = ask.mark(body.casemate.marking, "messages")
    project = ask.share
    pool = ask.console.pool
    with faults.of_a_model():
        talk = await ask.do(lambda: ask.desk.converse(body.model, marking=marking, pool=pool, project=project))
    pieces = talk.pieces([said.message() for said in body.messages], body.drawn())
    answer = Answered(new_id("chatcmpl"), body.model, int(time.time()), talk)
    headers = ask.headers(talk.marking, [talk.release] if talk.release else [])
    if body.stream:
        first = await begun(ask.request, pieces)
        return Events(answer.events(ask, first, usage=body.tells_usage), headers)
    whole = await while_connected(ask.request, answer.whole(ask, pieces))
    return ask.json(whole, marking=talk.marking, releases=[talk.release] if talk.release else [])


@dataclass
class Answered:
    """An answer as OpenAI's API says it, whole or in events."""

    id: str
    model: str
    created: int
    talk: Conversation
    texts: list[str] = field(default_factory=list)
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    thoughts: list[str] = field(default_factory=list)

    async def events(self, ask: Ask[Any], pieces: AsyncGenerator[Piece], *, usage: bool) -> AsyncGenerator[Any]:
        """The answer's chunks; the marking is in the first, which has the role, and in the last."""
        about = {"casemate": dict(told(self.talk.marking, self.talk.release))}
        yield self._chunk({"role": "assistant", "content": ""}) | about
        before, after = self._around()
        used = None
        async with aclosing(pieces):
            async for piece in pieces:
                used = piece.usage or used
                delta = {name: piece.extra[name] for name in _EXTRA if name in piece.extra}
                if delta:
                    yield self._chunk({"content": piece.text} | delta if piece.text else delta)
                elif piece.text:
                    yield f"{before}{json.dumps(piece.text)}{after}"
                if piece.finish:
                    yield self._chunk({}, piece.finish) | about
        ask.count(used, self.talk.marking)
        if usage:
            yield {**self._chunk({}), "choices": [], "usage": usage_of(used)}
        yield DONE

    async def whole(self, ask: Ask[Any], pieces: AsyncGenerator[Piece]) -> dict[str, Any]:
        """The answer in one object."""
        used, finish = None, "stop"
        async with aclosing(pieces):
            async for piece in pieces:
                used, finish = piece.usage or used, piece.finish or finish
                self.texts.append(piece.text)
                self.thoughts.append(str(piece.extra.get("reasoning_content", "")))
                for call in piece.extra.get("tool_calls", ()):
                    _gather(self.calls, call)
        ask.count(used, self.talk.marking)
        choice = {"index": 0, "message": self._message(), "finish_reason": finish, "logprobs": None}
        return {
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [choice], "usage": usage_of(used),
            "casemate": dict(told(self.talk.marking, self.talk.release)),
        }  # fmt: skip

    def _message(self) -> dict[str, Any]:
        text, thought = "".join(self.texts), "".join(self.thoughts)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if self.calls:
            message |= {"content": text or None, "tool_calls": [self.calls[place] for place in sorted(self.calls)]}
        return message | ({"reasoning_content": thought} if thought else {})

    def _around(self) -> tuple[str, str]:
        """What stands before and after a piece's text in the line of its chunk, which is the same for all of them."""
        before, mark, after = line(self._chunk({"content": ""})).rpartition('"content":""')
        return before + mark[:-2], after

    def _chunk(self, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return {
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": [choice],
        }  # fmt: skip


def _gather(calls: dict[int, dict[str, Any]], delta: Mapping[str, Any]) -> None:
    """Add a part of a tool call to the calls so far."""
    call = calls.setdefault(
        int(delta.get("index", 0)), {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
    )
    call["id"] = call["id"] or str(delta.get("id") or "")
    said = delta.get("function") or {}
    for name in ("name", "arguments"):
        call["function"][name] += str(said.get(name) or "")


ROUTES = (
    Route(
        "POST", "/v1/chat/completions", chat, "Answer a conversation, whole or as events",
        ("models", "documents", "all-documents"), ChatBody,
    ),
)  # fmt: skip
