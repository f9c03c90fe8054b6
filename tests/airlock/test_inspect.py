"""What inspection reports of each kind of file, clean or not."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.airlock import IMAGERY, Finding, InspectionReport, ScanLimits, admit, require_clean
from casemate.airlock.formats import FORMATS, agrees, ending, sniff
from casemate.airlock.inspect import inspect
from casemate.airlock.inspect.json_text import nesting
from casemate.airlock.pickles import HINT
from casemate.errors import InspectionRefused
from tests.airlock.conftest import Arrive, Inspected, picture, scene

ALLOWED = ", ".join(sorted(IMAGERY))


def findings(report: InspectionReport) -> dict[str, str]:
    """Every finding as one sentence, by path."""
    return {f.path: "; ".join(f"expected {x.expected}, found {x.found}" for x in f.findings) for f in report.refused}


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("payload.txt", "x" * 100)
    return out.getvalue()


def test_a_clean_folder_has_a_report_with_a_line_a_file(arrive: Arrive, inspected: Inspected) -> None:
    folder = arrive(
        {
            "a b'c\"é🚢.PNG": picture("PNG"),
            "p/b.jpg": picture("JPEG"),
            "p/c.webp": picture("WEBP"),
            "coco.json": b'{"images": [], "annotations": [[1, 2.5e3, null, "\\u00e9 [{"]]}',
            "zones.geojson": b'{"type": "FeatureCollection", "features": []}',
            "boxes.csv": b'path,label\n"a, b.png",plane\n',
            "voc.xml": b"\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?><annotation><object/></annotation>",
            "labels/none.txt": b"",
            "data.yaml": b"names: [plane]\n",
            "README": "Données libres — ok\r\n".encode(),
            "README.md": b"<p align=center>hello</p>",
            "b.jgw": b"0.5\n0\n0\n-0.5\n1\n2\n",
        }
    )
    scene(folder / "s.tif", tiled=True, blockxsize=16, blockysize=16, compress="deflate")
    report = inspected(folder)
    assert findings(report) == {}
    require_clean(report)
    text = report.to_json().decode()
    read = json.loads(text)
    assert read["format"] == "casemate-inspection/2"
    assert read["verdict"] == "clean"
    assert read["totals"] == {"bytes": sum(f.size for f in report.files), "files": 13, "refused": 0}
    assert [f["path"] for f in read["files"]] == sorted(f["path"] for f in read["files"])
    assert {f["path"]: f["type"] for f in read["files"]}["s.tif"] == "tiff"
    assert read["scanners"]["image"].keys() == {"gdal", "image", "pillow", "rasterio"}
    assert all(text.count(json.dumps(f.path)) == 1 for f in report.files)
    assert read["files"][0].keys() == {"path", "digest", "size", "type", "inside", "scanners", "verdict", "findings"}


def test_what_reads_the_files_is_confined_and_the_report_says_how(arrive: Arrive, inspected: Inspected) -> None:
    confinement = inspected(arrive({"a.txt": b"x"})).confinement
    assert confinement["memory_bytes"] == ScanLimits().memory_bytes
    for always in ("no_core_dump", "no_new_privileges", "no_writing"):
        assert confinement[always] is True
    assert {"no_network", "reads_quarantine_only"} <= confinement.keys()  # true where the kernel lets go of them


def test_a_quarantine_named_from_the_working_folder_can_be_inspected(
    arrive: Arrive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive({"a.txt": b"x"})
    monkeypatch.chdir(tmp_path)
    with admit(Path("arrived"), Path("waiting")) as admitted:
        require_clean(inspect(admitted, allowed=frozenset({"text"})))


def test_progress_is_told_in_files(arrive: Arrive, inspected: Inspected) -> None:
    heard: list[tuple[int, int, str]] = []
    inspected(arrive({"a.txt": b"x", "b.txt": b"y"}), progress=lambda *now: heard.append(now))
    assert heard[-1] == (2, 2, "files")


def test_a_refused_report_raises_with_its_first_finding_and_how_many(arrive: Arrive, inspected: Inspected) -> None:
    report = inspected(arrive({"a.png": b"\x7fELF" + b"\0" * 60, "b.png": b"PK\x03\x04", "c.txt": b"fine"}))
    message = f"a.png: expected one of {ALLOWED}, found ELF program (and 1 more of 3 files refused)"
    with pytest.raises(InspectionRefused) as why:
        require_clean(report)
    assert str(why.value) == message
    read = json.loads(report.to_json())
    assert read["verdict"] == "refused"
    assert read["files"][1]["findings"] == [
        {"rule": "format", "expected": f"one of {ALLOWED}", "found": "zip archive; unpack it first", "note": False}
    ]


NOT_IMAGES = [
    (b"GIF89a" + b"\0" * 30, "GIF picture"),
    (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "SVG picture"),
    (b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x07builtins", f"pickle; {HINT}"),
    (b"\x7fELF\x02\x01\x01" + b"\0" * 60, "ELF program"),
    (b"MZ" + b"\0" * 62, "Windows program"),
    (zipped(), "zip archive; unpack it first"),
    (b"\x1f\x8b\x08" + b"\0" * 30, "gzip archive; unpack it first"),
    (b"!<arch>\n", "ar archive; unpack it first"),
    (b"\0" * 257 + b"ustar" + b"\0" * 250, "tar archive; unpack it first"),
    (b"%PDF-1.7", "pdf"),
    (b"#!/bin/sh\nrm -rf /\n", "script"),
    (b"SQLite format 3\0" + b"\0" * 80, "SQLite database"),
    (b"\x93NUMPY\x01\0", "npy"),
    (b"\x01\x02\x03\x04", "unknown binary"),
    (b"", "empty file"),
    (b"<html><script>", "html"),
    (b'<VRTDataset rasterXSize="1"/>', "GDAL virtual raster, which points to other files"),
]


def test_what_is_not_an_image_is_refused_whatever_its_name(arrive: Arrive, inspected: Inspected) -> None:
    names = {f"{i}.{end}": data for i, (data, _) in enumerate(NOT_IMAGES) for end in ("png", "tif")}
    found = {f"{i}.{end}": what for i, (_, what) in enumerate(NOT_IMAGES) for end in ("png", "tif")}
    report = inspected(arrive(names))
    assert findings(report) == {name: f"expected one of {ALLOWED}, found {what}" for name, what in found.items()}


def test_a_name_must_agree_with_the_bytes(arrive: Arrive, inspected: Inspected) -> None:
    report = inspected(
        arrive(
            {"a.jpg": picture("PNG"), "b.png": b"hello", "c.exe": picture("JPEG"), "d": picture("PNG"), "e.py": b"x"}
        )
    )
    texts = " or ".join(f".{end}" for end in sorted(FORMATS["text"].endings) if end)
    assert findings(report) == {
        "a.jpg": "expected a name ending in .png, as its bytes are png, found .jpg",
        "b.png": f"expected a name ending in {texts}, as its bytes are text, found .png",
        "c.exe": "expected a name ending in .jpeg or .jpg, as its bytes are jpeg, found .exe",
        "d": "expected a name ending in .png, as its bytes are png, found no ending",
        "e.py": f"expected a name ending in {texts}, as its bytes are text, found .py",
    }


def test_only_what_is_allowed_for_this_import_passes(arrive: Arrive, inspected: Inspected) -> None:
    report = inspected(arrive({"a.png": picture("PNG"), "b.json": b"[]"}), allowed=frozenset({"json", "text"}))
    assert findings(report) == {"a.png": "expected one of json, text, found png"}
    assert "image" not in report.scanners


def test_side_files_that_image_readers_open_by_name_are_refused(arrive: Arrive, inspected: Inspected) -> None:
    names = ("a.tif.aux.xml", "a.tif.ovr", "a.tif.MSK", "a.vrt")
    report = inspected(arrive(dict.fromkeys(names, b"<PAMDataset/>")))
    for name, side in zip(names, (".aux.xml", ".ovr", ".msk", ".vrt"), strict=True):
        expected = f"expected an image without side files, found {side}, which image readers open by name"
        assert findings(report)[name] == expected


def test_text_must_be_utf8_without_control_or_direction_characters(arrive: Arrive, inspected: Inspected) -> None:
    report = inspected(
        arrive(
            {
                "a.txt": b"one\ntwo\xe9\n",
                "b.csv": b"a,b\n\x1b[31m",
                "c.json": b'{"a": "\x7f"}',
                "d.md": "a\nif access \u202e\u2066".encode(),
                "e.names": b"plane\xc2\x85",
                "f.txt": b"x" * 5000 + b"\0",
                "g.yaml": b"a: !!python/object/apply:os.system ['true']\n",
            }
        )
    )
    clean = "expected text without control or direction characters"
    assert findings(report) == {
        "a.txt": "expected UTF-8, found byte 0xe9 in line 2, at byte 7",
        "b.csv": f"{clean}, found U+001B in line 2, at byte 4",
        "c.json": f"{clean}, found U+007F in line 1, at byte 7",
        "d.md": f"{clean}, found U+202E in line 2, at byte 12",
        "e.names": f"{clean}, found U+0085 in line 1, at byte 5",
        "f.txt": f"{clean}, found U+0000 in line 1, at byte 5000",
        "g.yaml": "expected plain values, found !!python/object/apply:os.system, which makes Python objects",
    }


def test_text_beyond_its_limit_is_refused(arrive: Arrive, inspected: Inspected) -> None:
    report = inspected(arrive({"a.json": b"[1, 2]"}), limits=ScanLimits(workers=1, max_text_bytes=5))
    assert findings(report) == {"a.json": "expected text of at most 5 bytes, found 6"}


def test_json_is_parsed_whole_and_as_every_reader_would(arrive: Arrive, inspected: Inspected) -> None:
    report = inspected(
        arrive(
            {
                "cut.json": b'{"images": [1, 2',
                "deep.json": b"[" * 65 + b"]" * 65,
                "deeper.json": b"[" * 1_000_000 + b"]" * 1_000_000,
                "digits.json": b"1" * 5000,
                "link.geojson": b'{"type": "Feature", "crs": {"type": "link", "properties": {"href": "http://x"}}}',
                "nan.json": b'{"a": NaN}',
                "other.geojson": b'{"type": "Topology"}',
                "twice.json": b'{"a": 1, "b": {"a": 2, "a": 3}}',
            }
        )
    )
    found = findings(report)
    assert found.pop("cut.json").startswith("expected JSON, found Expecting ',' delimiter: line 1 column 17")
    assert found.pop("digits.json").startswith("expected JSON, found Exceeds the limit")
    assert found == {
        "deep.json": "expected at most 64 levels of nesting, found 65",
        "deeper.json": "expected at most 64 levels of nesting, found 1000000",
        "link.geojson": "expected a coordinate system given by name, found a link to another file",
        "nan.json": "expected JSON, found NaN, which JSON does not have",
        "other.geojson": "expected a GeoJSON object, found type 'Topology'",
        "twice.json": "expected JSON, found the name 'a' twice in one object",
    }


@settings(deadline=None, max_examples=100)
@given(st.recursive(st.text(max_size=8) | st.none(), lambda inner: st.lists(inner, max_size=3)))
def test_nesting_counts_brackets_outside_strings(value: object) -> None:
    def depth(item: object) -> int:
        return 1 + max(map(depth, item), default=0) if isinstance(item, list) else 0

    assert nesting(json.dumps(value)) == depth(value)
    assert nesting(json.dumps(value, ensure_ascii=False)) == depth(value)


def test_xml_that_makes_a_reader_open_or_expand_anything_is_refused(arrive: Arrive, inspected: Inspected) -> None:
    bomb = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "x">]><a>&b;</a>'
    report = inspected(
        arrive(
            {
                "bomb.xml": bomb,
                "cut.xml": b"<annotation><object>",
                "deep.xml": b"<a>" * 65 + b"</a>" * 65,
                "include.xml": b'<a xmlns:i="http://www.w3.org/2001/XInclude"><i:include href="/etc/passwd"/></a>',
                "latin.xml": b'<?xml version="1.0" encoding="ISO-8859-1"?><a/>',
                "style.xml": b'<?xml version="1.0"?><?xml-stylesheet href="x"?><a/>',
            }
        )
    )
    found = findings(report)
    assert found["bomb.xml"].startswith(
        "expected no document type, found <!DOCTYPE a>; expected no entities, found <!ENTITY b>"
    )
    assert found["cut.xml"].startswith("expected well-formed XML, found ")
    assert found["deep.xml"] == "expected at most 64 levels of nesting, found more"
    assert found["include.xml"] == "expected no inclusion of other files, found XInclude in <a>"
    assert found["latin.xml"] == "expected UTF-8, found the encoding ISO-8859-1"
    assert found["style.xml"] == "expected no processing instructions, found <?xml-stylesheet?>"


def test_csv_that_readers_would_cut_differently_is_refused(arrive: Arrive, inspected: Inspected) -> None:
    report = inspected(
        arrive({"cell.csv": b"x" * (2 << 20), "open.csv": b'a,b\n"c,d\n', "quote.csv": b'"a"b,c\n', "t.tsv": b"a\tb\n"})
    )
    assert findings(report) == {
        "cell.csv": "expected rows of cells, quotes closed, found field larger than field limit (1048576) in line 1",
        "open.csv": "expected rows of cells, quotes closed, found unexpected end of data in line 2",
        "quote.csv": "expected rows of cells, quotes closed, found ',' expected after '\"' in line 1",
    }


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=300), st.sampled_from(["a.png", "b.txt", "c", "d.json", "e.xml", ".f"]))
def test_every_head_has_one_type_and_a_picture_never_by_name(head: bytes, path: str) -> None:
    kind = sniff(head, path)
    assert kind
    if kind in {"png", "jpeg", "tiff", "webp"}:
        assert sniff(head, "other.txt") == kind


def test_endings_are_what_stands_after_the_last_dot() -> None:
    assert [ending(p) for p in ("a.tar.GZ", "b", ".hidden", "c.d/e", "f.")] == ["gz", "", "", "", ""]
    assert agrees("jpeg", "x.JPG")
    assert not agrees("jpeg", "x.png")
    assert not agrees("ELF program", "x.png")


def test_a_finding_is_json_ready() -> None:
    assert Finding("r", "e", "f").to_json() == {"rule": "r", "expected": "e", "found": "f", "note": False}


def test_archives_that_try_to_write_elsewhere_are_refused_and_write_nothing(
    real_data: object, inspected: Inspected, tmp_path: Path
) -> None:
    source = real_data("reference_archives")  # type: ignore[operator]
    before = sorted(p for p in tmp_path.rglob("*"))
    report = inspected(source)
    archives = [f for f in report.files if Path(f.path).suffix in {".zip", ".tar", ".cpio", ".a"}]
    assert len(archives) == 28
    for file in archives:
        assert file.findings[0].found.endswith("archive; unpack it first"), file
    assert [f.path for f in report.refused] == [f.path for f in archives]
    assert not Path("/tmp/moo").exists()
    assert sorted(p for p in tmp_path.rglob("*") if "quarantine" not in p.parts) == before
