"""A released detector over HTTP: GeoJSON out, the same law as everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from casemate.factory.desk import utc_now
from tests.bright_model import bright_model
from tests.console.conftest import Place, opened
from tests.console.released import released
from tests.factory.town import found

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("town")
    town = found(root, clock=utc_now)
    bright_model(root / "low")
    released(town, root / "low", "finder", marking="DR", modality="imagery")
    bright_model(root / "high")
    (root / "high" / "note.txt").write_text("another")
    released(town, root / "high", "sharper", marking="S", modality="imagery")
    with opened(town) as made:
        yield made


@pytest.fixture
def scene(tmp_path: Path) -> bytes:
    picture = np.zeros((96, 128, 3), np.uint8)
    picture[40:52, 60:72] = 255
    Image.fromarray(picture).save(tmp_path / "scene.png")
    return (tmp_path / "scene.png").read_bytes()


async def sent(place: Place, scene: bytes, who: str = "ines", name: str = "scene.png", **form: str) -> Any:
    async with place.client(who) as client:
        data = {"model": "finder", "marking": "DR"} | form
        return await client.post("/v1/detections", files={"scene": (name, scene)}, data=data)


async def test_a_scene_is_answered_with_geojson_at_the_join_of_markings(place: Place, scene: bytes) -> None:
    answer = await sent(place, scene)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/geo+json"
    said = answer.json()
    assert (said["type"], len(said["features"])) == ("FeatureCollection", 1)
    assert answer.headers["x-casemate-marking"] == "DR"
    assert answer.headers["x-casemate-release"].startswith("sha256:")


async def test_a_release_that_is_no_detector_is_refused_before_its_model_is_read(
    place: Place, scene: bytes, tmp_path: Path
) -> None:
    (tmp_path / "talker").mkdir()
    (tmp_path / "talker" / "model.gguf").write_bytes(b"words")
    released(place.town, tmp_path / "talker", "talker", task="chat", marking="DR")
    answer = await sent(place, scene, model="talker")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_input")
    assert "release talker: expected one of a model for imagery, found " in answer.json()["error"]["message"]


async def test_a_detector_above_the_reader_is_told_as_one_that_does_not_exist(place: Place, scene: bytes) -> None:
    told = []
    for name in ("sharper", "nothing"):
        answer = await sent(place, scene, model=name)
        told.append((answer.status_code, answer.text.replace(name, "NAME")))
    assert told[0] == told[1]
    assert told[0][0] == 404
    assert (await sent(place, scene, "lea", model="sharper")).headers["x-casemate-marking"] == "S"


async def test_a_scene_needs_its_marking_and_must_be_a_picture(place: Place, scene: bytes) -> None:
    assert (await sent(place, scene, marking="")).json()["error"]["code"] == "marking_required"
    assert (await sent(place, b"MZ\x90", name="scene.exe")).json()["error"]["code"] == "inspection_refused"
    assert (await sent(place, scene[:60])).status_code == 403
    assert (await sent(place, scene, marking="S")).json()["error"]["code"] == "not_allowed"


async def test_a_scene_is_not_kept(place: Place, scene: bytes) -> None:
    await sent(place, scene)
    kept = [path for path in place.town.site.rglob("*") if path.is_file() and path.read_bytes() == scene]
    assert kept == []
    assert not list((place.town.site / "shelf").glob(".scene-*"))
