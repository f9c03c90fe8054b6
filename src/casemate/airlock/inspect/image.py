"""Images: every pixel decoded, by the decoder that training uses.

Rules. The driver is chosen by the bytes and no other is tried. Size is held against the limits before a pixel is
decoded; memory is that of a few rows. All that a reader could show is decoded, a TIFF's overviews and masks too. PNG,
JPEG and WebP are also opened by a second library, which must see the same size.

This is the one module of the room that imports rasterio, and only the child process (`casemate.airlock.child`) runs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any

import PIL
from PIL import Image, UnidentifiedImageError

from casemate.airlock.ending import check_end
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding

_DRIVERS = {"png": "PNG", "jpeg": "JPEG", "tiff": "GTiff", "webp": "WEBP"}
_WINDOW_BYTES = 32 << 20
_NO_MEMORY = re.compile(r"cannot allocate|out of memory", re.IGNORECASE)
_WHERE_IN_GDAL = re.compile(r"^/\S+, \d+: ")


_around: dict[str, Any] = {}


def prepare(rules: str, types: frozenset[str]) -> None:  # noqa: ARG001  one signature for all
    """Set GDAL up once for all pictures of this process: rasterio would do so for each."""
    import rasterio

    _around["env"] = rasterio.Env().__enter__()


def versions() -> dict[str, str]:
    """The scanner's version and its decoders'."""
    import rasterio

    Image.MAX_IMAGE_PIXELS = None  # limits are ours, and stated
    gdal: str = rasterio.__gdal_version__
    return {"gdal": gdal, "image": "1", "pillow": PIL.__version__, "rasterio": rasterio.__version__}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:
    """Whether it is one whole picture within the limits, every pixel of which decodes."""
    findings = check_end(file, type_name)
    if findings:
        return findings
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(file, driver=_DRIVERS[type_name], sharing=False) as dataset:
            findings = _check_size(dataset, file.stat().st_size, limits)
            if findings:
                return findings
            findings = _check_second_opinion(file, type_name, (dataset.width, dataset.height))
            overviews = dataset.overviews(1)
            # Those of a JPEG are the picture itself, decoded to its last bit but transformed to fewer pixels: three
            # times faster, and damage is found all the same.
            _decode(dataset, smaller=overviews[-1] if type_name == "jpeg" and overviews else 1)
        for level in range(len(overviews) if type_name == "tiff" else 0):
            with rasterio.open(file, driver="GTiff", sharing=False, overview_level=level) as overview:
                _decode(overview)
    except RasterioError as why:
        findings.append(_damage(_reason(why), type_name, limits))
    except MemoryError:
        findings.append(_damage("out of memory", type_name, limits))
    return findings


def _check_size(dataset: Any, size: int, limits: ScanLimits) -> list[Finding]:
    width, height, bands = dataset.width, dataset.height, dataset.count
    decoded = width * height * sum(_sample_bytes(dtype) for dtype in dataset.dtypes)
    found = f"{width} × {height}, {bands} bands"
    if bands == 0 or dataset.subdatasets:
        pages = len(dataset.subdatasets)
        return [Finding("pages", "one picture", f"{pages} pages" if pages else "none")]
    if max(width, height) > limits.max_side_px or width * height > limits.max_pixels or bands > limits.max_bands:
        expected = (
            f"at most {limits.max_side_px} pixels a side, {limits.max_pixels} in all and {limits.max_bands} bands"
        )
        return [Finding("size", expected, found)]
    if decoded > max(limits.expands_freely_bytes, size * limits.max_expansion):
        expected = f"at most {limits.max_expansion} times its {size} bytes once decoded"
        return [Finding("expansion", expected, f"{decoded} bytes ({found})")]
    return []


def _check_second_opinion(file: Path, type_name: str, size: tuple[int, int]) -> list[Finding]:
    if type_name == "tiff":  # Pillow knows few of the sample types that scenes have
        return []
    expected = f"the same {size[0]} × {size[1]} picture for two readers"
    try:
        with Image.open(file, formats=[type_name.upper()]) as picture:
            other = picture.size
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as why:
        return [Finding("header", expected, f"one that Pillow cannot open: {why}")]
    return [] if other == size else [Finding("header", expected, f"{other[0]} × {other[1]} for Pillow")]


def _decode(dataset: Any, smaller: int = 1) -> None:
    from rasterio.enums import MaskFlags

    masked = dataset.mask_flag_enums[0] == [MaskFlags.per_dataset]
    for window in windows(dataset):
        (top, bottom), (left, right) = window
        shape = (dataset.count, ceil((bottom - top) / smaller), ceil((right - left) / smaller))
        dataset.read(window=window, out_shape=shape)
        if masked:
            dataset.read_masks(1, window=window)


def windows(dataset: Any) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Windows of whole blocks that cover a picture, row by row, each within a fixed number of bytes."""
    block_height, block_width = dataset.block_shapes[0]
    pixel_bytes = sum(_sample_bytes(dtype) for dtype in dataset.dtypes)
    columns = max(1, _WINDOW_BYTES // (block_height * block_width * pixel_bytes)) * block_width
    rows = max(1, _WINDOW_BYTES // (min(columns, dataset.width) * block_height * pixel_bytes)) * block_height
    for top in range(0, dataset.height, rows):
        for left in range(0, dataset.width, columns):
            yield (top, min(top + rows, dataset.height)), (left, min(left + columns, dataset.width))


def _sample_bytes(dtype: str) -> int:
    bits = dtype.lstrip("abcdefghijklmnopqrstuvwxyz_")  # "uint16", "complex_int16", "complex64"
    return int(bits) // 8 * (2 if dtype == "complex_int16" else 1)


def _damage(reason: str, type_name: str, limits: ScanLimits) -> Finding:
    if _NO_MEMORY.search(reason):
        expected = f"a picture that decodes within {limits.memory_bytes >> 20} MiB; cut it into tiles"
        return Finding("memory", expected, "more needed")
    return Finding("decoding", f"a whole {type_name} picture", reason)


def _reason(why: BaseException) -> str:
    while why.__cause__ is not None:
        why = why.__cause__
    return _WHERE_IN_GDAL.sub("", " ".join(str(why).split()))[:300]
