"""What may travel between sites, and what the entries of a peer's bundle may be and say.

Rules. A list of kinds, each with its shape: what a site keeps to itself (policies, trust, orders, the ledger) neither
leaves nor enters as an entry. A peer is believed about its own things: an identifier in its facts that is of none of
its entries, or the digest of a plan that it did not bring, is dropped. Identifiers and digests of ours travel, and
nobody who learnt one may make an entry here that speaks of ours, or that takes ours along when it is sent on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal

from casemate.airlock.bundle import BundleManifest, Carried
from casemate.catalog.text import checked_name, is_id
from casemate.errors import BadInput, BadMarking
from casemate.factory.inspecting import INSPECTION
from casemate.markings import Marking, Policy

TRAVELS: Mapping[str, Literal["manifest", "single"]] = {
    "dataset": "manifest", "documents": "manifest", "model": "manifest", "software": "manifest", "report": "manifest",
    "release": "manifest", "approval": "single", "revocation": "single",
}  # fmt: skip
OBJECTS = (*INSPECTION, "plan")  # facts that name objects which go along with an entry


def require_admissible(manifest: BundleManifest, marking: Marking, policy: Policy) -> None:
    """Refuse a bundle whose entries are not what may enter, or not within `marking`, the bundle's."""
    thing = f"bundle {manifest.label.sequence} of {manifest.label.source}"
    entries = manifest.entries
    if not entries:
        raise BadInput(thing, expected="at least one entry", found="none")
    if len({entry.id for entry in entries}) != len(entries):
        raise BadInput(f"entries of {thing}", expected="each identifier once", found="one of them twice")
    for entry in entries:
        _require_shape(entry)
        if not policy.parse(entry.marking).within(marking):
            expected = f"one within {marking}, the bundle's"
            raise BadMarking(f"marking of {entry.kind} {entry.name}", expected=expected, found=entry.marking)
    parents_first(entries)


def parents_first(entries: Sequence[Carried]) -> list[Carried]:
    """The entries of a bundle so that each follows what it was made from; BadInput for one made from itself."""
    by_id = {entry.id: entry for entry in entries}
    graph = TopologicalSorter({entry.id: [p for p in entry.parents if p in by_id] for entry in entries})
    try:
        return [by_id[identifier] for identifier in graph.static_order()]
    except CycleError as why:
        found = f"{why.args[1][0]}, made from itself"
        raise BadInput("entries of the bundle", expected="each made from others before it", found=found) from why


def kept_facts(entry: Carried, ids: Mapping[str, str]) -> dict[str, Any]:
    """The facts of a peer's entry, in which its identifiers (of `ids`) are ours, and none names what is not its own."""
    brought = {str(digest) for digest in entry.also}
    kept = {key: value for key, value in entry.facts.items() if key not in OBJECTS or value in brought}
    return {
        key: ids.get(value, value) if isinstance(value, str) else value
        for key, value in kept.items()
        if not (isinstance(value, str) and is_id(value) and value not in ids)
    }


def _require_shape(entry: Carried) -> None:
    thing = f"{entry.kind} {entry.name}"
    if entry.kind not in TRAVELS:
        raise BadInput(thing, expected=f"an entry of kind {', '.join(TRAVELS)}", found=entry.kind)
    if entry.shape != TRAVELS[entry.kind]:
        raise BadInput(f"shape of {thing}", expected=TRAVELS[entry.kind], found=entry.shape)
    if checked_name(entry.name, thing=entry.kind) != entry.name:
        raise BadInput(f"name of {thing}", expected="text in normal form C", found="another form")
    for text in (entry.id, *entry.parents):
        if not is_id(text):
            raise BadInput(f"identifiers of {thing}", expected="26 characters among a-z and 2-7", found=text)
    if len(set(entry.parents)) != len(entry.parents):
        raise BadInput(f"parents of {thing}", expected="each parent once", found="one of them twice")
    for text in (entry.author, entry.created, entry.licence):
        if not text.isprintable():
            raise BadInput(f"words of {thing}", expected="printable text on one line", found=text)
