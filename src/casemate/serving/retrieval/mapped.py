"""Arrays of `.npy` files read where they lie: mapped into memory, shared by every process that reads them.

Rules. A file is what its list says or it is BadInput that names the file, what was expected and what was found: a
regular file, of this size, an array of this type and shape. Nothing in it is run (no pickle), and nothing but its
header is parsed. A map keeps no descriptor open, so that a reader may hold many shards. Files are written once, beside
their name, and never changed after.
"""

from __future__ import annotations

import ctypes
import io
import mmap
import os
import weakref
from functools import cache
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from casemate.errors import BadInput
from casemate.store.digest import open_regular

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def mapped(file: Path, size: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """The array of `file`, which must have this size, type and shape; read-only."""
    fd, facts = open_regular(file)
    try:
        if facts.st_size != size:
            raise BadInput(file, expected=f"{size} bytes", found=f"{facts.st_size} bytes")
        offset = _checked_header(fd, file, dtype, shape)
        count = int(np.prod(shape))
        if offset + count * dtype.itemsize != size:
            raise BadInput(file, expected=f"{size} bytes", found=f"an array of {offset + count * dtype.itemsize}")
        data = _map(fd, size)
    finally:
        os.close(fd)
    return np.frombuffer(data, dtype, count, offset).reshape(shape)


def write_array(file: Path, array: npt.NDArray[Any]) -> None:
    """Write an array as `np.save` does, which tells of a full disk without the system's number for it."""
    rows = np.ascontiguousarray(array)
    with file.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(rows))
        if rows.size:
            stream.write(rows.reshape(-1).view(np.uint8).data)


def _checked_header(fd: int, file: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    """Where the array's bytes begin, once its header says what it should."""
    expected = _header(dtype, shape)
    if os.pread(fd, len(expected), 0) == expected:  # as it is written here: reading hundreds with NumPy takes a while
        return len(expected)
    with os.fdopen(os.dup(fd), "rb") as stream:
        try:
            version = np.lib.format.read_magic(stream)
            found_shape, fortran, found_dtype = _HEADERS[version](stream)
        except (ValueError, KeyError, SyntaxError, TokenError) as why:  # NumPy reads a header as Python does
            raise BadInput(file, expected="a NumPy array", found="a file with another header") from why
        if (found_shape, found_dtype, fortran) != (shape, dtype, False):
            found = f"{found_dtype.str} {found_shape}{' by columns' if fortran else ''}"
            raise BadInput(file, expected=f"{dtype.str} {shape}", found=found)
        return stream.tell()


def _header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The header of an array as it is written here."""
    header = io.BytesIO()
    facts = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, facts)
    return header.getvalue()


def _map(fd: int, size: int) -> memoryview:
    """The file's bytes; unmapped when nothing refers to them any more (Python's own mmap would hold a descriptor)."""
    address = _libc().mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
    if address in {None, ctypes.c_void_p(-1).value}:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    block = (ctypes.c_ubyte * size).from_address(address)
    weakref.finalize(block, _libc().munmap, address, size)
    return memoryview(block).toreadonly()


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return libc
