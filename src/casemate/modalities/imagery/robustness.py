"""Worse pictures of the same ground, to see how much a detector loses.

Rules. Each change is a function of the image, its boxes and a seeded generator, and of nothing else; boxes follow the
pixels. A true box of which less than 60 % is still in the picture becomes a region in which nothing is judged. A box
turned by a small angle becomes the box round the ellipse that filled it: the box round its corners would be too large.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from casemate.modalities.imagery.matching import Bools, Floats

RGB_HWC = npt.NDArray[np.uint8]

BLUR_SIGMA_PX = 1.5
NOISE_SIGMA = 15.0
HAZE, HAZE_LIGHT = 0.45, 225.0
JPEG_QUALITY = 25
ANGLE_DEGREES = 10.0
GREY = 127
STILL_SEEN = 0.6


@dataclass(frozen=True)
class Changed:
    """The changed image [H, W, 3] with its boxes [G, 4]; `unsure` [G] are those that are no longer whole."""

    image: RGB_HWC
    boxes_xyxy_px: Floats
    unsure: Bools


@dataclass(frozen=True)
class Change:
    """One way of making a picture worse, in words of both languages."""

    name: str
    english: str
    french: str
    make: Callable[[RGB_HWC, Floats, np.random.Generator], Changed]


def _kept(image_HWC: RGB_HWC, boxes: Floats) -> Changed:
    return Changed(image_HWC, boxes, np.zeros(len(boxes), dtype=bool))


def blur(image_HWC: RGB_HWC, boxes: Floats, _rng: np.random.Generator) -> Changed:
    """Gaussian blur of 1.5 pixels."""
    return _kept(np.asarray(Image.fromarray(image_HWC).filter(ImageFilter.GaussianBlur(BLUR_SIGMA_PX))), boxes)


def noise(image_HWC: RGB_HWC, boxes: Floats, rng: np.random.Generator) -> Changed:
    """Gaussian noise of 15 grey levels, in each band."""
    grain = rng.standard_normal(image_HWC.shape, dtype=np.float32) * np.float32(NOISE_SIGMA)
    return _kept(_to_8_bits(image_HWC.astype(np.float32) + grain), boxes)


def haze(image_HWC: RGB_HWC, boxes: Floats, _rng: np.random.Generator) -> Changed:
    """45 % of a light grey veil."""
    return _kept(_to_8_bits(image_HWC.astype(np.float32) * (1 - HAZE) + HAZE * HAZE_LIGHT), boxes)


def jpeg(image_HWC: RGB_HWC, boxes: Floats, _rng: np.random.Generator) -> Changed:
    """JPEG at quality 25."""
    stream = BytesIO()
    Image.fromarray(image_HWC).save(stream, format="JPEG", quality=JPEG_QUALITY)
    return _kept(np.asarray(Image.open(stream).convert("RGB")), boxes)


def quarter_turn(image_HWC: RGB_HWC, boxes: Floats, _rng: np.random.Generator) -> Changed:
    """A quarter turn to the left: exact."""
    width = image_HWC.shape[1]
    x0, y0, x1, y1 = boxes.T
    return _kept(np.ascontiguousarray(np.rot90(image_HWC)), np.stack([y0, width - x1, y1, width - x0], axis=1))


def small_turn(image_HWC: RGB_HWC, boxes: Floats, _rng: np.random.Generator) -> Changed:
    """Ten degrees to the left about the centre; corners are filled with grey."""
    height, width = image_HWC.shape[:2]
    turned = Image.fromarray(image_HWC).rotate(ANGLE_DEGREES, Image.Resampling.BILINEAR, fillcolor=(GREY,) * 3)
    cosine, sine = np.cos(np.radians(ANGLE_DEGREES)), np.sin(np.radians(ANGLE_DEGREES))
    centre = np.array([width / 2, height / 2])
    from_centre = (boxes[:, :2] + boxes[:, 2:]) / 2 - centre
    middle = from_centre @ np.array([[cosine, -sine], [sine, cosine]]) + centre
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    reach = np.sqrt((half * cosine) ** 2 + (half[:, ::-1] * sine) ** 2)
    return _cut(np.asarray(turned), np.concatenate([middle - reach, middle + reach], axis=1))


def half_resolution(image_HWC: RGB_HWC, boxes: Floats, _rng: np.random.Generator) -> Changed:
    """Half as many pixels each way, by averaging."""
    return _kept(np.asarray(Image.fromarray(image_HWC).reduce(2)), boxes / 2)


CHANGES = (
    Change("blur", "blur (σ 1.5 px)", "flou (σ 1,5 px)", blur),
    Change("noise", "noise (σ 15 of 255)", "bruit (σ 15 sur 255)", noise),
    Change("haze", "haze (45 %)", "brume (45 %)", haze),
    Change("jpeg", "JPEG (quality 25)", "JPEG (qualité 25)", jpeg),
    Change("rotation_90", "rotation by 90°", "rotation de 90°", quarter_turn),
    Change("rotation_10", "rotation by 10°", "rotation de 10°", small_turn),
    Change("half_resolution", "half resolution", "demi-résolution", half_resolution),
)


def crop(image_HWC: RGB_HWC, boxes: Floats, window: tuple[int, int, int, int]) -> Changed:
    """The part (x0, y0, x1, y1) of an image, with its boxes."""
    x0, y0, x1, y1 = window
    return _cut(image_HWC[y0:y1, x0:x1], boxes - np.array([x0, y0, x0, y0]))


def _cut(image_HWC: RGB_HWC, boxes: Floats) -> Changed:
    """Boxes cut at the picture's edges; those that are gone keep a sliver of no size and are unsure."""
    height, width = image_HWC.shape[:2]
    inside = np.clip(boxes, 0, np.array([width, height, width, height]))
    left = (inside[:, 2] - inside[:, 0]) * (inside[:, 3] - inside[:, 1])
    whole = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return Changed(image_HWC, inside, left < STILL_SEEN * whole)


def _to_8_bits(values: npt.NDArray[np.float32]) -> RGB_HWC:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
