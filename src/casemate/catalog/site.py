"""The site as the catalog knows it: its policy of markings, its ceiling, its clock, its chance; who reads.

Rules. A marking that the policy does not know is refused when written and invisible when read. Nothing above the site's
ceiling is written. What a reader sees is compiled, in each read, into the set of distinct markings that their clearance
dominates and that their session's ceiling admits; every query starts from that set.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from casemate.catalog import schema
from casemate.catalog.text import Chance, Clock
from casemate.errors import AboveCeiling, BadMarking, NotAllowed
from casemate.markings import Clearance, Marking, Policy


@dataclass(frozen=True)
class Reader:
    """Somebody who is signed in: a name, what they are cleared for, and the ceiling of this session.

    `through` is the identifier of the API key with which their program came, empty where they came themself.
    """

    person_name: str
    clearance: Clearance
    ceiling: Marking | None = None
    through: str = ""

    def may_read(self, marking: Marking) -> bool:
        """Whether this session may read a thing with `marking`."""
        return self.clearance.dominates(marking) and (self.ceiling is None or marking.within(self.ceiling))

    @property
    def top(self) -> Marking:
        """The least marking at least as strict as all that this session may read, and which it may read itself."""
        cleared = Marking(self.clearance.level, self.clearance.compartments, frozenset({self.clearance.nationality}))
        return cleared if self.ceiling is None else meet(cleared, self.ceiling)


@dataclass(frozen=True)
class Site:
    """What stays the same while the catalog is open."""

    policy: Policy
    ceiling: Marking | None
    clock: Clock
    chance: Chance
    _known: dict[str, Marking | None] = field(default_factory=dict, compare=False, repr=False)

    def marking(self, text: str) -> Marking:
        """The marking that the catalog wrote as `text`; BadMarking if the policy does not know it any more."""
        if text not in self._known:
            self._known[text] = _parsed(self.policy, text)
        known = self._known[text]
        if known is None:
            raise BadMarking(f"marking {text}", expected="one that the site's policy knows", found="another")
        return known

    def seen_by(self, connection: Connection, reader: Reader) -> tuple[str, ...]:
        """The distinct markings that `reader` may read, sorted; one that the policy does not know is nobody's."""
        texts = connection.execute(select(schema.marking.c.text)).scalars()
        return tuple(sorted(text for text in texts if self._seen(text, reader)))

    def admit(self, marking: object, *, thing: str) -> Marking:
        """A marking fit to be written here: known to the policy and not above the site's ceiling."""
        if not isinstance(marking, Marking):
            raise BadMarking(thing, expected="a marking", found="none" if marking is None else repr(marking))
        if _parsed(self.policy, str(marking)) != marking:
            raise BadMarking(thing, expected="a marking that the site's policy knows", found=marking)
        if self.ceiling is not None and not marking.within(self.ceiling):
            raise AboveCeiling(thing, expected=f"a marking within the site's ceiling {self.ceiling}", found=marking)
        return marking

    def admit_from(self, marking: object, by: Reader, *, thing: str) -> Marking:
        """A marking fit to be written by `by`, who must be able to read what they write."""
        admitted = self.admit(marking, thing=thing)
        if not by.may_read(admitted):
            expected = f"a marking that {by.person_name} may read ({reach(by)})"
            raise NotAllowed(thing, expected=expected, found=admitted)
        return admitted

    def highest(self, by: Reader) -> Marking:
        """The least marking at least as strict as all that `by` may have seen on this site."""
        return by.top if self.ceiling is None else meet(by.top, self.ceiling)

    def _seen(self, text: str, reader: Reader) -> bool:
        try:
            return reader.may_read(self.marking(text))
        except BadMarking:
            return False


def note(connection: Connection, marking: Marking) -> str:
    """The text of `marking`, now among the site's distinct markings."""
    text = str(marking)
    if connection.execute(select(schema.marking).where(schema.marking.c.text == text)).first() is None:
        connection.execute(schema.marking.insert().values(text=text))
    return text


def meet(one: Marking, other: Marking) -> Marking:
    """The strictest marking that exceeds neither of the two."""
    both = (one.releasable_to, other.releasable_to)
    releasable = None if both[0] is None or both[1] is None else both[0] | both[1]
    return Marking(min(one.level, other.level), one.compartments & other.compartments, releasable)


def at_least(marking: Marking, parts: Iterable[Marking], *, thing: str) -> None:
    """Refuse a marking below the join of what the thing is made from or belongs to."""
    floor = Marking.join_all(marking, parts)
    if floor != marking:
        expected = f"at least {floor}, the join of its marking with those of its parents and its project"
        raise BadMarking(f"marking of {thing}", expected=expected, found=marking)


def _parsed(policy: Policy, text: str) -> Marking | None:
    try:
        return policy.parse(text)
    except BadMarking:
        return None


def reach(by: Reader) -> str:
    """What a session reads, in words."""
    return f"{by.clearance}" if by.ceiling is None else f"{by.clearance} under the ceiling {by.ceiling}"
