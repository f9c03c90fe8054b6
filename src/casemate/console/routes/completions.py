"""`/v1/completions`: the older form, for programs that know no other.

Rules. A prompt is put to a chat model as one message of a user: the models that a site releases are made for
conversation, and text that a model would go on with by itself is not asked for.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from casemate.console import faults
from casemate.console.desk import Ask, Route
from casemate.console.routes.talk import Drawn, new_id, told, usage_of
from casemate.console.streams import DONE, Events, begun, while_connected
from casemate.factory.conversing import Conversation
from casemate.serving.engines import Message, Piece


class CompletionBody(Drawn):
    """A completion's request."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)]
    best_of: int | None = None
    echo: bool | None = None
    logprobs: int | None = None
    suffix: str | None = None

    def refuse_what_no_engine_obeys(self) -> None:
        """Fault, by name, for what would be passed over in silence."""
        super().refuse_what_no_engine_obeys()
        for name in ("echo", "logprobs", "suffix"):
            if getattr(self, name):
                raise faults.unsupported(name, "leave it out", param=name)
        if self.best_of not in {None, 1}:
            raise faults.unsupported("best_of other than 1", "leave it out", param="best_of")


async def complete(ask: Ask[CompletionBody]) -> Response:
    """Answer a prompt."""
    body = ask.body
    body.refuse_what_no_engine_obeys()
    prompt = body.prompt if isinstance(body.prompt, str) else body.prompt[0]
    marking, pool = ask.mark(body.casemate.marking, "prompt"), ask.console.pool
    project = ask.share
    with faults.of_a_model():
        talk = await ask.do(lambda: ask.desk.converse(body.model, marking=marking, pool=pool, project=project))
    pieces = talk.pieces([Message("user", prompt)], body.sampling())
    releases = [talk.release] if talk.release else []
    about = {"id": new_id("cmpl"), "object": "text_completion", "created": int(time.time()), "model": body.model}
    if body.stream:
        first = await begun(ask.request, pieces)
        return Events(_events(ask, first, about, talk), ask.headers(talk.marking, releases))
    whole = await while_connected(ask.request, _whole(ask, pieces, about, talk))
    return ask.json(whole, marking=talk.marking, releases=releases)


async def _events(
    ask: Ask[CompletionBody], pieces: AsyncGenerator[Piece], about: dict[str, Any], talk: Conversation
) -> AsyncGenerator[Any]:
    usage = None
    async with aclosing(pieces):
        async for piece in pieces:
            usage = piece.usage or usage
            if piece.text or piece.finish:
                yield {**about, "choices": [_choice(piece.text, piece.finish)]}
    ask.count(usage, talk.marking)
    last = {"usage": usage_of(usage)} if ask.body.tells_usage else {}
    yield {**about, "choices": [], "casemate": dict(told(talk.marking, talk.release)), **last}
    yield DONE


async def _whole(
    ask: Ask[CompletionBody], pieces: AsyncGenerator[Piece], about: dict[str, Any], talk: Conversation
) -> dict[str, Any]:
    texts, usage, finish = [], None, "stop"
    async with aclosing(pieces):
        async for piece in pieces:
            texts.append(piece.text)
            usage, finish = piece.usage or usage, piece.finish or finish
    ask.count(usage, talk.marking)
    said = {"casemate": dict(told(talk.marking, talk.release))}
    return {**about, "choices": [_choice("".join(texts), finish)], "usage": usage_of(usage), **said}


def _choice(text: str, finish: str | None) -> dict[str, Any]:
    return {"index": 0, "text": text, "finish_reason": finish, "logprobs": None}


ROUTES = (Route("POST", "/v1/completions", complete, "Answer a prompt", ("models",), CompletionBody),)
