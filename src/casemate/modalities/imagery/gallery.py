"""The images of a folder, known by their headers, and how a label finds its image.

Rules. Links are not followed and hidden files do not count. A name in a label file is looked up among the files that
are there and nowhere else, so that `../..` or an absolute path leads to nothing: first beside the label file, then from
the set's folder, then by the file name alone where only one image has it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from casemate.errors import BadInput
from casemate.modalities.imagery.pixels import SUFFIXES, SceneFacts, scene_facts

_THREADS = 8
_KNOWN_FOLDERS = ("images", "JPEGImages", "Images", "image", "img")


@dataclass(frozen=True)
class Gallery:
    """A set's folder: its images and its other files, as relative paths in order; headers are read when asked for."""

    folder: Path
    images: tuple[str, ...]
    others: tuple[str, ...]
    _facts: dict[str, SceneFacts] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, folder: Path) -> Gallery:
        """List a folder; BadInput when it is not one."""
        if not folder.is_dir():
            raise BadInput(folder.name, expected="a folder of images and labels", found="no such folder")
        images: list[str] = []
        others: list[str] = []
        for parent, folders, files in os.walk(folder, followlinks=False):
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            for file in files:
                path = Path(parent, file)
                if not file.startswith(".") and path.is_file() and not path.is_symlink():
                    listed = images if path.suffix.lower() in SUFFIXES else others
                    listed.append(_utf8(path.relative_to(folder).as_posix()))
        return cls(folder, tuple(sorted(images)), tuple(sorted(others)))

    def only(self, labels: Path) -> Gallery:
        """The same images with the label files of one file or folder alone; it may lie outside of the set's folder."""
        if labels.is_file():
            others = [os.path.relpath(labels, self.folder)]
        elif labels.is_dir():
            listed = Gallery.of(labels).others
            others = [Path(os.path.relpath(labels / name, self.folder)).as_posix() for name in listed]
        else:
            raise BadInput(labels.name, expected="a file or folder of labels", found="no such file or folder")
        return Gallery(self.folder, self.images, tuple(sorted(others)), self._facts)

    def facts(self, image: str) -> SceneFacts:
        """What the image's header says; read once."""
        if image not in self._facts:
            self._facts[image] = scene_facts(self.folder / image)
        return self._facts[image]

    def read_headers(self, images: Iterable[str], *, on_image: Callable[[int, int], None] | None = None) -> None:
        """Read many headers at once, so that `facts` has them ready; `on_image(done, total)` tells how far it is."""
        wanted = [i for i in images if i not in self._facts]
        with ThreadPoolExecutor(_THREADS) as pool:
            for done, _ in enumerate(pool.map(self.facts, wanted), 1):
                if on_image:
                    on_image(done, len(wanted))

    def find(self, name: str, *, beside: str, where: str) -> str:
        """The image that a label means by `name`; BadInput names the label (`where`) when it is missing or unclear."""
        found = self._lookup(name, beside)
        if not found:
            raise BadInput(where, expected=f"the image {name!r} in the folder", found="no such image")
        if len(found) > 1:
            listed = ", ".join(repr(f) for f in found[:4])
            raise BadInput(where, expected=f"one image for {name!r}", found=f"{len(found)}: {listed}")
        return found[0]

    def has(self, name: str, *, beside: str) -> bool:
        """Whether exactly one image is meant by `name`."""
        return len(self._lookup(name, beside)) == 1

    def of_stem(self, labels: str) -> str | None:
        """The image that a label file's own name means (`labels/a.txt` → `images/a.png`); None when there is none.

        Where several folders have such an image, the nearest folder is meant.
        """
        path = PurePosixPath(labels)
        found = self._stems.get(path.stem, ())
        if len(found) <= 1:
            return found[0] if found else None
        nearest = sorted(found, key=lambda image: -_shared(PurePosixPath(image).parent, path.parent))
        scores = [_shared(PurePosixPath(image).parent, path.parent) for image in nearest[:2]]
        if scores[0] == scores[1]:
            listed = ", ".join(repr(f) for f in nearest[:4])
            raise BadInput(labels, expected=f"one image named {path.stem}", found=f"{len(found)}: {listed}")
        return nearest[0]

    def text(self, name: str) -> str:
        """A label file's text; BadInput when it is not UTF-8."""
        try:
            return self.content(name).decode("utf-8-sig")
        except UnicodeDecodeError as why:
            raise BadInput(name, expected="labels as UTF-8 text", found=why) from why

    def content(self, name: str) -> bytes:
        """A label file's bytes."""
        try:
            return (self.folder / name).read_bytes()
        except OSError as why:
            raise BadInput(name, expected="a readable label file", found=why.strerror) from why

    def head(self, name: str, size: int = 4096) -> bytes:
        """A label file's first bytes, to recognise its format."""
        try:
            with (self.folder / name).open("rb") as file:
                return file.read(size)
        except OSError as why:
            raise BadInput(name, expected="a readable label file", found=why.strerror) from why

    def texts_of(self, looks_right: Callable[[list[str]], bool]) -> tuple[str, ...]:
        """Text files whose first label line looks right, and those beside them that bear an image's name.

        The latter may be empty (an image that holds nothing), or wrong in a way that the format's reader names.
        """
        texts = [f for f in self.others if f.lower().endswith(".txt")]
        right = {f for f in texts if looks_right(_first_tokens(self.head(f)))}
        folders = {PurePosixPath(f).parent for f in right}
        beside = {f for f in texts if PurePosixPath(f).parent in folders and PurePosixPath(f).stem in self._stems}
        return tuple(sorted(right | beside))

    def _lookup(self, name: str, beside: str) -> tuple[str, ...]:
        tail = name.replace("\\", "/").removeprefix("./")
        for parent in (PurePosixPath(beside).parent, PurePosixPath()):
            for step in ("", *_KNOWN_FOLDERS):
                candidate = (parent / step / tail).as_posix()
                if candidate in self._all:
                    return (candidate,)
        ending = tuple(i for i in self._names.get(PurePosixPath(tail).name, ()) if f"/{i}".endswith(f"/{tail}"))
        return ending or self._names.get(PurePosixPath(tail).name, ())

    @cached_property
    def _all(self) -> frozenset[str]:
        return frozenset(self.images)

    @cached_property
    def _names(self) -> dict[str, tuple[str, ...]]:
        return _grouped(self.images, lambda image: PurePosixPath(image).name)

    @cached_property
    def _stems(self) -> dict[str, tuple[str, ...]]:
        return _grouped(self.images, lambda image: PurePosixPath(image).stem)


def _utf8(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as why:
        raise BadInput(name, expected="a file name in UTF-8", found="bytes that are not") from why
    return name


def _grouped(images: tuple[str, ...], key: Callable[[str], str]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = {}
    for image in images:
        groups.setdefault(key(image), []).append(image)
    return {name: tuple(members) for name, members in groups.items()}


def _first_tokens(head: bytes) -> list[str]:
    """The words of the first line that is not blank and not a `key:value` heading."""
    for line in head.decode("utf-8-sig", "replace").split("\n"):
        tokens = line.split()
        if tokens and not (len(tokens) == 1 and ":" in line):
            return tokens
    return []


def _shared(first: PurePosixPath, second: PurePosixPath) -> int:
    """How many leading folders two folders share."""
    count = 0
    for a, b in zip(first.parts, second.parts, strict=False):
        if a != b:
            break
        count += 1
    return count
