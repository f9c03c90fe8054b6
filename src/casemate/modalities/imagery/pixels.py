"""Windows of any raster as 8-bit RGB, read as they come.

Rules. Only GeoTIFF (COG too), PNG and JPEG are opened, whatever a name or a file's content says: no virtual formats,
no side files that could name others, no network. An image of 8 bits passes unchanged; anything else is stretched
between two percentiles a band, computed once a scene from at most about a million pixels, so that every window of a
scene is stretched alike and twice the same. Alpha 0, no-data and not-a-number become 0. Rows are not turned by EXIF:
labels count pixels as stored. Memory is that of the window asked for.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.errors
import rasterio.warp
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from casemate.errors import BadInput

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
"""File names that are taken for images, in lower case."""

LOW_PERCENT, HIGH_PERCENT = 1.0, 99.5
SAMPLE_SIDE_PX = 1024
"""Percentiles are taken from the scene reduced to this side, by nearest neighbour."""

WindowPx = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; may reach out of the scene, where it reads 0."""

RGB_HWC = npt.NDArray[np.uint8]

_DRIVERS = {
    b"II*\x00": "GTiff",
    b"MM\x00*": "GTiff",
    b"II+\x00": "GTiff",
    b"MM\x00+": "GTiff",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
}
_GDAL = {
    "GDAL_PAM_ENABLED": "NO",  # .aux.xml may point elsewhere, and reading must not write one
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES",  # a truncated JPEG is an error and not grey pixels
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",  # the faster way reads a truncated PNG as if it were whole
}
_OPENING = threading.Lock()  # filters of warnings belong to the process, not to the thread


@dataclass(frozen=True)
class StretchFacts:
    """How a scene's values become 0..255: the bands shown (from 1), and low and high value of each; none for 8 bits."""

    bands: tuple[int, int, int]
    low: tuple[float, float, float] | None = None
    high: tuple[float, float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """The facts as a JSON-ready mapping."""
        return {"bands": list(self.bands), "low": _listed(self.low), "high": _listed(self.high)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> StretchFacts:
        """Read what `to_json` gave."""
        try:
            r, g, b = (int(band) for band in raw["bands"])
            return cls((r, g, b), _triple(raw["low"]), _triple(raw["high"]))
        except (KeyError, TypeError, ValueError) as why:
            raise BadInput("stretch of a scene", expected="bands, low and high, three of each", found=why) from why


@dataclass(frozen=True)
class SceneFacts:
    """What a raster's header says: size, bands, type, and where on Earth it is, if it says so."""

    width: int
    height: int
    bands: int
    dtype: str
    gsd_m: float | None = None
    crs: str | None = None
    transform: tuple[float, float, float, float, float, float] | None = None

    def to_px(self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Pixels [N, 2] of points given in the raster's own coordinate system."""
        a, b, c, d, e, f = self.transform or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        inverse = np.linalg.inv(np.array([[a, b], [d, e]]))
        placed: npt.NDArray[np.float64] = np.stack([x - c, y - f], axis=1) @ inverse.T
        return placed


@contextmanager
def open_scene(path: Path | str) -> Iterator[DatasetReader]:
    """The raster, open for reading within the block; BadInput when it is not one of the three formats."""
    with _environment():
        scene = _open(Path(path))
        try:
            yield scene
        finally:
            scene.close()


def scene_facts(path: Path | str) -> SceneFacts:
    """Size, type and place of a raster, from its header alone."""
    with open_scene(path) as scene:
        placed = scene.crs is not None and not scene.transform.is_identity
        return SceneFacts(
            scene.width,
            scene.height,
            scene.count,
            scene.dtypes[0],
            ground_sampling_m(scene) if placed else None,
            _crs_text(scene.crs) if placed else None,
            tuple(scene.transform)[:6] if placed else None,
        )


def ground_sampling_m(scene: DatasetReader) -> float | None:
    """Metres a pixel at the scene's centre, on the WGS 84 ellipsoid: the geometric mean over both directions.

    Right for degrees, feet and for Mercator, whose metres grow with latitude; None where the place is not known.
    """
    if scene.crs is None or scene.transform.is_identity:
        return None
    column, row, half = scene.width / 2, scene.height / 2, 16.0
    points = [(column - half, row), (column + half, row), (column, row - half), (column, row + half)]
    a, b, c, d, e, f = tuple(scene.transform)[:6]
    xs, ys = [a * x + b * y + c for x, y in points], [d * x + e * y + f for x, y in points]
    try:
        longitudes, latitudes = rasterio.warp.transform(scene.crs, "EPSG:4326", xs, ys)
    except rasterio.errors.RasterioError:  # a local system that is nowhere on Earth
        return None
    across = _metres(longitudes[0], latitudes[0], longitudes[1], latitudes[1])
    down = _metres(longitudes[2], latitudes[2], longitudes[3], latitudes[3])
    gsd_m = math.sqrt(across * down) / (2 * half)
    return round(gsd_m, 6) if math.isfinite(gsd_m) and gsd_m > 0 else None


def stretch_facts(scene: DatasetReader | Path | str) -> StretchFacts:
    """How this scene is shown, computed once and then given to every `read_window` of it."""
    if not isinstance(scene, DatasetReader):
        with open_scene(scene) as opened:
            return stretch_facts(opened)
    bands = shown_bands(scene)
    if _is_8_bit(scene):
        return StretchFacts(bands)
    shrink = max(1.0, max(scene.width, scene.height) / SAMPLE_SIDE_PX)
    shape = (max(1, round(scene.height / shrink)), max(1, round(scene.width / shrink)))
    with _environment():
        values, valid = _values(scene, bands, Window(0, 0, scene.width, scene.height), shape)
    valid &= values.any(axis=0)  # zero in all bands is the usual undeclared fill
    low, high = zip(*(_percentiles(band[valid]) for band in values), strict=True)
    return StretchFacts(bands, _triple(low), _triple(high))


def read_window(
    scene: DatasetReader | Path | str, window: WindowPx | None = None, *, stretch: StretchFacts | None = None
) -> RGB_HWC:
    """A window of a scene as RGB, uint8 [height, width, 3]; the entire scene when `window` is None.

    Whoever reads several windows gives the scene's `stretch_facts`, else they are computed at each call.
    """
    if not isinstance(scene, DatasetReader):
        with open_scene(scene) as opened:
            return read_window(opened, window, stretch=stretch)
    facts = stretch or stretch_facts(scene)
    x0, y0, x1, y1 = window or (0, 0, scene.width, scene.height)
    if x1 <= x0 or y1 <= y0:
        raise BadInput(scene.name, expected="a window with an area", found=(x0, y0, x1, y1))
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, scene.width), min(y1, scene.height)
    if (left, top, right, bottom) == (x0, y0, x1, y1):
        return _shown(scene, facts, Window(left, top, right - left, bottom - top))
    padded_HWC = np.zeros((y1 - y0, x1 - x0, 3), dtype=np.uint8)
    if left < right and top < bottom:
        inside = _shown(scene, facts, Window(left, top, right - left, bottom - top))
        padded_HWC[top - y0 : bottom - y0, left - x0 : right - x0] = inside
    return padded_HWC


def shown_bands(scene: DatasetReader) -> tuple[int, int, int]:
    """The bands shown as red, green and blue, from 1: those named so, else the first three, else one band thrice."""
    by_colour = {colour: i for i, colour in reversed(list(enumerate(scene.colorinterp, 1)))}
    rgb = [by_colour.get(c) for c in (ColorInterp.red, ColorInterp.green, ColorInterp.blue)]
    if None in rgb:
        by_name = {str(name).strip().lower(): i for i, name in enumerate(scene.descriptions, 1)}
        named = (("red", "b04", "b4"), ("green", "b03", "b3"), ("blue", "b02", "b2"))
        rgb = [next((by_name[n] for n in names if n in by_name), None) for names in named]
    if None in rgb:
        colours = [i for i, c in enumerate(scene.colorinterp, 1) if c is not ColorInterp.alpha] or [1]
        rgb = list(colours[:3]) if len(colours) >= 3 else [colours[0]] * 3
    red, green, blue = (int(band or 1) for band in rgb)
    return red, green, blue


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _environment() -> rasterio.Env:
    return rasterio.Env(**_GDAL)


def _open(path: Path) -> DatasetReader:
    driver = _driver(path)
    try:
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            # Absolute, so that no name is taken for one of GDAL's virtual paths or prefixes; and not by rasterio.open,
            # which reads a name as a URL: it would lose newlines and what follows a question mark.
            return DatasetReader(path.resolve(), driver=driver, sharing=False)
    except rasterio.errors.RasterioError as why:
        raise _unreadable(path.name, why) from why


def _driver(path: Path) -> str:
    """The one format whose magic bytes the file has."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as why:
        raise BadInput(path.name, expected="an image file", found=why.strerror) from why
    found = next((driver for magic, driver in _DRIVERS.items() if head.startswith(magic)), None)
    if found is None:
        raise _unreadable(path.name, f"a file that starts with {head.hex(' ') or 'nothing'}")
    return found


def _unreadable(name: str, why: object) -> BadInput:
    return BadInput(name, expected="a readable GeoTIFF, PNG or JPEG image", found=why)


def _is_8_bit(scene: DatasetReader) -> bool:
    return all(dtype == "uint8" for dtype in scene.dtypes)


def _shown(scene: DatasetReader, facts: StretchFacts, window: Window) -> RGB_HWC:
    with _environment():
        values, valid = _values(scene, facts.bands, window)
    if facts.low is None or facts.high is None:
        shown = values.astype(np.uint8, copy=False)
    else:
        low, high = (np.array(v, dtype=np.float32).reshape(3, 1, 1) for v in (facts.low, facts.high))
        with np.errstate(invalid="ignore", over="ignore"):
            scaled = (np.nan_to_num(values.astype(np.float32)) - low) * (np.float32(255.0) / (high - low))
        shown = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    if not valid.all():
        shown = np.where(valid, shown, np.uint8(0))
    return np.ascontiguousarray(shown.transpose(1, 2, 0))


def _values(
    scene: DatasetReader, bands: tuple[int, int, int], window: Window, shape: tuple[int, int] | None = None
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """The three bands [3, H, W] as stored (palettes looked up), and where they are valid [H, W]."""
    distinct = sorted(set(bands))
    size = shape or (int(window.height), int(window.width))
    try:
        read = scene.read(distinct, window=window, out_shape=(len(distinct), *size))
        masked = any(MaskFlags.all_valid not in flags for flags in scene.mask_flag_enums)
        mask = scene.dataset_mask(window=window, out_shape=size) if masked else None
    except rasterio.errors.RasterioError as why:
        raise _unreadable(Path(scene.name).name, why.__cause__ or why) from why
    valid = np.ones(size, dtype=bool) if mask is None else mask > 0
    if scene.colorinterp[0] is ColorInterp.palette and bands == (1, 1, 1):
        return _palette(scene)[:, read[0]], valid
    values = read if distinct == list(bands) else read[[distinct.index(b) for b in bands]]
    if values.dtype.kind == "c":
        values = np.abs(values)
    if values.dtype.kind == "f":
        valid &= np.isfinite(values).all(axis=0)
    return values, valid


def _palette(scene: DatasetReader) -> npt.NDArray[np.uint8]:
    table = np.zeros((3, 256), dtype=np.uint8)
    for index, colour in scene.colormap(1).items():
        table[:, index] = colour[:3]
    return table


def _percentiles(values: npt.NDArray[Any]) -> tuple[float, float]:
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values.astype(np.float64), (LOW_PERCENT, HIGH_PERCENT)))
    return low, max(high, low + 1e-6 * max(1.0, abs(low)))


# ── where it is ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _crs_text(crs: rasterio.crs.CRS) -> str:
    authority = crs.to_authority()
    return ":".join(authority) if authority else str(crs.to_wkt())


def _metres(longitude0: float, latitude0: float, longitude1: float, latitude1: float) -> float:
    """Length of a short line on the WGS 84 ellipsoid, by the radii of curvature at its middle."""
    semi_major_m, flattening_e2 = 6378137.0, 0.00669437999014
    sine = math.sin(math.radians((latitude0 + latitude1) / 2))
    bend = 1 - flattening_e2 * sine * sine
    meridian_m, normal_m = semi_major_m * (1 - flattening_e2) / bend**1.5, semi_major_m / math.sqrt(bend)
    north = math.radians(latitude1 - latitude0) * meridian_m
    turn = (longitude1 - longitude0 + 180) % 360 - 180  # the date line
    east = math.radians(turn) * normal_m * math.sqrt(1 - sine * sine)
    return math.hypot(north, east)


def _listed(values: tuple[float, ...] | None) -> list[float] | None:
    return None if values is None else list(values)


def _triple(values: Any) -> tuple[float, float, float] | None:
    if values is None:
        return None
    r, g, b = (float(v) for v in values)
    return r, g, b
