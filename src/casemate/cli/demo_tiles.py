"""The demonstration's deliveries: labelled tiles taken out of an archive, and one of them cut into a held-out set.

Nothing of the package is run: its files are read. The largest tile is cut into cells; those of its right third are held
out, so that intervals can be drawn over images. A box that a cut goes through is flagged difficult, and ignored.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

_INSIDE = "deepforest/data/"
WHOLE = ("2019_YELL_2_541000_4977000_image_crop.png", "SOAP_061.png", "OSBS_029.tif")
LARGEST = "2019_YELL_2_528000_4978000_image_crop2.png"
_CELLS = (3, 4)  # across, down
_HELD_OUT_COLUMN = 2


def unpack(archive_file: Path, to: Path) -> Path:
    """Lay out `training/`, `held-out/` and the largest tile, whole; the path of the latter."""
    with zipfile.ZipFile(archive_file) as archive:
        (to / "training").mkdir(parents=True)
        for image in WHOLE:
            for file in (image, _labels_of(image)):
                (to / "training" / file).write_bytes(archive.read(_INSIDE + file))
        scene = to / LARGEST
        scene.write_bytes(archive.read(_INSIDE + LARGEST))
        _cut(scene, archive.read(_INSIDE + _labels_of(LARGEST)), to)
    return scene


def _labels_of(image: str) -> str:
    return str(Path(image).with_suffix(".xml"))


def _cut(scene: Path, labels: bytes, to: Path) -> None:
    from PIL import Image

    (to / "held-out").mkdir()
    boxes = _boxes(labels)
    with Image.open(scene) as opened:
        image = opened.convert("RGB")
    across, down = _CELLS
    for row in range(down):
        for column in range(across):
            cell = (
                image.width * column // across, image.height * row // down,
                image.width * (column + 1) // across, image.height * (row + 1) // down,
            )  # fmt: skip
            name = f"cell_{row}_{column}"
            picture = io.BytesIO()
            image.crop(cell).save(picture, "PNG", compress_level=1)
            part = to / ("held-out" if column == _HELD_OUT_COLUMN else "training")
            (part / f"{name}.png").write_bytes(picture.getvalue())
            (part / f"{name}.xml").write_text(_voc(name, cell, boxes), encoding="utf-8")


def _boxes(labels: bytes) -> list[tuple[int, int, int, int]]:
    from xml.etree import ElementTree as ET  # the archive's digest is pinned: its labels are not hostile

    root = ET.fromstring(labels)  # noqa: S314
    corners = ("xmin", "ymin", "xmax", "ymax")
    found = [[int(float(box.findtext(c) or 0)) for c in corners] for box in root.iter("bndbox")]
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in found]


def _voc(name: str, cell: tuple[int, int, int, int], boxes: list[tuple[int, int, int, int]]) -> str:
    left, top, right, bottom = cell
    objects = []
    for x0, y0, x1, y1 in boxes:
        cx0, cy0, cx1, cy1 = max(x0, left), max(y0, top), min(x1, right), min(y1, bottom)
        if cx1 - cx0 < 2 or cy1 - cy0 < 2:
            continue
        difficult = int((cx0, cy0, cx1, cy1) != (x0, y0, x1, y1))
        corners = zip(("xmin", "ymin", "xmax", "ymax"), (cx0 - left, cy0 - top, cx1 - left, cy1 - top), strict=True)
        box = "".join(f"<{corner}>{value}</{corner}>" for corner, value in corners)
        objects.append(f"<object><name>Tree</name><difficult>{difficult}</difficult><bndbox>{box}</bndbox></object>")
    size = f"<size><width>{right - left}</width><height>{bottom - top}</height><depth>3</depth></size>"
    return f"<annotation><filename>{escape(name)}.png</filename>{size}{''.join(objects)}</annotation>\n"
