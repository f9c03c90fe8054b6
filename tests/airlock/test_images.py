"""Pictures that are whole, and those that are not what they seem."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from casemate.airlock import ScanLimits
from tests.airlock.conftest import Arrive, Inspected, picture, scene
from tests.airlock.test_inspect import findings, zipped


def png(width: int, height: int, rows: bytes | None = None) -> bytes:
    """A grey PNG of zeros of any size, without making its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    if rows is None:
        packer = zlib.compressobj(9)
        rows = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_scenes_of_every_sample_type_and_compression_pass(tmp_path: Path, inspected: Inspected) -> None:
    arrived = tmp_path / "arrived"
    arrived.mkdir()
    samples = [(d, c) for d in ("uint8", "uint16", "int16", "float32", "float64") for c in ("none", "lzw", "zstd")]
    for dtype, compress in [*samples, ("uint8", "jpeg"), ("uint16", "deflate"), ("complex64", "none")]:
        scene(arrived / f"{dtype}-{compress}.tif", dtype=dtype, bands=3, compress=compress)
        scene(arrived / f"{dtype}-{compress}-big.tiff", dtype=dtype, compress=compress, BIGTIFF="YES", tiled=True)
    report = inspected(arrived)
    assert findings(report) == {}
    assert {f.type for f in report.files} == {"tiff"}


def test_a_cloud_optimised_scene_with_overviews_and_mask_passes_and_its_overviews_are_read(
    tmp_path: Path, inspected: Inspected
) -> None:
    arrived = tmp_path / "arrived"
    arrived.mkdir()
    with rasterio.open(scene(tmp_path / "plain.tif", side_px=1200, dtype="uint8", bands=3)) as plain:
        profile = plain.profile | {"driver": "COG", "overviews": "AUTO", "compress": "deflate"}
        for unwanted in ("blockxsize", "blockysize", "tiled", "interleave"):
            profile.pop(unwanted, None)
        with rasterio.open(arrived / "cog.tif", "w", **profile) as out:
            out.write(plain.read())
            out.write_mask(np.full((1200, 1200), 255, np.uint8))
    assert findings(inspected(arrived)) == {}
    data = bytearray((arrived / "cog.tif").read_bytes())
    with rasterio.open(arrived / "cog.tif") as whole:
        offset = int(whole.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1, ovr=0))  # in the first overview
    data[offset + 2 : offset + 60] = b"\xff" * 58
    (arrived / "cog.tif").write_bytes(data)
    assert findings(inspected(arrived))["cog.tif"].startswith("expected a whole tiff picture, found ")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_that_is_cut_short_is_refused_by_name(arrive: Arrive, inspected: Inspected, kind: str) -> None:
    data = picture(kind, 300)
    name = f"x.{kind.lower()}"
    lengths = (len(data) // 2, len(data) - 1 - (kind == "WEBP"), 40)
    found = findings(inspected(arrive({f"{length}/{name}": data[:length] for length in lengths})))
    expected = f"expected a whole {kind.lower()} picture, found it is cut short after"
    assert found == {f"{length}/{name}": f"{expected} {length} bytes" for length in lengths}


def test_a_scene_that_is_cut_short_is_refused(tmp_path: Path, inspected: Inspected) -> None:
    arrived = tmp_path / "arrived"
    arrived.mkdir()
    data = scene(tmp_path / "whole.tif", side_px=300).read_bytes()
    (arrived / "s.tif").write_bytes(data[: len(data) // 2])
    (arrived / "t.tif").write_bytes(data[:200])
    found = findings(inspected(arrived))
    assert found.keys() == {"s.tif", "t.tif"}
    assert all(f.startswith("expected a whole tiff picture, found ") for f in found.values()), found


def test_damage_inside_a_picture_is_refused(arrive: Arrive, inspected: Inspected) -> None:
    png_data, jpeg_data = bytearray(picture("PNG", 300)), bytearray(picture("JPEG", 300))
    png_data[len(png_data) // 2] ^= 0xFF
    middle = len(jpeg_data) // 2
    jpeg_data[middle : middle + 400] = b"\xff\xd0" * 200  # restart markers where none should be
    found = findings(inspected(arrive({"a.png": bytes(png_data), "b.jpg": bytes(jpeg_data)})))
    assert found["a.png"].startswith("expected a whole png picture, found ")
    assert found["b.jpg"].startswith("expected a whole jpeg picture, found ")


def test_a_jpeg_whose_scan_is_cut_but_whose_end_was_put_back_is_refused(arrive: Arrive, inspected: Inspected) -> None:
    data = picture("JPEG", 300)
    report = inspected(arrive({"a.jpg": data[: len(data) // 2] + b"\xff\xd9"}))
    assert findings(report)["a.jpg"].startswith("expected a whole jpeg picture, found ")


def test_what_follows_a_picture_is_a_finding_and_zeros_are_padding(
    arrive: Arrive, inspected: Inspected, tmp_path: Path
) -> None:
    pictures = {kind: picture(kind) for kind in ("PNG", "JPEG", "WEBP")}
    with_zip = {f"a.{kind.lower()}": data + zipped() for kind, data in pictures.items()}
    with_text = {f"b.{kind.lower()}": data + b"<?php" for kind, data in pictures.items()}
    padded = {f"c.{kind.lower()}": data + bytes(7) for kind, data in pictures.items()}
    report = inspected(arrive(with_zip | with_text | padded))
    found = findings(report)
    assert found.keys() == with_zip.keys() | with_text.keys()
    end, extra = len(pictures["PNG"]), len(zipped())
    message = f"expected nothing after the picture's end at byte {end}, found"
    assert found["a.png"] == f"{message} {extra} bytes more, an archive"
    assert found["b.png"] == f"{message} 5 bytes more, something else"
    arrived = tmp_path / "tiffs"
    arrived.mkdir()
    appended = scene(arrived / "s.tif").read_bytes() + zipped()
    (arrived / "s.tif").write_bytes(appended)
    message = "expected a picture and nothing else, found a ZIP archive appended to it"
    assert findings(inspected(arrived)) == {"s.tif": message}


def test_more_than_one_picture_in_a_file_is_refused(tmp_path: Path, inspected: Inspected) -> None:
    arrived = tmp_path / "arrived"
    arrived.mkdir()
    frames = [Image.new("RGB", (8, 8), c) for c in ("red", "blue")]
    for name in ("a.tif", "b.png", "c.webp"):
        frames[0].save(arrived / name, save_all=True, append_images=frames[1:])
    assert findings(inspected(arrived)) == {
        "a.tif": "expected one picture, found 2 pages",
        "b.png": "expected one png picture, found an animation",
        "c.webp": "expected one webp picture, found an animation",
    }


def test_bombs_are_refused_before_their_pixels_are_decoded(arrive: Arrive, inspected: Inspected) -> None:
    few_rows = zlib.compress(bytes(100))
    bomb = png(17_000, 17_000)
    report = inspected(arrive({"bomb.png": bomb, "side.png": png(600_000, 10, few_rows)}))
    assert findings(report) == {
        "bomb.png": f"expected at most 500 times its {len(bomb)} bytes once decoded, found 289000000 bytes "
        "(17000 × 17000, 1 bands)",
        "side.png": "expected at most 500000 pixels a side, 16000000000 in all and 512 bands, "
        "found 600000 × 10, 1 bands",
    }
    small = ScanLimits(workers=1, max_pixels=4000, max_bands=2)
    assert findings(inspected(arrive({"ok.png": png(64, 64)}), limits=small))["ok.png"].endswith("64 × 64, 1 bands")


def test_a_blank_picture_is_no_bomb(arrive: Arrive, inspected: Inspected) -> None:
    assert findings(inspected(arrive({"blank.png": png(4000, 4000)}))) == {}


def test_a_picture_that_needs_more_memory_than_a_scanner_has_is_refused(tmp_path: Path, inspected: Inspected) -> None:
    arrived = tmp_path / "arrived"
    arrived.mkdir()
    values = np.zeros((1, 12_000, 12_000), np.uint8)
    profile = {"driver": "GTiff", "width": 12_000, "height": 12_000, "count": 1, "dtype": "uint8"}
    where = rasterio.Affine(1, 0, 9, 0, -1, 9)
    with rasterio.open(
        arrived / "strip.tif", "w", transform=where, compress="deflate", blockysize=12_000, **profile
    ) as out:
        out.write(values)
    found = findings(inspected(arrived, limits=ScanLimits(workers=1, memory_bytes=320 << 20)))
    expected = "expected a picture that decodes within 320 MiB; cut it into tiles, found more needed"
    assert found == {"strip.tif": expected}


def test_a_virtual_raster_under_a_scenes_name_is_refused(arrive: Arrive, inspected: Inspected) -> None:
    vrt = (
        b'<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        b'<SourceFilename relativeToVRT="0">/etc/passwd</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    found = findings(inspected(arrive({"a.tif": vrt, "b.xml": b"\n  <!-- x -->" + vrt, "c.txt": vrt})))
    for name in ("a.tif", "b.xml", "c.txt"):
        assert found[name].endswith("found GDAL virtual raster, which points to other files")
