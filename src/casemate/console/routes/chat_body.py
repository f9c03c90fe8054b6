"""The body of a chat completion's request, field by field.

Rules. Messages are text. What is taken and has no effect (a user's label, hints about caches and effort) is listed here
and in docs/api.md; every other field that OpenAI's API has is refused by name.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from casemate.console import faults
from casemate.console.bodies import Body
from casemate.console.routes.talk import MOST_TOKENS, Asked, Drawn, Short
from casemate.serving.engines import Message, Sampling


class Part(Body):
    """A part of a message: text."""

    type: Literal["text"]
    text: str


class Said(Body):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[Part], Field(max_length=1000)] | None = None
    name: Short | None = None
    tool_calls: Annotated[list[dict[str, Any]], Field(max_length=128)] | None = None
    tool_call_id: Short | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None

    @property
    def text(self) -> str:
        """The text of the message."""
        parts = self.content or ""
        return parts if isinstance(parts, str) else "\n".join(part.text for part in parts)

    def message(self) -> Message:
        """The message as engines read it."""
        role = "system" if self.role == "developer" else self.role
        names = ("name", "tool_calls", "tool_call_id")
        return Message(role, self.text, {name: value for name in names if (value := getattr(self, name)) is not None})


class ChatBody(Drawn):
    """A chat completion's request."""

    messages: Annotated[list[Said], Field(min_length=1, max_length=2000)]
    max_completion_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS)
    tools: Annotated[tuple[dict[str, Any], ...], Field(max_length=128)] = ()
    tool_choice: Short | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    store: bool | None = None
    metadata: dict[str, Short] | None = None
    service_tier: Short | None = None
    reasoning_effort: Short | None = None
    verbosity: Short | None = None
    safety_identifier: Short | None = None
    prompt_cache_key: Short | None = None
    casemate: Asked = Asked()

    def refuse_what_no_engine_obeys(self) -> None:
        """Fault, by name, for what would be passed over in silence."""
        super().refuse_what_no_engine_obeys()
        if self.logprobs or self.top_logprobs:
            raise faults.unsupported("logprobs", "leave it out", param="logprobs")
        if self.store:
            raise faults.unsupported("store", "nothing of a conversation is kept here", param="store")

    def drawn(self) -> Sampling:
        """How the engine is to draw."""
        return self.sampling(
            self.max_completion_tokens, tools=self.tools, tool_choice=self.tool_choice if self.tools else None,
            response_format=self.response_format,
        )  # fmt: skip
