"""The documentation names everything that there is: commands, settings, errors, gate rules; and its links resolve."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from casemate import errors
from casemate.cli import root
from casemate.factory.site import SiteToml
from casemate.gates.policy import GatePolicy

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md"), *(CHECKOUT / "bench").rglob("*.md")])


def headings(page: str) -> set[str]:
    text = (CHECKOUT / "docs" / page).read_text(encoding="utf-8")
    return set(re.findall(r"^#+ (.+)$", text, re.MULTILINE))


def commands(group: click.Group, path: tuple[str, ...] = ("casemate",)) -> Iterator[str]:
    for name, command in group.commands.items():
        yield " ".join((*path, name))
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_every_command_has_a_heading_and_no_heading_lacks_its_command() -> None:
    assert headings("commands.md") - {"Commands"} == set(commands(root))


def test_every_error_has_a_heading() -> None:
    deliberate = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.CasemateError) and kind is not errors.CasemateError
    }
    assert headings("errors.md") - {"Errors"} == deliberate


def test_every_setting_has_a_heading() -> None:
    settings = set()
    for name, field in SiteToml.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        settings |= {f"{name}.{key}" for key in inner} if inner else {name}
    environment = {h for h in headings("settings.md") if h.startswith("CASEMATE_")}
    assert settings <= headings("settings.md")
    sources = "".join(f.read_text() for f in (CHECKOUT / "src" / "casemate" / "cli").glob("*.py"))
    assert environment == set(re.findall(r'envvar="(CASEMATE_\w+)"', sources))


def test_every_gate_rule_has_a_heading() -> None:
    sections = set(re.findall(r"^\[+(\w+)\]+$", GatePolicy.shipped().text, re.MULTILINE))
    assert sections <= headings("gates.md")


def test_every_errors_exit_code_and_status_are_its_familys_but_for_those_named() -> None:
    expected = {"Refused": (3, 403), "NotTrusted": (4, 409), "NotFound": (5, 404), "Unavailable": (6, 503)}
    own = {errors.BadInput: 400, errors.LabelOutsideImage: 400, errors.ContextTooLong: 400}
    own |= {errors.Busy: 429, errors.QuotaSpent: 429}
    for name, (exit_code, status) in expected.items():
        family = getattr(errors, name)
        for kind in (family, *descendants(family)):
            assert (kind.exit_code, kind.http_status) == (exit_code, own.get(kind, status)), kind


def descendants(kind: type) -> list[type]:
    return [found for child in kind.__subclasses__() for found in (child, *descendants(child))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_link_inside_the_project_resolves(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
