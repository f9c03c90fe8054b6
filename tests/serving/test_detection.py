"""An answer is marked with the join of what it was made from, and is nobody's who may not read it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from casemate.catalog import Catalog, Reader
from casemate.errors import CasemateError, NotFound
from casemate.markings import Policy
from casemate.serving import detect
from tests.bright_model import squares
from tests.modalities.imagery.scenes import write_geotiff
from tests.serving.conftest import Shop

FR = Policy.shipped("fr")


def reader(clearance: str, ceiling: str | None = None) -> Reader:
    return Reader("claire", FR.parse_clearance(clearance), FR.parse(ceiling) if ceiling else None)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_geotiff(tmp_path / "scene.tif", squares(300, 200, seed=1)[0], gsd_m=0.25)


@pytest.mark.parametrize(
    ("scene_marking", "joined", "banner"),
    [
        ("NP", "DR", "DIFFUSION RESTREINTE"),
        ("DR//REL TO FRA", "DR//REL TO FRA", "DIFFUSION RESTREINTE – SPÉCIAL FRANCE"),
        ("S", "S", "SECRET"),
    ],
)
def test_an_answer_has_the_join_of_the_releases_and_the_scenes_markings(
    shop: Shop, scene: Path, tmp_path: Path, scene_marking: str, joined: str, banner: str
) -> None:
    found = detect(
        shop.load(), scene, tmp_path / "out", reader=reader("TS"), scene_marking=FR.parse(scene_marking), policy=FR,
        language="fr",
    )  # fmt: skip
    assert str(found.marking) == joined
    assert FR.wording(found.marking, "fr") == banner
    document = json.loads(found.geojson.read_text())
    assert document["marking"] == joined
    assert document["release"] == found.release == str(shop.released.digest)
    assert {feature["properties"]["marking"] for feature in document["features"]} == {joined}
    assert found.to_json()["detections"] == document["count"] > 0
    assert found.overlay.is_file()


@pytest.mark.parametrize(
    ("clearance", "ceiling", "scene_marking"),
    [("NP", None, "NP"), ("DR", None, "S"), ("S", "NP", "NP"), ("S", "DR", "S"), ("S//DEU", None, "DR//REL TO FRA")],
)
def test_a_reader_who_may_not_read_the_answer_gets_the_words_for_what_does_not_exist(
    shop: Shop, scene: Path, tmp_path: Path, clearance: str, ceiling: str | None, scene_marking: str
) -> None:
    who = reader(clearance, ceiling)
    with pytest.raises(NotFound) as refusal:
        detect(
            shop.load(), scene, tmp_path / "out", reader=who, scene_marking=FR.parse(scene_marking), policy=FR,
            asked="finder",
        )  # fmt: skip
    with closing(Catalog.open(f"sqlite:///{tmp_path}/catalog.db", FR)) as catalog, pytest.raises(NotFound) as absent:
        catalog.seen_by(who).find("finder", kind="release")
    assert refusal.value.facts() == absent.value.facts()
    assert not (tmp_path / "out").exists()


def test_an_unreadable_scene_is_named(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "scene.tif").write_bytes(b"II*\x00")
    with pytest.raises(CasemateError, match=r"^scene\.tif: expected a readable GeoTIFF, PNG or JPEG image, found "):
        detect(
            shop.load(), tmp_path / "scene.tif", tmp_path / "out", reader=reader("TS"), scene_marking=FR.lowest,
            policy=FR,
        )  # fmt: skip
