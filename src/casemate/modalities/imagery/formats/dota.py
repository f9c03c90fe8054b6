"""DOTA text: one file an image, `x1 y1 x2 y2 x3 y3 x4 y4 class difficult` a line, in pixels.

Headings such as `imagesource:…` and `gsd:…` may come first; the latter is used where the image itself is not placed on
Earth. A quadrilateral becomes the upright box around it. The file's name is the image's; an empty file says that the
image holds nothing; an image without a file was never labelled.
"""

from __future__ import annotations

from collections.abc import Callable

from casemate.errors import BadInput
from casemate.modalities.imagery.gallery import Gallery
from casemate.modalities.imagery.rows import Row, Rows, is_number, number, numbered_lines


def recognise(gallery: Gallery) -> tuple[str, ...]:
    """Text files that start with eight numbers and a class."""
    return gallery.texts_of(_looks_right)


def read(gallery: Gallery, files: tuple[str, ...], words: Callable[[str], bool]) -> Rows:  # noqa: ARG001
    """The boxes of every file."""
    images: set[str] = set()
    gsd_m: dict[str, float] = {}
    rows: list[Row] = []
    for file in files:
        image = gallery.of_stem(file)
        if image is None:
            raise BadInput(file, expected="an image with this file's name", found="no such image")
        images.add(image)
        for i, line in numbered_lines(gallery.text(file)):
            key, _, value = line.partition(":")
            if key.strip() == "gsd" and is_number(value):
                gsd_m[image] = number(value, f"{file} line {i}", "gsd")
            elif key.strip() not in {"gsd", "imagesource", "acquisition dates"}:
                rows.append(_row(line.split(), image, f"{file} line {i}"))
    return Rows(frozenset(images), tuple(rows), {image: gsd for image, gsd in gsd_m.items() if gsd > 0})


def _looks_right(tokens: list[str]) -> bool:
    if len(tokens) not in {9, 10} or not all(is_number(t) for t in tokens[:8]):
        return False
    # Nine numbers of which eight are fractions are a YOLO class and its oriented box.
    return len(tokens) == 10 or not is_number(tokens[8]) or any(abs(float(t)) > 1.5 for t in tokens[1:])


def _row(tokens: list[str], image: str, where: str) -> Row:
    if len(tokens) not in {9, 10}:
        raise BadInput(where, expected="eight numbers, a class and perhaps a difficulty", found=f"{len(tokens)} words")
    points = [number(t, where, "a corner") for t in tokens[:8]]
    difficult = len(tokens) == 10 and number(tokens[9], where, "a difficulty") != 0
    xs, ys = points[0::2], points[1::2]
    return Row(image, min(xs), min(ys), max(xs), max(ys), tokens[8], where, difficult=difficult)
