"""What a receiver takes at most from a link on which anybody may speak."""

from __future__ import annotations

from dataclasses import dataclass

SYMBOL_BYTES_MIN, SYMBOL_BYTES_MAX = 64, 8192
BLOCK_BYTES_MIN, BLOCK_BYTES_MAX = 1 << 10, 64 << 20
CODED_BYTES_MAX = 8 << 20
"""The largest block sent in packets: one source block without sub-blocks for the FEC library (RFC 6330, 4.3)."""
SYMBOLS_MAX = 8192
INDEX_BLOCKS_MAX = 32


@dataclass(frozen=True)
class LinkLimits:
    """What a receiver takes at most; `memory_bytes` bounds the symbols of unfinished blocks, all bundles together."""

    max_bytes: int = 1 << 40
    max_files: int = 1_000_000
    max_index_bytes: int = 64 << 20
    max_block_bytes: int = CODED_BYTES_MAX
    max_block_symbols: int = SYMBOLS_MAX
    max_sessions: int = 8
    max_depth: int = 32
    max_path_bytes: int = 2048
    memory_bytes: int = 256 << 20
