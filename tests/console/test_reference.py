"""Answers against OpenAI's own description of its API, where it lies beside the checkout; ours against its golden."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from casemate.factory.desk import utc_now
from casemate.serving.engines import Piece, Usage
from tests.console.conftest import Place, opened
from tests.console.released import released
from tests.console.scripted import Scripted, ScriptedPool
from tests.console.test_openai_client import HELLO, Lengths
from tests.factory.town import found

pytestmark = pytest.mark.anyio
Check = Callable[[str, Any], None]


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    """OpenAI's schemas, in which `nullable` is said as JSON Schema says it."""
    yaml = pytest.importorskip("yaml")
    file = Path(__file__).resolve().parents[3] / "shared" / "data" / "reference_openai_openapi" / "openapi.yaml"
    if not file.is_file():
        pytest.skip("real data set reference_openai_openapi is absent")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    described = yaml.load(file.read_text(encoding="utf-8"), Loader=loader)
    return {"components": {"schemas": _nullable(described["components"]["schemas"])}}


def _nullable(value: Any) -> Any:
    if isinstance(value, list):
        return [_nullable(one) for one in value]
    if not isinstance(value, dict):
        return value
    plain = {key: _nullable(one) for key, one in value.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if value.get("nullable") is True else plain


@pytest.fixture(scope="module")
def check(schemas: dict[str, Any]) -> Check:
    def conforms(name: str, value: Any) -> None:
        validator = Draft202012Validator({"$ref": f"#/components/schemas/{name}", **schemas})
        wrong = [
            f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(value)
        ]
        assert wrong == [], f"{name}: {wrong[0][:500]}"

    return conforms


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    from casemate.factory import embedding
    from casemate.factory.serving import standing

    root = tmp_path_factory.mktemp("town")
    town = found(root, clock=utc_now)
    for name, task, file in (("small", "chat", "model.gguf"), ("near", "embeddings", "weights.npz")):
        (root / name).mkdir()
        (root / name / file).write_bytes(f"reference {name}".encode())
        entry = released(town, root / name, name, task=task)
        if task == "embeddings":
            held, digest = standing(town.acting("ines"), entry)
            embedding._OPEN[str(digest), held.model.hex] = Lengths()
    with opened(town) as made:
        made.console.pool = ScriptedPool(Scripted())
        yield made


async def asked(place: Place, path: str, **body: Any) -> Any:
    async with place.client("ines") as client:
        return await (client.post(path, json=body) if body else client.get(path))


def chunks(text: str) -> list[Any]:
    return [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n") if line and "[DONE]" not in line]


async def test_models_and_errors(place: Place, check: Check) -> None:
    check("ListModelsResponse", (await asked(place, "/v1/models")).json())
    for answer in (await asked(place, "/v1/models/none"), await asked(place, "/v1/chat/completions", model=1)):
        check("ErrorResponse", answer.json())
    async with place.client() as nobody:
        check("ErrorResponse", (await nobody.get("/v1/models")).json())


async def test_chat(place: Place, check: Check) -> None:
    pool = place.console.pool
    assert isinstance(pool, ScriptedPool)
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    for words in (("Bonjour", "."), (Piece("", extra={"tool_calls": [call]}), Piece("", "tool_calls", Usage(1, 1)))):
        pool.scripted.words = words
        check(
            "CreateChatCompletionResponse",
            (await asked(place, "/v1/chat/completions", model="small", messages=HELLO)).json(),
        )
        options = {"stream": True, "stream_options": {"include_usage": True}}
        told = await asked(place, "/v1/chat/completions", model="small", messages=HELLO, **options)
        for chunk in chunks(told.text):
            check("CreateChatCompletionStreamResponse", chunk)
    pool.scripted.words = ("Bonjour", ".")
    for more in ({}, {"stream": True}):
        told = await asked(place, "/v1/completions", model="small", prompt="x", **more)
        for chunk in chunks(told.text) if more else [told.json()]:
            for choice in chunk["choices"]:  # null until the last, as OpenAI's own are, against their description
                choice["finish_reason"] = choice["finish_reason"] or "stop"
            check("CreateCompletionResponse", chunk)


async def test_embeddings(place: Place, check: Check) -> None:
    check("CreateEmbeddingResponse", (await asked(place, "/v1/embeddings", model="near", input=["a"])).json())


async def test_files_stores_and_the_assistant(place: Place, check: Check) -> None:
    async with place.client("ines") as client:
        text = "La marée haute à Brest est à six heures, avec un coefficient de 95.".encode()
        data = {"purpose": "assistants", "marking": "DR"}
        file = (await client.post("/v1/files", files={"file": ("a.txt", text)}, data=data)).json()
    check("OpenAIFile", file)
    check("ListFilesResponse", (await asked(place, "/v1/files")).json())
    stores = (await asked(place, "/v1/vector_stores")).json()
    check("ListVectorStoresResponse", stores)
    store = stores["data"][1]["id"]
    check("VectorStoreObject", (await asked(place, f"/v1/vector_stores/{store}")).json())
    check("ListVectorStoreFilesResponse", (await asked(place, f"/v1/vector_stores/{store}/files")).json())
    found = await asked(place, f"/v1/vector_stores/{store}/search", query="marée")
    check("VectorStoreSearchResultsPage", found.json())
    question = [{"role": "user", "content": "Quel est le coefficient de la marée à Brest ?"}]
    body: dict[str, Any] = {"model": "assistant", "messages": question, "casemate": {"engine": "quote"}}
    check("CreateChatCompletionResponse", (await asked(place, "/v1/chat/completions", **body)).json())
    told = await asked(place, "/v1/chat/completions", stream=True, **body)
    for chunk in chunks(told.text):
        check("CreateChatCompletionStreamResponse", chunk)


async def test_our_own_description(place: Place, golden: Callable[[str, str], None]) -> None:
    described = (await asked(place, "/openapi.json")).json()
    golden("openapi.json", json.dumps(described, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    Draft202012Validator.check_schema({"$defs": described["paths"]})
