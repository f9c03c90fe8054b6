"""A process of its own that registers entries without end, or each of a list of names once; run by the tests."""

from __future__ import annotations

import sys
from itertools import count

from casemate.catalog import Catalog, NewEntry
from casemate.errors import NameTaken
from casemate.markings import Policy
from casemate.store.digest import Digest

POLICY = Policy.shipped("fr")


def without_end(catalog: Catalog) -> None:
    by = catalog.sign_in("lea").reader()
    parents: tuple[str, ...] = tuple(e.id for e in catalog.seen_by(by).list(limit=2).entries)
    for number in count(catalog.seen_by(by).count()):
        digest = Digest.of_bytes(str(number).encode())
        new = NewEntry("dataset", f"entry {number}", "harbour", POLICY.parse("DR"), digest, parents, {"n": number})
        entry = catalog.register(new, by=by)
        parents = (entry.id, *parents[:1])
        say(entry.id)


def each_once(catalog: Catalog, names: list[str]) -> None:
    by = catalog.sign_in("lea").reader()
    for name in names:
        new = NewEntry("dataset", name, "harbour", POLICY.parse("DR"), Digest.of_bytes(name.encode()))
        try:
            say(f"{catalog.register(new, by=by).name} done")
        except NameTaken:
            say(f"{name} taken")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    opened = Catalog.open(sys.argv[1], POLICY)
    say("ready")
    if sys.argv[2:]:
        each_once(opened, sys.argv[2:])
    else:
        without_end(opened)
