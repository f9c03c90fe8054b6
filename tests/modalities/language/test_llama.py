"""The runtime of GGUF chat models: a real llama.cpp, in its cell, on a model of a few kilobytes."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from casemate.errors import BadInput, NotFound, Unavailable
from casemate.modalities import find
from casemate.modalities.language.llama import ChatModel, header, open_model
from casemate.modalities.language.llama.slots import Slots
from tests.tiny_gguf import write_tiny_gguf

ASKED = [{"role": "user", "content": "w01 w02 and then?"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("tiny")).parent


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[ChatModel]:
    opened = open_model(folder, context_tokens=32768, slots=2, threads=1)
    yield opened
    opened.close()


def said(model: ChatModel, max_tokens: int = 8, *, cancel_after: int = 0, **body: Any) -> list[dict[str, Any]]:
    """Everything that is said of a call, to its end; cancelled after so many events, if any."""
    heard: queue.Queue[dict[str, Any]] = queue.Queue()
    number, reuse = model.new_call(), body.pop("reuse", "")
    asked = {"messages": ASKED, "max_tokens": max_tokens, "temperature": 0, **body}
    model.start(number, asked, heard.put, reuse=reuse)
    events: list[dict[str, Any]] = []
    while not events or not (events[-1].get("end") or events[-1].get("error") == "died"):
        events.append(heard.get(timeout=60))
        if cancel_after and len(events) == cancel_after:
            model.cancel(number)
    return events


def text(events: list[dict[str, Any]]) -> str:
    return "".join(event.get("content", "") for event in events)


def usage(events: list[dict[str, Any]]) -> list[int]:
    return next(event["usage"] for event in events if "usage" in event)


def test_an_answer_comes_piece_by_piece_and_the_same_again(model: ChatModel) -> None:
    first, again = said(model), said(model)
    assert [event["content"][:2] for event in first if "content" in event] == [" w"] * 8
    assert text(first) == text(again)
    assert [event["finish"] for event in first if "finish" in event] == ["length"]


def test_tokens_are_counted_as_the_engine_counts_them(model: ChatModel) -> None:
    prompt, completion, cached = usage(said(model))
    assert (model.count(ASKED), completion, cached) == (prompt, 8, 0)
    assert model.count([*ASKED, *ASKED]) > prompt


def test_an_answer_that_is_cancelled_ends_there(model: ChatModel) -> None:
    events = said(model, 30_000, cancel_after=12)
    assert "content" in events[11]
    assert len(events) < 10_000


def test_a_prompt_that_is_cancelled_is_not_worked_out_to_its_end(model: ChatModel) -> None:
    long = [{"role": "user", "content": "w01 " * 5_000}]
    assert model.count(long) > 5_000
    events = said(model, 8, cancel_after=1, messages=long)
    assert text(events) == ""


def test_a_beginning_is_reused_by_the_same_key_alone(model: ChatModel) -> None:
    def cached(reuse: str) -> int:
        return usage(said(model, 2, reuse=reuse))[2]

    assert cached("ana") == 0
    assert cached("ana") > 0
    assert [cached("ben"), cached("eve"), cached("ana"), cached("")] == [0, 0, 0, 0]
    assert [cached(""), cached("")] == [0, 0]


def test_a_conversation_that_the_template_does_not_take_is_refused_without_its_words(model: ChatModel) -> None:
    events = said(model, messages="secret words")
    assert [event for event in events if "error" in event] == [{"id": events[0]["id"], "error": "refused"}]
    with pytest.raises(BadInput, match="expected a conversation that the model's template takes") as no:
        model.count([{"role": "user", "content": 5}])
    assert "secret" not in str(no.value)


def test_a_conversation_beyond_what_can_be_sent_is_refused_with_its_size(model: ChatModel) -> None:
    ten_megabytes = [{"role": "user", "content": "x" * 10_000_000}]
    with pytest.raises(BadInput, match=r"a conversation of at most 1044480 bytes, found 100000\d\d bytes"):
        model.count(ten_megabytes)


def test_the_process_gave_up_the_network_files_and_new_processes(model: ChatModel) -> None:
    facts = model.confinement
    assert (facts["no_network"], facts["no_writing"], facts["no_new_processes"]) == (True, True, True)


def test_a_process_that_dies_tells_its_calls_and_starts_again(model: ChatModel) -> None:
    heard: queue.Queue[dict[str, Any]] = queue.Queue()
    model.start(model.new_call(), {"messages": ASKED, "max_tokens": 30_000}, heard.put)
    heard.get(timeout=60)
    model.kill()
    last: dict[str, Any] = {}
    while "error" not in last:
        last = heard.get(timeout=60)
    assert last == {"error": "died"}
    assert text(said(model)).startswith(" w")


def test_a_closed_model_stays_closed(folder: Path) -> None:
    model = open_model(folder, context_tokens=64, threads=1)
    model.close()
    model.close()
    with pytest.raises(Unavailable, match="expected one that is open, found one that was closed"):
        model.count(ASKED)


def test_the_door_of_the_modality_opens_it(folder: Path) -> None:
    model = find("language").predict.chat(folder, context_tokens=64, threads=1)
    assert model.count(ASKED) > 0
    model.close()


@pytest.mark.parametrize(
    ("cut", "found"),
    [
        (lambda data: data[: len(data) // 2], "is not within the file bounds"),
        (lambda data: data[:400] + b"\xff" * 50 + data[450:], "exceeds maximum"),
        (lambda data: data[:100] + bytes(200) + data[300:], "key 2 is empty"),
    ],
)
def test_a_broken_model_is_refused_with_the_engines_reason(folder: Path, tmp_path: Path, cut: Any, found: str) -> None:
    (tmp_path / "model.gguf").write_bytes(cut((folder / "model.gguf").read_bytes()))
    with pytest.raises(BadInput, match=f"model.gguf: expected a chat model that llama.cpp loads, found .*{found}"):
        open_model(tmp_path, context_tokens=64, threads=1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a whole GGUF file, found 0 bytes"),
        (b"PK\x03\x04" + bytes(60), "expected a file that begins with GGUF, found b'PK"),
        (b"GGUF" + bytes([9, 0, 0, 0]) + bytes(60), "expected GGUF version 2 or 3, found version 9"),
        (b"GGUF" + bytes([3, 0, 0, 0]) + bytes(60), "expected a whole GGUF file, found 68 bytes for 0 tensors"),
        (b"GGUF" + bytes([3, 0, 0, 0]) + b"\xff" * 60, "found 68 bytes for 18446744073709551615 tensors"),
    ],
)
def test_what_is_no_gguf_is_refused_by_its_first_bytes(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "model.gguf").write_bytes(data)
    with pytest.raises(BadInput) as no:
        header.check(tmp_path / "model.gguf")
    assert message in str(no.value)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"model.gguf: expected a model in GGUF, found no such file"):
        open_model(tmp_path)


# ── Slots ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_slot_of_the_same_key_is_taken_first_and_the_longest_unused_otherwise() -> None:
    slots = Slots(3)
    first, known = slots.take("ana")
    assert not known
    slots.free(first)
    assert slots.take("ben") == (1, False)
    assert slots.take("ana") == (first, True)
    slots.free(1)
    assert slots.take("eve") == (2, False)
    assert slots.take("eve") == (1, False), "her own is busy, so nothing of it is reused"


def test_a_call_without_a_key_finds_nothing_and_leaves_nothing() -> None:
    slots = Slots(1)
    for key in ("", "", "ana", "", "ana"):
        assert slots.take(key) == (0, False)
        slots.free(0)


def test_more_calls_than_slots_is_our_own_mistake() -> None:
    slots = Slots(1)
    slots.take("ana")
    with pytest.raises(RuntimeError, match="more calls than slots"):
        slots.take("ben")
