"""The model `assistant`: answers over documents, with their citations, as a chat completion.

Rules. The question is the last message; system messages have no effect, because the assistant has its own. It is over
the documents of the key's project, or of all that its owner may read where the key's scope says so. Citations are in
the text as [n], as annotations, and in the object `casemate`; the marking is fixed, and sent, before the first word.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from casemate.console import faults
from casemate.console.desk import Ask
from casemate.console.faults import Fault
from casemate.console.routes.chat_body import ChatBody
from casemate.console.routes.talk import DEFAULT_TOKENS, new_id, usage_of
from casemate.console.streams import DONE, Events, begun, while_connected
from casemate.factory.assistant import Wish
from casemate.serving.answers import Answer, Citation, Done, Note, Passages, Sentence, Turn
from casemate.serving.engines import Sampling


async def answer(ask: Ask[ChatBody], messages: Sequence[tuple[str, str]]) -> Response:
    """Answer the last message over documents."""
    if not ask.guest.may("documents", "all-documents"):
        raise faults.missing_scope("documents")
    if ask.body.tools or ask.body.response_format:
        raise faults.unsupported("a tool or a format of answers, of the assistant", "use a release of a chat model")
    spoken = [(role, text) for role, text in messages if role in {"user", "assistant"}]
    if not spoken or spoken[-1][0] != "user":
        raise Fault(400, "invalid_value", "The last message must be the user's question.", param="messages")
    events = ask.desk.ask(spoken[-1][1], _wish(ask, spoken[:-1]), pool=ask.console.pool)
    told = _Told(new_id("chatcmpl"), ask.body.model, int(time.time()))
    if ask.body.stream:
        first = await begun(ask.request, told.events(ask, events))
        return Events(first, told.headers(ask))
    whole = await while_connected(ask.request, told.whole(events))
    return ask.json(whole, marking=told.answer.marking, releases=told.releases)


def own_project(ask: Ask[Any]) -> str | None:
    """The identifier of the project to which a key is bound; None where it may search all that its owner reads."""
    return None if ask.guest.may("all-documents") else ask.guest.key.project


def _wish(ask: Ask[ChatBody], before: Sequence[tuple[str, str]]) -> Wish:
    said, body = ask.body.casemate, ask.body
    marking = ask.mark(said.marking, "question")
    sampling: Sampling = body.sampling(body.max_completion_tokens or body.max_tokens or DEFAULT_TOKENS)
    return Wish(
        marking=str(marking), engine=said.engine, limit=said.passages, project=ask.share,
        language=said.language, filters=said.filters(), within=own_project(ask), sampling=sampling,
        turns=tuple(Turn(role, text, marking) for role, text in before), flag_unsupported=said.flag_unsupported,
    )  # fmt: skip


@dataclass
class _Told:
    """An answer on its way, as OpenAI's API says it."""

    id: str
    model: str
    created: int
    sentences: list[Sentence] = field(default_factory=list)
    found: list[Answer] = field(default_factory=list)
    first: Passages | None = None

    @property
    def answer(self) -> Answer:
        """The whole, once it is there."""
        return self.found[0]

    @property
    def releases(self) -> list[str]:
        """The releases that it was made with; the assistant names its engine."""
        return []

    def headers(self, ask: Ask[Any]) -> dict[str, str]:
        """The marking, which is known with the passages, or with the refusal."""
        marking = self.found[0].marking if self.found else self.first.marking if self.first else None
        return ask.headers(marking or ask.guest.top, self.releases)

    async def events(self, ask: Ask[Any], source: AsyncGenerator[Any]) -> AsyncGenerator[Any]:
        """The chunks: passages, sentences as they are checked, notes, the whole."""
        async with aclosing(source):
            async for event in source:
                match event:
                    case Passages():
                        self.first = event
                        yield self._chunk({"role": "assistant", "content": ""}, event.to_json())
                    case Sentence():
                        self.sentences.append(event)
                        yield self._chunk({"content": event.before + event.written})
                    case Note():
                        yield self._chunk({}, event.to_json())
                    case Done():
                        self.found.append(event.answer)
                        if not self.sentences:
                            yield self._chunk({"role": "assistant", "content": event.answer.text})
                        yield self._chunk({}, {"kind": "done", "answer": _facts(event.answer)}, "stop")
                        if ask.body.tells_usage:
                            yield {**self._chunk({}), "choices": [], "usage": usage_of(event.answer.usage)}
        yield DONE

    async def whole(self, source: AsyncGenerator[Any]) -> dict[str, Any]:
        """The answer in one object."""
        async with aclosing(source):
            async for event in source:
                if isinstance(event, Done):
                    self.found.append(event.answer)
        told = self.answer
        message = {
            "role": "assistant", "content": told.text, "refusal": None, "annotations": cited(told),
        }  # fmt: skip
        return {
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
            "usage": usage_of(told.usage), "casemate": _facts(told),
        }  # fmt: skip

    def _chunk(
        self, delta: dict[str, Any], said: dict[str, Any] | None = None, finish: str | None = None
    ) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        chunk = {
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": [choice],
        }  # fmt: skip
        return chunk if said is None else {**chunk, "casemate": said}


def cited(answer: Answer) -> list[dict[str, Any]]:
    """The citations at their places in the text, in the one form that OpenAI's API has for them."""
    named = {citation.number: citation for citation in answer.citations}
    found, place = [], 0
    for sentence in answer.sentences:
        begin = answer.text.find(sentence.text, place)
        if begin < 0:
            continue
        place = begin + len(sentence.text)
        found += [_annotation(named[number], begin, place) for number in sentence.citations if number in named]
    return found


def _annotation(citation: Citation, begin: int, end: int) -> dict[str, Any]:
    about = {
        "start_index": begin, "end_index": end, "title": citation.title,
        "url": f"casemate:passage/{citation.passage}",
    }  # fmt: skip
    return {"type": "url_citation", "url_citation": about}


def _facts(answer: Answer) -> dict[str, Any]:
    return {name: value for name, value in answer.to_json().items() if name not in {"text", "usage"}}
