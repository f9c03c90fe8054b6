"""Runs: their states, and who sees and moves them."""

from __future__ import annotations

from typing import Any

import pytest

from casemate.catalog import NewRun, Reader, Run
from casemate.catalog.runs import MOVES
from casemate.errors import BadInput, BadMarking, NotAllowed, NotFound
from casemate.store.digest import Digest
from tests.catalog.house import POLICY, House, says

PLAN = Digest.of_bytes(b"plan")


def start(house: House, marking: str = "DR", *, by: Reader | None = None, **others: Any) -> Run:
    new = NewRun(
        **{"kind": "train", "plan_digest": PLAN, "project": "harbour", "marking": POLICY.parse(marking)} | others
    )
    return house.catalog.add_run(new, by=by or house.high)


def test_a_run_passes_through_its_states_and_each_move_has_its_line(house: House) -> None:
    data = house.put(by=house.low)
    run = start(house, inputs=(data.id,), workdir="runs/1", facts={"threads": 2})
    assert (run.state, run.started, run.ended, run.inputs) == ("pending", None, None, (data.id,))
    running = house.catalog.change_run(run.id, state="running", by=house.low)
    assert running.started is not None
    noted = house.catalog.change_run(run.id[:8], facts={"handle": "42"}, by=house.low)
    assert (noted.state, noted.facts) == ("running", {"threads": 2, "handle": "42"})
    done = house.catalog.change_run(run.id, state="done", by=house.low)
    assert (done.started, done.ended is None) == (running.started, False)
    assert house.catalog.seen_by(house.low).run(run.id) == done
    verbs = [x.act.verb for x in house.catalog.seen_by(house.low).journal(about=run.id).lines]
    assert verbs == ["run.done", "run.note", "run.running", "run.add"]
    assert house.catalog.verify().count == house.catalog.journal.head().count


def test_a_run_that_failed_is_taken_up_again(house: House) -> None:
    run = start(house)
    for state in ("running", "failed", "running", "cancelled", "running", "done"):
        run = house.catalog.change_run(run.id, state=state, by=house.high)
    assert (run.state, run.ended is None) == ("done", False)


@pytest.mark.parametrize("state", [*sorted(MOVES), "sleeping"])
def test_a_move_that_is_no_arrow_is_refused(house: House, state: str) -> None:
    run = house.catalog.change_run(start(house).id, state="failed", by=house.high)
    if state in MOVES["failed"]:
        assert house.catalog.change_run(run.id, state=state, by=house.high).ended is None
    else:
        with says(BadInput, f"run {run.id}, failed: expected running, found {state}"):
            house.catalog.change_run(run.id, state=state, by=house.high)


def test_what_is_done_stays_done(house: House) -> None:
    run = start(house)
    for state in ("running", "done"):
        house.catalog.change_run(run.id, state=state, by=house.high)
    with says(BadInput, f"run {run.id}, done: expected no move from done, found running"):
        house.catalog.change_run(run.id, state="running", by=house.high)


def test_a_run_above_the_reader_is_none(house: House) -> None:
    run = start(house, "S")
    view = house.catalog.seen_by(house.low)
    for text in (run.id, run.id[:8], "a" * 26, "short", ""):
        with says(NotFound, f"{text}: expected a run that you may read, found none"):
            view.run(text)
        with says(NotFound, f"{text}: expected a run that you may read, found none"):
            house.catalog.change_run(text, state="running", by=house.low)
    assert view.runs().runs == ()
    assert house.catalog.seen_by(house.high).runs(state="pending", project="harbour").runs == (run,)


def test_a_run_is_marked_as_high_as_what_it_reads(house: House) -> None:
    data = house.put("secret", "S")
    with pytest.raises(BadMarking, match="marking of train run: expected at least S, the join"):
        start(house, inputs=(data.id,))
    with says(NotFound, f"{data.id}: expected an entry that you may read, found none"):
        start(house, inputs=(data.id,), by=house.low)


def test_only_members_run_and_move(house: House) -> None:
    house.catalog.add_project("radar", POLICY.lowest, members=["hugo"], by=house.officer)
    run = start(house, project="radar")
    with says(NotAllowed, "project radar: expected lea among its members, found a non-member"):
        start(house, project="radar", by=house.low)
    with pytest.raises(NotAllowed, match="expected lea among its members, found a non-member"):
        house.catalog.change_run(run.id, state="cancelled", by=house.low)
    with says(BadInput, "kind of run: expected one of train, evaluate, found 'dream'"):
        start(house, kind="dream")
