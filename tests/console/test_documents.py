"""Files and collections: documents that come in marked, are listed, searched and read, and stay."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any

import pytest

from casemate.factory.desk import utc_now
from tests.console.conftest import Place, opened
from tests.factory.town import found

pytestmark = pytest.mark.anyio
TIDES = "La marée haute à Brest est à six heures. Le coefficient est de 95 ce matin, et de 98 ce soir.\n"
SECRET = "Le sous-marin part à la marée haute de Brest, avec un coefficient de 98.\n"
LOCKS = "Les écluses du port ouvrent à huit heures. Le pilote monte à bord avant les écluses.\n"


@dataclass
class Library:
    """A place with documents at DR and S in harbour, and at NP in another project."""

    place: Place
    files: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
async def library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    town = found(tmp_path_factory.mktemp("town"), clock=utc_now)
    town.acting("claire").add_project("quay", marking="NP", members=frozenset({"lea"}))
    with opened(town) as place:
        files = {}
        for name, text, marking, who, project in (
            ("marées.txt", TIDES, "DR", "ines", "harbour"),
            ("secret.txt", SECRET, "S", "lea", "harbour"),
            ("écluses.txt", LOCKS, "NP", "lea", "quay"),
        ):
            answer = await sent(place, who, name, text, project=project, marking=marking)
            assert answer.status_code == 200, answer.text
            files[name] = answer.json()
        yield Library(place, files)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


async def sent(place: Place, who: str, name: str, text: str, *, project: str = "harbour", **form: str) -> Any:
    async with place.client(who, project=project) as client:
        data = {"purpose": "assistants", **form}
        return await client.post("/v1/files", files={"file": (name, text.encode())}, data=data)


async def get(library: Library, path: str, who: str = "ines", **key: Any) -> Any:
    async with library.place.client(who, **key) as client:
        return await client.get(path)


async def search(library: Library, store: str, query: Any, who: str = "ines", **more: Any) -> Any:
    async with library.place.client(who, **more.pop("key", {})) as client:
        return await client.post(f"/v1/vector_stores/{store}/search", json={"query": query, **more})


async def test_a_file_comes_in_at_its_marking(library: Library) -> None:
    file = library.files["marées.txt"]
    assert (file["filename"], file["bytes"], file["status"]) == ("marées.txt", len(TIDES.encode()), "processed")
    assert file["casemate"]["marking"] == "DR"
    told = await get(library, f"/v1/files/{file['id']}")
    assert told.json() == file
    content = await get(library, f"/v1/files/{file['id']}/content")
    assert content.content == TIDES.encode()
    assert content.headers["x-casemate-marking"] == "DR"
    assert content.headers["content-disposition"] == "attachment"


async def test_a_file_without_a_marking_is_refused(library: Library) -> None:
    answer = await sent(library.place, "ines", "a.txt", TIDES)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "marking_required")


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"purpose": "fine-tune", "marking": "DR"}, "not_supported"),
        ({"marking": "ULTRA"}, "bad_marking"),
        ({"marking": "S"}, "not_allowed"),
        ({"marking": "DR", "surprise": "1"}, "not_supported"),
    ],
)
async def test_a_file_that_may_not_come_in_is_refused(library: Library, form: dict[str, str], code: str) -> None:
    answer = await sent(library.place, "ines", "a.txt", TIDES, **form)
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(
    "where", ["starlette.datastructures.UploadFile.write", "casemate.factory.filing.shutil.copyfileobj"]
)
async def test_a_disk_that_is_full_says_so_as_a_file_is_received_and_as_it_is_filed(
    library: Library, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = (await get(library, "/v1/files")).json()
    monkeypatch.setattr(where, full)
    answer = await sent(library.place, "ines", "a.txt", TIDES, marking="DR")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "disk_full")
    assert "expected room to write, found No space left on device" in answer.json()["error"]["message"]
    assert (await get(library, "/v1/files")).json() == before


@pytest.mark.parametrize("name", ["..", ".hidden", " x.txt", "x" * 300 + ".txt"])
async def test_hostile_names_are_refused(library: Library, name: str) -> None:
    answer = await sent(library.place, "ines", name, TIDES, marking="DR")
    assert answer.status_code == 400, answer.text


async def test_a_path_in_a_name_is_only_a_name(library: Library) -> None:
    answer = await sent(library.place, "lea", "../../etc/marées bis.txt", LOCKS, marking="S", project="quay")
    assert (answer.status_code, answer.json()["filename"]) == (200, "marées bis.txt")


async def test_what_inspection_refuses_leaves_nothing(library: Library) -> None:
    answer = await sent(library.place, "ines", "virus.exe", "MZ\x90\x00" + "\x00" * 100, marking="DR")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "inspection_refused")
    assert len((await get(library, "/v1/files")).json()["data"]) == 2


async def test_files_are_those_that_the_key_may_read(library: Library) -> None:
    async def names(who: str, **key: Any) -> set[str]:
        listed = (await get(library, "/v1/files", who, **key)).json()["data"]
        return {file["filename"] for file in listed}

    bound = {"scopes": frozenset({"documents"})}
    assert await names("ines", **bound) == {"marées.txt"}
    assert await names("ines") == {"marées.txt", "écluses.txt"}
    assert await names("lea", **bound) == {"marées.txt", "secret.txt"}
    assert await names("lea", ceiling="DR", **bound) == {"marées.txt"}


async def test_pages_go_on_where_they_ended(library: Library) -> None:
    for order in ("asc", "desc"):
        whole = [f["id"] for f in (await get(library, f"/v1/files?order={order}")).json()["data"]]
        found: list[str] = []
        after = ""
        while True:
            page = (await get(library, f"/v1/files?order={order}&limit=1{after}")).json()
            found += [f["id"] for f in page["data"]]
            if not page["has_more"]:
                break
            after = f"&after={page['last_id']}"
        assert found == whole


async def test_a_file_stays(library: Library) -> None:
    file = library.files["marées.txt"]["id"]
    async with library.place.client("ines") as client:
        answer = await client.delete(f"/v1/files/{file}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "not_supported")
        assert (await client.get(f"/v1/files/{file}")).status_code == 200


async def test_collections_are_document_sets_and_the_keys_project(library: Library) -> None:
    listed = (await get(library, "/v1/vector_stores", scopes=frozenset({"documents"}))).json()["data"]
    assert [store["file_counts"]["total"] for store in listed] == [1, 1]
    assert listed[0]["name"] == "harbour"
    for store in listed:
        assert (await get(library, f"/v1/vector_stores/{store['id']}")).json() == store
    files = (await get(library, f"/v1/vector_stores/{listed[1]['id']}/files")).json()["data"]
    assert [file["id"] for file in files] == [library.files["marées.txt"]["id"]]
    one = await get(library, f"/v1/vector_stores/{listed[1]['id']}/files/{files[0]['id']}")
    assert one.json() == files[0]


async def test_collections_are_not_made_or_changed(library: Library) -> None:
    async with library.place.client("ines") as client:
        for method, path in (("POST", ""), ("POST", "/vs_x"), ("DELETE", "/vs_x"), ("POST", "/vs_x/files")):
            answer = await client.request(method, "/v1/vector_stores" + path, json={"name": "x"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "not_supported")


async def test_a_search_finds_what_its_reader_may_read(library: Library) -> None:
    store = library.files["marées.txt"]["casemate"]["vector_store"]
    answer = await search(library, store, "coefficient de marée")
    [hit] = answer.json()["data"]
    assert hit["file_id"] == library.files["marées.txt"]["id"]
    assert (hit["filename"], hit["attributes"]["marking"]) == ("marées.txt", "DR")
    assert 0 <= hit["score"] <= 1
    assert answer.headers["x-casemate-marking"] == "DR"
    project = (await get(library, "/v1/vector_stores", "lea")).json()["data"][0]["id"]
    found = await search(library, project, ["coefficient", "marée"], "lea")
    assert {one["filename"] for one in found.json()["data"]} == {"marées.txt", "secret.txt"}
    assert found.headers["x-casemate-marking"] == "S"
    assert (await search(library, project, "marée", "lea", key={"ceiling": "DR"})).json()["data"] != []


async def test_filters_that_the_index_has_not_are_refused(library: Library) -> None:
    store = library.files["marées.txt"]["casemate"]["vector_store"]
    good = {"type": "and", "filters": [{"type": "eq", "key": "kind", "value": "text"},
                                       {"type": "gte", "key": "date", "value": "2001-01-01"}]}  # fmt: skip
    assert (await search(library, store, "marée", filters=good)).status_code == 200
    for bad in (
        {"type": "ne", "key": "kind", "value": "text"},
        {"type": "eq", "key": "marking", "value": "S"},
        {"type": "or", "filters": []},
    ):
        answer = await search(library, store, "marée", filters=bad)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "filters")
    assert (await search(library, store, "")).status_code == 400
    assert (await search(library, store, "marée", rewrite_query=True)).status_code == 400


async def test_the_assistant_answers_over_documents_with_citations(library: Library) -> None:
    body = {
        "model": "assistant", "messages": [{"role": "user", "content": "Quel est le coefficient de marée à Brest ?"}],
        "casemate": {"marking": "NP", "engine": "quote"},
    }  # fmt: skip
    async with library.place.client("ines") as client:
        answer = await client.post("/v1/chat/completions", json=body)
        said = answer.json()
        assert answer.status_code == 200, answer.text
        message = said["choices"][0]["message"]
        assert "95" in message["content"]
        assert "98" in message["content"]
        [first, *_] = message["annotations"]
        about = first["url_citation"]
        assert message["content"][about["start_index"] : about["end_index"]] in TIDES
        assert said["casemate"]["citations"][0]["entry"] == library.files["marées.txt"]["casemate"]["entry"]
        assert answer.headers["x-casemate-marking"] == said["casemate"]["marking"] == "DR"
        streamed = await client.post("/v1/chat/completions", json=body | {"stream": True})
    assert streamed.headers["x-casemate-marking"] == "DR"
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert "95" in streamed.text


async def test_the_assistant_looks_only_into_what_it_is_told(library: Library) -> None:
    file = library.files["marées.txt"]
    async with library.place.client("ines") as client:
        for named, refused in (
            (file["id"], False),
            (file["casemate"]["vector_store"], False),
            (library.files["écluses.txt"]["id"], True),
        ):
            more = {"marking": "NP", "engine": "quote", "documents": [named]}
            asked = [{"role": "user", "content": "Quel est le coefficient de marée à Brest ?"}]
            body = {"model": "assistant", "messages": asked, "casemate": more}
            said = (await client.post("/v1/chat/completions", json=body)).json()
            assert said["casemate"]["refused"] is refused, named


async def test_the_assistant_is_capped_by_the_ceiling_of_the_request(library: Library) -> None:
    async def asked(ceiling: str) -> Any:
        body = {
            "model": "assistant", "messages": [{"role": "user", "content": "Quand part le sous-marin de Brest ?"}],
            "casemate": {"marking": "NP", "engine": "quote", "ceiling": ceiling},
        }  # fmt: skip
        async with library.place.client("lea") as client:
            return await client.post("/v1/chat/completions", json=body)

    assert "sous-marin" in (await asked("S")).json()["choices"][0]["message"]["content"]
    low = await asked("DR")
    assert "sous-marin part" not in low.text
    assert low.headers["x-casemate-marking"] in {"NP", "DR"}


async def test_the_assistant_runs_no_tools_and_needs_a_question(library: Library) -> None:
    async with library.place.client("ines") as client:
        for more in (
            {"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function"}]},
            {"messages": [{"role": "system", "content": "x"}]},
            {"messages": [{"role": "user", "content": " "}]},
        ):
            answer = await client.post("/v1/chat/completions", json={"model": "assistant", **more})
            assert answer.status_code in {400, 403}
