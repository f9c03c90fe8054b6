"""Verbs that answer with a released model: load it verified, then detect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from casemate.catalog import Entry
from casemate.errors import BadInput
from casemate.factory import judging, peers
from casemate.factory.desk import Desk, Progress
from casemate.gates.release_check import Release
from casemate.serving import LoadedRelease
from casemate.serving import detect as answer
from casemate.serving import load as load_release
from casemate.serving import standing as standing_release
from casemate.store import Digest, get_bytes, get_manifest

DETECTING = ("imagery",)  # the modalities whose models detect


def load(desk: Desk, entry: Entry) -> LoadedRelease:
    """The release of an entry with its model laid out, if it holds here and now."""
    release, approvals = _statements(desk, entry)
    return load_release(release, approvals, desk.store, desk.site.shelf, **_grounds(desk, entry))


def standing(desk: Desk, entry: Entry) -> tuple[Release, Digest]:
    """The release of an entry and its digest, if it holds here and now; its model is not looked at."""
    release, approvals = _statements(desk, entry)
    return standing_release(release, approvals, **_grounds(desk, entry))


def _statements(desk: Desk, entry: Entry) -> tuple[bytes, list[bytes]]:
    manifest = get_manifest(desk.store, entry.digest)
    approvals = [get_bytes(desk.store, f.digest) for f in manifest.files if f.path.startswith("approvals/")]
    return judging.file_of(desk, entry, "release.dsse.json"), approvals


def _grounds(desk: Desk, entry: Entry) -> dict[str, Any]:
    """What a release is held against."""
    return {
        "trust": peers.origin_trust(desk, entry),
        "revocations": _withdrawals(desk, entry, theirs=True),
        "ours": desk.trust,
        "our_revocations": _withdrawals(desk, entry, theirs=False),
        "now": desk.now(),
        "site": desk.site.name,
    }


def _withdrawals(desk: Desk, release: Entry, *, theirs: bool) -> list[bytes]:
    """Every withdrawal that the site which made a release signed, or (not `theirs`) that this site did."""
    maker = peers.site_of(release)
    found = []
    for entry in desk.view.walk(kind="revocation"):
        signer = peers.site_of(entry)
        if (signer == maker) if theirs else (maker and not signer):
            found.append(get_bytes(desk.store, entry.digest))
    return found


def detector(desk: Desk, release: str) -> Entry:
    """The release of a detector with this name; BadInput for one of a model that reads and writes, say."""
    entry = desk.view.find(release, kind="release")
    found = str(entry.facts.get("task") or entry.facts.get("modality", ""))
    if entry.facts.get("modality") not in DETECTING:
        raise BadInput(f"release {release}", expected=f"one of a model for {' or '.join(DETECTING)}", found=found)
    return entry


def detect(
    desk: Desk, release: str, scene: Path, out: Path, *, marking: str, progress: Progress | None = None
) -> dict[str, Any]:
    """Run a released model over a scene; the answer is marked with the join of the release's and the scene's."""
    with desk.act("detect", f"release {release} over {scene.name}"):
        entry = detector(desk, release)
        if not scene.is_file():
            raise BadInput(scene, expected="a scene (GeoTIFF, PNG or JPEG)", found="no such file")
        found = answer(
            load(desk, entry),
            scene,
            out,
            reader=desk.reader,
            scene_marking=desk.site.policy.parse(marking),
            policy=desk.site.policy,
            asked=release,
            language=desk.site.language,
            modality=str(entry.facts["modality"]),
            progress=progress,
        )
        facts = found.to_json()
        desk.note("detect", f"{entry.name} over {scene.name}", about=entry, marking=found.marking, facts=facts)
        return {**facts, "geojson": str(found.geojson), "overlay": str(found.overlay)}
