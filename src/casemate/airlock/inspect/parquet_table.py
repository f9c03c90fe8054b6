"""Parquet: every cell of every column decoded, in batches, by the library that training uses.

Rules. What the footer promises is held against the limits before anything is decoded: columns, nesting, rows, and what
row groups unpack to. Columns are of plain types: an extension that Python would rebuild from bytes is a pickle in
disguise, and so is a cell that holds one. Pages are checked against their checksums where they have them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from casemate.airlock.limits import ScanLimits
from casemate.airlock.pickles import EXPECTED
from casemate.airlock.report import Finding

_MAX_COLUMNS, _MAX_ROW_GROUPS = 4096, 100_000
_MAX_ROW_GROUP_BYTES = 1 << 30
_MAX_CELLS = 1 << 33
_BATCH_BYTES, _MAX_BATCH_ROWS = 32 << 20, 65_536
_THRIFT_BYTES, _THRIFT_THINGS = 64 << 20, 4_000_000
_READ_BYTES = 1 << 20
_EXTENSION, _ARROW_SCHEMA = b"ARROW:extension:name", b"ARROW:schema"
_PYTHON_EXTENSION = b"arrow.py_extension_type"
_EXTENSIONS = frozenset({b"arrow.json", b"arrow.uuid", b"arrow.bool8", b"arrow.fixed_shape_tensor", b"arrow.opaque"})
_PICKLE = r"^\x80[\x02-\x05](.|\n)*\.$"


def versions() -> dict[str, str]:
    """The scanner's version and its decoder's; the decoder is told to stay small."""
    import pyarrow as pa
    from pyarrow import compute, parquet  # noqa: F401  loaded before the process is confined

    pa.set_memory_pool(pa.system_memory_pool())
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    return {"parquet_table": "1", "pyarrow": pa.__version__}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:  # noqa: ARG001  one signature for all
    """Whether it is a table, whole, of plain types."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with file.open("rb") as stream:
            table = parquet.ParquetFile(
                stream,
                buffer_size=_READ_BYTES,
                pre_buffer=False,
                thrift_string_size_limit=_THRIFT_BYTES,
                thrift_container_size_limit=_THRIFT_THINGS,
                page_checksum_verification=True,
                arrow_extensions_enabled=False,
            )
            findings = list(_check_footer(table, file.stat().st_size, limits)) or list(_check_schema(table, limits))
            return findings or _check_cells(table)
    except (pa.ArrowMemoryError, MemoryError):
        return [Finding("memory", f"a table that decodes within {limits.memory_bytes >> 20} MiB", "more needed")]
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as why:
        return [Finding("parquet", "a whole Parquet table", " ".join(str(why).split())[:300])]


def _check_footer(table: Any, size: int, limits: ScanLimits) -> Iterator[Finding]:
    facts = table.metadata
    if not 1 <= facts.num_columns <= _MAX_COLUMNS:
        yield Finding("parquet", f"1 to {_MAX_COLUMNS} columns", str(facts.num_columns))
    elif facts.num_row_groups > _MAX_ROW_GROUPS:
        yield Finding("parquet", f"at most {_MAX_ROW_GROUPS} row groups", str(facts.num_row_groups))
    elif not 0 <= facts.num_rows * facts.num_columns <= _MAX_CELLS:
        yield Finding("parquet", f"at most {_MAX_CELLS} cells", f"{facts.num_rows} rows of {facts.num_columns}")
    else:
        groups = [facts.row_group(i) for i in range(facts.num_row_groups)]
        largest = max((group.total_byte_size for group in groups), default=0)
        total = sum(group.total_byte_size for group in groups)
        allowed = max(limits.expands_freely_bytes, size * limits.max_expansion)
        if largest > _MAX_ROW_GROUP_BYTES or any(group.total_byte_size < 0 for group in groups):
            yield Finding("parquet", f"row groups of at most {_MAX_ROW_GROUP_BYTES} bytes", str(largest))
        elif total > allowed:
            yield Finding("expansion", f"at most {allowed} bytes once unpacked, for {size}", str(total))
        elif sum(group.num_rows for group in groups) != facts.num_rows:
            yield Finding("parquet", f"{facts.num_rows} rows in all row groups", "another number")


def _check_schema(table: Any, limits: ScanLimits) -> Iterator[Finding]:
    stored = _stored_schema(table)
    if _PYTHON_EXTENSION in stored:
        yield Finding("pickle", EXPECTED, "an extension type that Python rebuilds from bytes")
    for i in range(table.metadata.num_columns):
        depth = table.schema.column(i).path.count(".") + 1
        if depth > limits.max_nesting:
            yield Finding("parquet", f"at most {limits.max_nesting} levels of nesting", str(depth))
            return
    for field in _fields(table.schema_arrow):
        name = (field.metadata or {}).get(_EXTENSION)
        if name is not None and name not in _EXTENSIONS:
            yield Finding("parquet", "columns of plain types", f"the extension {name!a} of {field.name!a}"[:200])


def _stored_schema(table: Any) -> bytes:
    """The schema of Arrow that a writer may have left, as it lies there: a reader would take extensions from it."""
    text = (table.metadata.metadata or {}).get(_ARROW_SCHEMA, b"")
    try:
        return base64.b64decode(text)
    except binascii.Error as why:
        raise ValueError(f"a stored schema that is no base64: {why}") from why


def _fields(schema: Any) -> Iterator[Any]:
    waiting = list(schema)
    while waiting:
        field = waiting.pop()
        yield field
        waiting += [field.type.field(i) for i in range(field.type.num_fields)]


def _check_cells(table: Any) -> list[Finding]:
    """Decode everything, a few rows at a time."""
    facts = table.metadata
    size = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
    at_once = max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES * facts.num_rows // max(size, 1)))
    rows = 0
    for batch in table.iter_batches(at_once, use_threads=False):
        batch.validate(full=True)
        rows += batch.num_rows
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if _holds_pickles(column):
                return [Finding("pickle", EXPECTED, f"cells of column {name[:80]!a} that are pickles")]
    expected = facts.num_rows
    return [] if rows == expected else [Finding("parquet", f"{expected} rows, as its footer says", str(rows))]


def _holds_pickles(column: Any) -> bool:
    from pyarrow import compute, types

    waiting = [column]
    while waiting:
        now = waiting.pop()
        if types.is_map(now.type):
            waiting += [now.keys, now.items]
        elif types.is_nested(now.type):
            parts = now.flatten()
            waiting += parts if isinstance(parts, list) else [parts]
        elif _is_bytes(now.type) and compute.any(compute.match_substring_regex(now, _PICKLE)).as_py():
            return True
    return False


def _is_bytes(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_binary(kind) or types.is_large_binary(kind))
