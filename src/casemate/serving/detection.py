"""A released detector over one scene, for one reader.

Rules. The answer's marking is the join of the release's and of the scene's: it is on every feature of the GeoJSON and
on both banners of the picture. A reader whose clearance or ceiling does not admit that join is told, before anything
is read, what they would be told if there were no such release. The release's digest goes into the answer, so that a
revocation finds what was made with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casemate.catalog import Reader
from casemate.catalog.entries import none_such
from casemate.markings import Marking, Policy
from casemate.modalities import find
from casemate.serving.loader import LoadedRelease
from casemate.store.cores import Progress


@dataclass(frozen=True)
class Detection:
    """An answer: its marking, the release that gave it, its files and what the modality reports."""

    marking: Marking
    release: str
    geojson: Path
    overlay: Path
    report: Any

    def to_json(self) -> dict[str, Any]:
        """The answer's facts as a JSON-ready mapping."""
        return {"marking": str(self.marking), "release": self.release, **self.report.to_json()}


def detect(
    loaded: LoadedRelease,
    scene: Path,
    out: Path,
    *,
    reader: Reader,
    scene_marking: Marking,
    policy: Policy,
    asked: str = "",
    language: str = "en",
    modality: str = "imagery",
    progress: Progress | None = None,
) -> Detection:
    """Detect over `scene` and write the answer into `out`.

    `asked` is how the reader named the release, `language` that of the picture's banner. NotFound, in the catalog's
    words, for a reader who may not read the answer; the errors of the modality's `predict` otherwise.
    """
    marking = policy.parse(loaded.release.marking).join(scene_marking)
    if not reader.may_read(marking):
        raise none_such(asked or loaded.release.name)
    report = find(modality).predict.predict(
        loaded.model_dir,
        scene,
        out,
        marking=str(marking),
        banner=policy.wording(marking, language),
        release=str(loaded.digest),
        calibration=loaded.calibration,
        model=str(loaded.release.model),
        progress=progress,
    )
    return Detection(marking, str(loaded.digest), report.geojson, report.overlay, report)
