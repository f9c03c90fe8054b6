"""The same ground in two sets is found from fingerprints alone, and different ground is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from casemate.errors import BadInput
from casemate.modalities.imagery import data
from casemate.modalities.imagery.duplicates import Fingerprints, fingerprint_file, overlap
from tests.modalities.imagery.scenes import make_scene, write_geotiff, write_set

Picture = Image.Image
SIDE = 480
FLIP, TURN, BOTH = Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_90, Image.Transpose.TRANSVERSE
LANCZOS = Image.Resampling.LANCZOS


def picture(seed: int = 1) -> Picture:
    return Image.fromarray(make_scene(seed=seed, width=SIDE, height=SIDE, airplanes=12).rgb_HWC)


def print_of(image: Picture, folder: Path, name: str = "b.jpg", quality: int = 85) -> Fingerprints:
    folder.mkdir(exist_ok=True)
    image.save(folder / name, quality=quality)
    return {name: fingerprint_file(folder / name)}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Fingerprints:
    return print_of(picture(), tmp_path_factory.mktemp("original"), "a.png")


ALTERED: dict[str, Callable[[Picture], Picture]] = {
    "as it is": lambda p: p,
    "half": lambda p: p.resize((SIDE // 2, SIDE // 2), LANCZOS),
    "larger and stretched": lambda p: p.resize((SIDE * 3 // 2, SIDE * 5 // 4), LANCZOS),
    "brighter": lambda p: ImageEnhance.Brightness(p).enhance(1.3),
    "darker": lambda p: ImageEnhance.Brightness(p).enhance(0.6),
    "more contrast": lambda p: ImageEnhance.Contrast(p).enhance(1.5),
    "grey": lambda p: p.convert("L"),
    "flipped": lambda p: p.transpose(FLIP),
    "turned": lambda p: p.transpose(TURN),
    "flipped and turned": lambda p: p.transpose(BOTH),
}


@pytest.mark.parametrize("change", ALTERED)
def test_an_altered_copy_is_found_whole(original: Fingerprints, tmp_path: Path, change: str) -> None:
    copy = print_of(ALTERED[change](picture()), tmp_path, quality=50)
    found = overlap(original, copy)
    assert [(p.first, p.second, p.how) for p in found] == [("a.png", "b.jpg", "whole")]
    assert found[0].hamming <= 60


CUT: dict[str, Callable[[Picture], Picture]] = {
    "anywhere": lambda p: p.crop((77, 31, 77 + 352, 31 + 352)),
    "turned": lambda p: p.crop((101, 111, 101 + 352, 111 + 352)).transpose(TURN),
    "flipped and brighter": lambda p: ImageEnhance.Brightness(p.crop((3, 9, 355, 361)).transpose(FLIP)).enhance(1.2),
    "enlarged": lambda p: p.crop((60, 60, 420, 420)).resize((540, 540), LANCZOS),
    "enlarged by little": lambda p: p.crop((60, 60, 420, 420)).resize((430, 430), LANCZOS),
}


@pytest.mark.parametrize("change", CUT)
def test_a_window_of_an_image_is_found_as_a_part(original: Fingerprints, tmp_path: Path, change: str) -> None:
    window = print_of(CUT[change](picture()), tmp_path)
    for pair in (
        overlap(original, window),
        [p._replace(first=p.second, second=p.first) for p in overlap(window, original)],
    ):
        assert [(p.first, p.second, p.how) for p in pair] == [("a.png", "b.jpg", "part")]


def test_a_window_of_a_large_scene_is_found_across_the_seams_of_its_blocks(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    small = chance.integers(0, 255, (70, 560, 3)).astype(np.uint8)
    large = np.asarray(Image.fromarray(small).resize((4480, 560), LANCZOS))
    write_geotiff(tmp_path / "large.tif", large, bits=16, tiled=True)
    scene = {"large.tif": fingerprint_file(tmp_path / "large.tif")}
    window = print_of(Image.fromarray(large[100:480, 3900:4280]), tmp_path)
    assert [p.how for p in overlap(scene, window)] == ["part"]
    again = print_of(Image.fromarray(large).resize((1120, 140)), tmp_path, "small.png")
    assert [p.how for p in overlap(scene, again)] == ["whole"]


def test_different_scenes_are_not_taken_for_one(tmp_path: Path) -> None:
    first = data.read(write_set(tmp_path / "a", scenes=4, seed=1, width=400, height=400))
    second = data.read(write_set(tmp_path / "b", scenes=4, seed=2, width=400, height=400))
    assert data.near_duplicates(first, second) == []


def test_pairs_come_in_order_and_name_both_images(tmp_path: Path) -> None:
    dataset = data.read(write_set(tmp_path / "a", scenes=3, seed=1, width=320, height=320))
    pairs = data.near_duplicates(dataset, replace(dataset, images=dataset.images[::-1]))
    assert [(p.first, p.second) for p in pairs] == [(i.path, i.path) for i in dataset.images]
    assert {p.hamming for p in pairs} == {0}


def test_fingerprints_survive_json_and_are_the_same_each_time(tmp_path: Path) -> None:
    dataset = data.read(write_set(tmp_path / "a", scenes=2, seed=1, width=320, height=320))
    steps: list[tuple[int, int, str]] = []
    prints = data.fingerprints(dataset, progress=lambda *step: steps.append(step))
    assert prints == data.fingerprints(dataset)
    assert json.loads(json.dumps(prints)) == prints
    assert steps == [(1, 2, "images"), (2, 2, "images")]
    assert len(json.dumps(prints)) < 12_000


@pytest.mark.parametrize("value", [0, 90, 255])
def test_an_image_of_one_colour_is_like_no_other(tmp_path: Path, value: int) -> None:
    flat = print_of(Image.new("RGB", (300, 300), (value, value, value)), tmp_path, "flat.png")
    assert flat == {"flat.png": {"whole": "", "anchors": []}}
    assert overlap(flat, flat) == []
    assert overlap({}, flat) == []


@pytest.mark.parametrize(
    ("bad", "found"),
    [
        ({"a": "ff"}, "fingerprint of a: expected a whole hash and anchors of 5 facts, found 'ff'"),
        ({"a": {"whole": ""}}, "fingerprint of a: expected a whole hash and anchors"),
        (
            {"a": {"whole": "", "anchors": [[1, 2, 3]]}},
            "fingerprint of a: expected a whole hash and anchors of 5 facts",
        ),
        ({"a": {"whole": "zz", "anchors": []}}, "fingerprints: expected hashes of 256 bits in hex"),
        ({"a": {"whole": "ffff", "anchors": []}}, "fingerprints: expected hashes of 256 bits in hex"),
    ],
)
def test_what_is_no_fingerprint_is_refused(bad: Fingerprints, found: str) -> None:
    with pytest.raises(BadInput, match=found):
        overlap(bad, bad)


@pytest.mark.real_data
def test_real_airports_of_two_splits_are_not_taken_for_one(real_data: Callable[[str], Path]) -> None:
    airports = real_data("imagery_airport_planes")
    train, valid = data.read(airports / "train"), data.read(airports / "valid")
    some, others = replace(train, images=train.images[::8]), replace(valid, images=valid.images[::3])
    assert data.near_duplicates(some, others) == []


@pytest.mark.real_data
def test_the_same_real_port_is_found_at_8_and_at_16_bits(real_data: Callable[[str], Path]) -> None:
    ships = real_data("imagery_sentinel2_ships")
    ports = {name: fingerprint_file(ships / name) for name in ("rgb8/honolulu.tif", "rgb8/casablanca.tif")}
    deep = {name: fingerprint_file(ships / name) for name in ("rgb16/honolulu.tif", "rgb16/casablanca.tif")}
    assert [(p.first[5:], p.second[6:]) for p in overlap(ports, deep)] == [
        ("casablanca.tif", "casablanca.tif"),
        ("honolulu.tif", "honolulu.tif"),
    ]
