"""Clean pictures."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from tests.airlock.conftest import picture, scene


def _tiff() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return scene(Path(folder) / "made.tif", compress="lzw").read_bytes()


SAMPLES = {
    "png": partial(picture, "PNG"),
    "jpeg": partial(picture, "JPEG"),
    "webp": partial(picture, "WEBP"),
    "tiff": _tiff,
}
