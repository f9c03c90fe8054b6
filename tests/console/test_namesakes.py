"""A key is bound to its project, and to no other of the same name at another marking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from casemate.factory.desk import utc_now
from tests.console.conftest import Place, opened
from tests.factory.town import found

pytestmark = pytest.mark.anyio
LOW = "Le coefficient de la marée à Brest est de 95 ce matin.\n"
HIGH = "Le coefficient de la marée du sous-marin est de 98 ce soir.\n"
SCOPES = frozenset({"documents", "upload"})


@dataclass
class Namesakes:
    """Two projects called harbour, at NP and at DR, with a file in each; lea is a member of both."""

    place: Place
    low: str
    high: str
    files: dict[str, str]

    def client(self, project: str, **key: Any) -> Any:
        return self.place.client("lea", project=project, scopes=SCOPES, **key)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def namesakes(tmp_path: Any) -> Iterator[Namesakes]:
    town = found(tmp_path / "town", clock=utc_now)
    claire = town.acting("claire")
    high = claire.view.project("harbour").id
    claire.add_project("harbour", marking="NP", members=frozenset({"lea"}))
    low = next(one.id for one in claire.view.projects() if one.name == "harbour" and one.id != high)
    with opened(town) as place:
        yield Namesakes(place, low, high, {})


async def filled(namesakes: Namesakes) -> Namesakes:
    for name, text, marking, project in (("basse", LOW, "NP", namesakes.low), ("haute", HIGH, "DR", namesakes.high)):
        async with namesakes.client(project) as client:
            sent = {"file": (f"{name}.txt", text.encode())}
            answer = await client.post("/v1/files", files=sent, data={"purpose": "assistants", "marking": marking})
            assert answer.status_code == 200, answer.text
            namesakes.files[name] = answer.json()["id"]
    return namesakes


async def test_files_and_collections_are_those_of_the_keys_own_project(namesakes: Namesakes) -> None:
    files = (await filled(namesakes)).files
    async with namesakes.client(namesakes.low) as client:
        assert [one["id"] for one in (await client.get("/v1/files")).json()["data"]] == [files["basse"]]
        for name in (files["haute"], "file-none"):
            assert (await client.get(f"/v1/files/{name}")).status_code == 404
        assert (await client.get(f"/v1/files/{files['haute']}/content")).status_code == 404
        stores = (await client.get("/v1/vector_stores")).json()["data"]
        assert [store["id"][:11] for store in stores] == ["vs_project_", f"vs_{files['basse'].split('-')[1]}"[:11]]
        assert [store["file_counts"]["total"] for store in stores] == [1, 1]
        there = f"/v1/vector_stores/vs_project_{namesakes.high}/search"
        assert (await client.post(there, json={"query": "coefficient"})).status_code == 404


async def test_searches_and_answers_are_from_the_keys_own_project(namesakes: Namesakes) -> None:
    await filled(namesakes)
    question = "Quel est le coefficient de la marée du sous-marin ce soir ?"
    async with namesakes.client(namesakes.low) as client:
        found_ = await client.post(f"/v1/vector_stores/vs_project_{namesakes.low}/search", json={"query": question})
        assert [hit["attributes"]["marking"] for hit in found_.json()["data"]] == ["NP"]
        body = {"model": "assistant", "messages": [{"role": "user", "content": question}]}
        for wish in ({}, {"projects": ["harbour"]}, {"projects": [namesakes.high]}):
            answer = (
                await client.post("/v1/chat/completions", json=body | {"casemate": {"marking": "NP", **wish}})
            ).json()
            assert answer["casemate"]["marking"] == "NP"
            assert "98" not in answer["choices"][0]["message"]["content"]


async def test_a_ceiling_that_hides_the_keys_project_does_not_send_files_to_its_namesake(namesakes: Namesakes) -> None:
    async with namesakes.client(namesakes.high) as client:
        sent = {"file": ("note.txt", LOW.encode())}
        answer = await client.post(
            "/v1/files",
            files=sent,
            data={"purpose": "assistants", "marking": "NP"},
            headers={"X-Casemate-Ceiling": "NP"},
        )
    assert answer.status_code == 404
    assert not list(namesakes.place.claire.view.walk(kind="documents"))
