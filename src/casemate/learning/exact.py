"""Arithmetic that gives the same bits every time, on a fixed number of threads."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@contextmanager
def exact(threads: int) -> Iterator[None]:
    """Deterministic arithmetic on a fixed number of threads; all is as before at the end."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    torch.set_num_threads(threads)
    # On a GPU a few gradients have no exact form: there the law is "same loss", and not "same bytes".
    torch.use_deterministic_algorithms(mode=True, warn_only=torch.cuda.is_available())
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        memory.fill_uninitialized_memory = filled


def keep_freed_memory() -> None:
    """Let a step use the memory that the one before it freed, without a way through the system; for good."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "gnu_get_libc_version"):
            libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)  # large tensors come from the heap,
            libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)  # which is not given back between steps
