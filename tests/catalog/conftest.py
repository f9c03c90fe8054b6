"""A settled catalog for every test of this room that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.catalog.house import House, settled


@pytest.fixture
def house() -> Iterator[House]:
    """In memory: quick."""
    made = settled("sqlite://")
    yield made
    made.catalog.close()


@pytest.fixture
def house_on_disk(tmp_path: Path) -> Iterator[House]:
    """In a file, as on a site."""
    made = settled(f"sqlite:///{tmp_path / 'catalog.db'}")
    yield made
    made.catalog.close()
