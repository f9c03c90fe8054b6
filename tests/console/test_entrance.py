"""Who is let in, and what everybody else is told: nothing."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest

from tests.console.conftest import CHANCE_AND_CLOCKS, Place

pytestmark = pytest.mark.anyio


def told(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    headers = {name: value for name, value in answer.headers.items() if name not in CHANCE_AND_CLOCKS}
    return answer.status_code, headers, answer.content


async def test_health_needs_no_key_and_says_nothing_else(place: Place) -> None:
    async with place.client() as client:
        answer = await client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/v1/models", "/v1/nothing", "/openapi.json", "/", "/docs", "/v1/chat/completions"])
async def test_nothing_else_is_answered_without_a_key(place: Place, path: str) -> None:
    async with place.client() as client:
        answer = await client.get(path)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


async def test_unknown_revoked_and_expired_keys_and_people_who_left_are_told_the_same(
    fresh: Callable[..., Place],
) -> None:
    place = fresh()
    ines = place.town.acting("ines")
    revoked = ines.new_api_key("old", project="harbour")
    ines.revoke_api_key(revoked["id"])
    left = place.secret("paul")
    place.claire.revoke_key("paul", reason="left")
    answers = []
    for secret in ("", "x", "casemate-" + "A" * 43, revoked["secret"], left, "é", "x" * 300):
        async with place.client() as client:
            headers = {"Authorization": f"Bearer {secret}".encode()}
            answers.append(told(await client.get("/v1/models", headers=headers)))
    assert answers == [answers[0]] * len(answers)
    assert answers[0][0] == 401


async def test_other_schemes_and_two_keys_open_nothing(place: Place) -> None:
    secret = place.secret("ines")
    async with place.client() as client:
        for headers in ([("Authorization", f"Basic {secret}")], 2 * [("Authorization", f"Bearer {secret}")]):
            assert (await client.get("/v1/models", headers=headers)).status_code == 401


async def test_wrong_keys_are_slowed_and_shut_nobody_else_out(fresh: Callable[..., Place]) -> None:
    place = fresh(wrong_keys_per_minute=10)
    before = place.claire.catalog.journal.head().count
    async with place.client() as stranger:
        statuses = []
        for number in range(100):
            headers = {"Authorization": f"Bearer casemate-{number}"}
            answer = await stranger.get("/v1/models", headers=headers)
            statuses.append(answer.status_code)
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert place.claire.catalog.journal.head().count <= before + 2
    async with place.client("ines") as ines:  # from the same address
        assert (await ines.get("/v1/models")).status_code == 200


async def test_a_key_asks_so_often_and_no_more(fresh: Callable[..., Place]) -> None:
    place = fresh(requests_per_minute=3)
    async with place.client("ines") as ines, place.client("lea") as lea:
        statuses = [(await ines.get("/v1/models")).status_code for _ in range(4)]
        answer = await ines.get("/v1/models")
        assert (await lea.get("/v1/models")).status_code == 200
    assert statuses == [200, 200, 200, 429]
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(answer.headers["retry-after"]) <= 20
    assert answer.headers["x-ratelimit-limit-requests"] == "3"
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    assert 0 < float(answer.headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 60


async def test_the_host_is_called_by_its_own_names_only(place: Place) -> None:
    async with place.client("ines") as client:
        for host in ("evil.example", "127.0.0.1.evil.example", ""):
            answer = await client.get("/v1/models", headers={"Host": host})
            assert (answer.status_code, answer.json()["error"]["code"]) == (421, "unknown_host")
        assert (await client.get("/v1/models", headers={"Host": "127.0.0.1:99"})).status_code == 200


async def test_a_key_does_what_its_scopes_say(place: Place) -> None:
    async with place.client("ines", scopes=frozenset({"metrics"})) as client:
        answer = await client.get("/v1/models")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "missing_scope")


async def test_every_answer_has_an_identifier_and_no_two_the_same(place: Place) -> None:
    async with place.client("ines") as known, place.client() as nobody:
        answers = [await known.get("/v1/models"), await known.get("/v1/nothing"), await nobody.get("/v1/models")]
    told = [answer.headers["x-request-id"] for answer in answers]
    assert all(re.fullmatch(r"req_[0-9a-f]{24}", one) for one in told)
    assert len(set(told)) == 3
    assert "x-ratelimit-limit-requests" not in answers[2].headers  # of whom there is no key, nothing is counted


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/v1/nothing"])
async def test_every_answer_has_the_headers_that_browsers_obey(place: Place, path: str) -> None:
    async with place.client("ines") as client:
        headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


async def test_there_is_no_page(place: Place) -> None:
    async with place.client("ines") as client:
        for path in ("/docs", "/redoc", "/v1/models/", "/docs/oauth2-redirect"):
            answer = await client.get(path)
            assert answer.status_code == 404
            assert answer.json()["error"]["code"] in {"unknown_url", "model_not_found"}


async def test_another_method_is_told_so(place: Place) -> None:
    async with place.client("ines") as client:
        answer = await client.delete("/v1/models")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


async def test_metrics_are_for_loopback_and_for_keys_of_operators(place: Place) -> None:
    async with place.client(address="10.0.0.1") as far, place.client() as near:
        assert (await far.get("/metrics")).status_code == 401
        page = await near.get("/metrics")
    assert page.status_code == 200
    assert "casemate_requests_total" in page.text
    async with place.client("ines") as ines:
        assert (await ines.get("/metrics")).status_code == 403
