"""The real `openai` client against a real server on loopback: what its users do, unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from casemate.factory import embedding
from casemate.factory.desk import utc_now
from casemate.factory.serving import standing
from casemate.serving.engines import Piece, Usage
from tests.console.conftest import Place, listening, opened
from tests.console.released import released
from tests.console.scripted import Scripted, ScriptedPool
from tests.factory.town import found

TIDES = "La marée haute à Brest est à six heures, avec un coefficient de 95.".encode()
HELLO: Any = [{"role": "user", "content": "Dites bonjour."}]


class Lengths:
    """An embedder whose vectors are a direction by the length of a text."""

    dim, name = 4, "lengths"

    def embed(self, texts: Any, *, query: bool) -> Any:  # noqa: ARG002
        rows = np.array([[len(text), 1, 0, 0] for text in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("town")
    town = found(root, clock=utc_now)
    for name, task, file in (("small", "chat", "model.gguf"), ("near", "embeddings", "weights.npz")):
        (root / name).mkdir()
        (root / name / file).write_bytes(name.encode())
        entry = released(town, root / name, name, task=task)
        if task == "embeddings":
            held, digest = standing(town.acting("ines"), entry)
            embedding._OPEN[str(digest), held.model.hex] = Lengths()
    with opened(town) as made:
        made.console.pool = ScriptedPool(Scripted())
        yield made


@pytest.fixture(scope="module")
def address(place: Place) -> Iterator[str]:
    with listening(place) as where:
        yield where


@pytest.fixture
def engine(place: Place, address: str) -> Scripted:
    pool = place.console.pool
    assert isinstance(pool, ScriptedPool)
    pool.scripted = Scripted()
    pool._open.clear()
    return pool.scripted


@pytest.fixture
def client(place: Place, address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key=place.secret("ines"), max_retries=0) as made:
        yield made


def test_chat_whole_and_in_events(client: openai.OpenAI, engine: Scripted) -> None:
    whole = client.chat.completions.create(model="small", messages=HELLO)
    assert whole.choices[0].message.content == "Bonjour, monde."
    assert whole.usage is not None
    assert whole.usage.total_tokens == 6
    assert (whole.model_extra or {})["casemate"]["marking"] == "DR"
    stream = client.chat.completions.create(
        model="small", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Bonjour, monde."
    assert chunks[-1].usage is not None


def test_the_marking_is_declared_by_a_header_or_in_the_body_and_told_in_a_header(
    client: openai.OpenAI, engine: Scripted
) -> None:
    declared = client.with_options(default_headers={"X-Casemate-Marking": "NP"})
    raw = declared.chat.completions.with_raw_response.create(model="small", messages=HELLO)
    assert raw.headers["x-casemate-marking"] == "DR"
    raw = client.chat.completions.with_raw_response.create(
        model="small", messages=HELLO, extra_body={"casemate": {"marking": "NP"}}
    )
    assert raw.headers["x-casemate-release"].startswith("sha256:")


def test_tool_calls_reach_the_client(client: openai.OpenAI, engine: Scripted) -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    engine.words = [Piece("", extra={"tool_calls": [call]}), Piece("", "tool_calls", Usage(1, 1))]
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    answer = client.chat.completions.create(model="small", messages=HELLO, tools=tools)
    [asked] = answer.choices[0].message.tool_calls or []
    assert (asked.id, asked.type, answer.choices[0].finish_reason) == ("call_1", "function", "tool_calls")


def test_completions_and_models(client: openai.OpenAI, engine: Scripted) -> None:
    answer = client.completions.create(model="small", prompt="Dites bonjour.")
    assert answer.choices[0].text == "Bonjour, monde."
    parts = client.completions.create(model="small", prompt="Dites bonjour.", stream=True)
    assert "".join(c.choices[0].text for c in parts if c.choices) == "Bonjour, monde."
    assert {model.id for model in client.models.list()} == {"small", "near", "assistant"}
    assert client.models.retrieve("small").owned_by == "port"


def test_embeddings_come_as_numbers_or_as_bytes(client: openai.OpenAI) -> None:
    usual = client.embeddings.create(model="near", input=["a", "bc"])  # asks for base64
    plain = client.embeddings.create(model="near", input=["a", "bc"], encoding_format="float")
    assert [row.embedding for row in usual.data] == [row.embedding for row in plain.data]
    assert usual.data[0].embedding == pytest.approx([0.7071, 0.7071, 0, 0], abs=1e-4)
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        client.embeddings.create(model="near", input="a", dimensions=2)
    with pytest.raises(openai.BadRequestError, match="expected one of a model for embeddings, found chat"):
        client.embeddings.create(model="small", input="a")


def test_rerank_orders_texts(place: Place, address: str) -> None:
    body = {"model": "near", "query": "xx", "documents": ["xxxxxxxx", {"text": "xx"}], "return_documents": True}
    headers = {"Authorization": f"Bearer {place.secret('ines')}"}
    answer = httpx.post(f"{address}/v1/rerank", json=body, headers=headers).json()
    assert [row["index"] for row in answer["results"]] == [1, 0]
    assert answer["results"][0]["document"] == {"text": "xx"}


@pytest.fixture(scope="module")
def tides(place: Place, address: str) -> Any:
    """A file that was sent."""
    with openai.OpenAI(base_url=f"{address}/v1", api_key=place.secret("ines")) as client:
        return client.files.create(file=("marées.txt", TIDES), purpose="assistants", extra_body={"marking": "DR"})


def test_files_and_searches(client: openai.OpenAI, tides: Any) -> None:
    file = tides
    assert client.files.retrieve(file.id) == file
    assert client.files.content(file.id).read() == TIDES
    assert [one.id for one in client.files.list()] == [file.id]
    stores = list(client.vector_stores.list())
    assert [store.file_counts.total for store in stores] == [1, 1]
    for store in stores:
        page = client.vector_stores.search(store.id, query="coefficient de marée")
        assert [hit.file_id for hit in page] == [file.id]
    [held] = client.vector_stores.files.list(stores[1].id)
    assert held.id == file.id
    with pytest.raises(openai.BadRequestError, match="every document set is one by itself"):
        client.vector_stores.create(name="mine")
    with pytest.raises(openai.BadRequestError, match="what is in the catalog stays"):
        client.files.delete(file.id)


def test_the_assistant_cites(client: openai.OpenAI, tides: Any) -> None:  # it is there
    asked: Any = [{"role": "user", "content": "Quel est le coefficient de la marée à Brest ?"}]
    more = {"casemate": {"marking": "NP", "engine": "quote"}}
    answer = client.chat.completions.create(model="assistant", messages=asked, extra_body=more)
    message = answer.choices[0].message
    assert "95" in (message.content or "")
    assert message.annotations is not None
    assert message.annotations[0].url_citation.url.startswith("casemate:passage/")
    stream = client.chat.completions.create(model="assistant", messages=asked, extra_body=more, stream=True)
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == message.content
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_errors_are_the_clients_own(client: openai.OpenAI, engine: Scripted, address: str) -> None:
    with pytest.raises(openai.NotFoundError, match="nothing: expected an entry that you may read, found none"):
        client.chat.completions.create(model="nothing", messages=HELLO)
    with pytest.raises(openai.AuthenticationError, match="No API key in force"):
        openai.OpenAI(base_url=f"{address}/v1", api_key="wrong", max_retries=0).models.list()
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.chat.completions.create(model="small", messages=HELLO, temperature=9)
    engine.dies_after = 2
    with pytest.raises(openai.APIError, match="expected an answer to its end, found 2 pieces"):
        list(client.chat.completions.create(model="small", messages=HELLO, stream=True))


def test_a_client_that_goes_away_lets_the_engine_go(client: openai.OpenAI, engine: Scripted, place: Place) -> None:
    engine.waits_after = 1
    stream = client.chat.completions.create(model="small", messages=HELLO, stream=True)
    assert [next(stream).choices[0].delta.content for _ in range(2)] == ["", "Bonjour"]
    assert not engine.let_go.is_set()
    stream.close()
    assert engine.let_go.wait(30)


def test_a_client_that_goes_away_before_the_first_word_lets_the_engine_go(
    client: openai.OpenAI, engine: Scripted
) -> None:
    engine.waits_after = 0
    for stream in (False, True):
        engine.let_go.clear()
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=0.5).chat.completions.create(model="small", messages=HELLO, stream=stream)
        assert engine.let_go.wait(30)


async def _many(address: str, secret: str, count: int) -> list[str]:
    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key=secret, max_retries=0) as client:

        async def one() -> str:
            stream = await client.chat.completions.create(model="small", messages=HELLO, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        return await asyncio.gather(*(one() for _ in range(count)))


def test_many_at_once_are_all_answered(place: Place, engine: Scripted, address: str) -> None:
    assert asyncio.run(_many(address, place.secret("lea"), 12)) == ["Bonjour, monde."] * 12


def test_a_body_that_lies_about_its_length_is_not_read_beyond_the_limit(place: Place, address: str) -> None:
    headers = {"Authorization": f"Bearer {place.secret('ines')}"}

    def endless() -> Iterator[bytes]:
        yield b'{"model": "'
        for _ in range(10):
            yield b"x" * 1_000_000

    answer = httpx.post(f"{address}/v1/chat/completions", content=endless(), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


def test_https_with_a_certificate(place: Place, tmp_path: Path) -> None:
    import ssl

    from tests.console.certificates import self_signed

    cert, key = self_signed(tmp_path)
    with listening(place, tls_cert=cert, tls_key=key) as address:
        context = ssl.create_default_context(cafile=str(cert))
        answer = httpx.get(f"{address}/health", verify=context)
    assert answer.json() == {"status": "ok"}
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
