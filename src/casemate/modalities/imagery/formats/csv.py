"""CSV boxes: a header, then one box a line: image path, xmin, ymin, xmax, ymax, label.

The image's column is one of image_path, path, filename, file_name, image; the label's one of label, class, class_name,
category, name. A line whose four edges are empty says that its image was looked at and holds nothing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator

from casemate.errors import BadInput
from casemate.modalities.imagery.gallery import Gallery
from casemate.modalities.imagery.rows import Row, Rows, number

_IMAGE = ("image_path", "path", "filename", "file_name", "image")
_LABEL = ("label", "class", "class_name", "category", "name")
_EDGES = ("xmin", "ymin", "xmax", "ymax")


def recognise(gallery: Gallery) -> tuple[str, ...]:
    """CSV files whose header names at least an edge of a box."""
    return tuple(f for f in gallery.others if f.lower().endswith(".csv") and _looks_like_boxes(gallery.head(f)))


def read(gallery: Gallery, files: tuple[str, ...], words: Callable[[str], bool]) -> Rows:  # noqa: ARG001
    """The boxes of every file, in order."""
    images: set[str] = set()
    rows: list[Row] = []
    for file in files:
        for image, row in _read_file(gallery, file):
            images.add(image)
            rows += [row] if row else []
    return Rows(frozenset(images), tuple(rows))


def _looks_like_boxes(head: bytes) -> bool:
    header = head.split(b"\n", 1)[0].lower().replace(b'"', b"").replace(b" ", b"")
    return any(edge.encode() in header.strip().removeprefix(b"\xef\xbb\xbf").split(b",") for edge in _EDGES)


def _read_file(gallery: Gallery, file: str) -> Iterator[tuple[str, Row | None]]:
    lines = csv.reader(io.StringIO(gallery.text(file), newline=""), strict=True)
    try:
        header = [c.strip().lower() for c in next(lines)]
        image_at, label_at = _column(header, _IMAGE, file), _column(header, _LABEL, file)
        edges_at = [_column(header, (edge,), file) for edge in _EDGES]
        for cells in lines:
            where = f"{file} line {lines.line_num}"
            if not any(cells):
                continue
            if len(cells) != len(header):
                raise BadInput(where, expected=f"{len(header)} columns as in the header", found=len(cells))
            image = gallery.find(cells[image_at], beside=file, where=where)
            edges = [cells[i].strip() for i in edges_at]
            if not any(edges):
                yield image, None
                continue
            x0, y0, x1, y1 = (number(e, where, name) for e, name in zip(edges, _EDGES, strict=True))
            yield image, Row(image, x0, y0, x1, y1, cells[label_at].strip(), where)
    except csv.Error as why:
        raise BadInput(f"{file} line {lines.line_num}", expected="CSV", found=why) from why


def _column(header: list[str], names: tuple[str, ...], file: str) -> int:
    found = [i for i, column in enumerate(header) if column in names]
    if len(found) != 1:
        columns = ", ".join(repr(c) for c in header)
        raise BadInput(f"{file} line 1", expected=f"one column named {' or '.join(names)}", found=columns)
    return found[0]
