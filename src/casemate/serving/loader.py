"""The only way from a release to a model that answers.

Rules. Statements first, bytes second: signature and role of who released, its window of time, its sites, revocations,
then each approval; only then is the model laid out, every file verified against the manifest that the release names. A
folder laid out before is verified again at every load, file by file, and nothing may lie in it that the manifest does
not list. What does not hold is refused with the file, what was expected and what was found; there is no second try.
Time comes in as an argument: whoever calls answers for a clock that is not turned back (a release is refused before
its first instant, and the journal shows the order of acts).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from casemate.errors import BadInput, DigestMismatch
from casemate.gates.release_check import Release, check, read_release, refuse_revoked
from casemate.signing.envelope import Envelope
from casemate.signing.trust import Trust
from casemate.store.checkout import checkout
from casemate.store.digest import Digest
from casemate.store.folders import get_manifest, manifest_of
from casemate.store.manifest import Manifest, ManifestFile
from casemate.store.objects import ObjectStore, get_bytes
from casemate.store.staging import full_disk_named, staging


@dataclass(frozen=True)
class LoadedRelease:
    """A release that holds, and where its verified files are; `digest` names it in every answer."""

    release: Release
    digest: Digest
    model_dir: Path
    calibration: Path | None


def load(
    release: bytes,
    approvals: Sequence[bytes],
    store: ObjectStore,
    shelf: Path,
    *,
    trust: Trust,
    revocations: Iterable[bytes],
    now: datetime,
    site: str,
    ours: Trust | None = None,
    our_revocations: Iterable[bytes] = (),
) -> LoadedRelease:
    """The release, if it holds at `site` and `now`, with its model laid out under `shelf`.

    Errors of `standing`; DigestMismatch naming a file with other bytes, NotFound for bytes that are not in the store.
    """
    held, digest = standing(
        release, approvals, trust=trust, revocations=revocations, now=now, site=site, ours=ours,
        our_revocations=our_revocations,
    )  # fmt: skip
    model_dir = _laid_out(store, get_manifest(store, held.model), shelf / held.model.hex)
    return LoadedRelease(held, digest, model_dir, _calibration(store, held.calibration, shelf))


def standing(
    release: bytes,
    approvals: Sequence[bytes],
    *,
    trust: Trust,
    revocations: Iterable[bytes],
    now: datetime,
    site: str,
    ours: Trust | None = None,
    our_revocations: Iterable[bytes] = (),
) -> tuple[Release, Digest]:
    """The release and its digest, if it holds at `site` and `now`: statements alone, no bytes of its model.

    `release`, `approvals` and `revocations` are the envelopes' files; `trust` is that of the site which released, and
    `revocations` is every one of its that is known here. A site that loads another's release also gives its own trust
    file and revocations (`ours`, `our_revocations`): it withdraws what it loads, whoever released it.
    BadInput or BadSignature for what is not as it was signed, Revoked outside its time or when withdrawn, NotAllowed
    and GateClosed for approvals that do not suffice.
    """
    envelope = Envelope.from_json(release, thing="release")
    claimed, _ = read_release(envelope, trust)
    held = check(
        envelope,
        [Envelope.from_json(data, thing=f"approval {place}") for place, data in enumerate(approvals, 1)],
        trust=trust,
        now=now,
        site=site,
        model=claimed.model,
        revocations=[Envelope.from_json(data, thing=f"revocation {n}") for n, data in enumerate(revocations, 1)],
    )
    withdrawn = [Envelope.from_json(data, thing=f"our revocation {n}") for n, data in enumerate(our_revocations, 1)]
    refuse_revoked(envelope, held.name, withdrawn, ours or trust)
    return held, Digest(envelope.hex)


def _laid_out(store: ObjectStore, manifest: Manifest, folder: Path) -> Path:
    """The model's folder, with exactly the bytes of its manifest."""
    if not folder.is_dir():
        try:
            return checkout(store, manifest, folder)
        except (BadInput, OSError):
            if not folder.is_dir():
                raise  # else another load laid it out at the same moment
    _refuse_other_bytes(manifest, manifest_of(folder))
    return folder


def _refuse_other_bytes(expected: Manifest, found: Manifest) -> None:
    """DigestMismatch naming the first file that is missing, added or changed."""
    ours, theirs = ({file.path: file for file in manifest.files} for manifest in (expected, found))
    for path in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(path), theirs.get(path)
        if mine != other:
            raise DigestMismatch(f"model file {path}", expected=_facts(mine), found=_facts(other))


def _facts(file: ManifestFile | None) -> str:
    return "no such file" if file is None else f"{file.digest} ({file.size} bytes)"


def _calibration(store: ObjectStore, digest: Digest | None, shelf: Path) -> Path | None:
    """The release's calibration as a file, verified; None where the model has its own."""
    if digest is None:
        return None
    path = shelf / f"calibration-{digest.hex}.json"
    if path.exists():
        found = Digest.of_file(path)
        if found != digest:
            raise DigestMismatch(path.name, expected=digest, found=found)
        return path
    data = get_bytes(store, digest)
    with staging(shelf, ".calibration-") as place, full_disk_named(shelf):
        (place / path.name).write_bytes(data)
        (place / path.name).chmod(0o444)
        (place / path.name).replace(path)
    return path
