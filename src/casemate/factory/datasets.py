"""The verb that takes data in: quarantine, inspection, reading, store, catalog."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from casemate.airlock import IMAGERY, Admitted, admit, require_clean
from casemate.airlock.inspect import inspect
from casemate.catalog import NewEntry
from casemate.factory.desk import Desk, Progress
from casemate.factory.reading import entry_row
from casemate.modalities import find
from casemate.store import Hashed, Manifest, put_bytes, put_folder

_READABLE = IMAGERY - {"webp"}  # what imagery does not read is refused, and not kept unread


def import_dataset(
    desk: Desk,
    source: Path,
    *,
    name: str,
    marking: str,
    project: str,
    modality: str = "imagery",
    taxonomy: Path | None = None,
    rename: Mapping[str, str] | None = None,
    exhaustive: Iterable[str] | None = None,
    licence: str = "",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Take a folder in as a data set; whatever is refused leaves nothing but its line in the journal."""
    with desk.act("data.import", f"dataset {project}/{name}"):
        data = find(modality).data
        marked = desk.admitted_marking(marking, f"dataset {name}").join(desk.project_marking(project))
        with admit(source, desk.site.quarantine, progress=progress) as admitted:
            report = _inspected(desk, admitted, progress)
            read = data.read(
                admitted.folder,
                taxonomy=data.taxonomy_of(taxonomy) if taxonomy else None,
                rename=rename,
                exhaustive=exhaustive,
                progress=progress,
            )
            data.save_labels(read, admitted.folder)
            facts = {**data.facts(read), "modality": modality, "licence": licence, "inspection": report}
            manifest = _kept(desk, admitted, progress)
        size = sum(file.size for file in manifest.files)
        new = NewEntry("dataset", name, project, marked, manifest.digest, facts={**facts, "bytes": size})
        return entry_row(desk.catalog.register(new, by=desk.reader, sign=desk.sign))


def _inspected(desk: Desk, admitted: Admitted, progress: Progress | None) -> str:
    """Inspect; the report is an object of the store even when the delivery is refused."""
    report = inspect(admitted, allowed=_READABLE, progress=progress)
    digest = put_bytes(desk.store, report.to_json())
    if not report.clean:
        desk.catalog.journal.append(
            desk.reader, "airlock.inspect", f"report {digest}", outcome="refused",
            reason=f"{len(report.refused)} of {len(report.files)} files", sign=desk.sign,
        )  # fmt: skip
    require_clean(report)
    return str(digest)


def _kept(desk: Desk, admitted: Admitted, progress: Progress | None) -> Manifest:
    """The quarantine's files become objects, by the digests that their admission computed."""
    known = {file.path: Hashed.seen(file.digest, (admitted.folder / file.path).stat()) for file in admitted.files}
    return put_folder(desk.store, admitted.folder, move=True, known=known, progress=progress)
