"""Tokens a day: never more than granted, whoever counts along, and never too few after a crash."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casemate.errors import QuotaSpent
from casemate.serving.quotas import Grants, Quotas

NOW = datetime(2026, 11, 25, 22, 0, tzinfo=UTC)
GRANTS = Grants({"harbour": 100}, others=0)


def quotas(folder: Path, now: datetime = NOW, grants: Grants = GRANTS) -> Quotas:
    return Quotas(folder, grants, now=lambda: now)


def test_what_is_not_used_is_given_back_and_what_goes_beyond_is_counted(tmp_path: Path) -> None:
    counted = quotas(tmp_path)
    first, second = counted.reserve("project harbour", 60), counted.reserve("project harbour", 40)
    assert first
    assert second
    first.settle(10)
    second.settle(45)
    assert counted.used("project harbour") == 55


def test_beyond_the_quota_is_refused_with_the_numbers_and_until_when(tmp_path: Path) -> None:
    counted = quotas(tmp_path)
    counted.reserve("project harbour", 80)
    expected = "project harbour: expected at most 100 tokens a day, found 80 used or set aside, and up to 21 more"
    with pytest.raises(QuotaSpent, match=expected) as no:
        counted.reserve("project harbour", 21)
    assert (no.value.retry_after_s, no.value.http_status) == (2 * 3600, 429)
    assert counted.reserve("project harbour", 20)


def test_who_has_no_quota_is_not_counted(tmp_path: Path) -> None:
    assert quotas(tmp_path).reserve("person ana", 10**9) is None
    assert list(tmp_path.iterdir()) == []


def test_others_each_have_their_own(tmp_path: Path) -> None:
    counted = quotas(tmp_path, grants=Grants({}, others=50))
    assert counted.reserve("person ana", 50)
    assert counted.reserve("person ben", 50)
    with pytest.raises(QuotaSpent):
        counted.reserve("person ana", 1)


def test_two_processes_count_together(tmp_path: Path) -> None:
    one, other = quotas(tmp_path), quotas(tmp_path)
    kept = one.reserve("project harbour", 70)
    with pytest.raises(QuotaSpent):
        other.reserve("project harbour", 31)
    assert kept
    kept.settle(0)
    assert other.reserve("project harbour", 100)
    assert one.used("project harbour") == 100


def test_a_call_that_a_crash_ended_stays_counted_and_a_line_that_it_cut_is_passed_over(tmp_path: Path) -> None:
    quotas(tmp_path).reserve("project harbour", 30)
    (file,) = tmp_path.iterdir()
    with file.open("ab") as stream:
        stream.write(b'\n["abc')
    again = quotas(tmp_path)
    assert again.used("project harbour") == 30
    assert again.reserve("project harbour", 70)
    assert quotas(tmp_path).used("project harbour") == 100


def test_a_new_day_begins_at_nothing_and_old_days_are_forgotten(tmp_path: Path) -> None:
    for days in range(5):
        counted = quotas(tmp_path, NOW + timedelta(days=days))
        assert counted.reserve("project harbour", 100)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "tokens-2026-11-27.jsonl", "tokens-2026-11-28.jsonl", "tokens-2026-11-29.jsonl",
    ]  # fmt: skip


def test_the_file_names_nobody_and_is_the_sites_alone(tmp_path: Path) -> None:
    quotas(tmp_path / "new").reserve("project harbour", 30)
    (file,) = (tmp_path / "new").iterdir()
    assert b"harbour" not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60), st.integers(0, 1)), max_size=30))
def test_what_is_used_and_set_aside_never_exceeds_the_grant(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[bool, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("days")
    both, kept, truth = [quotas(folder), quotas(folder)], [], 0
    for reserve, tokens, who in acts:
        if reserve:
            try:
                kept.append((both[who].reserve("project harbour", tokens), tokens))
                truth += tokens
            except QuotaSpent:
                assert truth + tokens > 100
        elif kept:
            reservation, set_aside = kept.pop()
            used = min(tokens, set_aside)
            assert reservation
            reservation.settle(used)
            truth -= set_aside - used
        assert both[1 - who].used("project harbour") == truth <= 100
