"""Crops and their variations: each a pure function of the picture and of a random generator that is given.

Rules. Nothing here keeps state or draws chance of its own; the same generator state gives the same bytes. Geometry is
exact (eight symmetries, a scale, a shift), so that axis-parallel boxes stay tight. Boxes of which less than 40 % is
left in the crop become difficult: neither taught nor punished.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

_KEPT_SHARE = 0.4
_GREY = 127


@dataclass(frozen=True)
class View:
    """A square of a picture, in its pixels, that becomes a crop of `crop_px` pixels a side."""

    x0: float
    y0: float
    side_px: float
    crop_px: int


def cut(image_HWC: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """The view's pixels, resampled; grey where the view leaves the picture."""
    height, width = image_HWC.shape[:2]
    scale = view.crop_px / view.side_px
    x0, y0 = max(view.x0, 0.0), max(view.y0, 0.0)
    x1, y1 = min(view.x0 + view.side_px, width), min(view.y0 + view.side_px, height)
    crop = np.full((view.crop_px, view.crop_px, 3), _GREY, np.uint8)
    left, top = round((x0 - view.x0) * scale), round((y0 - view.y0) * scale)
    right, bottom = round((x1 - view.x0) * scale), round((y1 - view.y0) * scale)
    if right <= left or bottom <= top:
        return crop
    i0, j0, i1, j1 = int(y0), int(x0), int(np.ceil(y1)), int(np.ceil(x1))
    part = Image.fromarray(np.ascontiguousarray(image_HWC[i0:i1, j0:j1]))
    box = (x0 - j0, y0 - i0, x1 - j0, y1 - i0)
    resized = part.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=box)
    crop[top:bottom, left:right] = np.asarray(resized)
    return crop


def boxes_in(
    view: View, boxes_xyxy_px: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Boxes in pixels of the crop, clipped; which of them touch the crop; which are too cut to be taught."""
    scale = view.crop_px / view.side_px
    moved = (boxes_xyxy_px - np.array([view.x0, view.y0] * 2, np.float32)) * np.float32(scale)
    clipped = moved.clip(0, view.crop_px).astype(np.float32)
    size, left = moved[:, 2:] - moved[:, :2], clipped[:, 2:] - clipped[:, :2]
    share = left.prod(1) / np.maximum(size.prod(1), 1e-6)
    seen = np.asarray((left > 1.0).all(axis=1))
    return clipped, seen, np.asarray(share < _KEPT_SHARE)


def symmetry(
    crop_HWC: NDArray[np.uint8], boxes: NDArray[np.float32], which: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """One of the square's eight symmetries, 0..7, on pixels and boxes alike."""
    side = np.float32(crop_HWC.shape[0])
    if which & 1:
        crop_HWC, boxes = (
            crop_HWC[:, ::-1],
            np.stack([side - boxes[:, 2], boxes[:, 1], side - boxes[:, 0], boxes[:, 3]], 1),
        )
    if which & 2:
        crop_HWC, boxes = (
            crop_HWC[::-1],
            np.stack([boxes[:, 0], side - boxes[:, 3], boxes[:, 2], side - boxes[:, 1]], 1),
        )
    if which & 4:
        crop_HWC, boxes = crop_HWC.transpose(1, 0, 2), boxes[:, [1, 0, 3, 2]]
    return crop_HWC, boxes


def weather(crop_HWC: NDArray[np.uint8], rng: np.random.Generator, strength: float) -> NDArray[np.uint8]:
    """Light, colour, haze, blur and noise, as another day and another sensor would give; strength 0 changes nothing."""
    if strength <= 0:
        return crop_HWC
    spread = rng.uniform(-1, 1, 8).astype(np.float32) * np.float32(strength)
    chance = rng.random(4)
    levels = np.arange(256, dtype=np.float32) / 255
    curve = levels ** np.float32(2.0 ** (0.6 * spread[0])) * (1 + 0.25 * spread[1]) + 0.12 * spread[2]
    if chance[0] < 0.2 * strength:  # haze lifts the dark and flattens what remains
        curve = curve * (1 - 0.4 * abs(spread[3])) + 0.35 * abs(spread[3])
    gains = 1 + 0.08 * spread[4:7]
    table = (np.clip(curve[:, None] * gains[None], 0, 1) * 255 + 0.5).astype(np.uint8)
    crop = np.stack([table[crop_HWC[..., channel], channel] for channel in range(3)], -1)
    if chance[1] < 0.15 * strength:  # as a panchromatic or desaturated product
        grey = crop.mean(-1, keepdims=True)
        crop = (crop + (grey - crop) * np.float32(rng.uniform(0.3, 1.0))).astype(np.uint8)
    if chance[2] < 0.12 * strength:
        blurred = Image.fromarray(crop).filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.2))))
        crop = np.asarray(blurred)
    if chance[3] < 0.12 * strength:
        noise = rng.normal(0, rng.uniform(2, 10), crop.shape).astype(np.float32)
        crop = np.clip(crop + noise, 0, 255).astype(np.uint8)
    return crop
