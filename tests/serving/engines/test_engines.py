"""What every engine is, found by listing; and the one that is no model."""

from __future__ import annotations

import asyncio

import pytest

from casemate.errors import NotFound
from casemate.serving import engines
from casemate.serving.engines import Message, Sampling, Usage
from casemate.serving.engines.quote import NOTHING, open_engine, quoted


def test_engines_are_found_by_listing_their_folder() -> None:
    assert engines.names() == ["llamacpp", "openai", "quote"]
    for name in engines.names():
        assert callable(engines.find(name).open_engine)
    with pytest.raises(NotFound, match="engine: expected llamacpp or openai or quote, found 'gpt'"):
        engines.find("gpt")


def test_messages_and_sampling_are_said_as_every_engine_reads_them() -> None:
    assert Message("tool", "3", {"tool_call_id": "c1"}).to_json() == {
        "role": "tool", "content": "3", "tool_call_id": "c1",
    }  # fmt: skip
    assert Sampling(reuse="ana").to_json() == {"max_tokens": 512, "temperature": 0.0, "top_p": 1.0, "seed": 0}
    schema = {"type": "json_object"}
    assert Sampling(response_format=schema).to_json()["response_format"] == schema
    assert Usage(3, 4).total_tokens == 7


PASSAGES = """Le port ouvre à huit heures.

La douane ferme à midi le samedi.

Quand ferme la douane ?"""


def test_quote_gives_the_nearest_paragraph_and_the_same_again() -> None:
    asked = [Message("system", "x"), Message("user", PASSAGES), Message("assistant", "y")]
    assert quoted(asked) == "La douane ferme à midi le samedi."

    async def story() -> tuple[str, object]:
        pieces = [piece async for piece in open_engine().stream(asked, Sampling(max_tokens=3))]
        return "".join(piece.text for piece in pieces), pieces[-1]

    text, last = asyncio.run(story())
    assert text == "La douane ferme "
    assert last == engines.Piece("", "length", Usage(open_engine().count(asked), 3))


@pytest.mark.parametrize("text", ["", "Only a question?", "Nothing near.\n\nQuand ferme la douane ?"])
def test_quote_says_so_where_there_is_nothing_to_quote(text: str) -> None:
    assert quoted([Message("user", text)]) == NOTHING
    assert quoted([]) == NOTHING
