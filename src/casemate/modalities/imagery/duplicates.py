"""The same ground in two sets: fingerprints of images, and their comparison without pixels.

Rules. A fingerprint is JSON-ready and small (about 4 kB for an image of 600 px), so that it is kept with the facts of a
set and the gate compares sets whose pixels it does not have. It has two parts:

- `whole`: signs of the lowest 16 × 16 frequencies (DCT) of the grey image. Flips and quarter turns change these signs
  in a known way, so that one hash stands for all eight.
- `anchors`: places chosen by content alone (the strongest corner around), at several scales, each with the signs of
  the lowest 8 × 8 frequencies of the patches around it. A window cut from a scene has the same places, wherever it was
  cut. Two images share ground when at least AGREEING anchors match under one flip or turn, one scale and one shift.

Caught: the same image recompressed, resized, brightened or darkened, flipped or turned by quarters; windows of at least
about 320 px cut from it (at its scale, or resized by up to a factor of 2, or turned by quarters); tiles that overlap by
as much; and now and then the same place taken on another day, where roads and roofs stand out. Not caught: turns by
other angles, smaller windows, windows of nothing but water, cloud or no-data, what is brightened until it is washed
out. It finds accidents and careless splits; it does not withstand someone who wants to hide one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from casemate.errors import BadInput
from casemate.modalities.imagery.boxes import ImageryDataset
from casemate.modalities.imagery.pixels import open_scene, read_window, stretch_facts

Fingerprints = Mapping[str, Mapping[str, Any]]
"""For each image's path: {"whole": hex or "", "anchors": [[x, y, step, hex, hex], …]} in pixels of the image."""

AGREEING = 5
"""Anchors that must agree on one placement before two images share ground."""

_WHOLE_SIDE, _WHOLE_FREQUENCIES, _WHOLE_BITS = 64, 16, 60
_PATCH_FREQUENCIES, _PATCH_BITS = 8, 10
_RADII = (20, 24)  # half way between two levels, so that no scale is more than 9 % from a stored one
_APART = 13
_LEVELS = 4
_BLOCK_PX, _MARGIN_PX = 4096, 512
_FLAT = 2.0
_TOLERANCE = 6.0
_MOST_MATCHES = 64
_CHUNK = 2048
_THREADS = 2

_Floats = npt.NDArray[np.float32]
_VARIANTS = tuple(product((False, True), repeat=3))
"""Flip left-right, flip top-bottom, then transpose: the eight flips and turns."""


class NearDuplicate(NamedTuple):
    """Two images of the same ground, how many bits differ (median over anchors for a part), and what is shared."""

    first: str
    second: str
    hamming: int
    how: str
    """`whole`, or `part`: one has a window of the other, or they overlap."""


class _Anchors(NamedTuple):
    """The anchors of a set: signs [N, 8, 8] of ±1 (0 for the mean), places [N, 2], steps [N], owners (images) [N]."""

    signs: _Floats
    places: _Floats
    steps: _Floats
    owners: npt.NDArray[np.int64]


def fingerprints(dataset: ImageryDataset, *, progress: Callable[[int, int, str], None] | None = None) -> Fingerprints:
    """The fingerprint of every image of a set; reads all pixels once, a block at a time."""
    found: dict[str, dict[str, Any]] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        paths = [dataset.path_of(image) for image in dataset.images]
        for image, fingerprint in zip(dataset.images, pool.map(fingerprint_file, paths), strict=True):
            found[image.path] = fingerprint
            if progress:
                progress(len(found), len(paths), "images")
    return found


def near_duplicates(first: ImageryDataset, second: ImageryDataset) -> list[NearDuplicate]:
    """Pairs of images, one of each set, that show the same ground."""
    return overlap(fingerprints(first), fingerprints(second))


def fingerprint_file(path: Path) -> dict[str, Any]:
    """The fingerprint of one image."""
    with open_scene(path) as scene:
        stretch = stretch_facts(scene)
        small = np.zeros((_WHOLE_SIDE, _WHOLE_SIDE), dtype=np.float32)
        anchors: list[list[Any]] = []
        for left, top in product(range(0, scene.width, _BLOCK_PX), range(0, scene.height, _BLOCK_PX)):
            core = (left, top, min(left + _BLOCK_PX, scene.width), min(top + _BLOCK_PX, scene.height))
            x0, y0 = max(left - _MARGIN_PX, 0), max(top - _MARGIN_PX, 0)
            x1, y1 = min(core[2] + _MARGIN_PX, scene.width), min(core[3] + _MARGIN_PX, scene.height)
            grey = _grey(read_window(scene, (x0, y0, x1, y1), stretch=stretch))
            anchors += [a for a in _anchors(grey, x0, y0) if core[0] <= a[0] < core[2] and core[1] <= a[1] < core[3]]
            _paste(small, grey[top - y0 : core[3] - y0, left - x0 : core[2] - x0], core, scene.width, scene.height)
    return {"whole": _whole(small), "anchors": anchors}


def overlap(first: Fingerprints, second: Fingerprints) -> list[NearDuplicate]:
    """Pairs of images, one of each set of fingerprints, that show the same ground; in order."""
    _check(first)
    _check(second)
    found = {(p.first, p.second): p for p in _shared_parts(first, second)}
    found |= {(p.first, p.second): p for p in _same_wholes(first, second)}
    return [found[pair] for pair in sorted(found)]


# ── making fingerprints ──────────────────────────────────────────────────────────────────────────────────────────────
def _grey(rgb_HWC: npt.NDArray[np.uint8]) -> _Floats:
    return rgb_HWC.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)


def _resized(grey: _Floats, width: int, height: int) -> _Floats:
    image = Image.fromarray(grey).resize((width, height), Image.Resampling.BOX)
    return np.asarray(image, dtype=np.float32)


def _paste(small: _Floats, grey: _Floats, core: tuple[int, int, int, int], width: int, height: int) -> None:
    """Put a block of a scene, which may be all of it, into its small picture."""
    x0, x1 = (round(x * _WHOLE_SIDE / width) for x in (core[0], core[2]))
    y0, y1 = (round(y * _WHOLE_SIDE / height) for y in (core[1], core[3]))
    if x0 < x1 and y0 < y1:
        small[y0:y1, x0:x1] = _resized(grey, x1 - x0, y1 - y0)


def _whole(small: _Floats) -> str:
    return _hashes(small[None], _WHOLE_FREQUENCIES)[0] if float(small.std()) >= _FLAT else ""


def _hashes(squares: _Floats, frequencies: int) -> list[str]:
    """Signs of the lowest frequencies (DCT) of each square [N, side, side], as hex."""
    side = squares.shape[1]
    waves = np.cos(np.pi / side * np.outer(np.arange(frequencies), np.arange(side) + 0.5)).astype(np.float32)
    bits = ((waves @ squares @ waves.T) > 0).reshape(len(squares), frequencies * frequencies)
    bits[:, 0] = False  # the mean says nothing but the brightness
    return [row.tobytes().hex() for row in np.packbits(bits, axis=1)]


def _anchors(grey: _Floats, left: int, top: int) -> Iterator[list[Any]]:
    """Anchors of a block, in pixels of the scene: [x, y, pixels a step, hash, hash of a larger patch]."""
    height, width = grey.shape
    for level in range(_LEVELS):
        step = 2.0 * math.sqrt(2.0) ** level
        size = max(1, round(width / step)), max(1, round(height / step))
        if min(size) < 3 * _RADII[-1]:
            return
        shrunk = _resized(grey, *size)
        # The edge of a no-data area is the same everywhere, so that places near one are left out.
        places = [at for at in _corners(shrunk) if (_patch(shrunk, at, _RADII[-1]) <= 0).mean() < 0.25]
        if places:
            patches = (np.stack([_patch(shrunk, at, radius) for at in places]) for radius in _RADII)
            hashed = zip(*(_hashes(squares, _PATCH_FREQUENCIES) for squares in patches), strict=True)
            for (row, column), hashes in zip(places, hashed, strict=True):
                x, y = left + column * width / size[0], top + row * height / size[1]
                yield [round(x), round(y), round(step, 2), *hashes]


def _patch(shrunk: _Floats, at: tuple[int, int], radius: int) -> _Floats:
    row, column = at
    return shrunk[row - radius : row + radius, column - radius : column + radius]


def _corners(shrunk: _Floats) -> Iterator[tuple[int, int]]:
    """Places whose gradient is strong in both directions, stronger than any other place near."""
    smooth = ndimage.gaussian_filter(shrunk, 1.5, truncate=3)
    gx, gy = ndimage.sobel(smooth, axis=1) / 8, ndimage.sobel(smooth, axis=0) / 8
    xx, yy, xy = (ndimage.gaussian_filter(g, 3.0, truncate=2.5) for g in (gx * gx, gy * gy, gx * gy))
    weakest = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    peaks = (weakest == ndimage.maximum_filter(weakest, size=2 * _APART + 1)) & (weakest > 0.05)
    edge = _RADII[-1]
    for row, column in np.argwhere(peaks[edge:-edge, edge:-edge]):
        yield int(row) + edge, int(column) + edge


# ── comparing them ───────────────────────────────────────────────────────────────────────────────────────────────────
def _check(prints: Mapping[str, Any]) -> None:
    """Refuse what `fingerprints` did not make; the hashes themselves are checked when they are used."""
    for path, fingerprint in prints.items():
        known = isinstance(fingerprint, dict) and set(fingerprint) == {"whole", "anchors"}
        if not known or not all(len(anchor) == 3 + len(_RADII) for anchor in fingerprint["anchors"]):
            expected = f"a whole hash and anchors of {3 + len(_RADII)} facts"
            raise BadInput(f"fingerprint of {path}", expected=expected, found=repr(fingerprint)[:80])


def _signs(hashes: list[str], frequencies: int) -> _Floats:
    """Signs [N, frequencies, frequencies] of ±1, 0 for the mean."""
    size = frequencies * frequencies
    try:
        packed = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint8).reshape(len(hashes), size // 8)
    except ValueError as why:
        raise BadInput("fingerprints", expected=f"hashes of {size} bits in hex", found=why) from why
    signs = np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1
    signs[:, 0] = 0
    return signs.reshape(-1, frequencies, frequencies)


def _turned(signs: _Floats, variant: tuple[bool, ...]) -> _Floats:
    """The signs that the flipped or turned image has: odd frequencies change sign with a flip."""
    flip_x, flip_y, transpose = variant
    odd = np.where(np.arange(signs.shape[1]) % 2, np.float32(-1), np.float32(1))
    turned = signs * odd if flip_x else signs
    turned = turned * odd[:, None] if flip_y else turned
    return turned.transpose(0, 2, 1) if transpose else turned


def _placed(places: _Floats, variant: tuple[bool, ...]) -> _Floats:
    """Where places go, but for a shift, in the flipped or turned image."""
    flip_x, flip_y, transpose = variant
    moved = places * np.array([-1 if flip_x else 1, -1 if flip_y else 1], dtype=np.float32)
    return moved[:, ::-1] if transpose else moved


def _close(first: _Floats, second: _Floats, most_bits: int) -> Iterator[tuple[int, int, int]]:
    """Pairs of rows that differ in few signs, with how many."""
    a, b = (s.reshape(len(s), int(np.prod(s.shape[1:]))) for s in (first, second))
    compared = a.shape[1] - 1
    for start in range(0, len(a), _CHUNK):
        products = a[start : start + _CHUNK] @ b.T
        rows, columns = np.nonzero(products >= compared - 2 * most_bits)
        differing = (compared - products[rows, columns]) / 2
        yield from zip((rows + start).tolist(), columns.tolist(), differing.astype(int).tolist(), strict=True)


def _same_wholes(first: Fingerprints, second: Fingerprints) -> Iterator[NearDuplicate]:
    paths_a, paths_b = ([p for p, f in side.items() if f["whole"]] for side in (first, second))
    if not paths_a or not paths_b:
        return
    a = _signs([first[p]["whole"] for p in paths_a], _WHOLE_FREQUENCIES)
    b = _signs([second[p]["whole"] for p in paths_b], _WHOLE_FREQUENCIES)
    best: dict[tuple[int, int], int] = {}
    for variant in _VARIANTS:
        for i, j, bits in _close(a, _turned(b, variant), _WHOLE_BITS):
            best[i, j] = min(bits, best.get((i, j), bits))
    for (i, j), bits in best.items():
        yield NearDuplicate(paths_a[i], paths_b[j], bits, "whole")


def _shared_parts(first: Fingerprints, second: Fingerprints) -> Iterator[NearDuplicate]:
    paths_a, paths_b = list(first), list(second)
    a, b = _gathered(first, _RADII[:1]), _gathered(second, _RADII)
    if not len(a.owners) or not len(b.owners):
        return
    bits_of: dict[tuple[int, int], int] = {}
    for variant in _VARIANTS:
        groups: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        for i, j, bits in _close(a.signs, _turned(b.signs, variant), _PATCH_BITS):
            groups.setdefault((int(a.owners[i]), int(b.owners[j])), []).append((bits, i, j))
        for pair, matches in groups.items():
            agreed = _agreeing(matches, a, b, variant) if len(matches) >= AGREEING else []
            if len(agreed) >= AGREEING:
                bits_of[pair] = min(int(np.median(agreed)), bits_of.get(pair, 64))
    for (i, j), bits in bits_of.items():
        yield NearDuplicate(paths_a[i], paths_b[j], bits, "part")


def _gathered(prints: Mapping[str, Mapping[str, Any]], radii: tuple[int, ...]) -> _Anchors:
    """All anchors of a set, once for each of the radii."""
    listed = [(owner, anchor) for owner, f in enumerate(prints.values()) for anchor in f["anchors"]]
    hashes = [anchor[3 + k] for k in range(len(radii)) for _, anchor in listed]
    steps = [anchor[2] * radius / _RADII[0] for radius in radii for _, anchor in listed]
    return _Anchors(
        _signs(hashes, _PATCH_FREQUENCIES),
        np.array([anchor[:2] for _, anchor in listed] * len(radii), dtype=np.float32).reshape(-1, 2),
        np.array(steps, dtype=np.float32),
        np.array([owner for owner, _ in listed] * len(radii), dtype=np.int64),
    )


def _agreeing(matches: list[tuple[int, int, int]], a: _Anchors, b: _Anchors, variant: tuple[bool, ...]) -> list[int]:
    """Bits that differ, for each of the most matches that one scale and one shift explain, one a place."""
    best = sorted(matches)[:_MOST_MATCHES]
    bits, i, j = (np.array(column) for column in zip(*best, strict=True))
    p, q = a.places[i], _placed(b.places[j], variant)
    tolerance = _TOLERANCE * np.maximum(a.steps[i], 2.0)
    across_p = np.linalg.norm(p[:, None] - p[None], axis=2)
    across_q = np.linalg.norm(q[:, None] - q[None], axis=2)
    m, n = np.nonzero((across_p > 48) & (across_q > 16))
    if not len(m):
        return []
    scale = across_p[m, n] / across_q[m, n]
    expected = (a.steps[i] / b.steps[j])[m]  # the patches match, so that their steps tell the scale roughly
    m, scale = m[abs(np.log2(scale / expected)) < 0.5], scale[abs(np.log2(scale / expected)) < 0.5]
    fits = (
        np.linalg.norm(p[None] - p[m][:, None] - scale[:, None, None] * (q[None] - q[m][:, None]), axis=2) < tolerance
    )
    agreed: list[int] = []
    for row in fits[np.argsort(-fits.sum(axis=1), kind="stable")[:8]]:
        places = {tuple(np.round(p[k] / 32).tolist()): k for k in np.flatnonzero(row)}
        distinct = {tuple(np.round(q[k] / 16).tolist()): k for k in places.values()}
        agreed = max(agreed, [int(bits[k]) for k in distinct.values()], key=len)
    return agreed
