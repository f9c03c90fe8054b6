"""Events cut out of bytes, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import Unavailable
from casemate.serving.event_stream import EventStream

texts = st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), min_size=1, max_size=20), max_size=8)


@settings(max_examples=50, deadline=None)
@given(texts, st.integers(1, 7), st.sampled_from(["\n", "\r\n"]))
def test_the_same_events_come_out_however_the_bytes_come_in(events: list[str], step: int, end: str) -> None:
    data = "".join(f": comment{end}event: x{end}data: {event}{end}{end}" for event in events).encode()
    stream = EventStream(thing="engine x", most_bytes=1 << 20)
    found = [event for start in range(0, len(data), step) for event in stream.feed(data[start : start + step])]
    assert found == events


def test_the_lines_of_one_event_are_one_text() -> None:
    stream = EventStream(thing="engine x", most_bytes=1000)
    assert stream.feed(b"data: {\ndata: }\n\n\n\ndata:[DONE]\n\n") == ["{\n}", "[DONE]"]


def test_a_line_without_end_is_not_waited_for() -> None:
    stream = EventStream(thing="engine x", most_bytes=1 << 30)
    with pytest.raises(Unavailable, match="engine x: expected lines of at most 1048576 bytes, found a longer one"):
        stream.feed(b"data: " + b"x" * (2 << 20))


def test_an_answer_beyond_its_limit_is_cut_off() -> None:
    stream = EventStream(thing="engine x", most_bytes=1000)
    with pytest.raises(Unavailable, match="engine x: expected an answer of at most 1000 bytes, found more"):
        stream.feed(b"data: 0123456789\n\n" * 100)


def test_what_is_no_text_is_refused() -> None:
    stream = EventStream(thing="engine x", most_bytes=1000)
    with pytest.raises(Unavailable, match="engine x: expected events in UTF-8, found other bytes"):
        stream.feed(b"data: \xff\xfe\n\n")
