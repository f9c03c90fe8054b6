"""YOLO text: one file an image, `class cx cy width height` a line, relative to the image; polygons as their boxes.

Classes are numbers; their names come from the nearest `data.yaml` (`names:`), `classes.names`, `obj.names` or
`classes.txt`, from the label file's folder up to the set's. Without one the numbers are the words. The file's name is
the image's; an empty file says that the image holds nothing; an image without a file was never labelled.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import PurePosixPath

from casemate.errors import BadInput
from casemate.modalities.imagery.gallery import Gallery
from casemate.modalities.imagery.rows import Row, Rows, is_number, number, numbered_lines

_YAML = ("data.yaml", "data.yml", "dataset.yaml")
_LISTS = ("classes.names", "obj.names", "classes.txt", "names.txt")
_ITEM = re.compile(r"""\s*(?:-\s*|(\d+)\s*:\s*)(?:"([^"]*)"|'([^']*)'|([^#]*?))\s*(?:#.*)?""")


def recognise(gallery: Gallery) -> tuple[str, ...]:
    """Text files that start with a class number and an even number of fractions."""
    return tuple(f for f in gallery.texts_of(_looks_right) if PurePosixPath(f).name not in _LISTS)


def read(gallery: Gallery, files: tuple[str, ...], words: Callable[[str], bool]) -> Rows:  # noqa: ARG001
    """The boxes of every file."""
    owners: dict[str, str] = {}
    for file in files:
        image = gallery.of_stem(file)
        if image is None:
            raise BadInput(file, expected="an image with this file's name", found="no such image")
        if image in owners:
            raise BadInput(file, expected=f"one label file for {image!r}", found=f"{owners[image]} too")
        owners[image] = file
    gallery.read_headers(owners)
    named = lru_cache(maxsize=None)(lambda folder: _class_names(gallery, PurePosixPath(folder)))
    rows = []
    for image, file in owners.items():
        names = named(PurePosixPath(file).parent.as_posix())
        rows += [
            _row(gallery, line.split(), image, names, f"{file} line {i}")
            for i, line in numbered_lines(gallery.text(file))
        ]
    return Rows(frozenset(owners), tuple(rows))


def _looks_right(tokens: list[str]) -> bool:
    if len(tokens) < 5 or len(tokens) % 2 == 0 or not tokens[0].isdecimal():
        return False
    return all(is_number(t) and not abs(float(t)) > 1.5 for t in tokens[1:])


def _row(gallery: Gallery, tokens: list[str], image: str, names: dict[int, str] | None, where: str) -> Row:
    if len(tokens) < 5 or len(tokens) % 2 == 0 or not tokens[0].isdecimal():
        expected = "a class number, then centre and size (4 numbers) or a polygon"
        raise BadInput(where, expected=expected, found=repr(" ".join(tokens)))
    values = [number(t, where, "a fraction of the image's side") for t in tokens[1:]]
    if max(abs(v) for v in values) > 1.5:
        raise BadInput(where, expected="fractions of the image's sides (0 to 1)", found=max(values, key=abs))
    if len(values) == 4:
        cx, cy, w, h = values
        xs, ys = [cx - w / 2, cx + w / 2], [cy - h / 2, cy + h / 2]
    else:
        xs, ys = values[0::2], values[1::2]
    facts = gallery.facts(image)
    # A millionth of a pixel: what is lost when fractions are written with few digits and multiplied back.
    x0, x1 = (round(x * facts.width, 6) for x in (min(xs), max(xs)))
    y0, y1 = (round(y * facts.height, 6) for y in (min(ys), max(ys)))
    return Row(image, x0, y0, x1, y1, _word(int(tokens[0]), names, where), where)


def _word(number_: int, names: dict[int, str] | None, where: str) -> str:
    if names is None:
        return str(number_)
    if number_ not in names:
        listed = ", ".join(f"{i} {name}" for i, name in sorted(names.items()))
        raise BadInput(where, expected=f"the number of a named class ({listed})", found=number_)
    return names[number_]


def _class_names(gallery: Gallery, folder: PurePosixPath) -> dict[int, str] | None:
    """Names of the classes by number, from the nearest file that has them; None when there is none."""
    for parent in (folder, *folder.parents):
        for name in (*_YAML, *_LISTS):
            file = (parent / name).as_posix()
            if file in gallery.others or (gallery.folder / file).is_file():
                text = gallery.text(file)
                return _yaml_names(text, file) if name in _YAML else _listed_names(text)
    return None


def _listed_names(text: str) -> dict[int, str]:
    return dict(enumerate(line.strip() for line in text.rstrip().split("\n")))


def _yaml_names(text: str, file: str) -> dict[int, str]:
    """The `names` of a data.yaml: a list on one line, a list of items, or a mapping from numbers; no more is read."""
    lines = text.split("\n")
    start = next((i for i, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if start is None:
        raise BadInput(file, expected="names of the classes under names:", found="no names")
    inline = lines[start].split(":", 1)[1].split("#")[0].strip()
    if inline:
        return _inline_names(" ".join([inline, *lines[start + 1 :]]), file)
    names: dict[int, str] = {}
    for line in lines[start + 1 :]:
        item = _ITEM.fullmatch(line)
        if item is None:
            if line.strip() and not line.lstrip().startswith("#"):
                break
            continue
        key, *spellings = item.groups()
        names[len(names) if key is None else int(key)] = next(s for s in spellings if s is not None)
    return names


def _inline_names(text: str, file: str) -> dict[int, str]:
    listed = re.match(r"[\[{](.*?)[\]}]", text)
    if listed is None:
        raise BadInput(file, expected="names as [a, b] or {0: a, 1: b}", found=repr(text[:60]))
    names: dict[int, str] = {}
    for i, part in enumerate(listed.group(1).split(",")):
        key, colon, value = part.partition(":")
        numbered = bool(colon) and key.strip().isdecimal()
        names[int(key) if numbered else i] = (value if numbered else part).strip().strip("\"'")
    return names
