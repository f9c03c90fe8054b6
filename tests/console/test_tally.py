"""What is counted, and for whom; and how markings travel in headers."""

from __future__ import annotations

import pytest

from casemate.console.tally import Request, Tally
from casemate.markings import Marking, Policy
from tests.console.conftest import Place

POLICY = Policy.shipped("fr")
LOW, HIGH = POLICY.parse("NP"), POLICY.parse("S//ALPHA")
CHAT = Request("/v1/chat/completions", "POST", 200)


def counted() -> Tally:
    tally = Tally()
    tally.request(CHAT, spent_s=0.02, marking=LOW)
    for _ in range(3):
        tally.request(CHAT, spent_s=2.0, marking=HIGH)
    tally.request(Request("none", "GET", 401), spent_s=0.001, marking=None)
    tally.tokens(prompt=5, completion=7, marking=HIGH)
    return tally


def lines(tally: Tally, *seen: Marking) -> list[str]:
    page = tally.page(lambda marking: marking in seen).decode()
    return [line for line in page.splitlines() if not line.startswith("#") and "created" not in line]


def test_a_page_is_the_sum_over_the_markings_that_are_read() -> None:
    route = 'route="/v1/chat/completions",status="200"'
    assert f'casemate_requests_total{{method="POST",{route}}} 1.0' in lines(counted(), LOW)
    both = lines(counted(), LOW, HIGH)
    assert f'casemate_requests_total{{method="POST",{route}}} 4.0' in both
    assert 'casemate_tokens_total{kind="completion"} 7.0' in both
    assert 'casemate_request_seconds_bucket{le="0.05",route="/v1/chat/completions"} 1.0' in both
    assert 'casemate_request_seconds_bucket{le="5.0",route="/v1/chat/completions"} 4.0' in both


def test_a_page_is_that_of_a_server_that_never_answered_anything_above() -> None:
    low = Tally()
    low.request(CHAT, spent_s=0.02, marking=LOW)
    low.request(Request("none", "GET", 401), spent_s=0.001, marking=None)
    assert lines(counted(), LOW) == lines(low, LOW)
    assert not any("S//ALPHA" in line for line in lines(counted(), LOW, HIGH))


@pytest.mark.anyio
async def test_a_marking_travels_in_ascii(place: Place) -> None:
    async with place.client("lea") as client:
        for said in ("DR//SPECIAL FRANCE", "DR//SP%C3%89CIAL%20FRANCE"):
            answer = await client.get("/v1/models", headers={"X-Casemate-Ceiling": said})
            assert answer.status_code == 200, answer.text
        answer = await client.get("/v1/models", headers={"X-Casemate-Ceiling": "%ff"})
    assert answer.json()["error"]["code"] == "bad_marking"
    assert answer.headers["content-type"] == "application/json"
