"""The dossier: one page that holds all on which a release rests, in French and English, for people to read and sign.

Rules. `build` is pure: the same facts give the same bytes, whose digest approvals name. The page refers to nothing
outside itself (its content policy forbids it), runs no script, and needs neither a network nor this program to be read.
Every fact is escaped. Both languages are in the file; a choice without script shows one of them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from casemate.gates import dossier_words as words
from casemate.gates.dossier_facts import DossierFacts, Shown
from casemate.gates.dossier_figures import chart, graph
from casemate.gates.dossier_limits import known_limits
from casemate.gates.dossier_parts import parts_of
from casemate.gates.scores import Figure

_SHOWN_HEX = 16
_LANGUAGES = {"fr": "Français", "en": "English"}


@dataclass(frozen=True)
class _Picture:
    """A picture at its place in the page: number, data address, size."""

    number: int
    address: str
    width: int
    height: int
    shown: Shown


def build(facts: DossierFacts) -> bytes:
    """The page as UTF-8; BadInput naming a picture that is no PNG, or a lineage that goes round in a circle."""
    css = template_text("dossier.css")
    languages = dict(sorted(_LANGUAGES.items(), key=lambda item: item[0] != facts.first_language))
    headline, by_label = _split(facts.scores.metrics)
    text = environment().get_template("dossier.html.j2").render(
        facts=facts,
        css=Markup(css),  # noqa: S704  our own file, whose hash the content policy names
        css_hash=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
        languages=languages,
        pictures=_numbered(facts.pictures),
        headline=headline,
        by_label=by_label,
        headline_chart=chart(headline),
        label_chart=chart({n: f for n, f in by_label.items() if n.startswith("ap50.") and n.count(".") == 1}),
        graph=graph(facts.lineage),
        limits=[*known_limits(facts.scores), *facts.limits],
        robustness_metrics=_columns(facts.scores.robustness),
        parts=parts_of(facts.scores),
    )  # fmt: skip
    return text.encode()


@cache
def environment() -> Environment:
    """Templates that escape every fact, refuse what is not given, and word figures in both languages."""
    env = Environment(
        loader=FunctionLoader(template_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters |= {
        "figure": words.figure,
        "count": words.count,
        "instant": words.instant,
        "metric": words.metric,
        "perturbation": words.perturbation,
        "word": words.word,
        "flat": words.flat,
        "short": partial(_short, characters=_SHOWN_HEX),
    }
    return env


def template_text(name: str) -> str:
    """A template or a sheet of style of this room."""
    return resources.files("casemate.gates").joinpath("templates", name).read_text(encoding="utf-8")


def _short(digest: Any, characters: int) -> str:
    return str(digest).removeprefix("sha256:")[:characters] + "…"


def _numbered(pictures: Sequence[Shown]) -> list[_Picture]:
    order = {"plot": 0, "sample": 1, "confusion": 2}
    found = []
    for i, shown in enumerate(sorted(pictures, key=lambda p: order[p.kind]), start=1):
        width, height = shown.size_px
        address = "data:image/png;base64," + base64.b64encode(shown.png).decode()
        found.append(_Picture(i, address, width, height, shown))
    return found


def _split(metrics: Mapping[str, Figure]) -> tuple[dict[str, Figure], dict[str, Figure]]:
    first = ("ap50", "ap", "ap75", "recall", "precision", "f1", "ece")
    names = sorted(metrics, key=lambda n: (first.index(n) if n in first else len(first), n))
    headline = {n: metrics[n] for n in names if "." not in n}
    return headline, {n: metrics[n] for n in names if "." in n}


def _columns(robustness: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    names = {name for row in robustness.values() for name in row}
    return [*sorted(names - {"drop"}), *(["drop"] if "drop" in names else [])]
