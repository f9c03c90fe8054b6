"""Pascal VOC: one XML file an image, with `object` elements of `name` and `bndbox`.

Edges are taken as they stand: tools differ by one pixel on where they count from. XML with a document type is refused
unread: it is where entities that expand or that name other files would come from. The image is the one that `filename`
names, or the one with the XML file's own name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

from casemate.errors import BadInput
from casemate.modalities.imagery.gallery import Gallery
from casemate.modalities.imagery.rows import Row, Rows, number, same_size

_EDGES = ("xmin", "ymin", "xmax", "ymax")
_DOCTYPE = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)


def recognise(gallery: Gallery) -> tuple[str, ...]:
    """XML files that hold an annotation."""
    candidates = (f for f in gallery.others if f.lower().endswith(".xml") and not f.lower().endswith(".aux.xml"))
    return tuple(f for f in candidates if b"<annotation" in gallery.head(f))


def read(gallery: Gallery, files: tuple[str, ...], words: Callable[[str], bool]) -> Rows:  # noqa: ARG001
    """The boxes of every file; an image has one file."""
    owners: dict[str, str] = {}
    sizes: dict[str, tuple[int, int]] = {}
    rows: list[Row] = []
    for file in files:
        root = _parse(gallery, file)
        image = _image(gallery, root, file)
        if owners.setdefault(image, file) != file:
            raise BadInput(file, expected=f"one label file for {image!r}", found=f"{owners[image]} too")
        sizes[image] = _size(root, file)
        rows += [_row(element, image, f"{file} object {i}") for i, element in enumerate(root.iter("object"), 1)]
    gallery.read_headers(owners)
    for image, said in sizes.items():
        facts = gallery.facts(image)
        same_size(f"{owners[image]} ({image})", said=said, found=(facts.width, facts.height))
    return Rows(frozenset(owners), tuple(rows))


def _parse(gallery: Gallery, file: str) -> ET.Element:
    text = gallery.text(file)
    if "\0" in text or _DOCTYPE.search(text):
        raise BadInput(file, expected="XML without a document type or entities", found="one")
    try:
        root = ET.fromstring(text)  # noqa: S314  no document type, so no entity to expand
    except (ET.ParseError, ValueError) as why:
        raise BadInput(file, expected="well-formed XML", found=why) from why
    if root.tag != "annotation":
        raise BadInput(file, expected="an annotation element at the root", found=root.tag)
    return root


def _image(gallery: Gallery, root: ET.Element, file: str) -> str:
    named = (root.findtext("filename") or "").strip()
    if named and (gallery.has(named, beside=file) or gallery.of_stem(file) is None):
        return gallery.find(named, beside=file, where=file)
    own = gallery.of_stem(file)
    if own is None:
        raise BadInput(file, expected="a filename or an image with this file's name", found="neither")
    return own


def _row(element: ET.Element, image: str, where: str) -> Row:
    box = element.find("bndbox")
    word = (element.findtext("name") or "").strip()
    if box is None or not word:
        raise BadInput(where, expected="a name and a bndbox", found="no bndbox" if box is None else "no name")
    x0, y0, x1, y1 = (number((box.findtext(edge) or "").strip(), where, edge) for edge in _EDGES)
    difficult = (element.findtext("difficult") or "0").strip() not in {"0", ""}
    return Row(image, x0, y0, x1, y1, word, where, difficult=difficult)


def _size(root: ET.Element, file: str) -> tuple[int, int]:
    width, height = (int(number(root.findtext(f"size/{side}") or "0", file, side)) for side in ("width", "height"))
    return width, height
