"""The verb that detects over a scene which a program sends: it is inspected like anything that comes in, and not kept.

Rules. The scene waits in a place of this process alone, is copied into quarantine and decoded by the inspection in a
confined child before the detector sees it; all of it is gone when the answer is there. The answer's marking is the join
of the scene's and of the release's; whoever may not read it is told what they would be told if there were no release.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Any, BinaryIO

from casemate.airlock import admit, require_clean
from casemate.factory import serving
from casemate.factory.desk import Desk
from casemate.factory.filing import checked_file_name
from casemate.factory.inspecting import formats_of, inspected
from casemate.markings import Marking
from casemate.store.staging import staging

_CHUNK = 1 << 16


@dataclass(frozen=True)
class Found:
    """What was detected, as GeoJSON; its marking and the release that found it."""

    geojson: bytes
    marking: Marking
    release: str
    facts: dict[str, Any]


def detect_sent(desk: Desk, release: str, name: str, source: BinaryIO, *, marking: str) -> Found:
    """Detect over the scene in `source`, which its sender calls `name`."""
    with desk.act("detect", f"release {release} over {name}"):
        called, marked = checked_file_name(name), desk.admitted_marking(marking, "scene")
        serving.detector(desk, release)
        desk.site.shelf.mkdir(mode=0o700, exist_ok=True)
        with staging(desk.site.shelf, ".scene-") as place:
            (place / "sent").mkdir(mode=0o700)
            with (place / "sent" / called).open("xb") as target:
                shutil.copyfileobj(source, target, _CHUNK)
            with admit(place / "sent", desk.site.quarantine) as admitted:
                require_clean(inspected(desk, admitted, formats_of("dataset", "imagery")).report)
                facts = serving.detect(desk, release, admitted.folder / called, place / "out", marking=str(marked))
            with open(facts.pop("geojson"), "rb") as stream:  # noqa: PTH123  # named by the modality
                geojson = stream.read()
        facts.pop("overlay")
        return Found(geojson, desk.site.policy.parse(facts["marking"]), str(facts["release"]), facts)
