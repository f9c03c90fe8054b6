"""Pictures of detections themselves: the worst mistakes side by side, and whole samples with what was right and wrong.

Rules. Three outlines, told apart by dash as well as by colour: solid for what is right, dashed for what was answered
wrongly, dotted for what was missed. Mistakes are the worst by a stated order (highest score, largest box), never chosen
by hand. Pixels are read a window at a time; a sample of a large image is the part with most boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from casemate.modalities.imagery.boxes import ImageryDataset
from casemate.modalities.imagery.levels import NOTHING
from casemate.modalities.imagery.matching import Bools, Floats, Ints, box_areas_px2
from casemate.modalities.imagery.outcomes import Answers, Rows, verdicts
from casemate.modalities.imagery.pictures import ORANGE, SKY, YELLOW, sheet
from casemate.modalities.imagery.pixels import read_window
from casemate.modalities.imagery.truth import Judged, Scope

COLUMNS = 6
SAMPLE_PX = 1024
Style = tuple[str, Any]

RIGHT: Style = (SKY, "-")
WRONG: Style = (ORANGE, "--")
MISSED: Style = (YELLOW, ":")
MOST_WORDS = 40


@dataclass(frozen=True)
class Outline:
    """A box to draw in an image: `style` is a colour with a dash, `words` stand above it."""

    box_xyxy_px: Floats
    style: Style
    words: str


@dataclass(frozen=True)
class Tile:
    """One mistake: where to look, and what to draw there."""

    image: int
    centre_on: Floats
    outlines: tuple[Outline, ...]


@dataclass(frozen=True)
class Scene:
    """What the pictures draw on: the set, what was found in it, what was answered."""

    dataset: ImageryDataset
    images: Sequence[Judged]
    rows: Rows
    answers: Answers
    within: Scope

    @property
    def judged(self) -> tuple[Bools, Bools]:
        """Whether each answer is right, and whether that is known, [N] each."""
        right, known = verdicts(self.rows, self.answers.node[:, None], self.within)
        return right[:, 0], known[:, 0]

    def box(self, row: int) -> Floats:
        """The box of a detection."""
        found: Floats = self.images[self.rows.image[row]].boxes_xyxy_px[self.rows.box[row]]
        return found

    def answered(self, row: int, style: Style) -> Outline:
        """A detection's outline with its answer and score."""
        name = self.within.nodes.names[self.answers.node[row]]
        return Outline(self.box(row), style, f"{name} {self.answers.score[row]:.2f}")

    def true(self, image: int, place: int, style: Style) -> Outline:
        """A true box's outline with its label."""
        judged = self.images[image]
        return Outline(judged.truth_xyxy_px[place], style, self.within.nodes.names[judged.truth_node[place]])

    def missed(self, image: int) -> Ints:
        """Places of true boxes that no answer met."""
        judged = self.images[image]
        met = self.rows.met[(self.rows.image == image) & (self.answers.node != NOTHING)]
        lost = ~judged.difficult
        lost[met[met != NOTHING]] = False
        return np.flatnonzero(lost)


def worst_false_alarms(scene: Scene) -> list[Tile]:
    """Answers where there is nothing, the surest first."""
    wrong = np.flatnonzero((scene.answers.node != NOTHING) & scene.rows.false_alarm)
    order = wrong[np.argsort(-scene.answers.score[wrong], kind="stable")][:COLUMNS]
    return [Tile(int(scene.rows.image[n]), scene.box(n), (scene.answered(n, WRONG),)) for n in order]


def worst_misses(scene: Scene) -> list[Tile]:
    """True boxes that nothing answered, the largest first."""
    lost = [(image, place) for image in range(len(scene.images)) for place in scene.missed(image).tolist()]
    areas = [float(box_areas_px2(scene.images[image].truth_xyxy_px[place])) for image, place in lost]
    chosen = [lost[i] for i in np.argsort(-np.array(areas), kind="stable")[:COLUMNS]]
    return [Tile(i, scene.images[i].truth_xyxy_px[p], (scene.true(i, p, MISSED),)) for i, p in chosen]


def worst_confusions(scene: Scene) -> list[Tile]:
    """Objects that were found and called something else, the surest first."""
    right, known = scene.judged
    wrong = np.flatnonzero(known & ~right & (scene.rows.label != NOTHING))
    order = wrong[np.argsort(-scene.answers.score[wrong], kind="stable")][:COLUMNS]
    return [
        Tile(
            int(scene.rows.image[n]),
            scene.box(n),
            (scene.true(int(scene.rows.image[n]), int(scene.rows.met[n]), MISSED), scene.answered(n, WRONG)),
        )
        for n in order
    ]


def mistakes(scene: Scene) -> tuple[list[Tile], list[Tile], list[Tile]]:
    """The worst false alarms, misses and wrong answers."""
    return worst_false_alarms(scene), worst_misses(scene), worst_confusions(scene)


def gallery(path: Path, scene: Scene, worst: tuple[list[Tile], list[Tile], list[Tile]]) -> None:
    """The worst mistakes of three kinds, a row each; a kind without any has none."""
    words = (
        "false alarms, surest first · fausses alertes, la plus sûre d’abord",
        "misses, largest first · objets manqués, le plus grand d’abord",
        "wrong answers, surest first · réponses fausses, la plus sûre d’abord",
    )
    kinds = [(word, tiles) for word, tiles in zip(words, worst, strict=True) if tiles]
    with sheet(path, 9.6, 2.15 * len(kinds)) as figure:
        parts = figure.subfigures(len(kinds), 1, squeeze=False)[:, 0]
        for part, (word, tiles) in zip(parts, kinds, strict=True):
            part.suptitle(word, fontsize=9, fontweight="bold", x=0.005, ha="left")
            for column, axes in enumerate(part.subplots(1, COLUMNS)):
                axes.set_axis_off()
                if column < len(tiles):
                    _draw_tile(axes, scene, tiles[column])


def _draw_tile(axes: Any, scene: Scene, tile: Tile) -> None:
    window = tile_window(tile.centre_on, scene.images[tile.image])
    _draw_window(axes, scene.dataset, tile.image, window, tile.outlines, words=False)
    axes.set_title(" → ".join(outline.words for outline in tile.outlines), fontsize=7.5, fontweight="normal", pad=2)


def tile_window(box_xyxy_px: Floats, image: Judged) -> tuple[int, int, int, int]:
    """A square round a box, 2.8 times its longer side, moved into the image where the image is large enough."""
    x0, y0, x1, y1 = (float(edge) for edge in box_xyxy_px)
    side = int(max(48.0, 2.8 * max(x1 - x0, y1 - y0)))
    left = int(np.clip((x0 + x1 - side) / 2, 0, max(0, image.width - side)))
    top = int(np.clip((y0 + y1 - side) / 2, 0, max(0, image.height - side)))
    return left, top, left + side, top + side


def _draw_window(
    axes: Any,
    dataset: ImageryDataset,
    image: int,
    window: tuple[int, int, int, int],
    outlines: Sequence[Outline],
    *,
    words: bool,
) -> None:
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    shadow = [withStroke(linewidth=3.0, foreground="black", alpha=0.65)]
    x0, y0, x1, y1 = window
    pixels = read_window(dataset.path_of(dataset.images[image]), window)
    axes.imshow(pixels, extent=(x0, x1, y1, y0), interpolation="nearest")
    for outline in outlines:
        left, top, right, bottom = outline.box_xyxy_px
        colour, dash = outline.style
        axes.add_patch(
            Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, linestyle=dash,
                      linewidth=1.5, path_effects=shadow)
        )  # fmt: skip
        if words:
            axes.text(left, top - 2, outline.words, color=colour, fontsize=5.5, clip_on=True, path_effects=shadow)
    axes.set(xlim=(x0, x1), ylim=(y1, y0))


def choose_samples(images: Sequence[Judged], count: int) -> list[int]:
    """Which images to show: from the one with most boxes to one with few, evenly."""
    order = np.argsort([-len(image.truth_node) for image in images], kind="stable").tolist()
    labelled = [int(i) for i in order if len(images[i].truth_node)]
    if len(labelled) <= count:
        return labelled
    return [labelled[round(i)] for i in np.linspace(0, len(labelled) - 1, count)]


def sample(path: Path, scene: Scene, image: int) -> tuple[int, int, int]:
    """One image, or its busiest part, with what was right, wrong and missed; how many of each are in the picture."""
    right, known = scene.judged
    here = (scene.rows.image == image) & (scene.answers.node != NOTHING)
    window = _sample_window(scene.images[image])
    hits = _inside(window, [scene.answered(n, RIGHT) for n in np.flatnonzero(here & right).tolist()])
    false = _inside(window, [scene.answered(n, WRONG) for n in np.flatnonzero(here & known & ~right).tolist()])
    lost = _inside(window, [scene.true(image, place, MISSED) for place in scene.missed(image).tolist()])
    width, height = window[2] - window[0], window[3] - window[1]
    with sheet(path, 7.2, 7.2 * height / width + 0.55) as figure:
        axes = figure.subplots()
        axes.set_axis_off()
        outlines = [*hits, *false, *lost]
        _draw_window(axes, scene.dataset, image, window, outlines, words=len(outlines) <= MOST_WORDS)
        _legend(axes, len(hits), len(false), len(lost))
    return len(hits), len(false), len(lost)


def _inside(window: tuple[int, int, int, int], outlines: Sequence[Outline]) -> list[Outline]:
    """The outlines whose centre is in the window."""
    x0, y0, x1, y1 = window
    centres = [(o.box_xyxy_px[:2] + o.box_xyxy_px[2:]) / 2 for o in outlines]
    return [o for o, (x, y) in zip(outlines, centres, strict=True) if x0 <= x <= x1 and y0 <= y <= y1]


def _legend(axes: Any, hits: int, false: int, lost: int) -> None:
    from matplotlib.lines import Line2D

    rows = (
        (RIGHT, f"right · juste: {hits}"),
        (WRONG, f"wrong · faux: {false}"),
        (MISSED, f"missed · manqué: {lost}"),
    )
    lines = [Line2D([], [], color=colour, linestyle=dash, linewidth=2.2) for (colour, dash), _ in rows]
    axes.legend(
        lines, [words for _, words in rows], loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3,
        facecolor="#3a4652", labelcolor="white", frameon=True, edgecolor="none",
    )  # fmt: skip


def _sample_window(image: Judged) -> tuple[int, int, int, int]:
    boxes = image.truth_xyxy_px
    x, y = np.median((boxes[:, :2] + boxes[:, 2:]) / 2, axis=0)
    left = int(np.clip(x - SAMPLE_PX / 2, 0, max(0, image.width - SAMPLE_PX)))
    top = int(np.clip(y - SAMPLE_PX / 2, 0, max(0, image.height - SAMPLE_PX)))
    return left, top, min(image.width, left + SAMPLE_PX), min(image.height, top + SAMPLE_PX)
