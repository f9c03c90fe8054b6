"""What is written is RFC 7946, whole, the same for the same detections, and in its right place on Earth."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.errors
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.warp import transform

from casemate.modalities.imagery.geojson import Feature, write_collection
from casemate.modalities.imagery.georeference import Georeference, georeference

NORTH_UP = Affine(0.5, 0.0, 450000.0, 0.0, -0.5, 5410000.0)
BOXES = np.array([[10, 20, 40, 60], [100, 0, 130, 12]], np.float32)


def placed(folder: Path, crs: Any = "EPSG:32631", at: Affine = NORTH_UP, **options: Any) -> Georeference | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        facts = {"width": 8, "height": 8, "count": 1, "dtype": "uint8", "crs": crs, "transform": at, **options}
        with rasterio.open(folder / "s.tif", "w", driver="GTiff", **facts) as scene:
            scene.write(np.zeros((1, 8, 8), np.uint8))
        with rasterio.open(folder / "s.tif") as scene:
            return georeference(scene)


def area(ring: list[list[float]]) -> float:
    """Twice the signed area; above 0 is counter-clockwise."""
    x, y = np.array(ring).T
    return float(np.sum((x[:-1] - x[0]) * (y[1:] - y[0]) - (x[1:] - x[0]) * (y[:-1] - y[0])))


@settings(deadline=None, max_examples=60)
@given(
    st.floats(-math.pi, math.pi), st.sampled_from([-1.0, 1.0]), st.floats(0.1, 30.0),
    st.tuples(st.floats(0, 4000), st.floats(0, 4000), st.floats(2, 300), st.floats(2, 300)),
)  # fmt: skip
def test_rings_are_closed_counter_clockwise_and_follow_the_rotation(
    tmp_path_factory: pytest.TempPathFactory, angle: float, flip: float, gsd_m: float, box: tuple[float, ...]
) -> None:
    cosine, sine = gsd_m * math.cos(angle), gsd_m * math.sin(angle)
    at = Affine(cosine, -flip * sine, 450000.0, sine, flip * cosine, 5410000.0)
    place = placed(tmp_path_factory.mktemp("placed"), at=at)
    assert place is not None
    x0, y0, x1, y1 = box[0], box[1], box[0] + box[2], box[1] + box[3]
    ring = place.rings(np.array([[x0, y0, x1, y1]], np.float32))[0]
    assert ring is not None
    assert ring[0] == ring[-1]
    assert area(ring) > 0
    corners = [
        at @ (x, y) if hasattr(at, "__matmul__") else at * (x, y) for x, y in ((x0, y0), (x1, y1), (x0, y1), (x1, y0))
    ]
    lon, lat = transform("EPSG:32631", "EPSG:4326", *zip(*corners, strict=True))
    for expected in zip(lon, lat, strict=True):
        assert min(math.dist(expected, point) for point in ring) < 3e-7  # 3 cm, from float32 boxes


def test_a_known_pixel_lies_at_its_known_longitude_and_latitude(tmp_path: Path) -> None:
    # Zone 31: the central meridian is 3° E at 500 km east; the equator is at 0 m north.
    place = placed(tmp_path, at=Affine(10.0, 0, 500000.0, 0, -10.0, 0.0))
    assert place is not None
    assert place.name == "EPSG:32631"
    assert place.lonlat(np.array([[0.0, 0.0]])).tolist() == [[pytest.approx(3.0), pytest.approx(0.0, abs=1e-9)]]


def test_longitude_comes_first_whatever_the_coordinate_system_says(tmp_path: Path) -> None:
    place = placed(tmp_path, crs="EPSG:4326", at=Affine(0.001, 0, 2.0, 0, -0.001, 48.0))
    assert place is not None
    assert place.lonlat(np.array([[100.0, 50.0]])).tolist() == [[pytest.approx(2.1), pytest.approx(47.95)]]


def test_edges_that_curve_on_the_ground_get_more_points(tmp_path: Path) -> None:
    wide = np.array([[0, 0, 6000, 6000]], np.float32)
    straight = placed(tmp_path, crs="EPSG:4326", at=Affine(0.001, 0, 2.0, 0, -0.001, 48.0))
    curved = placed(tmp_path, crs="EPSG:3035", at=Affine(100.0, 0, 4000000.0, 0, -100.0, 3500000.0))
    assert straight is not None
    assert curved is not None
    assert [len(ring) for ring in straight.rings(wide) if ring] == [5]
    ring = curved.rings(wide)[0]
    assert ring is not None
    assert len(ring) == 33
    assert area(ring) > 0
    assert [len(small) for small in curved.rings(BOXES[:1]) if small] == [5]


@pytest.mark.parametrize(
    ("crs", "at"), [(None, NORTH_UP), ("EPSG:32631", Affine.identity()), (None, Affine.identity())]
)
def test_a_scene_without_system_or_transform_has_no_place(tmp_path: Path, crs: str | None, at: Affine) -> None:
    assert placed(tmp_path, crs=crs, at=at) is None


def test_ground_control_points_alone_give_no_place(tmp_path: Path) -> None:
    points = [rasterio.control.GroundControlPoint(row=r, col=c, x=2 + c, y=48 - r) for r in (0, 8) for c in (0, 8)]
    assert placed(tmp_path, crs="EPSG:4326", at=Affine.identity(), gcps=points) is None


def test_a_box_outside_the_projection_has_no_ring(tmp_path: Path) -> None:
    place = placed(tmp_path, crs="ESRI:54030", at=Affine(10000.0, 0, -17e6, 0, -10000.0, 8.6e6))
    assert place is not None
    rings = place.rings(np.array([[0, 0, 5, 5], [1700, 800, 1710, 810]], np.float32))
    assert rings[0] is None
    assert rings[1] is not None


def test_a_collection_has_its_members_features_and_totals(tmp_path: Path) -> None:
    place = placed(tmp_path)
    assert place is not None
    features = [Feature(ring, {"label": "avion", "score": 0.5}) for ring in place.rings(BOXES)]
    count = write_collection(tmp_path / "d.geojson", [*features, Feature(None, {})], members={"marking": "DR"})
    document = json.loads((tmp_path / "d.geojson").read_text(encoding="utf-8"))
    assert count == document["count"] == 3
    assert document["type"] == "FeatureCollection"
    assert document["marking"] == "DR"
    assert "crs" not in document  # RFC 7946, section 4
    assert [feature["geometry"] is None for feature in document["features"]] == [False, False, True]
    west, south, east, north = document["bbox"]
    for ring in (feature.ring for feature in features):
        for lon, lat in ring or []:
            assert west <= lon <= east
            assert south <= lat <= north


def test_a_collection_without_features_is_one_still(tmp_path: Path) -> None:
    assert write_collection(tmp_path / "d.geojson", [], members={}) == 0
    assert json.loads((tmp_path / "d.geojson").read_text()) == {"type": "FeatureCollection", "features": [], "count": 0}


NAMES = st.text(max_size=30)


@settings(deadline=None, max_examples=60)
@given(NAMES, NAMES)
def test_hostile_words_stay_words(tmp_path_factory: pytest.TempPathFactory, label: str, marking: str) -> None:
    path = tmp_path_factory.mktemp("words") / "d.geojson"
    try:
        label.encode()
        marking.encode()
    except UnicodeEncodeError:
        return
    write_collection(path, [Feature(None, {"label": label})], members={"marking": marking})
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["features"][0]["properties"]["label"] == label
    assert document["marking"] == marking


def test_the_same_detections_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_collection(tmp_path / name, [Feature(None, {"label": "x", "score": 0.1})], members={"marking": "DR"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_failure_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "d.geojson"
    path.write_text("old")

    def failing() -> Iterator[Feature]:
        yield Feature(None, {})
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_collection(path, failing(), members={})
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["d.geojson"]
