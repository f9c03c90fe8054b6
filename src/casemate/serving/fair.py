"""Who is next: fair shares between projects, and between the people of a project, of an engine that has few places.

Rules. Pure. Each project has a pass that grows by what its calls cost, divided by its weight; the waiting project with
the lowest is next, and in it the person with the lowest. Who comes back after a pause begins at the pass of who was
served last: nobody saves up, and nobody who waits is passed over for ever. What waits is bounded, for each person and
in all; how much others wait is never said.
Source: stride scheduling (Waldspurger and Weihl, 1995), on two floors.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from casemate.errors import Busy

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Party:
    """Who asks, and for which project; "" is no project: a person's own share.

    `project_id` tells the project from namesakes at other markings, which have shares of their own.
    """

    person: str
    project: str = ""
    project_id: str = ""

    @property
    def share(self) -> str:
        """Whose share a call is taken from."""
        if not self.project:
            return f"person {self.person}"
        return f"project {self.project}" + (f"\n{self.project_id}" if self.project_id else "")


def project_of(share: str) -> str:
    """The name of the project whose share it is; a person's share as it is."""
    return share.removeprefix("project ").partition("\n")[0]


@dataclass
class _Flow(Generic[_Item]):
    at: float
    waiting: deque[tuple[_Item, float]] = field(default_factory=deque)


@dataclass
class _Share(Generic[_Item]):
    at: float
    floor: float = 0.0
    people: dict[str, _Flow[_Item]] = field(default_factory=dict)

    @property
    def waits(self) -> bool:
        return any(flow.waiting for flow in self.people.values())


class FairQueue(Generic[_Item]):
    """What waits, and who is next; `weights` by project, 1 for those that it does not name."""

    def __init__(self, *, weights: Mapping[str, int], waiting: int, waiting_each: int) -> None:
        self._weights, self._most, self._most_each = weights, waiting, waiting_each
        self._shares: dict[str, _Share[_Item]] = {}
        self._floor = 0.0
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def put(self, party: Party, item: _Item, cost: float) -> None:
        """Let an item wait; Busy where too much waits already."""
        share = self._shares.get(party.share) or _Share[_Item](self._floor)
        flow = share.people.get(party.person) or _Flow[_Item](share.floor)
        if self._waiting >= self._most:
            raise Busy("engine", expected=f"a place among the {self._most} that may wait", found="none that is free")
        if len(flow.waiting) >= self._most_each:
            found = f"{len(flow.waiting)} of your own"
            raise Busy("engine", expected=f"fewer than {self._most_each} calls of one person waiting", found=found)
        if not share.waits:
            share.at = max(share.at, self._floor)
        if not flow.waiting:
            flow.at = max(flow.at, share.floor)
        flow.waiting.append((item, cost))
        share.people[party.person], self._shares[party.share] = flow, share
        self._waiting += 1

    def pop(self) -> _Item | None:
        """The next item, taken out; None where nothing waits."""
        waiting = {name: share for name, share in self._shares.items() if share.waits}
        if not waiting:
            return None
        name, share = min(waiting.items(), key=lambda pair: (pair[1].at, pair[0]))
        people = ((who, flow) for who, flow in share.people.items() if flow.waiting)
        _, flow = min(people, key=lambda pair: (pair[1].at, pair[0]))
        item, cost = flow.waiting.popleft()
        self._waiting -= 1
        self._charge(name, share, flow, cost)
        return item

    def charge(self, party: Party, cost: float) -> None:
        """Count a call that did not have to wait."""
        share = self._shares.setdefault(party.share, _Share(self._floor))
        share.at = max(share.at, self._floor)
        flow = share.people.setdefault(party.person, _Flow(share.floor))
        flow.at = max(flow.at, share.floor)
        self._charge(party.share, share, flow, cost)

    def remove(self, item: _Item) -> bool:
        """Take out an item that waits no more; whether it was there."""
        for share in self._shares.values():
            for flow in share.people.values():
                for found in flow.waiting:
                    if found[0] is item:
                        flow.waiting.remove(found)
                        self._waiting -= 1
                        return True
        return False

    def _charge(self, name: str, share: _Share[_Item], flow: _Flow[_Item], cost: float) -> None:
        self._floor, share.floor = max(self._floor, share.at), max(share.floor, flow.at)
        share.at += cost / max(1, self._weights.get(project_of(name), 1))
        flow.at += cost
        self._forget()

    def _forget(self) -> None:
        """Drop who would begin again at the floor anyway, so that what is remembered stays small."""
        for name, share in list(self._shares.items()):
            if not share.waits and share.at <= self._floor:
                del self._shares[name]
                continue
            for who in [who for who, flow in share.people.items() if not flow.waiting and flow.at <= share.floor]:
                del share.people[who]
