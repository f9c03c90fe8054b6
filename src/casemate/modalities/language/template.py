"""Chat templates: how a conversation becomes text, in a sandbox.

Rules. A template is somebody else's program: it runs in Jinja's immutable sandbox, with nothing at hand but messages
and the names of special tokens; no time, no files, no imports. A conversation's prefix must be the prefix of its
text: what the assistant says is found by rendering up to it and with it, and a template that rewrites what came
before is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn

from casemate.errors import BadInput
from casemate.modalities.language.corpus import Turn

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
TEMPLATE_CHARACTERS = 200_000


def rendered(template: str, turns: Sequence[Turn], tokens: Mapping[str, str], *, answer_next: bool = False) -> str:
    """The text of a conversation; `answer_next` ends it where the assistant is to speak."""
    from jinja2 import TemplateError

    messages = [{"role": turn.role, "content": turn.content} for turn in turns]
    try:
        text: str = _compiled(template).render(messages=messages, add_generation_prompt=answer_next, **tokens)
    except (TemplateError, TypeError, OverflowError, RecursionError) as why:
        raise BadInput("chat template", expected="one that renders a conversation", found=f"{why!s:.200}") from why
    return text


def with_answers(template: str, turns: Sequence[Turn], tokens: Mapping[str, str]) -> tuple[str, list[tuple[int, int]]]:
    """The text of a conversation, and the spans of characters in it that the assistant says, end of turn included."""
    whole = rendered(template, turns, tokens)
    spans = []
    for place, turn in enumerate(turns):
        if turn.role != "assistant":
            continue
        before = rendered(template, turns[:place], tokens, answer_next=True)
        until = rendered(template, turns[: place + 1], tokens)
        if not (whole.startswith(until) and until.startswith(before) and turn.content.strip() in until[len(before) :]):
            expected = "one that leaves what was said before as it was, and writes each answer after its prompt"
            raise BadInput("chat template", expected=expected, found="another")
        spans.append((len(before), len(until.rstrip())))
    return whole, spans


@lru_cache(maxsize=8)
def _compiled(template: str) -> Any:
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    if len(template) > TEMPLATE_CHARACTERS:
        expected = f"at most {TEMPLATE_CHARACTERS} characters"
        raise BadInput("chat template", expected=expected, found=len(template))
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.globals.clear()
    environment.globals |= {"raise_exception": _refuse, "namespace": _namespace(), "range": _range}
    try:
        return environment.from_string(template)
    except TemplateError as why:
        raise BadInput("chat template", expected="a Jinja template", found=f"{why!s:.200}") from why


def _refuse(why: object = "") -> NoReturn:
    raise BadInput("chat template", expected="a conversation that it takes", found=f"{why!s:.200}")


def _namespace() -> Any:
    from jinja2.utils import Namespace

    return Namespace


def _range(*bounds: int) -> range:
    found = range(*bounds)
    if len(found) > 10_000:
        raise OverflowError("a range of more than 10000")
    return found
