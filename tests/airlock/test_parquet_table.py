"""What is refused of a table of Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from casemate.airlock import ScanLimits
from casemate.airlock.inspect import parquet_table
from casemate.airlock.inspect.parquet_table import scan
from tests.airlock.samples.weights import parquet_of


def found(tmp_path: Path, data: bytes, **limits: Any) -> str:
    file = tmp_path / "t.parquet"
    file.write_bytes(data)
    findings = scan(file, "parquet", ScanLimits(**limits))
    return "; ".join(f"expected {f.expected}, found {f.found}" for f in findings)


def extension(name: str) -> bytes:
    facts = {"ARROW:extension:name": name, "ARROW:extension:metadata": "x"}
    schema = pa.schema([pa.field("u", pa.binary(), metadata=facts)])
    return parquet_of(pa.Table.from_arrays([pa.array([b"1"])], schema=schema))


def test_plain_tables_are_clean(tmp_path: Path) -> None:
    table = pa.table(
        {
            "n": pa.array([1, None, 3], pa.int8()),
            "t": ["a", "b", None],
            "when": pa.array([1, 2, 3], pa.timestamp("us", "UTC")),
            "m": pa.array([[("k", b"v")], [], None], pa.map_(pa.string(), pa.binary())),
            "s": [{"x": [1.0]}, None, {"x": []}],
            "d": pa.array([1, 2, 3], pa.decimal128(9, 2)),
        }
    ).replace_schema_metadata({"pandas": '{"index_columns": []}'})
    for options in (
        {"compression": "zstd"},
        {"compression": "none", "data_page_version": "2.0"},
        {"row_group_size": 1},
    ):
        assert found(tmp_path, parquet_of(table, **options)) == ""
    assert found(tmp_path, parquet_of(table.slice(0, 0))) == ""


@pytest.mark.parametrize("pickle", [b"\x80\x04N.", b"\x80\x02c\nposix\nsystem\nR."])
def test_cells_that_are_pickles_are_refused_however_deep(tmp_path: Path, pickle: bytes) -> None:
    for cells in (
        [pickle, b"x"],
        [[pickle]],
        [{"a": [{"b": pickle}]}],
        pa.array([[("k", pickle)]], pa.map_("string", "binary")),
    ):
        message = found(tmp_path, parquet_of(pa.table({"c": cells})))
        assert message.startswith("expected data and no pickle")
        assert message.endswith("found cells of column 'c' that are pickles")
    assert found(tmp_path, parquet_of(pa.table({"c": [pickle[:-1], b"\x80", b""]}))) == ""


def test_types_that_python_rebuilds_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    assert "found an extension type that Python rebuilds from bytes" in found(
        tmp_path, extension("arrow.py_extension_type")
    )
    assert "columns of plain types, found the extension b'my.own' of 'u'" in found(tmp_path, extension("my.own"))


def test_tables_beyond_their_limits_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"a": list(range(5000)), "b": ["x" * 100] * 5000})
    data = parquet_of(table, use_dictionary=False, compression="zstd", row_group_size=100)
    assert "bytes once unpacked, for" in found(tmp_path, data, expands_freely_bytes=1000, max_expansion=2)
    monkeypatch.setattr(parquet_table, "_MAX_ROW_GROUPS", 10)
    assert "at most 10 row groups, found 50" in found(tmp_path, data)
    monkeypatch.setattr(parquet_table, "_MAX_CELLS", 9999)
    monkeypatch.setattr(parquet_table, "_MAX_ROW_GROUPS", 100)
    assert "at most 9999 cells, found 5000 rows of 2" in found(tmp_path, data)
    monkeypatch.setattr(parquet_table, "_MAX_COLUMNS", 1)
    assert "1 to 1 columns, found 2" in found(tmp_path, data)
    monkeypatch.undo()
    monkeypatch.setattr(parquet_table, "_MAX_ROW_GROUP_BYTES", 1000)
    assert "row groups of at most 1000 bytes, found" in found(tmp_path, data)


def test_deep_columns_are_refused(tmp_path: Path) -> None:
    cell: Any = 1
    for _ in range(12):
        cell = {"a": cell}
    assert "at most 8 levels of nesting, found 13" in found(
        tmp_path, parquet_of(pa.table({"c": [cell]})), max_nesting=8
    )


def test_damage_is_found_by_checksums(tmp_path: Path) -> None:
    data = bytearray(parquet_of(pa.table({"a": ["abcdefgh"] * 50}), write_page_checksum=True, compression="none"))
    data[data.index(b"abcdefgh") + 3] ^= 1
    assert "a whole Parquet table, found" in found(tmp_path, bytes(data))
    assert "a whole Parquet table, found" in found(tmp_path, bytes(data[:-9]))
