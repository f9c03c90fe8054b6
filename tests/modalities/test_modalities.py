"""Finding modalities is light, and only folders of the room are modalities."""

from __future__ import annotations

import subprocess
import sys

import pytest

from casemate import modalities
from casemate.errors import NotFound


def test_imagery_is_found_by_listing_the_folder() -> None:
    assert "imagery" in modalities.names()
    assert modalities.find("imagery") == modalities.Modality("imagery")


def test_an_unknown_modality_names_those_that_there_are() -> None:
    with pytest.raises(NotFound, match=r"modality: expected .*imagery.*, found 'smell'"):
        modalities.find("smell")


@pytest.mark.parametrize("name", ["..", "os", "__pycache__", "data/../data", "formats"])
def test_only_a_module_of_the_folder_can_be_asked_for(name: str) -> None:
    with pytest.raises(NotFound, match=r"modality imagery: expected a module .*data.*, found"):
        modalities.find("imagery").module(name)


def test_a_module_is_imported_when_it_is_asked_for() -> None:
    data = modalities.find("imagery").data
    assert callable(data.read)
    assert callable(data.save_labels)


def test_finding_a_modality_imports_none_of_its_libraries() -> None:
    code = (
        "import sys; from casemate import modalities; modalities.find('imagery').modules(); "
        "import casemate.modalities.imagery; "
        "print([m for m in ('torch', 'rasterio', 'numpy', 'scipy', 'PIL') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
