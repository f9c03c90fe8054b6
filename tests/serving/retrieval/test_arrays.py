"""Arrays on disk: what is written is what NumPy writes; a damaged header and a full disk are told as such."""

from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from casemate.errors import BadInput
from casemate.serving.retrieval.mapped import mapped, write_array

NUMBERS = np.arange(7, dtype="<i4")
ARRAYS = [NUMBERS, np.array([b"fr", b"", b"en"]), np.zeros(0, "<f4"), np.eye(3, dtype="<f4")[:, :2]]
HEADERS = [b"{'descr': (", b'{"""', b"{", b"\\", b"[1]", b"{'a': 1}", b"\xff\0"]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype.str} {array.shape}")
def test_what_is_written_is_what_numpy_writes(array: npt.NDArray[Any], tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    write_array(file, array)
    np.save(tmp_path / "b.npy", np.ascontiguousarray(array))
    assert file.read_bytes() == (tmp_path / "b.npy").read_bytes()
    if array.size:
        assert np.array_equal(mapped(file, file.stat().st_size, array.dtype, array.shape), array)


@pytest.mark.parametrize("header", HEADERS)
def test_a_damaged_header_is_bad_input(header: bytes, tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    np.save(file, NUMBERS)
    data = file.read_bytes()
    file.write_bytes(data[:10] + header.ljust(117) + b"\n" + data[128:])
    with pytest.raises(BadInput, match="expected a NumPy array, found a file with another header"):
        mapped(file, len(data), NUMBERS.dtype, NUMBERS.shape)


def test_a_full_disk_keeps_its_number(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
            with pytest.raises(OSError) as no:
                write_array(tmp_path / "a.npy", np.zeros(100_000))
            code = 0 if no.value.errno == errno.EFBIG else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
