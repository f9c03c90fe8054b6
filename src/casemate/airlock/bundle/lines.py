"""The list of objects: one canonical line an object, which says from which members and base ranges its bytes come.

Rules. Lines are compact JSON with sorted keys, sorted by digest, each digest once. A member is `[part, at, stored,
plain]`: `stored` bytes from byte `at` of part `part`, which are the `plain` bytes themselves when both numbers are the
same, else a zstd frame of them. Without `extents` an object is its members' plain bytes one after another. With them,
`[n]` is the next n of those bytes, and `[base, offset, n]` is a range of the object `bases[base]`, which the
destination has. Only the one spelling is read, and only what adds up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from casemate.airlock.bundle.terms import EXTENTS_MAX, LINE_BYTES_MAX, MEMBER_BYTES
from casemate.errors import BadInput
from casemate.store.digest import Digest

LIST = "objects.jsonl"
_KEYS = ({"members", "sha256", "size"}, {"bases", "extents", "members", "sha256", "size"})


class Member(NamedTuple):
    """Bytes of an object in a part: from byte `at`, `stored` bytes, of `plain` bytes."""

    part: int
    at: int
    stored: int
    plain: int

    @property
    def packed(self) -> bool:
        """Whether what is stored is a zstd frame."""
        return self.stored != self.plain


@dataclass(frozen=True)
class ObjectLine:
    """An object of a bundle and where its bytes come from."""

    digest: Digest
    size: int
    members: tuple[Member, ...]
    bases: tuple[Digest, ...] = ()
    extents: tuple[tuple[int, ...], ...] = ()

    def to_line(self) -> bytes:
        """The canonical line, its newline included."""
        facts: dict[str, Any] = {"members": self.members, "sha256": self.digest.hex, "size": self.size}
        if self.extents:
            facts |= {"bases": [base.hex for base in self.bases], "extents": self.extents}
        return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"

    @classmethod
    def from_line(cls, line: bytes, thing: str) -> ObjectLine:
        """An object from its canonical line; BadInput naming `thing` for anything else."""
        try:
            raw = json.loads(line.decode("ascii"))
        except (ValueError, RecursionError) as why:
            raise BadInput(thing, expected="a line of JSON", found=why) from why
        if not isinstance(raw, dict) or set(raw) not in _KEYS:
            raise BadInput(thing, expected="members, sha256, size, and bases with extents", found=f"{line[:80]!a}")
        lists = (raw["members"], raw.get("extents", []))
        if not (_whole(raw["size"]) and all(_rows(rows) for rows in lists) and isinstance(raw.get("bases", []), list)):
            raise BadInput(thing, expected="whole numbers", found=f"{line[:80]!a}")
        members = tuple(_member(row, thing) for row in lists[0])
        bases = tuple(Digest.parse(f"sha256:{base}") for base in raw.get("bases", []))
        found = cls(Digest.parse(f"sha256:{raw['sha256']}"), raw["size"], members, bases, tuple(map(tuple, lists[1])))
        if found.to_line() != line:
            raise BadInput(thing, expected="the canonical line", found="the same facts otherwise")
        _refuse_wrong_sums(found, thing)
        return found

    def names(self) -> Iterator[tuple[Member, str]]:
        """Each member with its name in its part."""
        for number, member in enumerate(self.members):
            yield member, member_name(self.digest, number, packed=member.packed)


def member_name(digest: Digest, number: int, *, packed: bool) -> str:
    """The name of an object's member: `<sha256>.<number>`, and `.zst` where it is compressed."""
    return f"{digest.hex}.{number:06d}{'.zst' if packed else ''}"


def read_lines(stream: Iterable[bytes], *, thing: str = LIST) -> Iterator[ObjectLine]:
    """The objects of a list, one at a time; BadInput naming the line that is not what it must be."""
    last = ""
    for number, line in enumerate(stream, start=1):
        where = f"{thing} line {number}"
        found = ObjectLine.from_line(line, where)
        if found.digest.hex <= last:
            raise BadInput(where, expected=f"a digest after {last}", found=found.digest.hex)
        last = found.digest.hex
        yield found


def bounded_lines(read: Any, *, thing: str = LIST) -> Iterator[bytes]:
    """The lines of a binary stream by its `readline`; one that is too long is BadInput before it is held in memory."""
    while line := read(LINE_BYTES_MAX + 1):
        if len(line) > LINE_BYTES_MAX:
            raise BadInput(thing, expected=f"lines of at most {LINE_BYTES_MAX} bytes", found="a longer one")
        yield line


def _whole(value: object) -> bool:
    return type(value) is int and value >= 0


def _rows(rows: object) -> bool:
    return isinstance(rows, list) and all(isinstance(row, list) and all(map(_whole, row)) for row in rows)


def _member(row: list[int], thing: str) -> Member:
    if len(row) != 4:
        raise BadInput(thing, expected="members of part, at, stored, plain", found=row)
    member = Member(*row)
    if not (0 < member.stored <= member.plain <= MEMBER_BYTES and member.part > 0):
        raise BadInput(thing, expected=f"0 < stored <= plain <= {MEMBER_BYTES}, part > 0", found=row)
    return member


def _refuse_wrong_sums(line: ObjectLine, thing: str) -> None:
    plain = sum(member.plain for member in line.members)
    if not line.extents:
        if plain != line.size:
            raise BadInput(thing, expected=f"members of {line.size} bytes in all", found=plain)
        return
    if len(line.extents) > EXTENTS_MAX or any(len(row) not in {1, 3} or row[-1] == 0 for row in line.extents):
        raise BadInput(thing, expected=f"at most {EXTENTS_MAX} extents of one or three numbers", found="others")
    used = {row[0] for row in line.extents if len(row) == 3}
    if used != set(range(len(line.bases))):
        raise BadInput(thing, expected="each base to be used, and no other", found=sorted(used)[:8])
    literal = sum(row[0] for row in line.extents if len(row) == 1)
    whole = sum(row[-1] for row in line.extents)
    if (literal, whole) != (plain, line.size):
        raise BadInput(thing, expected=f"extents of {line.size} bytes, {plain} of them here", found=(whole, literal))
