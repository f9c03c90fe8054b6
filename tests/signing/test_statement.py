from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import BadInput
from casemate.signing.statement import Statement, Subject, instant_text, read_instant

texts = st.text(st.characters(codec="utf-8"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
subjects = st.builds(
    Subject,
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
)


@given(
    st.builds(
        Statement,
        texts.filter(bool),
        st.lists(subjects, min_size=1, max_size=3).map(tuple),
        st.dictionaries(texts, values),
    )
)
@settings(deadline=None, max_examples=100)
def test_what_is_printed_is_read_back(statement: Statement) -> None:
    assert Statement.from_json(statement.to_json()) == statement


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1)).map(lambda t: t.replace(microsecond=0, tzinfo=UTC)))  # noqa: DTZ001
@settings(deadline=None, max_examples=100)
def test_instants_are_read_back(instant: datetime) -> None:
    assert read_instant(instant_text(instant), "t") == instant


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(BadInput, match=r"instant: expected a time with its zone, found 2030-01-01T00:00:00"):
        instant_text(datetime(2030, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("text", ["2030-01-01", "2030-1-01T00:00:00Z", "2030-01-01T00:00:00+00:00", "soon", ""])
def test_an_instant_has_one_spelling(text: str) -> None:
    with pytest.raises(BadInput) as refusal:
        read_instant(text, "expires")
    assert str(refusal.value) == f"expires: expected an instant like 2030-01-31T12:00:00Z, found {text!r}"


def test_a_statement_that_is_not_in_toto_is_refused() -> None:
    good = Statement("urn:x", (Subject("a", "0" * 64),), {}).to_json()
    for old, new, field in (
        (b"Statement/v1", b"Statement/v0", "_type"),
        (b"0" * 64, b"0" * 63 + b"Z", "subject.0.digest.sha256"),
        (b'"sha256"', b'"sha512"', "subject.0.digest.sha256"),
    ):
        with pytest.raises(BadInput, match=f"^statement {field}: expected"):
            Statement.from_json(good.replace(old, new))


def test_a_number_that_is_not_finite_is_refused() -> None:
    with pytest.raises(BadInput, match="expected finite numbers"):
        Statement("urn:x", (Subject("a", "0" * 64),), {"x": float("nan")}).to_json()


def test_the_text_of_a_statement_is_as_agreed(golden: Callable[[str, str], None]) -> None:
    statement = Statement(
        "urn:casemate:example:1",
        (Subject("modèle", "ab" * 32), Subject("dossier", "cd" * 32)),
        {"passed": True, "figure": 0.61, "reason": "vu, bon pour accord"},
    )
    golden("signing/statement.json", statement.to_json().decode())
