from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from packaging.metadata import RawMetadata

from casemate.airlock.packs.packages import Package, dependencies, licence_of, read_package
from casemate.airlock.packs.sbom import bill_of_materials
from casemate.errors import BadInput
from casemate.store.digest import Digest
from tests.airlock.packs.conftest import real_wheel, write_wheel

MADE = datetime(2030, 6, 1, tzinfo=UTC)


def package(name: str, version: str = "1.0", licence: str | None = None, *needs: str) -> Package:
    stem = f"{name.replace('-', '_')}-{version}"
    return Package(name, version, f"{stem}-py3-none-any.whl", 1, Digest.of_bytes(name.encode()), licence, needs)


OURS = package("casemate", "1.0", "Apache-2.0", "torch==2.13.0", "leaf")
OTHERS = (
    package("leaf", "1.5", "MIT"),
    package("torch", "2.13.0+cpu", "BSD-3-Clause", "leaf"),
    package("two", "1", "Apache-2.0 OR BSD-3-Clause"),
    package("odd", "1", "Some licence of ours"),
    package("silent", "1"),
)


def bill() -> dict[str, Any]:
    needs = dependencies("casemate", [OURS, *OTHERS], {})
    text: dict[str, Any] = json.loads(bill_of_materials(OURS, OTHERS, needs, made=MADE))
    return text


def test_every_wheel_is_a_component_with_digest_licence_and_purl() -> None:
    made = bill()
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    ours = made["metadata"]["component"]
    assert (ours["type"], ours["name"], ours["version"]) == ("application", "casemate", "1.0")
    parts = {part["name"]: part for part in made["components"]}
    assert sorted(parts) == ["leaf", "odd", "silent", "torch", "two"]
    assert parts["torch"]["purl"] == "pkg:pypi/torch@2.13.0%2Bcpu"
    assert parts["torch"]["hashes"] == [{"alg": "SHA-256", "content": Digest.of_bytes(b"torch").hex}]
    licences = {name: part.get("licenses") for name, part in parts.items()}
    assert licences == {
        "leaf": [{"license": {"id": "MIT"}}],
        "torch": [{"license": {"id": "BSD-3-Clause"}}],
        "two": [{"expression": "Apache-2.0 OR BSD-3-Clause"}],
        "odd": [{"license": {"name": "Some licence of ours"}}],
        "silent": None,
    }


def test_what_needs_what_is_in_it() -> None:
    graph = {item["ref"]: item.get("dependsOn", []) for item in bill()["dependencies"]}
    assert graph["pkg:pypi/casemate@1.0"] == ["pkg:pypi/leaf@1.5", "pkg:pypi/torch@2.13.0%2Bcpu"]
    assert graph["pkg:pypi/torch@2.13.0%2Bcpu"] == ["pkg:pypi/leaf@1.5"]


def test_same_wheels_and_time_same_bytes_and_other_digests_another_serial_number() -> None:
    again = bill_of_materials(OURS, reversed(OTHERS), dependencies("casemate", [OURS, *OTHERS], {}), made=MADE)
    assert json.loads(again) == bill()
    other = bill_of_materials(package("casemate", "1.1"), OTHERS, {"casemate": ("leaf",)}, made=MADE)
    assert json.loads(other)["serialNumber"] != bill()["serialNumber"]


@pytest.mark.real_data
def test_the_bill_is_valid_by_the_published_schema(real_data: Callable[[str], Path]) -> None:
    from jsonschema import Draft7Validator
    from referencing import Registry
    from referencing.jsonschema import DRAFT7

    folder = real_data("reference_cyclonedx") / "schema"
    schemas = {name: json.loads((folder / name).read_text()) for name in ("spdx.schema.json", "jsf-0.82.schema.json")}
    whole = json.loads((folder / "bom-1.6.schema.json").read_text())
    registry: Registry[Any] = Registry().with_resources(
        [(f"http://cyclonedx.org/schema/{name}", DRAFT7.create_resource(schema)) for name, schema in schemas.items()]
    )
    validator = Draft7Validator(whole, registry=registry)
    assert [error.message for error in validator.iter_errors(bill())] == []
    spoiled = {**bill(), "components": [{"type": "library"}]}
    assert list(validator.iter_errors(spoiled)) != []


@pytest.mark.parametrize(
    ("raw", "licence"),
    [
        ({"license_expression": "MIT", "license": "Apache"}, "MIT"),
        ({"license": "BSD\n" + "x" * 99, "classifiers": ["License :: OSI Approved :: BSD License"]}, "BSD License"),
        ({"license": "New BSD"}, "New BSD"),
        ({"license": "anything", "classifiers": ["License :: OSI Approved :: MIT License"]}, "MIT"),
        ({}, None),
    ],
)  # fmt: skip
def test_a_licence_is_the_best_that_the_wheel_says(raw: RawMetadata, licence: str | None) -> None:
    assert licence_of(raw) == licence


def test_extras_are_followed_only_where_they_are_asked_for() -> None:
    root = package("root", "1", None, "leaf[fast]", "plain")
    leaf = package("leaf", "1", None, 'quick; extra == "fast"', 'docs; extra == "docs"')
    there = [root, leaf, package("plain"), package("quick")]
    assert dependencies("root", there, {})["leaf"] == ("quick",)


def test_a_wheel_that_says_another_name_than_its_files_is_refused(tmp_path: Path) -> None:
    wheel = real_wheel(tmp_path, "leaf")
    other = wheel.rename(tmp_path / "loaf-1.0-py3-none-any.whl")
    with pytest.raises(BadInput) as refusal:
        read_package(other)
    assert str(refusal.value) == "wheel loaf-1.0-py3-none-any.whl METADATA: expected loaf 1.0, found leaf 1.0"
    write_wheel(tmp_path / "bare-1.0-py3-none-any.whl", [("bare.py", b"")])
    with pytest.raises(BadInput, match=r"wheel bare-1.0-py3-none-any.whl: expected one METADATA, found 0"):
        read_package(tmp_path / "bare-1.0-py3-none-any.whl")
    with pytest.raises(BadInput, match=r"wheel odd.whl: expected the name of a wheel, found"):
        read_package(tmp_path / "odd.whl")
