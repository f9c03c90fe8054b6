"""Each label format reads to the same boxes, and each of its faults is named with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from casemate.errors import BadInput, LabelOutsideImage
from casemate.modalities.imagery import formats
from casemate.modalities.imagery.boxes import Box
from casemate.modalities.imagery.data import read
from tests.modalities.imagery.scenes import write_geotiff

PICTURE = np.random.default_rng(0).integers(0, 255, (100, 200, 3)).astype(np.uint8)
EXPECTED = {
    "images/a.png": (Box(10, 20, 30, 50, "airplane"), Box(100, 60, 180, 90, "helicopter")),
    "images/b.png": (),
}
COCO: dict[str, Any] = {
    "images": [
        {"id": 1, "file_name": "images/a.png", "width": 200, "height": 100},
        {"id": 2, "file_name": "images/b.png", "width": 200, "height": 100},
    ],
    "categories": [{"id": 0, "name": "plane"}, {"id": 7, "name": "helicopter"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 7, "bbox": [100, 60, 80, 30]},
        {"id": 2, "image_id": 1, "category_id": 0, "bbox": [10, 20, 20, 30]},
    ],
}
VOC = "<annotation><filename>{name}</filename><size><width>200</width><height>100</height></size>{objects}</annotation>"
VOC_OBJECT = (
    "<object><name>{}</name><difficult>0</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>"
    "<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)


def pictures(folder: Path, *names: str) -> Path:
    """A folder with these images of 200 × 100 px, by default images/a.png and images/b.png."""
    for name in names or ("images/a.png", "images/b.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PICTURE).save(folder / name)
    return folder


def put(folder: Path, files: dict[str, str]) -> Path:
    """Write text files."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def voc(name: str, *objects: tuple[Any, ...]) -> str:
    """A VOC file's text."""
    return VOC.format(name=name, objects="".join(VOC_OBJECT.format(*o) for o in objects))


FILES = {
    "coco": {"labels.json": json.dumps(COCO)},
    "csv": {
        "boxes.csv": "image_path,xmin,ymin,xmax,ymax,label\nimages/a.png,10,20,30,50,plane\n"
        "images/a.png,100,60,180,90,helicopter\nimages/b.png,,,,,\n"
    },
    "dota": {
        "labelTxt/a.txt": "imagesource:GoogleEarth\ngsd:0.3\n10 20 30 20 30 50 10 50 plane 0\n"
        "100 60 180.0 60 180 90 100 90 helicopter 0\n",
        "labelTxt/b.txt": "",
    },
    "voc": {
        "Annotations/a.xml": voc("a.png", ("plane", 10, 20, 30, 50), ("helicopter", 100, 60, 180, 90)),
        "Annotations/b.xml": voc("b.png"),
    },
    "yolo": {
        "labels/a.txt": "0 0.1 0.35 0.1 0.3\n2 0.7 0.75 0.4 0.3\n",
        "labels/b.txt": "\n",
        "classes.names": "plane\ncar\nhelicopter\n",
    },
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_reads_to_the_same_boxes(tmp_path: Path, name: str) -> None:
    dataset = read(put(pictures(tmp_path), FILES[name]))
    assert {i.path: i.boxes for i in dataset.images} == EXPECTED
    assert dataset.source == name
    assert dataset.exhaustive == {"airplane", "helicopter"}
    assert {i.gsd_m for i in dataset.images} == ({0.3, None} if name == "dota" else {None})


def test_the_formats_are_those_of_the_folder() -> None:
    assert formats.names() == sorted([*FILES, "geojson"])
    with pytest.raises(RuntimeError, match="no label format pickle"):
        formats.find("pickle")


@pytest.mark.parametrize("crlf", [False, True])
@pytest.mark.parametrize("name", ["csv", "dota", "yolo", "voc"])
def test_line_ends_and_a_byte_order_mark_do_not_matter(tmp_path: Path, name: str, crlf: bool) -> None:
    pictures(tmp_path)
    for file, text in FILES[name].items():
        put(tmp_path, {file: ""})
        content = text.replace("\n", "\r\n") if crlf else text
        (tmp_path / file).write_bytes(b"\xef\xbb\xbf" + content.encode())
    assert {i.path: i.boxes for i in read(tmp_path).images} == EXPECTED


@pytest.mark.parametrize(
    ("yaml", "word"),
    [
        ("train: x\nnames: ['plane', \"bus\", car]\nnc: 3\n", "bus"),
        ("names:\n  - plane\n  - 'bus'  # two\nnc: 2\n", "bus"),
        ("names:\n  0: plane\n  1: bus\nother: 3\n", "bus"),
        ("names: {0: plane, 1: bus}\n", "bus"),
    ],
)
def test_yolo_names_come_from_a_data_yaml(tmp_path: Path, yaml: str, word: str) -> None:
    put(pictures(tmp_path, "images/train/a.png"), {"labels/train/a.txt": "1 0.5 0.5 0.1 0.1\n", "data.yaml": yaml})
    assert read(tmp_path).labels == {word: 1}


def test_yolo_polygons_and_oriented_boxes_become_upright_boxes(tmp_path: Path) -> None:
    put(pictures(tmp_path, "a.png"), {"a.txt": "3 0.1 0.2 0.3 0.1 0.2 0.5\n3 0.5 0.5 0.6 0.6 0.5 0.7 0.4 0.6\n"})
    boxes = read(tmp_path, rename={"3": "bus"}).images[0].boxes
    assert boxes == (Box(20, 10, 60, 50, "bus"), Box(80, 50, 120, 70, "bus"))


def test_coco_crowds_and_voc_difficult_objects_are_difficult(tmp_path: Path) -> None:
    crowd = COCO | {"annotations": [COCO["annotations"][0] | {"iscrowd": 1}]}
    assert read(put(pictures(tmp_path / "c"), {"l.json": json.dumps(crowd)})).images[0].boxes[0].difficult
    hard = voc("a.png", ("plane", 1, 2, 30, 40)).replace("<difficult>0", "<difficult>1")
    assert read(put(pictures(tmp_path / "v"), {"a.xml": hard})).images[0].boxes[0].difficult


def test_coco_without_bbox_uses_the_outline(tmp_path: Path) -> None:
    annotation = {"id": 1, "image_id": 1, "category_id": 0, "segmentation": [[5, 6, 25, 8, 15, 40]]}
    put(pictures(tmp_path), {"l.json": json.dumps(COCO | {"annotations": [annotation]})})
    assert read(tmp_path).images[0].boxes == (Box(5, 6, 25, 40, "airplane"),)


def test_voc_falls_back_to_the_files_own_name(tmp_path: Path) -> None:
    put(pictures(tmp_path, "JPEGImages/a.png"), {"Annotations/a.xml": voc("other.jpg", ("bus", 1, 2, 30, 40))})
    assert read(tmp_path).images[0].path == "JPEGImages/a.png"


def test_several_splits_below_one_folder_are_one_set(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        coco = COCO | {"images": [i | {"file_name": i["file_name"].split("/")[1]} for i in COCO["images"]]}
        put(
            pictures(tmp_path, f"{split}/a.png", f"{split}/b.png"),
            {f"{split}/_annotations.coco.json": json.dumps(coco)},
        )
    assert [i.path for i in read(tmp_path).images] == ["train/a.png", "train/b.png", "valid/a.png", "valid/b.png"]
    for file in ("train/a.txt", "valid/a.txt"):
        put(tmp_path, {file: "0 0.5 0.5 0.1 0.1"})
    yolo = read(tmp_path, label_format="yolo", rename={"0": "bus"})
    assert [len(i.boxes) for i in yolo.images] == [1, 1]
    assert yolo.notes == ("2 of 4 images have no labels and are left out",)


def changed(**parts: Any) -> str:
    """COCO text with a part replaced."""
    return json.dumps(COCO | parts)


def with_box(box: list[Any], **more: Any) -> str:
    """COCO text of one annotation."""
    return changed(annotations=[{"id": 9, "image_id": 1, "category_id": 0, "bbox": box} | more])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [], "annotations": [', "l.json: expected COCO labels in JSON, found Expecting value"),
        ('{"images": [' + "[" * 100_000 + '"annotations"', "l.json: expected COCO labels in JSON, found"),
        (changed(images={}), "l.json: expected a list of objects under 'images', found dict"),
        (changed(categories=None), "l.json: expected a list of objects under 'categories', found NoneType"),
        (changed(annotations=[3]), "l.json: expected a list of objects under 'annotations', found list"),
        (changed(categories=[{"id": 0}]), "l.json category 0: expected an id and a name, found 0 and None"),
        (changed(images=COCO["images"] + COCO["images"][:1]), "l.json image 1: expected an id that is there once"),
        (
            changed(images=[{"id": 1, "file_name": "gone.png"}]),
            "l.json image 1: expected the image 'gone.png' in the folder, found no such image",
        ),
        (
            changed(images=[{"id": 1, "file_name": "../../etc/passwd"}]),
            "expected the image '../../etc/passwd' in the folder, found no such image",
        ),
        (
            changed(images=[COCO["images"][0] | {"width": 400}]),
            r"l.json image 1 \(images/a.png\): expected labels for the image's 200 × 100 px, found 400 × 100 px",
        ),
        (changed(images=[COCO["images"][0] | {"width": "x"}]), "expected width and height in whole pixels, found"),
        (with_box([1, 2, 3, 4], image_id=5), "l.json annotation 9: expected the image_id of a listed image, found 5"),
        (with_box([1, 2, 3, 4], category_id=5), "expected the category_id of a listed category, found 5"),
        (with_box([1, 2, 3]), r"annotation 9: expected a bbox \[x, y, width, height\], found \[1, 2, 3\]"),
        (with_box([1, 2, float("nan"), 4]), "annotation 9: expected bbox as a finite number, found nan"),
        (with_box([1, 2, "a", 4]), "annotation 9: expected bbox as a finite number, found 'a'"),
        (with_box([1, 2, 1e999, 4]), "annotation 9: expected bbox as a finite number, found inf"),
    ],
)
def test_a_fault_in_coco_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read(put(pictures(tmp_path), {"l.json": text}))


@pytest.mark.parametrize("box", [[195, 10, 15, 5], [-3, 10, 15, 5], [10, 99, 15, 5], [300, 300, 5, 5]])
def test_a_box_outside_its_image_is_refused(tmp_path: Path, box: list[int]) -> None:
    message = (
        r"l.json annotation 9 \(images/a.png\): expected a box inside its image of 200 × 100 px, found airplane \("
    )
    with pytest.raises(LabelOutsideImage, match=message):
        read(put(pictures(tmp_path), {"l.json": with_box(box)}))


def test_an_overhang_of_rounding_is_cut(tmp_path: Path) -> None:
    dataset = read(put(pictures(tmp_path), {"l.json": with_box([-1.5, 90, 50, 11.5])}))
    assert dataset.images[0].boxes == (Box(0, 90, 48.5, 100, "airplane"),)


@pytest.mark.parametrize("box", [[10, 10, 0, 5], [10, 10, 5, -5]])
def test_a_box_without_area_is_refused(tmp_path: Path, box: list[int]) -> None:
    with pytest.raises(BadInput, match=r"expected a box with an area \(left < right, top < bottom\), found airplane"):
        read(put(pictures(tmp_path), {"l.json": with_box(box)}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_path,xmin,ymin,xmax,ymax\na.png,1,2,3,4\n", "b.csv line 1: expected one column named label or class"),
        (
            "path,image,xmin,ymin,xmax,ymax,label\n",
            "expected one column named image_path or path .*, found 'path', 'image'",
        ),
        (
            "path,xmin,ymin,xmax,ymax,label\na.png,1,2,3,4\n",
            "b.csv line 2: expected 6 columns as in the header, found 5",
        ),
        (
            "path,xmin,ymin,xmax,ymax,label\nc.png,1,2,3,4,bus\n",
            "b.csv line 2: expected the image 'c.png' in the folder",
        ),
        (
            "path,xmin,ymin,xmax,ymax,label\na.png,1,,3,4,bus\n",
            "b.csv line 2: expected ymin as a finite number, found ''",
        ),
        ("path,xmin,ymin,xmax,ymax,label\na.png,1,nan,3,4,bus\n", "expected ymin as a finite number, found 'nan'"),
        ('path,xmin,ymin,xmax,ymax,label\n"a.png"x,1,2,3,4,bus\n', "b.csv line 2: expected CSV, found"),
        ("path,xmin,ymin,xmax,ymax,label\na.png,1,2,3,4,zeppelin\n", "b.csv line 2: expected a class of taxonomy"),
    ],
)
def test_a_fault_in_csv_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read(put(pictures(tmp_path, "a.png"), {"b.csv": text}))


@pytest.mark.parametrize("name", ["it's.png", 'quo"te.png', "new\nline.png", "é 😀.png", "a,b.png", " space .png"])
def test_names_with_quotes_newlines_and_emoji_are_read(tmp_path: Path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    text = f"path,xmin,ymin,xmax,ymax,label\n{quoted},1,2,30,40,bus\n"
    assert read(put(pictures(tmp_path, name), {"b.csv": text})).images[0].path == name


def test_an_unknown_class_says_how_to_rename_it(tmp_path: Path) -> None:
    put(pictures(tmp_path, "a.png"), {"b.csv": "path,xmin,ymin,xmax,ymax,label\na.png,1,2,3,4,zeppelin\n"})
    message = (
        r"b.csv line 2: expected a class of taxonomy overhead \(object, aircraft, .*dead tree\), "
        r"or --rename 'zeppelin'=CLASS, found 'zeppelin'"
    )
    with pytest.raises(BadInput, match=message):
        read(tmp_path)
    assert read(tmp_path, rename={"zeppelin": "aircraft"}).labels == {"aircraft": 1}
    with pytest.raises(BadInput, match="class 'blimp': expected one of object"):
        read(tmp_path, rename={"zeppelin": "blimp"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation><object>", "a.xml: expected well-formed XML, found no element|a.xml: expected well-formed XML"),
        (
            '<!DOCTYPE a [<!ENTITY x "y">]><annotation><filename>&x;</filename></annotation>',
            "a.xml: expected XML without a document type or entities, found one",
        ),
        (
            '<! DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>',
            "a.xml: expected XML without a document type or entities, found one",
        ),
        ("<labels><annotation/></labels>", "a.xml: expected an annotation element at the root, found labels"),
        ("<annotation>&x;</annotation>", "a.xml: expected well-formed XML, found undefined entity"),
        (voc("c.png", ("bus", 1, 2, 3, 4)), "NOSTEM expected the image 'c.png' in the folder, found no such image"),
        (voc("a.png", ("bus", 1, 2, "x", 4)), "a.xml object 1: expected xmax as a finite number, found 'x'"),
        (voc("a.png", ("", 1, 2, 3, 4)), "a.xml object 1: expected a name and a bndbox, found no name"),
        (
            voc("a.png").replace("</ann", "<object><name>bus</name></object></ann"),
            "a name and a bndbox, found no bndbox",
        ),
        (
            voc("a.png", ("bus", 1, 2, 3, 4)).replace("<width>200", "<width>100"),
            r"a.xml \(images/a.png\): expected labels for the image's 200 × 100 px, found 100 × 100 px",
        ),
    ],
)
def test_a_fault_in_voc_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = "z.xml" if message.startswith("NOSTEM") else "a.xml"
    with pytest.raises(BadInput, match=message.removeprefix("NOSTEM ")):
        read(put(pictures(tmp_path), {file: text}))


def test_two_voc_files_for_one_image_are_refused(tmp_path: Path) -> None:
    one = voc("a.png", ("bus", 1, 2, 30, 40))
    with pytest.raises(BadInput, match=r"b.xml: expected one label file for 'a.png', found a.xml too"):
        read(put(pictures(tmp_path, "a.png"), {"a.xml": one, "b.xml": one}))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.txt": "0 0.5 0.5 0.1 0.1\n0 0.5 0.5\n"}, "a.txt line 2: expected a class number, then centre"),
        ({"a.txt": "0 0.5 0.5 0.1 0.1\n0 50 0.5 0.1 0.1\n"}, "a.txt line 2: expected fractions of the image's sides"),
        (
            {"a.txt": "0 0.5 0.5 0.1 0.1\n0 nan 0.5 0.1 0.1\n"},
            "line 2: expected a fraction of .*finite number, found 'nan'",
        ),
        ({"c.txt": "0 0.5 0.5 0.1 0.1\n"}, "c.txt: expected an image with this file's name, found no such image"),
        (
            {"a.txt": "5 0.5 0.5 0.1 0.1\n", "classes.txt": "bus\ncar\n"},
            r"a.txt line 1: expected the number of a named class \(0 bus, 1 car\), found 5",
        ),
        ({"a.txt": "0 0.5 0.5 0.1 0.1\n", "data.yaml": "nc: 3\n"}, "data.yaml: expected names of the classes"),
        ({"a.txt": "0 0.5 0.5 0.1 0.1\n", "data.yaml": "names: *x\n"}, r"data.yaml: expected names as \[a, b\]"),
        ({"a.txt": "0 0.5 0.5 0.1 0.1\n"}, "a.txt line 1: expected a class of taxonomy overhead .*--rename '0'=CLASS"),
        (
            {"x/a.txt": "0 0.5 0.5 0.1 0.1\n", "y/a.txt": "0 0.5 0.5 0.1 0.1\n"},
            "expected one label file for 'a.png', found x",
        ),
    ],
)
def test_a_fault_in_yolo_is_named(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read(put(pictures(tmp_path, "a.png"), files))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3 2 3 4 1 4 bus 0\n1 2 3 4\n", "a.txt line 2: expected eight numbers, a class and perhaps a difficulty"),
        (
            "1 2 3 2 3 4 1 4 bus 0\n1 2 3 2 3 4 1 x bus 0\n",
            "a.txt line 2: expected a corner as a finite number, found 'x'",
        ),
        ("1 2 3 2 3 4 1 4 bus 0\n1 2 3 2 3 4 1 inf bus 0\n", "expected a corner as a finite number, found 'inf'"),
        ("1 2 3 2 3 4 1 4 bus hard\n", "a.txt line 1: expected a difficulty as a finite number, found 'hard'"),
        ("1 2 300 2 300 4 1 4 bus 0\n", r"a.txt line 1 \(a.png\): expected a box inside its image of 200 × 100 px"),
    ],
)
def test_a_fault_in_dota_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read(put(pictures(tmp_path, "a.png"), {"a.txt": text}))


def test_labels_that_are_no_utf8_are_refused(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png")
    (tmp_path / "b.csv").write_bytes(b"path,xmin,ymin,xmax,ymax,label\n\xe9.png,1,2,3,4,bus\n")
    with pytest.raises(BadInput, match=r"b.csv: expected labels as UTF-8 text, found 'utf-8' codec"):
        read(tmp_path)


# ── maps ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
WEST_M, NORTH_M = 450000.0, 5410000.0


def square(x0: float, y0: float, side: float, **properties: Any) -> dict[str, Any]:
    """A square polygon by its lower left corner."""
    ring = [[x0, y0], [x0 + side, y0], [x0 + side, y0 + side], [x0, y0 + side], [x0, y0]]
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def collection(*features: dict[str, Any], crs: str | None = None) -> str:
    """GeoJSON text."""
    member = {"crs": {"type": "name", "properties": {"name": crs}}} if crs else {}
    return json.dumps({"type": "FeatureCollection", **member, "features": list(features)})


def placed(folder: Path, *names: str) -> Path:
    """GeoTIFFs of 200 × 100 px of half a metre in UTM 31N, side by side from WEST_M eastwards."""
    for i, name in enumerate(names or ("a.tif",)):
        folder.mkdir(exist_ok=True)
        write_geotiff(folder / name, PICTURE, west_m=WEST_M + 100 * i, north_m=NORTH_M)
    return folder


UTM = "urn:ogc:def:crs:EPSG::32631"
HOUSE = square(WEST_M + 10, NORTH_M - 30, 20, label="house")


@pytest.mark.parametrize("crs", [UTM, "EPSG:32631", None])
def test_polygons_in_the_rasters_system_become_boxes(tmp_path: Path, crs: str | None) -> None:
    dataset = read(put(placed(tmp_path), {"l.geojson": collection(HOUSE, crs=crs)}))
    assert dataset.images[0].boxes == (Box(20, 20, 60, 60, "building"),)
    assert dataset.images[0].crs == "EPSG:32631"
    assert dataset.images[0].gsd_m == pytest.approx(0.5, rel=0.001)


@pytest.mark.parametrize("crs", [None, "urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326"])
def test_longitudes_and_latitudes_are_brought_to_the_raster(tmp_path: Path, crs: str | None) -> None:
    from rasterio.warp import transform

    ring = [
        (WEST_M + 10, NORTH_M - 30),
        (WEST_M + 30, NORTH_M - 30),
        (WEST_M + 30, NORTH_M - 10),
        (WEST_M + 10, NORTH_M - 10),
    ]
    longitudes, latitudes = transform("EPSG:32631", "EPSG:4326", *zip(*ring, strict=True))
    geometry = {"type": "MultiPolygon", "coordinates": [[[list(p) for p in zip(longitudes, latitudes, strict=True)]]]}
    feature = {"type": "Feature", "properties": {"class": "house"}, "geometry": geometry}
    box = read(put(placed(tmp_path), {"l.geojson": collection(feature, crs=crs)})).images[0].boxes[0]
    assert box.xyxy == pytest.approx((20, 20, 60, 60), abs=0.01)


def test_a_wrong_system_names_both_systems_and_places(tmp_path: Path) -> None:
    put(placed(tmp_path), {"l.geojson": collection(HOUSE, crs="EPSG:32633")})
    message = (
        r"l.geojson: expected polygons over a.tif, which is in EPSG:32631 at x 450000 to 450100, y 5409950 to 5410000, "
        r"found polygons in EPSG:32633 at x 450010 to 450030, y 5409970 to 5409990"
    )
    with pytest.raises(BadInput, match=message):
        read(tmp_path)


def test_what_reaches_over_the_edge_is_cut_and_what_is_elsewhere_is_noted(tmp_path: Path) -> None:
    over = square(WEST_M + 90, NORTH_M - 10, 40, label="house")
    far = square(WEST_M + 9000, NORTH_M - 10, 40, label="house")
    dataset = read(put(placed(tmp_path), {"l.geojson": collection(HOUSE, over, far, crs=UTM)}))
    assert dataset.images[0].boxes == (Box(20, 20, 60, 60, "building"), Box(180, 0, 200, 20, "building"))
    assert dataset.notes == ("l.geojson: 1 of 3 shapes are outside of every raster",)


def test_one_map_is_laid_over_every_raster_and_a_named_one_over_its_own(tmp_path: Path) -> None:
    other = square(WEST_M + 150, NORTH_M - 30, 10, label="house")
    both = read(put(placed(tmp_path / "m", "a.tif", "b.tif"), {"l.geojson": collection(HOUSE, other, crs=UTM)}))
    assert [(i.path, len(i.boxes)) for i in both.images] == [("a.tif", 1), ("b.tif", 1)]
    files = {"labels/a.geojson": collection(HOUSE, crs=UTM), "labels/b.geojson": collection(other, crs=UTM)}
    own = read(put(placed(tmp_path / "n", "a.tif", "b.tif"), files))
    assert [(i.path, len(i.boxes)) for i in own.images] == [("a.tif", 1), ("b.tif", 1)]
    named = [f | {"properties": f["properties"] | {"image_id": n}} for f, n in ((HOUSE, "a.tif"), (other, "b.tif"))]
    by_image = read(put(placed(tmp_path / "o", "a.tif", "b.tif"), {"l.geojson": collection(*named, crs=UTM)}))
    assert [(i.path, len(i.boxes)) for i in by_image.images] == [("a.tif", 1), ("b.tif", 1)]


@pytest.mark.parametrize(
    ("properties", "rename", "label"),
    [
        ({"building": "yes", "amenity": "", "osm_id": 3}, {}, "building"),
        ({"type_id": 3, "class_name": "Small Vehicle"}, {}, "car"),
        ({"label": 73}, {"73": "bus"}, "bus"),
        ({}, {"": "building"}, "building"),
    ],
)
def test_the_class_is_found_among_the_properties(
    tmp_path: Path, properties: dict[str, Any], rename: dict[str, str], label: str
) -> None:
    text = collection(square(WEST_M + 10, NORTH_M - 30, 20, **properties), crs=UTM)
    assert read(put(placed(tmp_path), {"l.geojson": text}), rename=rename).labels == {label: 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"type": "FeatureCollection", "features": [', "l.geojson: expected GeoJSON, found"),
        ('{"type": "Feature"}', "l.geojson: expected a FeatureCollection with features, found NoneType"),
        (
            collection({"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [1, 2]}}),
            "l.geojson feature 1: expected a Polygon or MultiPolygon with properties, found 'Point'",
        ),
        (
            collection(HOUSE, crs="http://example.org/crs"),
            "expected a crs named by EPSG code or CRS84, found 'http://ex",
        ),
        (collection(HOUSE, crs="EPSG:999999"), "l.geojson: expected coordinates that EPSG:999999 can have, found"),
        (collection(square(float("nan"), 3, 4, label="house")), "feature 1: expected a coordinate as a finite number"),
        (collection(square(WEST_M, NORTH_M - 9, 3), crs=UTM), "l.geojson feature 1: expected a class of taxonomy"),
        (
            collection(
                {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [[[1, 2]]]}}
            ),
            "feature 1: expected an outline of at least 3 points, found 1",
        ),
        (
            collection({"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": 3}}),
            "feature 1: expected coordinates as nested lists, found int",
        ),
    ],
)
def test_a_fault_in_geojson_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read(put(placed(tmp_path), {"l.geojson": text}))


def test_a_map_over_pictures_without_a_place_is_refused(tmp_path: Path) -> None:
    put(pictures(tmp_path, "a.png"), {"l.geojson": collection(HOUSE, crs=UTM)})
    with pytest.raises(
        BadInput, match="expected georeferenced rasters under the polygons, found no coordinate system in"
    ):
        read(tmp_path)


@pytest.mark.real_data
def test_real_building_outlines_are_read(real_data: Callable[[str], Path]) -> None:
    dataset = read(real_data("imagery_spacenet_buildings"))
    assert (len(dataset.images), dataset.labels) == (1, {"building": 43})
    assert dataset.images[0].crs == "EPSG:32616"
    assert max(b.width for b in dataset.images[0].boxes) < 300
    assert dataset.notes == ()
