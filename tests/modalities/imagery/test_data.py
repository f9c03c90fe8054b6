"""A set that was read may be trusted, and is the same after it was kept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from casemate.errors import BadInput, LabelOutsideImage
from casemate.modalities.imagery import data
from casemate.modalities.imagery.boxes import Box, ImageryDataset, LabelledImage, fit
from casemate.modalities.imagery.canonical import labels_text, parse_labels
from casemate.modalities.imagery.taxonomy import Node, Taxonomy
from tests.modalities.imagery.scenes import make_scene, write_set

OVERHEAD = Taxonomy.shipped()


@st.composite
def boxes(draw: st.DrawFn, width: int, height: int) -> Box:
    x0, x1 = sorted(draw(st.lists(st.floats(0, width, width=32), min_size=2, max_size=2, unique=True)))
    y0, y1 = sorted(draw(st.lists(st.floats(0, height, width=32), min_size=2, max_size=2, unique=True)))
    return Box(x0, y0, x1, y1, draw(st.sampled_from(OVERHEAD.names)), draw(st.booleans()))


@st.composite
def images(draw: st.DrawFn) -> LabelledImage:
    part = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8)
    path = "/".join(draw(st.lists(part.filter(lambda p: p not in {".", ".."}), min_size=1, max_size=3)))
    width, height = draw(st.integers(1, 5000)), draw(st.integers(1, 5000))
    found = draw(st.lists(boxes(width, height), max_size=4))
    gsd_m = draw(st.none() | st.floats(0.001, 100))
    return LabelledImage(path, width, height, tuple(found), gsd_m, draw(st.none() | st.just("EPSG:32631")))


@st.composite
def datasets(draw: st.DrawFn) -> ImageryDataset:
    found = draw(st.lists(images(), max_size=4, unique_by=lambda i: i.path))
    exhaustive = draw(st.frozensets(st.sampled_from(OVERHEAD.names), max_size=3))
    notes = draw(st.lists(st.text(st.characters(codec="utf-8")), max_size=2))
    ordered = tuple(sorted(found, key=lambda i: i.path))
    return ImageryDataset(Path("set"), ordered, OVERHEAD, exhaustive, draw(st.sampled_from(["coco", ""])), tuple(notes))


@settings(deadline=None, max_examples=100)
@given(datasets())
def test_load_after_save_is_the_identity(dataset: ImageryDataset) -> None:
    text = labels_text(dataset)
    assert parse_labels(text.encode(), Path("set")) == dataset
    assert labels_text(parse_labels(text.encode(), Path("set"))) == text


@settings(deadline=None, max_examples=100)
@given(st.data(), st.integers(1, 300), st.integers(1, 300))
def test_a_box_that_fits_stays_as_it_is_and_none_leaves_its_image(chosen: st.DataObject, w: int, h: int) -> None:
    box = chosen.draw(boxes(w, h))
    assert fit(box, w, h, where="x") == box
    dx, dy = chosen.draw(st.floats(-50, 50)), chosen.draw(st.floats(-50, 50))
    try:
        cut = fit(replace(box, x0=box.x0 + dx, x1=box.x1 + dx, y0=box.y0 + dy, y1=box.y1 + dy), w, h, where="x")
    except BadInput:
        return
    assert 0 <= cut.x0 < cut.x1 <= w
    assert 0 <= cut.y0 < cut.y1 <= h


def test_a_set_is_the_same_after_it_was_kept(tmp_path: Path) -> None:
    dataset = data.read(write_set(tmp_path / "set", scenes=3, seed=1, cars=2))
    path = data.save_labels(dataset, tmp_path / "set")
    first = path.read_bytes()
    assert path.name == "casemate-imagery.json"
    assert data.load_labels(tmp_path / "set") == dataset
    assert data.read(tmp_path / "set") == dataset  # the canonical file comes before the COCO file beside it
    data.save_labels(dataset, tmp_path / "set")
    assert path.read_bytes() == first
    assert [p.name for p in (tmp_path / "set").iterdir() if p.name.startswith(".")] == []


def test_scenes_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    again = [data.read(write_set(tmp_path / name, scenes=2, seed=7, georeferenced=True)) for name in ("a", "b")]
    assert again[0].images == again[1].images
    assert (tmp_path / "a/images/scene_001.tif").read_bytes() == (tmp_path / "b/images/scene_001.tif").read_bytes()
    assert len(make_scene(seed=1).boxes) == 5


def test_what_is_labelled_throughout_is_the_deepest_labels_unless_told(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", cars=3)
    assert data.read(folder).exhaustive == {"airplane", "car"}
    assert data.read(folder, rename={"car": "vehicle"}).exhaustive == {"airplane", "vehicle"}
    assert data.read(folder, rename={"car": "aircraft"}).exhaustive == {"airplane"}
    assert data.read(folder, exhaustive=["Planes"]).exhaustive == {"airplane"}
    assert data.read(folder, exhaustive=[]).exhaustive == frozenset()
    with pytest.raises(BadInput, match="class 'ufo': expected one of object"):
        data.read(folder, exhaustive=["ufo"])


def test_words_renamed_to_nothing_are_left_out_and_noted(tmp_path: Path) -> None:
    dataset = data.read(write_set(tmp_path / "set", scenes=2, airplanes=3, cars=2), rename={"car": ""})
    assert dataset.labels == {"airplane": 6}
    assert dataset.notes == ("4 boxes labelled 'car' are left out, as asked",)


def test_a_kept_set_can_be_renamed_when_read(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", scenes=2, airplanes=3, cars=2)
    data.save_labels(data.read(folder), folder)
    renamed = data.read(folder, rename={"car": "bus"}, exhaustive=["bus"])
    assert (renamed.labels, renamed.exhaustive) == ({"airplane": 6, "bus": 4}, {"bus"})


def test_another_taxonomy_gives_other_classes(tmp_path: Path) -> None:
    tree = Taxonomy("two", (Node("thing"), Node("airplane", "thing"), Node("car", "thing")))
    dataset = data.read(write_set(tmp_path / "set", cars=1), taxonomy=tree)
    assert dataset.taxonomy == tree
    with pytest.raises(
        BadInput, match=r"labels.json annotation 1: expected a class of taxonomy one \(thing\), or --rename"
    ):
        data.read(tmp_path / "set", taxonomy=Taxonomy("one", (Node("thing"),)))


def test_progress_counts_the_images(tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    data.read(write_set(tmp_path / "set", scenes=3), progress=lambda *step: seen.append(step))
    assert seen == [(1, 3, "images"), (2, 3, "images"), (3, 3, "images")]


def test_two_label_formats_at_once_are_refused_and_one_can_be_chosen(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set")
    (folder / "images/scene_000.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    message = r"set: expected one label format .*, found coco \(labels.json\) and yolo \(images/scene_000.txt\)"
    with pytest.raises(BadInput, match=message):
        data.read(folder)
    assert len(data.read(folder, label_format="coco").images) == 4
    assert len(data.read(folder, labels=folder / "images", rename={"0": "bus"}).images) == 1
    assert len(data.read(folder, labels=folder / "labels.json").images) == 4
    with pytest.raises(BadInput, match=r"label format: expected coco or csv or .*yolo, found 'pickle'"):
        data.read(folder, label_format="pickle")


def test_labels_may_lie_outside_of_the_folder_of_images(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set")
    (folder / "labels.json").rename(tmp_path / "elsewhere.json")
    assert len(data.read(folder, labels=tmp_path / "elsewhere.json").images) == 4
    with pytest.raises(BadInput, match=r"gone.json: expected a file or folder of labels, found no such"):
        data.read(folder, labels=tmp_path / "gone.json")


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"empty: expected at least one image .*, found none"):
        data.read(tmp_path / "empty")
    with pytest.raises(BadInput, match="gone: expected a folder of images and labels, found no such folder"):
        data.read(tmp_path / "gone")
    Image.fromarray(make_scene(seed=1).rgb_HWC).save(tmp_path / "empty/a.png")
    with pytest.raises(
        BadInput, match="empty: expected labels as coco, csv, dota, geojson, voc, yolo, found none beside"
    ):
        data.read(tmp_path / "empty")
    with pytest.raises(BadInput, match="none: expected at least one box, found none in 2 images"):
        data.read(write_set(tmp_path / "none", scenes=2, airplanes=0))


def test_an_unreadable_image_is_refused_by_name(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set")
    (folder / "images/scene_001.png").write_bytes(b"nothing like a picture")
    with pytest.raises(
        BadInput, match=r"scene_001.png: expected a readable GeoTIFF, PNG or JPEG image, found a file that"
    ):
        data.read(folder)


def test_links_and_hidden_files_do_not_count(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set")
    (folder / "images/link.png").symlink_to(folder / "images/scene_000.png")
    (folder / ".hidden.json").write_text("{}")
    assert data.read(folder).notes == ()


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set")
    os.link(folder / "images/scene_000.png", os.fsencode(folder) + b"/images/\xff.png")
    with pytest.raises(BadInput, match=r"images/.*\.png: expected a file name in UTF-8, found bytes that are not"):
        data.read(folder)


GOOD = {
    "format": "casemate-imagery/1",
    "source": "coco",
    "taxonomy": {"name": "t", "nodes": [{"name": "thing"}]},
    "exhaustive": ["thing"],
    "notes": [],
    "images": [
        {"path": "a.png", "width": 9, "height": 9, "gsd_m": None, "crs": None, "boxes": [[1, 2, 3, 4, "thing", False]]}
    ],
}


def image(**parts: object) -> dict[str, object]:
    return GOOD | {"images": [GOOD["images"][0] | parts]}  # type: ignore[index, operator]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (GOOD | {"format": "casemate-imagery/9"}, "expected format casemate-imagery/1, found 'casemate-imagery/9'"),
        (GOOD | {"colour": 1}, "found colour: Extra inputs are not permitted"),
        (GOOD | {"exhaustive": ["x"]}, "class 'x': expected one of thing"),
        (GOOD | {"images": GOOD["images"] * 2}, "expected images once each, sorted by path"),  # type: ignore[operator]
        (image(path="../a.png"), "expected relative paths that stay in the folder, found '../a.png'"),
        (image(path="/a.png"), "expected relative paths that stay in the folder, found '/a.png'"),
        (image(path=""), "expected relative paths that stay in the folder, found ''"),
        (image(width=0), "found images.0.width: Input should be greater than 0"),
        (image(width="9"), "found images.0.width: Input should be a valid integer"),
        (image(gsd_m=-1), "found images.0.gsd_m: Input should be greater than 0"),
        (image(boxes=[[1, 2, 3, 4, "x", False]]), "class 'x': expected one of thing"),
        (image(boxes=[[3, 2, 3, 4, "thing", False]]), "a.png box 1: expected a box with an area"),
        (image(boxes=[[1, 2, 3, 44, "thing", False]]), "a.png box 1: expected a box inside its image of 9 × 9 px"),
        (image(boxes=[[1, 2, 3, 10, "thing", False]]), "a.png box 1: expected edges within the image"),
        (image(boxes=[[1, 2, 3, "thing", False]]), "found images.0.boxes.0"),
    ],
)
def test_a_fault_in_the_canonical_file_is_named(document: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse_labels(json.dumps(document).encode(), Path())
    assert len(parse_labels(json.dumps(GOOD).encode(), Path()).images) == 1


def test_a_canonical_file_that_is_cut_or_absent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"casemate-imagery.json: expected labels as casemate-imagery/1, found document"):
        parse_labels(json.dumps(GOOD).encode()[:-9], Path())
    with pytest.raises(BadInput, match=r"casemate-imagery.json: expected labels .* NaN|found images.0.boxes.0.0"):
        parse_labels(json.dumps(image(boxes=[[float("nan"), 2, 3, 4, "thing", False]])).encode(), Path())
    with pytest.raises(BadInput, match=r"casemate-imagery.json: expected a set's canonical labels, found No such file"):
        data.load_labels(tmp_path)


def test_labels_that_cannot_be_written_leave_nothing_behind(tmp_path: Path) -> None:
    dataset = parse_labels(json.dumps(GOOD).encode(), tmp_path)
    with pytest.raises(BadInput, match=r"casemate-imagery.json: expected a folder that can be written, found No such"):
        data.save_labels(dataset, tmp_path / "gone")
    bad = replace(dataset, images=(replace(dataset.images[0], boxes=(Box(float("nan"), 0, 1, 1, "thing"),)),))
    with pytest.raises(ValueError, match="not JSON compliant"):
        data.save_labels(bad, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_values_of_boxes_are_what_they_say(tmp_path: Path) -> None:
    dataset = data.read(write_set(tmp_path / "set", scenes=2, airplanes=3))
    first = dataset.images[0]
    assert first.boxes_xyxy_px.shape == (3, 4)
    assert first.boxes_xyxy_px[0].tolist() == list(first.boxes[0].xyxy)
    assert first.boxes[0].area == first.boxes[0].width * first.boxes[0].height
    assert LabelledImage("a", 1, 1).boxes_xyxy_px.shape == (0, 4)
    assert dataset.path_of(first).is_file()
    assert issubclass(LabelOutsideImage, BadInput)
    with pytest.raises(BadInput, match="x: expected a box of finite numbers, found bus"):
        fit(Box(0, 0, float("inf"), 1, "bus"), 5, 5, where="x")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "rename", "counts"),
    [
        ("imagery_airport_planes/train", {}, (176, {"airplane": 2388})),
        ("imagery_airport_planes/valid", {}, (68, {"airplane": 1018})),
        ("imagery_hrplanes/train", {"0": "airplane"}, (115, {"airplane": 748})),
        ("imagery_hrplanes/valid", {"0": "airplane"}, (110, {"airplane": 588})),
        ("imagery_sentinel2_ships", {}, (9, {"vessel": 224})),
        ("imagery_spacenet_buildings", {}, (1, {"building": 43})),
    ],
)
def test_real_sets_have_the_images_and_boxes_that_their_sources_state(
    real_data: Callable[[str], Path], name: str, rename: dict[str, str], counts: tuple[int, dict[str, int]]
) -> None:
    dataset = data.read(real_data(name), rename=rename)
    assert (len(dataset.images), dataset.labels) == counts


@pytest.mark.real_data
def test_a_real_yolo_set_has_a_box_a_line(real_data: Callable[[str], Path]) -> None:
    folder = real_data("imagery_aerial_cars")
    lines = [line for f in (folder / "labels").glob("*.txt") for line in f.read_text().split("\n") if line.strip()]
    dataset = data.read(folder)
    assert dataset.box_count == len(lines)
    assert len(dataset.images) == len(list((folder / "images").glob("*.jpg")))
    assert set(dataset.labels) <= {"car", "truck", "bus", "minibus", "cyclist"}
