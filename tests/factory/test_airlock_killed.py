"""kill -9 at every step of what passes the airlock: the catalog is as before or as after; nothing between.

Each verb runs in a process of its own, which is killed between two steps (tests/factory/steps.py). Then the catalogs
are compared with what they were and with what they would have become; whatever could be carried away must be on record;
the verb is given again, and must come to the same end, or say that it is done; and nothing may lie about after that.
CASEMATE_STEPS is how many steps are tried of each verb; all of them where it is large.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.factory.conftest import World
from tests.factory.steps import Call, ended, spread
from tests.factory.test_airlock import sound

MOST = int(os.environ.get("CASEMATE_STEPS", "3"))


@dataclass(frozen=True)
class Act:
    """A verb under test; one that is `asked` anew makes another order (or record) each time that it is given."""

    town: str
    person: str
    verb: str
    args: Callable[[World], tuple[Any, ...]]
    options: dict[str, Any]
    asked: bool = False
    into: str = ""
    most: int = MOST

    def call(self, world: World) -> Call:
        """The call of it in a world."""
        options = self.options | ({"into": world.root / self.into} if self.into else {})
        return Call(getattr(world, self.town), self.person, self.verb, self.args(world), options)


_SLOW = max(2, MOST // 2)  # what inspects starts children
HOW: dict[str, Any] = {"project": "harbour", "reason": "exercise"}
ACTS = {
    "ask to send": Act(
        "port", "ines", "ask_out", lambda _: (["ports"],), {"to": "depot", "reason": "more"}, asked=True
    ),
    "decide": Act("port", "claire", "decide", lambda w: (w.ids["open"],), {"reason": "read"}, asked=True),
    "refuse": Act("port", "claire", "decide", lambda w: (w.ids["open"],), {"reason": "no", "refuse": True}, asked=True),
    "seal": Act("port", "ines", "seal", lambda w: (w.ids["out"], w.root / "sealed"), {}, most=MOST * 2),
    "seal volumes": Act(
        "port", "ines", "seal", lambda w: (w.ids["out"], w.root / "sealed"), {"volume_bytes": 200_000, "as_tar": True}
    ),
    "take a bundle": Act("depot", "ines", "take_bundle", lambda w: (w.root / "new",), HOW, most=_SLOW),
    "take a folder": Act(
        "port", "ines", "take_folder", lambda w: (w.root / "stick",),
        {**HOW, "kind": "dataset", "name": "stick", "marking": "DR"}, asked=True, most=_SLOW,
    ),
    "let in": Act("depot", "ines", "carry_out", lambda w: (w.ids["in"],), {}, most=MOST * 2),
    "lower": Act("port", "claire", "carry_out", lambda w: (w.ids["lower"],), {}),
    "restore": Act("port", "odile", "carry_out", lambda w: (w.ids["restore"],), {}),
    "read receipts": Act("port", "ines", "read_receipts", lambda w: (w.root / "receipts",), {}),
    "write receipts": Act("depot", "ines", "write_receipts", lambda w: ("port", w.root / "answers"), {}),
    "spill": Act(
        "port", "claire", "spill", lambda _: ("ports",), {"raise_to": "S", "reason": "x"}, asked=True, into="notices"
    ),
}  # fmt: skip
DONE = {"NameTaken", "AirlockClosed"}


@pytest.mark.parametrize("name", list(ACTS))
def test_killed_at_any_step_it_was_not_or_it_was_whole(name: str, founded: World, copies: Callable[[], World]) -> None:
    act, whole = ACTS[name], copies()
    before = whole.catalog(act.town)
    reference = ended(act.call(whole))
    assert reference.refusal is None
    after = whole.catalog(act.town)
    assert whole.litter() == []
    for step in spread(reference.steps, act.most):
        world, at = copies(), f"{name} killed before step {step}, {reference.steps[step - 1]}"
        cut = ended(act.call(world), at=step)
        found = world.catalog(act.town)
        assert found in (before, after), at
        assert world.trace() == [], at
        again = ended(act.call(world))
        if again.refusal is not None:
            assert found == after, f"{at}: {again.refusal}"
            assert again.refusal["error"] in DONE, f"{at}: {again.refusal}"
        assert world.catalog(act.town) == after or (act.asked and found == after), at
        assert world.litter() == [], at
        assert cut.killed or cut.refusal is None
    assert sound(getattr(world, act.town)), at
    finished(name, world)


def finished(name: str, world: World) -> None:
    """What must be true of the last world in which a verb was cut and given again."""
    if name.startswith("seal"):
        sealed = world.root / "sealed"
        sources = sorted(sealed.iterdir()) if name == "seal volumes" else [sealed]
        assert world.depot.acting("ines").verify_bundle(sources)["sequence"] == 4
    elif name == "spill":
        assert (world.root / "notices" / "spill.json").is_file()
    elif name == "write receipts":
        assert world.port.acting("ines").read_receipts(Path(world.root / "answers"))[0]["outcome"] == "taken"
