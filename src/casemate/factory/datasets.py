"""The verb that takes in data which lie on the site itself: quarantine, inspection, reading, store, catalog.

Rules. It is for members of a project and needs no courier; a policy of exchange may forbid it, and then every delivery
passes the airlock with two people (`casemate.factory.deliveries`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from casemate.airlock import Admitted, admit, require_clean
from casemate.catalog import NewEntry
from casemate.errors import NotAllowed
from casemate.factory.desk import Desk, Progress
from casemate.factory.inspecting import formats_of, inspected
from casemate.factory.passage import refuse_known_higher
from casemate.factory.reading import entry_row
from casemate.modalities import find
from casemate.store import Hashed, Manifest, put_folder


@dataclass(frozen=True)
class Reading:
    """How a folder of labelled data is to be read."""

    modality: str = "imagery"
    taxonomy: Path | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    exhaustive: Iterable[str] | None = None
    licence: str = ""

    def read(self, folder: Path, *, progress: Progress | None = None) -> dict[str, Any]:
        """Check a folder's data and write their canonical labels beside them; the facts of the data set."""
        data = find(self.modality).data
        found = data.read(
            folder,
            taxonomy=data.taxonomy_of(self.taxonomy) if self.taxonomy else None,
            rename=self.rename,
            exhaustive=self.exhaustive,
            progress=progress,
        )
        data.save_labels(found, folder)
        return {**data.facts(found), "modality": self.modality, "licence": self.licence}


def write_sample(name: str, folder: Path) -> dict[str, str]:
    """Copy an evaluation set that comes with Casemate into a new folder, from which it is imported like any other."""
    return {"set": name, "folder": str(find("language").module("samples").write(name, folder))}


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
        if not desk.exchange_policy().local_import:
            expected = "a delivery through the airlock ('casemate airlock in'), as the exchange policy says"
            raise NotAllowed(f"dataset {name}", expected=expected, found="an import from this site")
        reading = Reading(modality, taxonomy, rename or {}, exhaustive, licence)
        marked = desk.admitted_marking(marking, f"dataset {name}").join(desk.project_marking(project))
        with admit(source, desk.site.quarantine, progress=progress) as admitted:
            found = inspected(desk, admitted, formats_of("dataset", modality), progress=progress)
            require_clean(found.report)
            facts = {**reading.read(admitted.folder, progress=progress), **found.facts()}
            manifest = _kept(desk, admitted, progress)
        refuse_known_higher(desk, {str(manifest.digest)}, marked, f"dataset {name}")
        size = sum(file.size for file in manifest.files)
        new = NewEntry("dataset", name, project, marked, manifest.digest, facts={**facts, "bytes": size})
        return entry_row(desk.catalog.register(new, by=desk.reader, sign=desk.sign))


def _kept(desk: Desk, admitted: Admitted, progress: Progress | None) -> Manifest:
    """The quarantine's files become objects, by the digests that their admission computed."""
    known = {file.path: Hashed.seen(file.digest, (admitted.folder / file.path).stat()) for file in admitted.files}
    return put_folder(desk.store, admitted.folder, move=True, known=known, progress=progress)
