"""Plots of an evaluation, for the dossier: precision and recall, reliability, classes and sizes, robustness, confusion.

Rules. One PNG a question, readable in print and without colour vision: Okabe and Ito's colours, and a second sign
(marker, dash, hatch) wherever colour tells things apart. Axes carry their words in English and French; captions are
given in each. Nothing but the figures of scores.json is drawn. matplotlib is imported late, without any display.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from casemate.modalities.imagery.curves import BINS, Reliability
from casemate.modalities.imagery.levels import LEVELS
from casemate.modalities.imagery.metrics import Curve, Interval
from casemate.modalities.imagery.outcomes import Confusion

BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, YELLOW = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442",
)  # fmt: skip
INK, FAINT, RULE = "#1b2733", "#5c6b7a", "#d7dde3"
_DPI = 144
_LINES = ((BLUE, "-"), (VERMILLION, "--"), (GREEN, "-."), (PURPLE, ":"), (SKY, "-"), (ORANGE, "--"))
LEVEL_FR = {"detection": "détection", "recognition": "reconnaissance", "identification": "identification"}
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "text.color": INK,
}


@dataclass(frozen=True)
class Picture:
    """A picture's path, relative to the outputs, and what it shows in both languages."""

    path: str
    caption_en: str
    caption_fr: str

    def to_json(self) -> dict[str, str]:
        """As scores.json lists it."""
        return {"path": self.path, "caption_en": self.caption_en, "caption_fr": self.caption_fr}


@contextmanager
def sheet(path: Path, width_in: float, height_in: float) -> Iterator[Any]:
    """A figure that is written to `path` when the block ends: the same bytes for the same content."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width_in, height_in), dpi=_DPI, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png", dpi=_DPI, metadata={"Software": None})


def precision_recall(
    path: Path,
    curves: Mapping[str, tuple[Curve, Interval]],
    any_class: tuple[Curve, Interval],
    operating: tuple[float, float] | None,
) -> None:
    """Precision over recall at IoU 0.5, a line a class and one for all; `operating` is (recall, precision)."""
    with sheet(path, 6.4, 5.0) as figure:
        axes = figure.subplots()
        styles = [*_cycled(len(curves)), (FAINT, (0, (1, 1)))]
        lines = [*curves.items(), ("any class · toutes classes", any_class)]
        for (name, (line, ap50)), (colour, dash) in zip(lines, styles, strict=True):
            axes.plot(
                *_thinned(line.recall, line.precision),
                color=colour, linestyle=dash, linewidth=1.8, label=f"{name}: AP50 {_with_bounds(ap50)}",
            )  # fmt: skip
        if operating:
            axes.plot(*operating, "o", color="white", markeredgecolor=INK, markersize=8, markeredgewidth=1.6,
                      label="threshold of detection · seuil de détection", zorder=5)  # fmt: skip
        axes.set(xlim=(0, 1.005), ylim=(0, 1.02), xlabel="recall · rappel", ylabel="precision · précision")
        axes.set_title("Precision and recall at IoU 0.5 · Précision et rappel")
        figure.legend(loc="outside lower center", ncols=2)


def _cycled(count: int) -> list[tuple[str, Any]]:
    return [_LINES[i % len(_LINES)] for i in range(count)]


def _thinned(x: Any, y: Any, most: int = 2000) -> tuple[Any, Any]:
    """At most so many points, ends kept: a line of 100,000 points draws the same."""
    if len(x) <= most:
        return np.append(0, x), np.append(y[:1] if len(y) else 1, y)
    chosen = np.unique(np.linspace(0, len(x) - 1, most).astype(int))
    return x[chosen], y[chosen]


def _with_bounds(figure: Interval) -> str:
    if np.isnan(figure.low):
        return "–" if np.isnan(figure.value) else f"{figure.value:.2f}"
    return f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})"


def reliability_diagram(path: Path, before: Mapping[str, Reliability], after: Mapping[str, Reliability]) -> None:
    """What was stated against what was right, before and after calibration, a panel a level, and how many said so."""
    shown = [level for level in LEVELS if after[level].count.sum()]
    with sheet(path, 0.6 + 3.1 * max(1, len(shown)), 5.2) as figure:
        panels = figure.subplots(2, max(1, len(shown)), sharex=True, squeeze=False, height_ratios=(3.2, 1))
        for level, (main, bars) in zip(shown, panels.T, strict=False):
            _reliability_panel(main, before[level], after[level])
            words = level if LEVEL_FR[level] == level else f"{level} · {LEVEL_FR[level]}"
            main.set_title(f"{words}\nECE {before[level].error:.3f} → {after[level].error:.3f}")
            _count_bars(bars, before[level], after[level])
        panels[0, 0].set_ylabel("share that was right\npart de réponses justes")
        panels[1, 0].set_ylabel("how many\ncombien")
        lines, words = panels[0, 0].get_legend_handles_labels()
        figure.legend(lines, words, loc="outside lower center", ncols=3)


def _reliability_panel(axes: Any, before: Reliability, after: Reliability) -> None:
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":", label="perfect · parfait")
    for some, colour, marker, words in (
        (before, ORANGE, "s", "before calibration · avant calibration"),
        (after, BLUE, "o", "after · après"),
    ):
        full = some.count > 0
        sizes = 14 + 60 * some.count[full] / max(1, some.count.max())
        axes.plot(some.stated[full], some.observed[full], color=colour, linewidth=1.2, alpha=0.7)
        axes.scatter(
            some.stated[full], some.observed[full], s=sizes, color=colour, marker=marker, zorder=3,
            edgecolor="white", linewidth=0.6, label=words, clip_on=False,
        )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02))


def _count_bars(axes: Any, before: Reliability, after: Reliability) -> None:
    centres = (np.arange(BINS) + 0.5) / BINS
    axes.bar(centres - 0.02, before.count, 0.04, color=ORANGE, hatch="///", edgecolor="white")
    axes.bar(centres + 0.02, after.count, 0.04, color=BLUE)
    axes.set_yscale("symlog", linthresh=10)
    axes.set(xlabel="stated probability · probabilité annoncée", xticks=np.linspace(0, 1, 6))
    axes.yaxis.set_major_formatter(lambda value, _place: f"{value:g}")


def interval_bars(path: Path, groups: Mapping[str, Mapping[str, Interval]], *, title: str, axis: str) -> None:
    """A dot and its interval for each figure, in named groups from the top."""
    rows = [(group, name, figure) for group, some in groups.items() for name, figure in some.items()]
    count = len(rows) + len(groups)
    with sheet(path, 6.4, 0.9 + 0.28 * count) as figure:
        axes = figure.subplots()
        place, ticks, words, last = 0, [], [], ""
        for group, name, some in rows:
            if group != last:
                axes.text(0.0, place, group, fontweight="bold", color=FAINT, va="center", fontsize=8.5)
                place, last = place + 1, group
            _dot(axes, some, place)
            ticks.append(place)
            words.append(name)
            place += 1
        axes.set(yticks=ticks, yticklabels=words, ylim=(place - 0.4, -0.7), xlim=(0, 1.16), xlabel=axis)
        axes.set_xticks(np.linspace(0, 1, 6))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.set_title(title)


def _dot(axes: Any, some: Interval, place: float, colour: str = BLUE) -> None:
    if np.isnan(some.value):
        axes.text(0.01, place, "no true box · aucun objet", va="center", color=FAINT, fontsize=8)
        return
    if not np.isnan(some.low):
        axes.plot([some.low, some.high], [place, place], color=colour, linewidth=2.4, solid_capstyle="butt", alpha=0.55)
    axes.plot(some.value, place, "o", color=colour, markersize=6)
    axes.text(1.02, place, f"{some.value:.2f}", va="center", fontsize=8.5)


def robustness_bars(path: Path, rows: Sequence[tuple[str, Interval, Interval]], clean: Interval) -> None:
    """AP50 after each change with its interval, against the unchanged pictures; `rows` are (words, AP50, drop)."""
    with sheet(path, 6.8, 1.3 + 0.4 * len(rows)) as figure:
        axes = figure.subplots()
        axes.axvline(clean.value, color=INK, linewidth=1.2, linestyle="--")
        axes.text(clean.value, -0.75, f"unchanged · inchangées {clean.value:.2f}", ha="right", fontsize=8, color=INK)
        for place, (_, ap50, drop) in enumerate(rows):
            axes.plot(
                [ap50.value, clean.value], [place, place], color=RULE, linewidth=6, solid_capstyle="butt", zorder=0
            )
            _dot(axes, ap50, place, VERMILLION)
            axes.text(1.12, place, f"{-drop.value:+.2f}".replace("-", "−"), va="center", fontsize=8.5, color=VERMILLION)
        axes.set(yticks=range(len(rows)), yticklabels=[words for words, _, _ in rows], xlim=(0, 1.24), xlabel="AP50")
        axes.set_ylim(len(rows) - 0.4, -1.1)
        axes.set_xticks(np.linspace(0, 1, 6))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.set_title("On worse pictures of the same ground · Sur des images dégradées")


def confusion_table(path: Path, table: Confusion) -> None:
    """True labels against answers, as counts; the shade is the share of the row."""
    counts = table.counts
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with sheet(path, 2.6 + 0.62 * counts.shape[1], 1.9 + 0.42 * counts.shape[0]) as figure:
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (row, column), count in np.ndenumerate(counts):
            if count:
                shade = "white" if shares[row, column] > 0.55 else INK
                axes.text(column, row, f"{count}", ha="center", va="center", color=shade, fontsize=8.5)
        axes.set_xticks(range(counts.shape[1]), table.answered, rotation=35, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(counts.shape[0]), table.true)
        axes.set(xlabel="answered · répondu", ylabel="true · vrai")
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.set_title("Answers by true label\nRéponses par classe vraie")
