"""Labelled scenes made by rule, the same for the same seed: bright aeroplanes and vehicles on rough ground.

    scene = make_scene(seed=1, width=256, height=192, airplanes=6)
    folder = write_set(tmp_path / "set", scenes=8, seed=3)          # PNG + COCO; read by data.read(folder)
    folder = write_set(tmp_path / "map", scenes=2, seed=3, georeferenced=True, bits=16)

An airplane is a bright body with a bright cross wing, at any of 8 headings; a car is a small bright or dark rectangle.
Boxes are the exact extents of the pixels drawn.
"""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.errors
from affine import Affine
from PIL import Image
from scipy import ndimage

CLASSES = ("airplane", "car")


@dataclass(frozen=True)
class Scene:
    """A picture, uint8 [height, width, 3], and its boxes as (x0, y0, x1, y1, label)."""

    rgb_HWC: npt.NDArray[np.uint8]  # noqa: N815
    boxes: tuple[tuple[int, int, int, int, str], ...]


def make_scene(
    *, seed: int, width: int = 256, height: int = 192, airplanes: int = 5, cars: int = 0, span_px: int = 22
) -> Scene:
    """A scene with as many objects as asked for, as far as they find room without touching."""
    chance = np.random.default_rng(seed)
    picture = _ground(chance, width, height)
    boxes: list[tuple[int, int, int, int, str]] = []
    for label in ["airplane"] * airplanes + ["car"] * cars:
        mask = _airplane(chance, span_px) if label == "airplane" else _car(chance, span_px)
        box = _free_place(chance, mask.shape, width, height, boxes)
        if box is None:
            continue
        x0, y0, x1, y1 = box
        bright = label == "airplane" or chance.random() < 0.5
        colour = chance.integers(205, 250, 3) if bright else chance.integers(5, 30, 3)
        picture[y0:y1, x0:x1][mask] = colour + chance.normal(0, 3, (int(mask.sum()), 3))
        boxes.append((x0, y0, x1, y1, label))
    return Scene(np.clip(picture, 0, 255).astype(np.uint8), tuple(boxes))


def write_set(
    folder: Path,
    *,
    scenes: int = 4,
    seed: int = 0,
    width: int = 256,
    height: int = 192,
    airplanes: int = 5,
    cars: int = 0,
    georeferenced: bool = False,
    bits: int = 8,
    gsd_m: float = 0.5,
) -> Path:
    """A COCO set of scenes in `folder`: PNG, or GeoTIFF in EPSG:32631 when georeferenced or of 16 bits."""
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for i in range(scenes):
        scene = make_scene(seed=seed * 1000 + i, width=width, height=height, airplanes=airplanes, cars=cars)
        name = f"images/scene_{i:03}.{'tif' if georeferenced or bits == 16 else 'png'}"
        if name.endswith(".png"):
            Image.fromarray(scene.rgb_HWC).save(folder / name)
        else:
            west_m = 450000 + i * width * gsd_m * 2
            write_geotiff(folder / name, scene.rgb_HWC, bits=bits, gsd_m=gsd_m, west_m=west_m)
        images.append({"id": i, "file_name": name, "width": width, "height": height})
        annotations += [_annotation(i, box) for box in scene.boxes]
    for identifier, annotation in enumerate(annotations, 1):
        annotation["id"] = identifier
    categories = [{"id": i, "name": name} for i, name in enumerate(CLASSES)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(document))
    return folder


def write_geotiff(
    path: Path,
    rgb_HWC: npt.NDArray[np.uint8],
    *,
    bits: int = 8,
    gsd_m: float = 0.5,
    west_m: float = 450000.0,
    north_m: float = 5410000.0,
    tiled: bool = False,
    overviews: bool = False,
) -> Path:
    """Write a picture as a GeoTIFF in UTM 31N; with 16 bits, its values are spread from 300 to 8000."""
    bands_CHW = rgb_HWC.transpose(2, 0, 1)
    if bits == 16:
        bands_CHW = (300 + bands_CHW.astype(np.float64) * (7700 / 255)).astype(np.uint16)
    options = {"tiled": True, "blockxsize": 256, "blockysize": 256} if tiled else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=rgb_HWC.shape[1],
            height=rgb_HWC.shape[0],
            count=3,
            dtype=bands_CHW.dtype,
            crs="EPSG:32631",
            transform=Affine(gsd_m, 0.0, west_m, 0.0, -gsd_m, north_m),
            compress="deflate",
            photometric="rgb",
            **options,
        ) as scene:
            scene.write(bands_CHW)
            if overviews:
                scene.build_overviews([2, 4, 8])
    return path


def _ground(chance: np.random.Generator, width: int, height: int) -> npt.NDArray[np.float64]:
    """Rough ground with fields, a runway and grain, unlike that of any other seed."""
    picture = np.zeros((height, width, 3))
    for sigma, strength in ((24, 40), (6, 18), (1.5, 9)):
        rough = ndimage.gaussian_filter(chance.normal(0, 1, (height, width)), sigma, mode="nearest")
        picture += (strength * rough / (rough.std() + 1e-9))[..., None] * chance.uniform(0.7, 1.0, 3)
    picture += chance.uniform(75, 105, 3)
    angle, offset = chance.uniform(0, math.pi), chance.uniform(0.3, 0.7)
    ys, xs = np.mgrid[0:height, 0:width]
    across = (xs - offset * width) * math.cos(angle) + (ys - offset * height) * math.sin(angle)
    picture[np.abs(across) < 14] = picture[np.abs(across) < 14] * 0.2 + chance.uniform(95, 120)
    return np.clip(picture + chance.normal(0, 3, picture.shape), 12, 180)


def _airplane(chance: np.random.Generator, span_px: int) -> npt.NDArray[np.bool_]:
    span = span_px * chance.uniform(0.8, 1.25)
    side = math.ceil(span * 1.5)
    ys, xs = np.mgrid[0:side, 0:side] - (side - 1) / 2
    angle = chance.integers(8) * math.pi / 4 + chance.uniform(-0.1, 0.1)
    along, across = xs * math.cos(angle) + ys * math.sin(angle), -xs * math.sin(angle) + ys * math.cos(angle)
    body = (np.abs(along) < span * 0.5) & (np.abs(across) < max(1.2, span * 0.07))
    wing = (np.abs(across) < span * 0.5) & (np.abs(along - span * 0.05 + np.abs(across) * 0.35) < max(1.2, span * 0.07))
    tail = (np.abs(across) < span * 0.18) & (np.abs(along + span * 0.44) < max(1.0, span * 0.05))
    return _trimmed(body | wing | tail)


def _car(chance: np.random.Generator, span_px: int) -> npt.NDArray[np.bool_]:
    long, short = max(4, round(span_px * 0.45)), max(2, round(span_px * 0.22))
    shape = (long, short) if chance.random() < 0.5 else (short, long)
    return np.ones(shape, dtype=bool)


def _trimmed(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _free_place(
    chance: np.random.Generator,
    shape: tuple[int, ...],
    width: int,
    height: int,
    taken: list[tuple[int, int, int, int, str]],
) -> tuple[int, int, int, int] | None:
    tall, wide = shape
    for _ in range(50):
        x0, y0 = int(chance.integers(2, max(3, width - wide - 2))), int(chance.integers(2, max(3, height - tall - 2)))
        x1, y1 = x0 + wide, y0 + tall
        apart = all(x0 > b[2] + 2 or x1 < b[0] - 2 or y0 > b[3] + 2 or y1 < b[1] - 2 for b in taken)
        if apart and x1 <= width and y1 <= height:
            return x0, y0, x1, y1
    return None


def _annotation(image: int, box: tuple[int, int, int, int, str]) -> dict[str, object]:
    x0, y0, x1, y1, label = box
    size = [x0, y0, x1 - x0, y1 - y0]
    return {"image_id": image, "category_id": CLASSES.index(label), "bbox": size, "area": size[2] * size[3]}
