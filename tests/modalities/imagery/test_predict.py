"""A scene of any size, in windows, gives what one look would give, survives being killed and says where it fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from casemate.errors import BadInput, DigestMismatch, Unavailable
from casemate.modalities import find
from casemate.modalities.imagery import infer
from casemate.modalities.imagery.answers import Reading, answers
from casemate.modalities.imagery.calibrate import UNCALIBRATED
from casemate.modalities.imagery.engine import Engine
from casemate.modalities.imagery.levels import LEVELS
from casemate.modalities.imagery.pixels import open_scene, stretch_facts
from casemate.modalities.imagery.predict import GEOJSON, OVERLAY, SPILL, PredictReport, predict
from casemate.modalities.imagery.scan import Scene, scan
from casemate.modalities.imagery.seams import overlaps
from casemate.modalities.imagery.spill import open_spill
from casemate.modalities.imagery.windows import grid
from tests.bright_model import bright_model, squares
from tests.modalities.imagery.debug_model import debug_model
from tests.modalities.imagery.scenes import make_scene, write_geotiff

RELEASE = "sha256:" + "ab" * 32


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bright_model(tmp_path_factory.mktemp("models") / "bright")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return debug_model(tmp_path_factory.mktemp("models") / "debug")


def run(model_dir: Path, scene: Path, out: Path, **options: Any) -> PredictReport:
    chosen: dict[str, Any] = {"window_px": 128, "overlap_px": 32, "marking": "DR", "release": RELEASE, **options}
    return predict(model_dir, scene, out, **chosen)


def features(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((out / GEOJSON).read_text())["features"]
    return found


def boxes(out: Path) -> set[tuple[float, ...]]:
    return {tuple(feature["properties"]["pixel_box"]) for feature in features(out)}


def written(folder: Path, picture: np.ndarray[Any, Any], name: str = "scene.png") -> Path:
    Image.fromarray(picture).save(folder / name)
    return folder / name


@settings(deadline=None, max_examples=40)
@given(st.integers(20, 700), st.integers(20, 500), st.integers(0, 10**6))
def test_every_object_of_a_scene_is_found_once_wherever_the_seams_fall(
    tmp_path_factory: pytest.TempPathFactory, model: Path, width: int, height: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("scene")
    picture, expected = squares(width, height, seed=seed)
    engine = Engine.open(model, workers=1, score_min=0.1)
    reading = Reading(engine.detector.taxonomy, UNCALIBRATED, None, None)
    with open_scene(written(folder, picture)) as raster, open_spill(folder / SPILL, "test") as spill:
        cells = grid(width, height, window_px=128, overlap_px=32)
        scan(Scene("scene", raster, cells, stretch_facts(raster), 1), engine, spill)
        found = [answer.box_xyxy_px for answer in answers(spill, cells, reading)]
    assert sorted(found) == sorted(expected)


def test_windows_of_a_real_network_give_what_one_look_gives(network: Path, tmp_path: Path) -> None:
    picture = make_scene(seed=1, width=640, height=448, airplanes=20).rgb_HWC
    detector = infer.open_detector(network, threads=1)
    everything = np.sort(infer.run_window(detector, picture, score_min=0.005).scores[:, 0])
    score_min = float(everything[-150:-148].mean())  # midway between two, so that rounding decides nothing
    at_once = infer.run_window(detector, picture, score_min=score_min)
    options = {"score_min": score_min, "calibration": written_calibration(tmp_path, threshold=0.0)}
    run(network, written(tmp_path, picture), tmp_path / "windows", window_px=256, overlap_px=64, **options)
    found = np.array(sorted(boxes(tmp_path / "windows")), np.float32)
    shared, ours, theirs = overlaps(found, at_once.boxes_xyxy_px)
    same = shared / (ours[:, None] + theirs[None, :] - shared) > 0.9
    assert len(at_once) > 50
    assert same.any(axis=0).mean() > 0.97
    assert same.any(axis=1).mean() > 0.97


def written_calibration(folder: Path, *, threshold: float, model: str = "") -> Path:
    calibrated = replace(UNCALIBRATED, thresholds=dict.fromkeys(LEVELS, threshold), model=model)
    (folder / "calibration.json").write_bytes(calibrated.to_json())
    return folder / "calibration.json"


def test_an_answer_has_its_scores_marking_release_and_place(model: Path, tmp_path: Path) -> None:
    picture, expected = squares(300, 200, seed=1)
    scene = write_geotiff(tmp_path / "harbour.tif", picture, gsd_m=0.25)
    report = run(model, scene, tmp_path / "out", banner="DIFFUSION RESTREINTE")
    document = json.loads((tmp_path / "out" / GEOJSON).read_text())
    assert document["marking"] == "DR"
    assert document["release"] == RELEASE
    assert document["scene"] == {
        "name": "harbour.tif",
        "digest": str(report.scene),
        "width": 300,
        "height": 200,
        "crs": "EPSG:32631",
        "gsd_m": pytest.approx(0.25, rel=1e-3),
    }
    assert document["count"] == report.detections == len(expected)
    first = document["features"][0]
    assert first["properties"]["label"] == "car"
    assert first["properties"]["level"] == "identification"
    assert first["properties"]["path"] == ["object", "vehicle", "car"]
    assert set(first["properties"]["scores"]) == {"detection", "recognition", "identification"}
    assert first["properties"]["marking"] == "DR"
    assert first["properties"]["release"] == RELEASE
    with Image.open(tmp_path / "out" / OVERLAY) as picture_found:
        assert picture_found.format == "PNG"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [GEOJSON, OVERLAY]


def test_ground_that_is_too_coarse_makes_levels_abstain_and_say_so(model: Path, tmp_path: Path) -> None:
    picture, _ = squares(100, 100, seed=1)
    run(model, write_geotiff(tmp_path / "coarse.tif", picture, gsd_m=2.0), tmp_path / "out")
    properties = features(tmp_path / "out")[0]["properties"]
    assert properties["level"] in {"detection", "recognition"}
    assert "m a pixel is too coarse for" in properties["abstained"][0]


def test_a_scene_without_georeference_has_no_place_and_keeps_its_pixel_boxes(model: Path, tmp_path: Path) -> None:
    picture, expected = squares(200, 100, seed=2)
    report = run(model, written(tmp_path, picture), tmp_path)
    assert [feature["geometry"] for feature in features(tmp_path)] == [None] * len(expected)
    assert "bbox" not in json.loads((tmp_path / GEOJSON).read_text())
    assert report.crs is report.gsd_m is None


def test_sixteen_bits_and_more_bands_are_seen_too(model: Path, tmp_path: Path) -> None:
    picture, expected = squares(260, 140, seed=4)
    bands = np.concatenate([picture.transpose(2, 0, 1), picture[None, :, :, 0]]).astype(np.uint16) * 200
    with rasterio.open(
        tmp_path / "s.tif", "w", driver="GTiff", width=260, height=140, count=4, dtype="uint16",
        crs="EPSG:32631", transform=Affine(0.5, 0, 450000, 0, -0.5, 5410000),
    ) as scene:  # fmt: skip
        scene.write(bands)
    run(model, tmp_path / "s.tif", tmp_path / "out")
    assert boxes(tmp_path / "out") == expected


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers_gives_the_same_bytes(model: Path, tmp_path: Path, workers: int) -> None:
    picture, _ = squares(500, 400, seed=5)
    scene = written(tmp_path, picture)
    run(model, scene, tmp_path / "one")
    run(model, scene, tmp_path / "many", workers=workers)
    for name in (GEOJSON, OVERLAY):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()


KILLED = """
import os, signal, sys
from pathlib import Path
from casemate.modalities.imagery.predict import predict
def die(done, total, unit):
    if done == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
facts = {"marking": "DR", "release": "sha256:" + "ab" * 32}
predict(*map(Path, sys.argv[1:4]), window_px=128, overlap_px=32, progress=die, **facts)
"""


@pytest.mark.parametrize("done", [0, 1, 7])
def test_a_prediction_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    model: Path, tmp_path: Path, done: int
) -> None:
    picture, _ = squares(500, 300, seed=6)
    scene = written(tmp_path, picture)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(model), str(scene), str(tmp_path / "killed"), str(done)], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "killed").iterdir()] == [SPILL]
    seen: list[int] = []
    report = run(model, scene, tmp_path / "killed", progress=lambda so_far, _total, _unit: seen.append(so_far))
    assert report.resumed == seen[0] == done
    run(model, scene, tmp_path / "whole")
    for name in (GEOJSON, OVERLAY):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def stop_after(count: int) -> Callable[[int, int, str], None]:
    def progress(done: int, _total: int, _unit: str) -> None:
        if done == count:
            raise KeyboardInterrupt

    return progress


def test_a_prediction_that_was_cancelled_leaves_nothing_under_a_final_name(model: Path, tmp_path: Path) -> None:
    scene = written(tmp_path, squares(500, 300, seed=7)[0])
    with pytest.raises(KeyboardInterrupt):
        run(model, scene, tmp_path / "out", progress=stop_after(3))
    assert [path.name for path in (tmp_path / "out").iterdir()] == [SPILL]


def test_what_another_scene_model_or_setting_left_is_not_gone_on_from(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    scene, other = (written(tmp_path, squares(500, 300, seed=s)[0], f"{s}.png") for s in (8, 9))
    for changes in ({"scene": other}, {"score_min": 0.2}, {"window_px": 160}, {"resume": False}):
        with pytest.raises(KeyboardInterrupt):
            run(model, scene, out, progress=stop_after(3))
        report = run(model, changes.pop("scene", scene), out, **changes)  # type: ignore[arg-type]
        assert report.resumed == 0


def test_a_torn_record_is_made_again(model: Path, tmp_path: Path) -> None:
    scene = written(tmp_path, squares(500, 300, seed=10)[0])
    with pytest.raises(KeyboardInterrupt):
        run(model, scene, tmp_path / "out", progress=stop_after(5))
    spill = tmp_path / "out" / SPILL
    os.truncate(spill, spill.stat().st_size - 7)
    assert run(model, scene, tmp_path / "out").resumed == 4


def test_a_damaged_record_and_all_after_it_are_made_again(model: Path, tmp_path: Path) -> None:
    scene = written(tmp_path, squares(500, 300, seed=11)[0])
    with pytest.raises(KeyboardInterrupt):
        run(model, scene, tmp_path / "out", progress=stop_after(5))
    spill = tmp_path / "out" / SPILL
    data = bytearray(spill.read_bytes())
    data[len(data) // 2] ^= 1
    spill.write_bytes(data)
    assert 0 <= run(model, scene, tmp_path / "out").resumed < 5


def test_two_predictions_into_one_folder_at_once_are_refused(model: Path, tmp_path: Path) -> None:
    scene = written(tmp_path, squares(300, 200, seed=12)[0])

    def again(done: int, _total: int, _unit: str) -> None:
        if done == 1:
            with pytest.raises(Unavailable) as refusal:
                run(model, scene, tmp_path / "out")
            expected = "expected nobody else to be predicting into this folder, found another prediction"
            assert str(refusal.value).endswith(expected)

    run(model, scene, tmp_path / "out", progress=again)


@pytest.mark.parametrize("name", ["cut.tif", "cut.jpg", "cut.png"])
def test_a_truncated_scene_is_refused_with_its_name_and_window(model: Path, tmp_path: Path, name: str) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (600, 500, 3)).astype(np.uint8)
    if name.endswith(".tif"):
        write_geotiff(tmp_path / name, picture, tiled=True)
    else:
        Image.fromarray(picture).save(tmp_path / name)
    os.truncate(tmp_path / name, (tmp_path / name).stat().st_size * 2 // 3)
    with pytest.raises(BadInput) as refusal:
        run(model, tmp_path / name, tmp_path / "out")
    assert str(refusal.value).startswith(f"{name}, window ")
    assert "expected a readable GeoTIFF, PNG or JPEG image, found " in str(refusal.value)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [SPILL]


@pytest.mark.parametrize("data", [b"", b"not an image", b"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00"])
def test_what_is_no_image_is_refused_by_name(model: Path, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "scene.tif").write_bytes(data)
    with pytest.raises(BadInput, match=r"^scene\.tif: expected a readable GeoTIFF, PNG or JPEG image, found "):
        run(model, tmp_path / "scene.tif", tmp_path / "out")


def test_a_scene_of_one_pixel_is_looked_at(model: Path, tmp_path: Path) -> None:
    report = run(model, written(tmp_path, np.zeros((1, 1, 3), np.uint8)), tmp_path)
    assert (report.windows, report.detections) == (1, 0)
    assert (tmp_path / OVERLAY).read_bytes().startswith(b"\x89PNG")


def test_a_calibration_of_another_model_is_refused(model: Path, tmp_path: Path) -> None:
    scene = written(tmp_path, squares(60, 60, seed=1)[0])
    calibration = written_calibration(tmp_path, threshold=0.5, model="sha256:" + "1" * 64)
    with pytest.raises(DigestMismatch) as refusal:
        run(model, scene, tmp_path / "out", calibration=calibration, model="sha256:" + "2" * 64)
    assert "calibration.json" in str(refusal.value)
    assert "2" * 64 in str(refusal.value)
    assert "1" * 64 in str(refusal.value)


def test_no_workers_cannot_work(model: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="workers: expected at least 1, found 0"):
        run(model, written(tmp_path, np.zeros((9, 9, 3), np.uint8)), tmp_path, workers=0)


def test_predict_is_found_by_name(model: Path) -> None:
    assert find("imagery").predict.predict is predict
