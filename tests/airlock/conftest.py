"""Pictures and folders that arrive, good and hostile."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio import Affine

from casemate.airlock import InspectionReport, ScanLimits, admit
from casemate.airlock.inspect import inspect

Arrive = Callable[[Mapping[str, bytes]], Path]
Inspected = Callable[..., InspectionReport]


def picture(kind: str, side_px: int = 64) -> bytes:
    """A small picture of noise as PNG, JPEG or WebP."""
    pixels = np.random.default_rng(7).integers(0, 255, (side_px, side_px, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


def scene(path: Path, side_px: int = 64, dtype: str = "uint16", bands: int = 4, **options: object) -> Path:
    """A georeferenced TIFF of noise."""
    values = np.random.default_rng(7).integers(0, 255, (bands, side_px, side_px)).astype(dtype)
    profile = {"width": side_px, "height": side_px, "count": bands, "dtype": dtype, "crs": "EPSG:32631"}
    where = Affine(0.5, 0, 500_000, 0, -0.5, 4_600_000)
    with rasterio.open(path, "w", driver="GTiff", transform=where, **profile, **options) as out:
        out.write(values)
    return path


@pytest.fixture
def arrive(tmp_path: Path) -> Arrive:
    """Write files into the folder that will be imported."""

    def write(files: Mapping[str, bytes]) -> Path:
        folder = tmp_path / "arrived"
        for name, data in files.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        return folder

    return write


@pytest.fixture
def inspected(tmp_path: Path) -> Inspected:
    """Admit a folder and inspect it; the quarantine is gone afterwards."""

    def run(folder: Path, limits: ScanLimits | None = None, **options: object) -> InspectionReport:
        with admit(folder, tmp_path / "quarantine") as admitted:
            return inspect(admitted, limits=limits or ScanLimits(workers=1), **options)

    return run
