"""The page of an inspection: what a security officer reads, signs and files, in French and in English.

Rules. `page` is pure: the same facts give the same bytes. The page refers to nothing outside itself (its content policy
forbids it), runs no script, and needs neither a network nor this program to be read. What arrived is escaped, and what
cannot be seen in it is spelled out. Refused files come first; long lists are cut, and the page says how much of them is
only in the JSON. Both languages are in the file; a choice without script shows one of them.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from casemate.airlock import page_words as words
from casemate.airlock.page_words import Words
from casemate.airlock.report import InspectedFile, InspectionReport
from casemate.store.digest import Digest

MAX_SHOWN = 2000
_MAX_BARS = 12
_LANGUAGES = {"fr": "Français", "en": "English"}
_BAR_LEFT, _BAR_WIDTH, _ROW = 190, 420, 30


@dataclass(frozen=True)
class Signatory:
    """Somebody who answers for the inspection; `key` is that of the signature, nothing where it is still to come."""

    name: str
    role: Words
    key: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class PageFacts:
    """All that a page shows."""

    report: InspectionReport
    delivery: str
    site: str
    marking: Words
    inspected_at: datetime
    signatories: tuple[Signatory, ...] = ()
    first_language: str = "fr"
    max_shown: int = MAX_SHOWN


@dataclass(frozen=True)
class Bar:
    """The files of one type: how many, of which refused, how many bytes; and the widths of its drawing."""

    type: str
    files: int
    refused: int
    size: int
    y: int
    width: float
    refused_width: float


@dataclass(frozen=True)
class _Part:
    """The first files of a list, and how many more there are."""

    files: tuple[InspectedFile, ...]
    more: int


def page(facts: PageFacts) -> bytes:
    """The page as UTF-8."""
    css = _template_text("inspection.css")
    report = facts.report
    return (
        _environment()
        .get_template("inspection.html.j2")
        .render(
            facts=facts,
            report=report,
            digest=Digest.of_bytes(report.to_json()).hex,
            size=sum(file.size for file in report.files if not file.inside),
            arrived=sum(not file.inside for file in report.files),
            css=Markup(css),  # noqa: S704  our own file, whose hash the content policy names
            css_hash=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
            languages=dict(sorted(_LANGUAGES.items(), key=lambda item: item[0] != facts.first_language)),
            bars=bars(report.files),
            left=_BAR_LEFT,
            row=_ROW,
            refused=_part(report.refused, facts.max_shown),
            noted=_part([f for f in report.files if any(x.note for x in f.findings)], facts.max_shown),
            all=_part(report.files, facts.max_shown),
            dropped=report.dropped[: facts.max_shown],
        )
        .encode()
    )


def bars(files: Sequence[InspectedFile]) -> list[Bar]:
    """Types by their number of files, the many first; what is beyond a dozen is one bar of no name."""
    counts = Counter(file.type for file in files if file.type)
    shown = [name for name, _ in counts.most_common(_MAX_BARS if len(counts) <= _MAX_BARS else _MAX_BARS - 1)]
    groups = {name: [file for file in files if file.type == name] for name in shown}
    rest = [file for file in files if file.type not in groups]
    if rest:
        groups[""] = rest
    most = max((len(group) for group in groups.values()), default=1)
    return [_bar(i, name, group, most) for i, (name, group) in enumerate(groups.items())]


def _bar(i: int, name: str, group: list[InspectedFile], most: int) -> Bar:
    refused = sum(not file.clean for file in group)
    width = max(2.0, round(_BAR_WIDTH * len(group) / most, 1))
    refused_width = round(width * refused / len(group), 1)
    return Bar(name, len(group), refused, sum(file.size for file in group), i * _ROW, width, refused_width)


def _part(files: Sequence[InspectedFile], at_most: int) -> _Part:
    return _Part(tuple(files[:at_most]), max(0, len(files) - at_most))


@cache
def _environment() -> Environment:
    env = Environment(
        loader=FunctionLoader(_template_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters |= {
        "count": words.count,
        "bytes": words.size,
        "instant": words.instant,
        "fact": words.fact,
        "fact_name": words.fact_name,
        "plain": words.plain,
    }
    return env


def _template_text(name: str) -> str:
    return resources.files("casemate.airlock").joinpath("page_templates", name).read_text(encoding="utf-8")
