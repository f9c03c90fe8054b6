"""COCO JSON: images, annotations with `bbox` [x, y, width, height] (else the box of `segmentation`), categories.

A file name is looked up beside the JSON file. Images without annotation were looked at and hold nothing. Crowds are
difficult. Each identifier is unique, each reference leads somewhere, and sizes are those of the files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from casemate.errors import BadInput
from casemate.modalities.imagery.gallery import Gallery
from casemate.modalities.imagery.rows import Row, Rows, number, same_size

_KEYS = (b'"images"', b'"annotations"')


def recognise(gallery: Gallery) -> tuple[str, ...]:
    """JSON files that speak of images or annotations."""
    candidates = (f for f in gallery.others if f.lower().endswith(".json"))
    return tuple(f for f in candidates if _looks_like_coco(gallery.content(f)))


def read(gallery: Gallery, files: tuple[str, ...], words: Callable[[str], bool]) -> Rows:  # noqa: ARG001
    """The boxes of every file; files add up."""
    images: set[str] = set()
    rows: list[Row] = []
    for file in files:
        listed, boxes = _read_file(gallery, file)
        again = sorted(images.intersection(listed.values()))
        if again:
            raise BadInput(file, expected="images that no other label file lists", found=repr(again[0]))
        images.update(listed.values())
        rows += boxes
    return Rows(frozenset(images), tuple(rows))


def _looks_like_coco(data: bytes) -> bool:
    spoken = [key in data for key in _KEYS]
    return data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and (all(spoken) or (any(spoken) and b'"bbox"' in data))


def _read_file(gallery: Gallery, file: str) -> tuple[dict[Any, str], list[Row]]:
    try:
        document = json.loads(gallery.text(file))
    except (ValueError, RecursionError) as why:
        raise BadInput(file, expected="COCO labels in JSON", found=why) from why
    parts = {}
    for key in ("images", "annotations", "categories"):
        part = document.get(key) if isinstance(document, dict) else None
        if not isinstance(part, list) or not all(isinstance(item, dict) for item in part):
            raise BadInput(file, expected=f"a list of objects under {key!r}", found=type(part).__name__)
        parts[key] = part
    named = _by_id(parts["categories"], file, "category", "name")
    listed = _by_id(parts["images"], file, "image", "file_name")
    images = {i: gallery.find(name, beside=file, where=f"{file} image {i}") for i, name in listed.items()}
    gallery.read_headers(images.values())
    for image in parts["images"]:
        _check_size(gallery, images[image["id"]], image, f"{file} image {image['id']}")
    return images, [_row(a, images, named, f"{file} annotation {a.get('id')}") for a in parts["annotations"]]


def _by_id(items: list[dict[str, Any]], file: str, what: str, key: str) -> dict[Any, str]:
    found: dict[Any, str] = {}
    for item in items:
        identifier, value = item.get("id"), item.get(key)
        where = f"{file} {what} {identifier}"
        if not isinstance(identifier, int | str) or not isinstance(value, str | int):
            raise BadInput(where, expected=f"an id and a {key}", found=f"{identifier!r} and {value!r}")
        if identifier in found:
            raise BadInput(where, expected="an id that is there once", found="it twice")
        found[identifier] = str(value)
    return found


def _check_size(gallery: Gallery, path: str, image: Mapping[str, Any], where: str) -> None:
    said = (image.get("width", 0), image.get("height", 0))
    if not all(isinstance(side, int) for side in said):
        raise BadInput(where, expected="width and height in whole pixels", found=said)
    facts = gallery.facts(path)
    same_size(f"{where} ({path})", said=said, found=(facts.width, facts.height))


def _row(annotation: Mapping[str, Any], images: dict[Any, str], named: dict[Any, str], where: str) -> Row:
    image, category = annotation.get("image_id"), annotation.get("category_id")
    if not isinstance(image, int | str) or image not in images:
        raise BadInput(where, expected="the image_id of a listed image", found=repr(image))
    if not isinstance(category, int | str) or category not in named:
        raise BadInput(where, expected="the category_id of a listed category", found=repr(category))
    x0, y0, x1, y1 = _edges(annotation, where)
    return Row(images[image], x0, y0, x1, y1, named[category], where, difficult=bool(annotation.get("iscrowd")))


def _edges(annotation: Mapping[str, Any], where: str) -> tuple[float, float, float, float]:
    bbox, polygons = annotation.get("bbox"), annotation.get("segmentation")
    if isinstance(bbox, list) and len(bbox) == 4:
        x, y, width, height = (number(v, where, "bbox") for v in bbox)
        return x, y, x + width, y + height
    if bbox or not isinstance(polygons, list) or not polygons or not all(isinstance(p, list) for p in polygons):
        raise BadInput(where, expected="a bbox [x, y, width, height]", found=repr(bbox))
    xs = [number(v, where, "segmentation") for polygon in polygons for v in polygon[0::2]]
    ys = [number(v, where, "segmentation") for polygon in polygons for v in polygon[1::2]]
    if not xs or len(xs) != len(ys):
        raise BadInput(where, expected="segmentation as pairs of numbers", found=f"{len(xs)} and {len(ys)} numbers")
    return min(xs), min(ys), max(xs), max(ys)
