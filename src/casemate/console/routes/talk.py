"""What chat and completions share: the fields of a request that say how to answer, and the usage of an answer.

Rules. A field that would change the answer and that no engine here obeys is refused by name; one that only labels a
request is taken and has no effect (docs/api.md lists both).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from casemate.console import faults
from casemate.console.bodies import Body
from casemate.serving.engines import Sampling, Usage
from casemate.serving.retrieval import Filters

MOST_TOKENS = 131_072
DEFAULT_TOKENS = 1024
Short = Annotated[str, Field(max_length=512)]
Some = Annotated[frozenset[Short], Field(max_length=200)] | None
Zero = Annotated[float | None, Field(ge=-2, le=2)]


class Marked(Body):
    """What Casemate adds to a request: the marking of what is sent, and the ceiling under which it is answered."""

    marking: Short | None = None
    ceiling: Short | None = None


class Sought(Marked):
    """Where to look: None lets everything pass. Dates are ISO and inclusive."""

    projects: Some = None
    kinds: Some = None
    languages: Some = None
    documents: Some = None
    since: Short | None = None
    until: Short | None = None

    def filters(self) -> Filters:
        """What may be found."""
        documents = None if self.documents is None else frozenset(map(_bare, self.documents))
        return Filters(self.projects, self.kinds, self.languages, self.since, self.until, documents)


class Asked(Sought):
    """What Casemate adds to a chat completion's request."""

    engine: Short = ""
    language: Annotated[str, Field(max_length=2)] = ""
    passages: int = Field(default=8, ge=1, le=50)
    flag_unsupported: bool = False


class StreamOptions(Body):
    """What a stream tells beside the answer."""

    include_usage: bool = False
    include_obfuscation: bool | None = None


class Drawn(Body):
    """How an answer is drawn; common to chat and completions."""

    model: Short
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: Short | Annotated[list[Short], Field(max_length=4)] | None = None
    n: int | None = None
    frequency_penalty: Zero = None
    presence_penalty: Zero = None
    logit_bias: dict[str, float] | None = None
    user: Short | None = None
    casemate: Marked = Marked()

    def refuse_what_no_engine_obeys(self) -> None:
        """Fault, by name, for what would be passed over in silence."""
        if self.n not in {None, 1}:
            raise faults.unsupported("n other than 1", "ask again for another answer", param="n")
        for name in ("frequency_penalty", "presence_penalty", "logit_bias"):
            if getattr(self, name):
                raise faults.unsupported(name, "leave it out", param=name)

    def sampling(self, most: int | None = None, **more: Any) -> Sampling:
        """How the engine is to draw; without a temperature, the likeliest."""
        stop = [self.stop] if isinstance(self.stop, str) else (self.stop or [])
        return Sampling(
            max_tokens=most or self.max_tokens or DEFAULT_TOKENS,
            temperature=self.temperature if self.temperature is not None else 0.0,
            top_p=self.top_p if self.top_p is not None else 1.0,
            stop=tuple(word for word in stop if word), seed=self.seed or 0, **more,
        )  # fmt: skip

    @property
    def tells_usage(self) -> bool:
        """Whether a stream ends with its usage."""
        return self.stream_options is not None and self.stream_options.include_usage


def _bare(name: str) -> str:
    """The identifier in the name of a store or of a file."""
    return name.rpartition("-")[2] if name.startswith("file-") else name.removeprefix("vs_")


def new_id(prefix: str) -> str:
    """An identifier of an answer: random, and kept nowhere."""
    return f"{prefix}-{secrets.token_hex(12)}"


def usage_of(usage: Usage | None) -> dict[str, Any]:
    """The usage of an answer, as OpenAI's API says it."""
    used = usage or Usage(0, 0)
    return {
        "prompt_tokens": used.prompt_tokens, "completion_tokens": used.completion_tokens,
        "total_tokens": used.total_tokens, "prompt_tokens_details": {"cached_tokens": used.cached},
    }  # fmt: skip


def told(marking: object, release: str) -> Mapping[str, str]:
    """What Casemate says of an answer, in its body."""
    return {"marking": str(marking), "release": release}
