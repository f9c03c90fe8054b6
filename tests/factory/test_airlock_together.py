"""Two at once at the airlock, and readers without clearance: one wins and the other is told; nothing is learnt.

One of two stands still in the middle of its work (SIGSTOP, see tests/factory/steps.py) while the other begins, so that
they meet at every run of these tests and not by luck.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from casemate.errors import CasemateError
from casemate.factory import Factory
from tests.factory.conftest import World
from tests.factory.steps import Call, ended, start
from tests.factory.test_airlock import sound

NOWHERE = "a" * 26
TAKE: dict[str, Any] = {"project": "harbour", "reason": "exercise"}


def standing(call: Call, at: int) -> Any:
    """A call that stands still before one of its steps."""
    running = start(call, at=at, how=signal.SIGSTOP)
    assert running.stopped()
    return running


def test_two_sealings_on_one_channel_get_two_numbers_that_continue_each_other(copies: Callable[[], World]) -> None:
    world = copies()
    world.port.acting("claire").decide(world.ids["open"], reason="read")
    one = standing(Call(world.port, "ines", "seal", (world.ids["out"], world.root / "one")), 30)
    two = start(Call(world.port, "ines", "seal", (world.ids["open"], world.root / "two")))
    one.go_on()
    first, second = one.end().value, two.end().value
    assert sorted((first["sequence"], second["sequence"])) == [4, 5]
    early, late = sorted((first, second), key=lambda row: row["sequence"])
    ines = world.depot.acting("ines")
    assert ines.verify_bundle([Path(late["into"])])["entries"] == 1
    assert f'"previous":"{early["manifest"].removeprefix("sha256:")}"' in (
        Path(late["into"]) / "manifest.json"
    ).read_text().replace(" ", "")
    assert world.catalog()["port"]["numbers"]["out"] == [1, 2, 3, 4, 5]
    assert sound(world.port)


def test_two_who_carry_out_one_order_let_its_entries_in_once(copies: Callable[[], World]) -> None:
    world = copies()
    call = Call(world.depot, "ines", "carry_out", (world.ids["in"],))
    one = standing(call, 12)
    two = start(call)
    one.go_on()
    assert one.end().value == two.end().value
    assert world.catalog()["depot"]["numbers"]["in"] == [1, 2]
    assert len(world.depot.acting("ines").entries(kind="dataset")) == 2
    assert world.litter() == []
    assert sound(world.depot)


@pytest.mark.parametrize(("order", "person"), [("lower", "claire"), ("restore", "odile")])
def test_two_who_move_a_marking_move_it_once(order: str, person: str, copies: Callable[[], World]) -> None:
    world = copies()
    call = Call(world.port, person, "carry_out", (world.ids[order],))
    one = standing(call, 3)
    two = start(call)
    one.go_on()
    assert one.end().value == two.end().value
    alone = copies()
    assert ended(Call(alone.port, person, "carry_out", (alone.ids[order],))).refusal is None
    assert world.catalog() == alone.catalog()


def test_who_brings_a_bundle_that_another_receives_is_told_to_come_again(copies: Callable[[], World]) -> None:
    world = copies()
    call = Call(world.depot, "ines", "take_bundle", (world.root / "new",), TAKE)
    one = standing(call, 60)
    assert ended(call).refusal == {
        "error": "Unavailable", "thing": "bundle new", "expected": "nobody who receives it now",
        "found": "somebody who does", "exit": "6",
    }  # fmt: skip
    one.go_on()
    assert one.end().value["state"] == "waiting"
    assert ended(call).value["state"] == "waiting"
    assert [row["facts"]["sequence"] for row in world.depot.acting("ines").waiting()].count(3) == 1
    assert world.litter() == []


def test_nobody_decides_on_an_order_while_it_is_carried_out(copies: Callable[[], World]) -> None:
    world = copies()
    one = standing(Call(world.depot, "ines", "carry_out", (world.ids["in"],)), 12)
    no = Call(world.depot, "claire", "decide", (world.ids["in"],), {"reason": "no", "refuse": True})
    refusal = ended(no).refusal
    assert refusal
    assert (refusal["error"], refusal["exit"]) == ("Unavailable", "6")
    assert (refusal["expected"], refusal["found"]) == ("nobody who carries it out now", "somebody who does")
    one.go_on()
    assert len(one.end().value) == 1
    late = ended(no).refusal
    assert late
    assert (late["error"], late["found"]) == ("AirlockClosed", "one carried out")


def test_a_no_that_came_first_keeps_it_out(copies: Callable[[], World]) -> None:
    world = copies()
    world.depot.acting("claire").decide(world.ids["in"], reason="no", refuse=True)
    refusal = ended(Call(world.depot, "ines", "carry_out", (world.ids["in"],))).refusal
    assert refusal
    assert refusal["error"] == "AirlockClosed"
    assert world.catalog()["depot"]["numbers"]["in"] == [1]


Verb = Callable[[Factory, str, Path], object]
BY_ORDER: dict[str, Verb] = {
    "decide": lambda f, i, _: f.decide(i, reason="x"),
    "refuse": lambda f, i, _: f.decide(i, reason="x", refuse=True, role="officer"),
    "carry_out": lambda f, i, _: f.carry_out(i),
    "seal": lambda f, i, out: f.seal(i, out),
    "order_reports": lambda f, i, out: f.order_reports(i, out),
}
BY_ENTRY: dict[str, Verb] = {
    "ask_out": lambda f, i, _: f.ask_out([i], to="depot", reason="x"),
    "ask_lower": lambda f, i, _: f.ask_lower(i, marking="NP", project="open", reason="x"),
    "spill": lambda f, i, out: f.spill(i, raise_to="NP", reason="x", into=out),
    "ask_restore": lambda f, i, _: f.ask_restore(i, reason="x"),
    "show": lambda f, i, _: f.show(i),
    "get": lambda f, i, out: f.get(i, out),
    "lineage": lambda f, i, _: f.lineage(i),
}


def told(verb: Verb, factory: Factory, identifier: str, out: Path) -> tuple[str, int, str]:
    """The refusal: its kind, its exit code, its words with the identifier left out."""
    with pytest.raises(CasemateError) as no:
        verb(factory, identifier, out)
    assert not out.exists()
    return type(no.value).__name__, no.value.exit_code, str(no.value).replace(identifier, "…")


READERS = {"tom": None, "lea": "NP", "paul": "NP", "claire": "NP", "ines": "NP"}


@pytest.mark.parametrize("reader", list(READERS))
def test_what_is_above_a_reader_is_refused_like_what_is_not_there(reader: str, founded: World, tmp_path: Path) -> None:
    ines, factory = founded.port.acting("ines"), founded.port.acting(reader, ceiling=READERS[reader])
    above = founded.port.acting("claire")
    spills = [entry["id"] for entry in above.entries(kind="spill")]
    entries = [entry["id"] for kind in ("dataset", "bundle", "approval", "order") for entry in ines.entries(kind=kind)]
    for name, verb in BY_ORDER.items():
        nothing = told(verb, factory, NOWHERE, tmp_path / "out")
        for order in (founded.ids["out"], founded.ids["open"], founded.ids["lower"], founded.ids["restore"]):
            assert told(verb, factory, order, tmp_path / "out") == nothing, name
    for name, verb in BY_ENTRY.items():
        nothing = told(verb, factory, NOWHERE, tmp_path / "out")
        for entry in [*entries[:4], *spills]:
            assert told(verb, factory, entry, tmp_path / "out") == nothing, name
    assert factory.waiting(everything=True) == []
    assert factory.receipts() == []
    assert [(row["sent"], row["taken_in"]) for row in factory.peers()] == [([], [])]


@pytest.mark.parametrize("reader", ["tom", "ines"])
def test_who_may_not_read_a_bundle_does_not_learn_whether_it_was_sent_taken_or_answered(
    reader: str, copies: Callable[[], World], tmp_path: Path
) -> None:
    world = copies()
    world.depot.acting("claire").add_project("open", marking="NP", members=frozenset({"tom", "ines"}))
    low = world.depot.acting(reader, ceiling="NP")
    take: Verb = lambda f, _, source: f.take_bundle(source, project="open", reason="x")  # noqa: E731
    refusals = set()
    for bundle in ("first", "second", "new"):  # taken in, waiting, never here
        with pytest.raises(CasemateError) as no:
            take(low, "", world.root / bundle)
        refusals.add((type(no.value).__name__, "".join(c for c in str(no.value) if not c.isdigit())))
    assert len(refusals) == 1
    here = {told(lambda f, i, _: f.write_receipts(i, tmp_path / "r"), low, peer, tmp_path / "r")[:2] for peer in
            ("port", "nobody")}  # fmt: skip
    assert here == {("NotFound", 5)}
    sender = world.port.acting(reader, ceiling="NP")
    (receipt,) = (world.root / "receipts").glob("receipt-*")
    assert told(lambda f, _, __: f.read_receipts(receipt), sender, NOWHERE, tmp_path / "r")[2].endswith(
        "expected a receipt for a bundle that this site sent, found for none that you may see"
    )
