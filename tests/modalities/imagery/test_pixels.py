"""Any raster reads as 8-bit RGB, window by window, alike."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.errors
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from casemate.errors import BadInput
from casemate.modalities.imagery.pixels import StretchFacts, open_scene, read_window, scene_facts, stretch_facts
from tests.modalities.imagery.scenes import make_scene, write_geotiff

SCENE = make_scene(seed=5, width=300, height=200)
UTM = Affine(0.5, 0.0, 450000.0, 0.0, -0.5, 5410000.0)


def write(path: Path, bands_CHW: np.ndarray[Any, Any], **options: Any) -> Path:
    """Write bands as a GeoTIFF with what rasterio's profile may say."""
    colours = options.pop("colorinterp", None)
    descriptions = options.pop("descriptions", None)
    profile = {
        "driver": "GTiff",
        "count": bands_CHW.shape[0],
        "height": bands_CHW.shape[1],
        "width": bands_CHW.shape[2],
        "dtype": bands_CHW.dtype,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", **profile | options) as scene:
            if colours:
                scene.colorinterp = colours
            for i, description in enumerate(descriptions or (), 1):
                scene.set_band_description(i, description)
            scene.write(bands_CHW)
    return path


@pytest.mark.parametrize(
    "name", ["a.png", "a.tif", 'it\'s "quoted".png', "new\nline.tif", "é 😀?#%41!x.png", "zip:a.png"]
)
def test_eight_bits_pass_unchanged_whatever_the_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".png"):
        Image.fromarray(SCENE.rgb_HWC).save(path)
    else:
        write_geotiff(path, SCENE.rgb_HWC)
    assert np.array_equal(read_window(path), SCENE.rgb_HWC)
    assert scene_facts(path).width == 300
    assert stretch_facts(path) == StretchFacts((1, 2, 3))


@settings(deadline=None, max_examples=60)
@given(st.tuples(*[st.integers(-40, 340)] * 2), st.integers(1, 90), st.integers(1, 90))
def test_every_window_is_the_cut_of_the_scene_with_zeros_around(corner: tuple[int, int], wide: int, high: int) -> None:
    (x, y), path = corner, _cached_tiled()
    around = np.pad(SCENE.rgb_HWC, ((100, 400), (100, 400), (0, 0)))
    assert np.array_equal(read_window(path, (x, y, x + wide, y + high)), around[y + 100 :, x + 100 :][:high, :wide])


def _cached_tiled(made: list[Path] = []) -> Path:  # noqa: B006  one file for all examples
    if not made:
        import tempfile

        made.append(write_geotiff(Path(tempfile.mkdtemp()) / "tiled.tif", SCENE.rgb_HWC, tiled=True, overviews=True))
    return made[0]


def test_sixteen_bits_are_stretched_alike_in_every_window(tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "deep.tif", SCENE.rgb_HWC, bits=16)
    whole, facts = read_window(path), stretch_facts(path)
    assert facts == stretch_facts(path)
    assert facts.low is not None
    assert StretchFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts
    assert np.array_equal(read_window(path, (40, 30, 170, 90), stretch=facts), whole[30:90, 40:170])
    assert whole.min() == 0
    assert whole.max() == 255
    correlation = np.corrcoef(whole.ravel(), SCENE.rgb_HWC.ravel())[0, 1]
    assert correlation > 0.97


def test_a_16_bit_png_is_stretched_too(tmp_path: Path) -> None:
    grey = np.linspace(1000, 3000, 200 * 100).reshape(100, 200).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "deep.png")
    seen = read_window(tmp_path / "deep.png")
    assert seen.shape == (100, 200, 3)
    assert (seen[0, 0, 0], seen[-1, -1, 0]) == (0, 255)
    assert np.array_equal(seen[..., 0], seen[..., 2])


def test_one_band_is_shown_thrice_and_a_palette_is_looked_up(tmp_path: Path) -> None:
    grey = SCENE.rgb_HWC[..., 0]
    one = read_window(write(tmp_path / "one.tif", grey[None]))
    assert all(np.array_equal(one[..., k], grey) for k in range(3))
    Image.fromarray(SCENE.rgb_HWC).quantize(32).save(tmp_path / "palette.png")
    expected = np.asarray(Image.open(tmp_path / "palette.png").convert("RGB"))
    assert np.array_equal(read_window(tmp_path / "palette.png"), expected)


def test_of_many_bands_those_named_red_green_blue_are_shown(tmp_path: Path) -> None:
    bands = np.stack([np.full((8, 9), 10 * k, dtype=np.uint8) for k in range(1, 7)])
    assert read_window(write(tmp_path / "six.tif", bands))[0, 0].tolist() == [10, 20, 30]
    named = write(tmp_path / "named.tif", bands, descriptions=["B02", "B03", "B04", "B05", "B08", "B11"])
    assert read_window(named)[0, 0].tolist() == [30, 20, 10]
    colours = [rasterio.enums.ColorInterp[c] for c in ("blue", "undefined", "undefined", "green", "undefined", "red")]
    coloured = write(tmp_path / "coloured.tif", bands, photometric="minisblack", colorinterp=colours)
    assert read_window(coloured)[0, 0].tolist() == [60, 40, 10]


def test_transparent_and_absent_pixels_become_zero(tmp_path: Path) -> None:
    alpha = np.full((200, 300), 255, dtype=np.uint8)
    alpha[:50] = 0
    Image.fromarray(np.dstack([SCENE.rgb_HWC, alpha])).save(tmp_path / "alpha.png")
    seen = read_window(tmp_path / "alpha.png")
    assert not seen[:50].any()
    assert np.array_equal(seen[50:], SCENE.rgb_HWC[50:])
    deep = np.full((1, 40, 40), 500, dtype=np.int16)
    deep[0, :, 20:] = np.arange(20)[None] * 50 + 100
    deep[0, :10] = -9999
    seen = read_window(write(tmp_path / "hole.tif", deep, nodata=-9999))
    assert not seen[:10].any()
    assert seen[10:, 39].min() == 255
    assert stretch_facts(tmp_path / "hole.tif").low == (100.0, 100.0, 100.0)


def test_floats_with_not_a_number_are_read_without_a_warning(tmp_path: Path) -> None:
    values = np.linspace(-1, 1, 60 * 50, dtype=np.float32).reshape(1, 60, 50)
    values[0, :5] = np.nan
    values[0, 5, 0] = np.inf
    seen = read_window(write(tmp_path / "float.tif", values))
    assert not seen[:5].any()
    assert seen[-1, -1, 0] == 255


def test_a_scene_of_one_value_or_of_none_is_read(tmp_path: Path) -> None:
    assert read_window(write(tmp_path / "flat.tif", np.full((1, 9, 9), 700, dtype=np.uint16))).max() == 0
    assert read_window(write(tmp_path / "void.tif", np.zeros((3, 9, 9), dtype=np.uint16), nodata=0)).max() == 0


@pytest.mark.parametrize(
    ("crs", "transform", "gsd_m"),
    [
        ("EPSG:32631", UTM, 0.5),
        ("EPSG:3857", Affine(10, 0, 262000, 0, -10, 6250000), 10 * math.cos(math.radians(48.84))),
        ("EPSG:4326", Affine(1e-5, 0, 2.3, 0, -1e-5, 48.85), math.sqrt(1.112 * 0.7334)),
        ("EPSG:2263", Affine(1, 0, 985000, 0, -1, 200000), 0.3048),
        ("EPSG:32631", Affine(0.4, 0.3, 450000, 0.3, -0.4, 5410000), 0.5),
    ],
)
def test_ground_sampling_is_in_metres_whatever_the_system(
    tmp_path: Path, crs: str, transform: Affine, gsd_m: float
) -> None:
    path = write(tmp_path / "a.tif", np.ones((1, 100, 100), dtype=np.uint8), crs=crs, transform=transform)
    facts = scene_facts(path)
    assert facts.gsd_m == pytest.approx(gsd_m, rel=0.004)
    assert facts.crs == crs
    assert facts.to_px(np.array([transform.c]), np.array([transform.f])).tolist() == [[0.0, 0.0]]


def test_a_picture_without_a_place_has_no_ground_sampling(tmp_path: Path) -> None:
    Image.fromarray(SCENE.rgb_HWC).save(tmp_path / "a.png")
    facts = scene_facts(tmp_path / "a.png")
    assert (facts.gsd_m, facts.crs, facts.transform) == (None, None, None)


@pytest.mark.parametrize("name", ["cut.jpg", "cut.png", "cut.tif"])
def test_a_truncated_image_is_refused_by_name(tmp_path: Path, name: str) -> None:
    whole = tmp_path / f"whole{name[3:]}"
    Image.fromarray(SCENE.rgb_HWC).save(whole)
    data = whole.read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(BadInput, match=f"^{name}: expected a readable GeoTIFF, PNG or JPEG image, found "):
        read_window(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "a file that starts with nothing"),
        (b"<VRTDataset/>", "a file that starts with 3c 56 52 54"),
        (b"\x89PNG\r\n\x1a\n", "found "),
        (b"GIF89a..", "a file that starts with 47 49 46"),
    ],
)
def test_what_is_no_image_is_refused_by_name(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(BadInput, match=rf"^a\.png: expected a readable GeoTIFF, PNG or JPEG image, .*{found}"):
        scene_facts(tmp_path / "a.png")


def test_a_missing_image_and_a_window_without_area_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone\.tif: expected an image file, found No such file"):
        read_window(tmp_path / "gone.tif")
    Image.fromarray(SCENE.rgb_HWC).save(tmp_path / "a.png")
    with pytest.raises(BadInput, match=r"a.png: expected a window with an area, found \(5, 5, 5, 9\)"):
        read_window(tmp_path / "a.png", (5, 5, 5, 9))
    with pytest.raises(BadInput, match="stretch of a scene: expected bands, low and high"):
        StretchFacts.from_json({"bands": [1, 2]})


def test_reading_writes_nothing_and_many_threads_read_alike(tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "deep.tif", SCENE.rgb_HWC, bits=16)
    Image.fromarray(SCENE.rgb_HWC).save(tmp_path / "flat.png")
    with ThreadPoolExecutor(8) as pool:
        reads = list(pool.map(read_window, [path, tmp_path / "flat.png"] * 20))
    assert all(np.array_equal(read, reads[i % 2]) for i, read in enumerate(reads))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep.tif", "flat.png"]


def test_an_open_scene_is_read_without_opening_it_again(tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "a.tif", SCENE.rgb_HWC)
    with open_scene(path) as scene:
        assert np.array_equal(read_window(scene, (0, 0, 10, 10)), SCENE.rgb_HWC[:10, :10])


@pytest.mark.real_data
def test_real_scenes_of_16_bits_look_like_their_8_bit_versions(real_data: Callable[[str], Path]) -> None:
    ships = real_data("imagery_sentinel2_ships")
    deep = read_window(ships / "rgb16/casablanca.tif").astype(float)
    flat = read_window(ships / "rgb8/casablanca.tif").astype(float)
    assert deep.shape == flat.shape == (339, 511, 3)
    assert np.corrcoef(deep.ravel(), flat.ravel())[0, 1] > 0.95
    assert scene_facts(real_data("imagery_spacenet_buildings") / "sample_geotiff.tif").gsd_m == pytest.approx(
        0.5, rel=0.01
    )
