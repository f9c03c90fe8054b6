"""The law over HTTP: status, body and headers are those of a site that never had anything above who asks.

Two sites tell one story with one clock and one chance: on the second, nobody did what is above DR. What is random by
nature (identifiers of the first site's documents) is the same on both, because both draw from the same source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.console.conftest import CHANCE_AND_CLOCKS, Place, opened
from tests.console.released import released
from tests.console.scripted import Scripted, ScriptedPool
from tests.factory.town import Clock, Town, found

pytestmark = pytest.mark.anyio
LOW = "La marée haute à Brest est à six heures, avec un coefficient de 95.\n"
HIGH = "La marée haute à Brest sert au départ du sous-marin, avec un coefficient de 98.\n"


@dataclass
class Pair:
    """The site with everything, the site without what is above DR; names that only the first knows."""

    full: Place
    lower: Place
    hidden: list[str]
    shown: list[list[str]]


def told(root: Path, *, high: bool) -> tuple[Town, list[str], list[str]]:
    """The story: what is at DR on both, and what is at S on one, in between."""
    town = found(root, clock=Clock(datetime(2030, 1, 1, tzinfo=UTC)))
    hidden, shown = [], []
    if high:
        town.acting("claire").add_project("radar", marking="S", members=frozenset({"lea"}))
        hidden += [model(town, root, "zephyr", "S"), papers(town, root, "secret", HIGH, "S", "lea")]
        hidden += [papers(town, root, "radars", HIGH, "S", "lea", project="radar")]
    shown += [model(town, root, "small", "DR"), papers(town, root, "tides", LOW, "DR", "ines")]
    if high:
        hidden.append(papers(town, root, "tides", HIGH, "S", "lea"))  # a namesake
        town.acting("lea").new_api_key("high", project="radar")
    return town, hidden, shown


def model(town: Town, root: Path, name: str, marking: str) -> str:
    folder = root / name
    folder.mkdir()
    (folder / "model.gguf").write_bytes(name.encode())
    return released(town, folder, name, marking=marking, task="chat").id


def papers(town: Town, root: Path, name: str, text: str, marking: str, who: str, project: str = "harbour") -> str:
    folder = root / f"{name}-{marking}-{project}"
    folder.mkdir()
    (folder / "marées.txt").write_text(text)
    acting = town.acting(who)
    return str(acting.import_documents(folder, name=name, marking=marking, project=project)["id"])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with ExitStack() as both:
        places, named = [], []
        for high in (True, False):
            town, hidden, shown = told(tmp_path_factory.mktemp("town"), high=high)
            place = both.enter_context(opened(town))
            place.console.pool = ScriptedPool(Scripted())
            place.secret("ines")
            assert isinstance(town.clock, Clock)
            town.clock.now = datetime(2030, 1, 2, tzinfo=UTC)  # from here on, both clocks agree
            places.append(place)
            named.append((hidden, shown))
        yield Pair(*places, hidden=named[0][0], shown=[named[0][1], named[1][1]])


RANDOM = re.compile(rb"(?:chatcmpl|cmpl)-[0-9a-f]{24}|\"created(?:_at)?\":\s?\d+|sha256:[0-9a-f]{64}|2030-[0-9T:.+-]*")


def same(pair: Pair, answers: list[Any]) -> None:
    """Both answers are the same, once what is random by nature, and what both sites call their own, have one name."""
    whole = []
    for place, answer in enumerate(answers):
        body = answer.content
        for number, own in enumerate(pair.shown[place]):
            body = body.replace(own.encode(), b"OWN%d" % number)
        for project in (pair.full, pair.lower)[place].claire.view.projects():
            body = body.replace(project.id.encode(), project.name.encode())
        headers = {k: v for k, v in answer.headers.items() if k not in {"x-casemate-release", *CHANCE_AND_CLOCKS}}
        whole.append((answer.status_code, RANDOM.sub(b"~", body), headers))
    assert whole[0] == whole[1]


async def both(pair: Pair, method: str, path: str, **more: Any) -> list[Any]:
    answers = []
    for number, place in enumerate((pair.full, pair.lower)):
        own = path
        for place_of, name in enumerate(pair.shown[number]):
            own = own.replace(f"OWN{place_of}", name)
        async with place.client("ines") as client:
            answers.append(await client.request(method, own, **more))
    return answers


def chat(model: str, text: str = "Quel est le coefficient de la marée à Brest ?", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


GETS = ["/v1/models", "/v1/files", "/v1/files?order=asc&limit=1", "/v1/vector_stores", "/v1/vector_stores/vs_OWN1",
        "/v1/vector_stores/vs_OWN1/files", "/v1/models/small", "/openapi.json", "/v1/nothing"]  # fmt: skip


@pytest.mark.parametrize("path", GETS)
async def test_lists_are_those_of_a_site_without_what_is_above(pair: Pair, path: str) -> None:
    answers = await both(pair, "GET", path)
    same(pair, answers)
    assert not any(name.encode() in answers[0].content for name in ("zephyr", "secret", "radar", *pair.hidden))


async def test_whatever_is_hidden_is_told_as_what_does_not_exist(pair: Pair) -> None:
    document = "0" * 32
    for hidden in [pair.hidden[-1], "zephyr"]:
        for method, path, more in (
            ("GET", f"/v1/models/{hidden}", {}),
            ("GET", f"/v1/files/file-{hidden}-{document}", {}),
            ("GET", f"/v1/files/file-{hidden}-{document}/content", {}),
            ("GET", f"/v1/files?after=file-{hidden}-{document}", {}),
            ("DELETE", f"/v1/files/file-{hidden}-{document}", {}),
            ("GET", f"/v1/vector_stores/vs_{hidden}", {}),
            ("GET", f"/v1/vector_stores/vs_{hidden}/files", {}),
            ("GET", f"/v1/vector_stores?after=vs_{hidden}", {}),
            ("POST", f"/v1/vector_stores/vs_{hidden}/search", {"json": {"query": "marée"}}),
            ("POST", "/v1/chat/completions", {"json": chat(hidden)}),
            ("POST", "/v1/chat/completions", {"json": chat("assistant", casemate={"engine": hidden})}),
            ("POST", "/v1/embeddings", {"json": {"model": hidden, "input": "x"}}),
            (
                "POST",
                "/v1/detections",
                {"data": {"model": hidden, "marking": "DR"}, "files": {"scene": ("a.png", b"")}},
            ),
        ):
            same(pair, await both(pair, method, path, **more))


@settings(deadline=None, max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(
        st.sampled_from(["marée", "Brest", "coefficient", "sous-marin", "départ", "secret", "98", "radar"]), min_size=1
    ),
    limit=st.integers(1, 20),
    documents=st.sampled_from([None, ["OWN1"], ["HIDDEN"], ["OWN1", "HIDDEN"], ["secret"]]),
    stream=st.booleans(),
)
def test_searches_and_answers_are_those_of_a_site_without_what_is_above(
    pair: Pair, words: list[str], limit: int, documents: list[str] | None, stream: bool
) -> None:
    import anyio

    async def asked() -> None:
        query = " ".join(words)
        for store in ("vs_OWN1",):
            path = f"/v1/vector_stores/{store}/search"
            same(pair, await both(pair, "POST", path, json={"query": query, "max_num_results": limit}))
        answers = []
        for number, place in enumerate((pair.full, pair.lower)):
            names = {"OWN1": pair.shown[number][1], "HIDDEN": pair.hidden[-1]}
            named = None if documents is None else [names.get(name, name) for name in documents]
            more = {"casemate": {"marking": "NP", "passages": limit, "documents": named}, "stream": stream}
            for engine in ("quote", "small"):
                more["casemate"] |= {"engine": engine}
                async with place.client("ines") as client:
                    answers.append(await client.post("/v1/chat/completions", json=chat("assistant", query, **more)))
        same(pair, [answers[0], answers[2]])
        same(pair, [answers[1], answers[3]])

    anyio.run(asked)


async def test_metrics_of_loopback_count_nothing_that_is_above_everybody(pair: Pair) -> None:
    async def page(place: Place) -> str:
        async with place.client() as client:
            return (await client.get("/metrics")).text

    before = await page(pair.full)
    async with pair.full.client("lea") as client:
        for _ in range(5):
            await client.post("/v1/chat/completions", json=chat("zephyr"))
            await client.get("/v1/files")

    def counted(text: str) -> list[str]:
        return [line for line in text.splitlines() if "/v1/" in line or "tokens" in line]

    assert counted(await page(pair.full)) == counted(before)
    secret = pair.full.town.acting("claire")
    secret.add_project("watch", marking="NP", members=frozenset({"claire"}))
    async with pair.full.client("claire", project="watch") as officer:
        assert 'route="/v1/chat/completions"' in (await officer.get("/metrics")).text
