"""Reading, checking, keeping and comparing sets of labelled images.

Rules. What `read` returns may be trusted: every box lies inside its image and has an area, every label is a node of the
taxonomy, every image's header was read. Nothing is repaired in silence but overhangs of rounding; what was left out
stands in `notes`. One set has one label format. The canonical file, casemate-imagery.json, is sorted and strict: what
`save_labels` writes, `load_labels` reads back equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from casemate.errors import BadInput
from casemate.modalities.imagery import formats
from casemate.modalities.imagery.boxes import Box, ImageryDataset, LabelledImage, fit
from casemate.modalities.imagery.canonical import CANONICAL, load_labels, save_labels
from casemate.modalities.imagery.duplicates import Fingerprints, fingerprints, near_duplicates, overlap
from casemate.modalities.imagery.gallery import Gallery
from casemate.modalities.imagery.rows import Row, Rows
from casemate.modalities.imagery.taxonomy import Taxonomy
from casemate.store.cores import Progress

__all__ = [
    "CANONICAL",
    "Fingerprints",
    "facts",
    "fingerprints",
    "load_labels",
    "near_duplicates",
    "overlap",
    "read",
    "save_labels",
    "taxonomy_of",
]


def read(
    folder: Path,
    *,
    taxonomy: Taxonomy | None = None,
    rename: Mapping[str, str] | None = None,
    exhaustive: Iterable[str] | None = None,
    labels: Path | None = None,
    label_format: str | None = None,
    progress: Progress | None = None,
) -> ImageryDataset:
    """A folder's images and boxes, checked.

    `rename` maps the set's own words to the taxonomy's (`{"0": "airplane"}`); an empty value leaves those boxes out.
    `exhaustive` names the nodes that are labelled throughout; by default the deepest labels seen. `labels` is the one
    label file or folder to read; `label_format` the one format, where a folder has several. A folder that has the
    canonical file is read from it, unless `labels` or `label_format` say otherwise.
    """
    tree = taxonomy or Taxonomy.shipped()
    if labels is None and label_format is None and (folder / CANONICAL).is_file():
        return _relabelled(load_labels(folder), rename or {}, exhaustive)
    gallery = Gallery.of(folder)
    if not gallery.images:
        raise BadInput(folder.name, expected="at least one image (.tif, .png, .jpg)", found="none")
    gallery.read_headers(gallery.images, on_image=_counted(progress))
    chosen, files = _recognised(gallery.only(labels) if labels else gallery, label_format)
    meanings = _meanings(tree, rename or {})
    rows = formats.find(chosen).read(gallery, files, lambda word: word in meanings or tree.knows(word))
    images, left_out = _images(gallery, rows, tree, meanings)
    unlabelled = len(gallery.images) - len(images)
    notes = [*rows.notes, *left_out]
    notes += [f"{unlabelled} of {len(gallery.images)} images have no labels and are left out"] if unlabelled else []
    dataset = ImageryDataset(folder, images, tree, frozenset(), chosen, tuple(notes))
    if not dataset.box_count:
        raise BadInput(folder.name, expected="at least one box", found=f"none in {len(images)} images")
    return _with_exhaustive(dataset, exhaustive)


def _counted(progress: Progress | None) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(done, total, "images")


def _recognised(gallery: Gallery, label_format: str | None) -> tuple[str, tuple[str, ...]]:
    """The set's one label format and its files."""
    known = formats.names()
    if label_format is not None and label_format not in known:
        raise BadInput("label format", expected=" or ".join(known), found=repr(label_format))
    found = {name: formats.find(name).recognise(gallery) for name in ([label_format] if label_format else known)}
    found = {name: files for name, files in found.items() if files}
    if len(found) > 1:
        listed = " and ".join(f"{name} ({files[0]}{_more(files)})" for name, files in found.items())
        raise BadInput(gallery.folder.name, expected="one label format (or say which: labels, format)", found=listed)
    if not found:
        expected = f"labels as {label_format or ', '.join(known)}"
        raise BadInput(gallery.folder.name, expected=expected, found=f"none beside {len(gallery.images)} images")
    return next(iter(found.items()))


def _more(files: tuple[str, ...]) -> str:
    return f" and {len(files) - 1} more" if len(files) > 1 else ""


def _meanings(taxonomy: Taxonomy, rename: Mapping[str, str]) -> dict[str, str]:
    """The set's own words that are renamed, each with its node's name, or nothing to leave it out."""
    return {word: taxonomy.resolve(node) if node else "" for word, node in rename.items()}


def _images(
    gallery: Gallery, rows: Rows, taxonomy: Taxonomy, meanings: Mapping[str, str]
) -> tuple[tuple[LabelledImage, ...], list[str]]:
    boxes: dict[str, list[Box]] = {image: [] for image in rows.images}
    left_out: dict[str, int] = {}
    for row in rows.rows:
        label = _label(row, taxonomy, meanings)
        if label:
            boxes[row.image].append(_box(gallery, row, label))
        else:
            left_out[row.word] = left_out.get(row.word, 0) + 1
    notes = [f"{count} boxes labelled {word!r} are left out, as asked" for word, count in sorted(left_out.items())]
    return tuple(_image(gallery, image, boxes[image], rows) for image in sorted(boxes)), notes


def _image(gallery: Gallery, path: str, boxes: list[Box], rows: Rows) -> LabelledImage:
    facts = gallery.facts(path)
    gsd_m = facts.gsd_m if facts.gsd_m is not None else rows.gsd_m.get(path)
    return LabelledImage(path, facts.width, facts.height, tuple(sorted(boxes)), gsd_m, facts.crs)


def _label(row: Row, taxonomy: Taxonomy, meanings: Mapping[str, str]) -> str:
    if row.word in meanings:
        return meanings[row.word]
    if not taxonomy.knows(row.word):
        known = ", ".join(taxonomy.names)
        expected = f"a class of taxonomy {taxonomy.name} ({known}), or --rename {row.word!r}=CLASS"
        raise BadInput(row.where, expected=expected, found=repr(row.word))
    return taxonomy.resolve(row.word)


def _box(gallery: Gallery, row: Row, label: str) -> Box:
    facts = gallery.facts(row.image)
    x0, y0, x1, y1 = row.x0, row.y0, row.x1, row.y1
    if row.cut and x0 < x1 and y0 < y1:
        x0, y0, x1, y1 = max(x0, 0.0), max(y0, 0.0), min(x1, facts.width), min(y1, facts.height)
    where = f"{row.where} ({row.image})"
    return fit(Box(x0, y0, x1, y1, label, row.difficult), facts.width, facts.height, where=where)


def _with_exhaustive(dataset: ImageryDataset, exhaustive: Iterable[str] | None) -> ImageryDataset:
    tree, seen = dataset.taxonomy, set(dataset.labels)
    if exhaustive is None:
        chosen = frozenset(name for name in seen if not (seen & set(tree.descendants(name))) - {name})
    else:
        chosen = frozenset(tree.resolve(name) for name in exhaustive)
    return ImageryDataset(dataset.folder, dataset.images, tree, chosen, dataset.source, dataset.notes)


def _relabelled(dataset: ImageryDataset, rename: Mapping[str, str], exhaustive: Iterable[str] | None) -> ImageryDataset:
    """A canonical set with some of its nodes renamed and its promise of completeness replaced, where asked."""
    meanings = _meanings(dataset.taxonomy, rename)
    if not meanings:
        return dataset if exhaustive is None else _with_exhaustive(dataset, exhaustive)
    images = []
    for image in dataset.images:
        renamed = ((meanings.get(b.label, b.label), b) for b in image.boxes)
        kept = tuple(sorted(Box(*b.xyxy, label, b.difficult) for label, b in renamed if label))
        images.append(LabelledImage(image.path, image.width, image.height, kept, image.gsd_m, image.crs))
    changed = ImageryDataset(
        dataset.folder, tuple(images), dataset.taxonomy, dataset.exhaustive, dataset.source, dataset.notes
    )
    return _with_exhaustive(changed, exhaustive)


def taxonomy_of(file: Path) -> Taxonomy:
    """The tree of classes in a TOML file."""
    return Taxonomy.from_toml(file.read_text(encoding="utf-8"), source=file.name)


def facts(dataset: ImageryDataset) -> dict[str, Any]:
    """What the catalog says about a set: counts, labels, what is labelled throughout, what was left out."""
    return {
        "images": len(dataset.images),
        "boxes": dataset.box_count,
        "labels": dataset.labels,
        "exhaustive": sorted(dataset.exhaustive),
        "taxonomy": dataset.taxonomy.name,
        "label_format": dataset.source,
        "notes": list(dataset.notes),
    }
