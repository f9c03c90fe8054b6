"""The canonical label file of a set, casemate-imagery.json: sorted, one image a line, strictly read.

Rules. Written whole or not at all. Read as foreign bytes are: unknown
keys, paths that leave the folder, labels that are no nodes and boxes out of their images are refused. Images are not
opened. It is the same text for the same set, so that its digest tells whether labels changed.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from casemate.errors import BadInput
from casemate.modalities.imagery.boxes import Box, ImageryDataset, LabelledImage, fit
from casemate.modalities.imagery.taxonomy import Taxonomy
from casemate.store.whole import write_whole

CANONICAL = "casemate-imagery.json"
_FORMAT = "casemate-imagery/1"

_Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _ImageDocument(_Strict):
    path: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    gsd_m: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    crs: str | None
    boxes: list[tuple[_Finite, _Finite, _Finite, _Finite, str, bool]]


class _Document(_Strict):
    format: str
    source: str
    taxonomy: dict[str, Any]
    exhaustive: list[str]
    notes: list[str]
    images: list[_ImageDocument]


def save_labels(dataset: ImageryDataset, folder: Path) -> Path:
    """Write the set's labels to `folder`/casemate-imagery.json and return its path; the images stay where they are."""
    write_whole(folder / CANONICAL, labels_text(dataset).encode("ascii"))
    return folder / CANONICAL


def labels_text(dataset: ImageryDataset) -> str:
    """The canonical file's text, ASCII: the same for the same set."""
    lines = [f'{{"format": {_json(_FORMAT)},', f' "source": {_json(dataset.source)},']
    lines.append(f' "taxonomy": {_json(dataset.taxonomy.to_json())},')
    lines.append(f' "exhaustive": {_json(sorted(dataset.exhaustive))},')
    lines.append(f' "notes": {_json(list(dataset.notes))},')
    images = ",\n".join(f"  {_json(_image_json(i))}" for i in sorted(dataset.images, key=lambda i: i.path))
    return "\n".join(lines) + f'\n "images": [\n{images}\n ]}}\n'


def load_labels(folder: Path) -> ImageryDataset:
    """The set whose canonical file is in `folder`."""
    return parse_labels(_read(folder / CANONICAL), folder)


def parse_labels(data: bytes, folder: Path) -> ImageryDataset:
    """The set that a canonical file's bytes describe, with its images under `folder`."""
    try:
        document = _Document.model_validate_json(data)
    except ValidationError as why:
        error = why.errors()[0]
        found = f"{'.'.join(str(step) for step in error['loc']) or 'document'}: {error['msg']}"
        raise BadInput(CANONICAL, expected=f"labels as {_FORMAT}", found=found) from why
    if document.format != _FORMAT:
        raise BadInput(CANONICAL, expected=f"format {_FORMAT}", found=repr(document.format))
    taxonomy = Taxonomy.from_json(document.taxonomy, source=f"{CANONICAL} taxonomy")
    images = tuple(_image(i, taxonomy) for i in document.images)
    paths = [i.path for i in images]
    if paths != sorted(set(paths)):
        raise BadInput(CANONICAL, expected="images once each, sorted by path", found="another order, or one twice")
    exhaustive = frozenset(taxonomy.node(name).name for name in document.exhaustive)
    return ImageryDataset(folder, images, taxonomy, exhaustive, document.source, tuple(document.notes))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as why:
        raise BadInput(path.name, expected="a set's canonical labels", found=why.strerror) from why


def _image(raw: _ImageDocument, taxonomy: Taxonomy) -> LabelledImage:
    path = PurePosixPath(raw.path)
    if not path.parts or path.is_absolute() or ".." in path.parts or path.as_posix() != raw.path or "\0" in raw.path:
        raise BadInput(CANONICAL, expected="relative paths that stay in the folder", found=repr(raw.path))
    boxes = []
    for i, (x0, y0, x1, y1, label, difficult) in enumerate(raw.boxes, 1):
        where = f"{CANONICAL}: {raw.path} box {i}"
        box = Box(x0, y0, x1, y1, taxonomy.node(label).name, difficult)
        if fit(box, raw.width, raw.height, where=where) != box:
            raise BadInput(where, expected="edges within the image", found=box.xyxy)
        boxes.append(box)
    return LabelledImage(raw.path, raw.width, raw.height, tuple(boxes), raw.gsd_m, raw.crs)


def _image_json(image: LabelledImage) -> dict[str, Any]:
    boxes = [[*map(float, b.xyxy), b.label, b.difficult] for b in image.boxes]
    return {
        "path": image.path,
        "width": image.width,
        "height": image.height,
        "gsd_m": image.gsd_m,
        "crs": image.crs,
        "boxes": boxes,
    }


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False)
