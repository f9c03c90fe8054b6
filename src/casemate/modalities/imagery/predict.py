"""Detection over a scene of any size: windows in, GeoJSON and an overlay picture out.

Rules. The scene is read once, window by window; memory depends on the window's size and never on the scene's. What each
window saw is spilled, so that a prediction killed at any moment and started again goes on from its last complete window
and ends with the same bytes; a spill of another scene, model or setting is never used. Nothing appears under its final
name before it is complete. Every answer carries the marking and the digest of the release it comes from.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from casemate import __version__
from casemate.errors import BadInput
from casemate.modalities.imagery import calibrate
from casemate.modalities.imagery.answers import Reading, answers, window_answers
from casemate.modalities.imagery.decode import SCORE_MIN
from casemate.modalities.imagery.engine import Engine
from casemate.modalities.imagery.geojson import Feature, write_collection
from casemate.modalities.imagery.georeference import georeference
from casemate.modalities.imagery.overlay import Caption, Detail, Overlay, reduction
from casemate.modalities.imagery.pixels import RGB_HWC, ground_sampling_m, open_scene, read_window, stretch_facts
from casemate.modalities.imagery.scan import Scene, scan
from casemate.modalities.imagery.spill import Spill, open_spill
from casemate.modalities.imagery.windows import ALIGN_PX, Grid, grid
from casemate.store.cores import Progress
from casemate.store.digest import Digest

SEEN_PX, OVERLAP_PX = 2048, 64
GEOJSON, OVERLAY, SPILL = "detections.geojson", "overlay.png", "windows.partial"
CACHE_BYTES = 192 * 2**20
FORMAT = "casemate-detections/1"


@dataclass(frozen=True)
class PredictReport:
    """What was done: the scene, how many windows (and how many of them an earlier try had done), what was found."""

    scene: Digest
    size_px: tuple[int, int]
    gsd_m: float | None
    crs: str | None
    windows: int
    resumed: int
    detections: int
    labels: dict[str, int]
    geojson: Path
    overlay: Path

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON-ready mapping."""
        facts = {**self.__dict__, "scene": str(self.scene), "size_px": list(self.size_px)}
        return facts | {"geojson": str(self.geojson), "overlay": str(self.overlay)}


@dataclass(frozen=True)
class Provenance:
    """What every answer carries: its marking, and the release (or model) that it comes from."""

    marking: str
    release: str
    banner: str


@dataclass(frozen=True)
class Facts:
    """What is predicted over: the scene's digest and name, and what the answers carry."""

    scene: Digest
    source: Provenance
    name: str

    def members(self, cells: Grid, reading: Reading) -> dict[str, Any]:
        """The foreign members of the collection."""
        return {
            "format": FORMAT,
            "marking": self.source.marking,
            "release": self.source.release,
            "scene": {
                "name": self.name,
                "digest": str(self.scene),
                "width": cells.width,
                "height": cells.height,
                "crs": reading.place.name if reading.place else None,
                "gsd_m": reading.gsd_m,
            },
        }


def predict(
    model_dir: Path,
    scene: Path,
    out: Path,
    *,
    marking: str,
    release: str,
    banner: str | None = None,
    calibration: Path | None = None,
    model: str = "",
    score_min: float | None = None,
    window_px: int | None = None,
    overlap_px: int = OVERLAP_PX,
    resume: bool = True,
    workers: int | None = None,
    progress: Progress | None = None,
) -> PredictReport:
    """Detect over `scene` and write `out/detections.geojson` and `out/overlay.png`.

    `marking` and `release` go into every answer; `banner` is the marking as the picture words it. `workers` windows are
    computed at a time, each on its share of the cores, and are the smaller the more there are. `calibration` is the
    release's calibration.json, where it is not in the model's folder, and must be of `model` (its digest) where that is
    given. BadInput names a scene or a window that cannot be read; DiskFull leaves nothing half-written.
    """
    engine = Engine.open(
        model_dir, workers=1 if workers is None else workers, score_min=SCORE_MIN if score_min is None else score_min
    )
    calibrated = calibrate.load(model_dir, engine.detector.config, file=calibration, model=model)
    out.mkdir(parents=True, exist_ok=True)
    facts = Facts(Digest.of_file(scene), Provenance(marking, release, banner or marking), scene.name)
    side = window_px or side_px(engine.detector.scale, engine.at_once)
    with _opened(scene, side, overlap_px) as shown:
        raster, cells = shown.raster, shown.grid
        reading = Reading(engine.detector.taxonomy, calibrated, georeference(raster), ground_sampling_m(raster))
        key = _key(model_dir, facts.scene, cells, side, engine.score_min)
        with open_spill(out / SPILL, key, resume=resume) as spill:
            resumed = len(spill)
            scan(shown, engine, spill, progress=progress)
            counts = _write(out, shown, spill, reading, facts)
            (out / SPILL).unlink(missing_ok=True)
    return PredictReport(
        scene=facts.scene,
        size_px=(cells.width, cells.height),
        gsd_m=reading.gsd_m,
        crs=reading.place.name if reading.place else None,
        windows=len(cells),
        resumed=resumed,
        detections=sum(counts.values()),
        labels=counts,
        geojson=out / GEOJSON,
        overlay=out / OVERLAY,
    )


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@contextmanager
def _opened(path: Path, window_px: int, overlap_px: int) -> Iterator[Scene]:
    """The scene, cut into windows, with GDAL's cache of decoded blocks bounded while it is open."""
    import rasterio

    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES), open_scene(path) as raster:
        if raster.count < 1:
            raise BadInput(path.name, expected="at least one band", found="none")
        cells = grid(raster.width, raster.height, window_px=window_px, overlap_px=overlap_px)
        yield Scene(path.name, raster, cells, stretch_facts(raster), reduction(cells.width, cells.height))


def side_px(scale: float, workers: int = 1) -> int:
    """The side of a window: all that are computed at a time show the model `SEEN_PX` squared, at any scale."""
    return max(4 * OVERLAP_PX, int(SEEN_PX / scale / math.sqrt(workers)) // ALIGN_PX * ALIGN_PX)


def _key(model_dir: Path, scene: Digest, cells: Grid, window_px: int, score_min: float) -> str:
    """What a spill belongs to: anything that changes what a window sees changes the key."""
    model = {name: str(Digest.of_file(model_dir / name)) for name in ("model.json", "model.onnx")}
    settings = {"window_px": window_px, "overlap_px": cells.overlap_px, "score_min": score_min}
    facts = {"scene": str(scene), "size": [cells.width, cells.height], "code": __version__, **model, **settings}
    return str(Digest.of_bytes(json.dumps(facts, sort_keys=True).encode()))


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _write(out: Path, shown: Scene, spill: Spill, reading: Reading, facts: Facts) -> dict[str, int]:
    """Write both files from a complete spill; how many detections there are of each label."""
    cells = shown.grid
    overlay = Overlay(_picture(spill, cells, shown.reduce_by), shown.reduce_by, (cells.width, cells.height))
    members = facts.members(cells, reading)
    write_collection(out / GEOJSON, _features(spill, cells, reading, facts, overlay), members=members)
    source = facts.source
    caption = Caption(source.banner, facts.name, source.release, (cells.width, cells.height), reading.gsd_m)
    details = [_detail(square, shown, spill, reading) for square in overlay.crowded()]
    overlay.save(out / OVERLAY, caption, details)
    return dict(sorted(overlay.counts.items()))


def _features(spill: Spill, cells: Grid, reading: Reading, facts: Facts, overlay: Overlay) -> Iterator[Feature]:
    """Every answer as a feature, drawn on its way."""
    repeated = {"marking": facts.source.marking, "release": facts.source.release}
    for answer in answers(spill, cells, reading):
        overlay.add(answer.box_xyxy_px, answer.decision.label)
        yield answer.feature(reading.taxonomy, repeated)


def _picture(spill: Spill, cells: Grid, factor: int) -> RGB_HWC:
    """The reduced cores of all windows, put together."""
    picture = np.zeros((-(-cells.height // factor), -(-cells.width // factor), 3), np.uint8)
    for window in cells:
        part = spill.read(window.index).picture
        left, top = -(-window.core_px[0] // factor), -(-window.core_px[1] // factor)
        picture[top : top + part.shape[0], left : left + part.shape[1]] = part
    return picture


def _detail(square_px: tuple[int, int, int, int], shown: Scene, spill: Spill, reading: Reading) -> Detail:
    """A square of the scene at full resolution, with the answers that reach into it."""
    x0, y0, x1, y1 = square_px
    boxes = []
    for window in shown.grid.meeting(square_px):
        for answer in window_answers(window.index, spill, shown.grid, reading):
            left, top, right, bottom = answer.box_xyxy_px
            if left < x1 and right > x0 and top < y1 and bottom > y0:
                boxes.append((answer.box_xyxy_px, answer.decision.label))
    return Detail(square_px, read_window(shown.raster, square_px, stretch=shown.stretch), tuple(boxes))
