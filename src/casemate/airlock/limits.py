"""How much may come in at once, and how much one scanner may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a quarantine takes at most; `max_expansion` is apparent size over size on disk (sparse files)."""

    max_files: int = 1_000_000
    max_bytes: int = 1 << 40
    max_file_bytes: int = 64 << 30
    max_depth: int = 32
    max_path_chars: int = 1024
    max_expansion: int = 100
    links_from_outside: bool = False


@dataclass(frozen=True)
class ScanLimits:
    """What a scanner's process may use for one file; time grows with the file's size.

    A picture that decodes to more than `expands_freely_bytes` may not be more than `max_expansion` times its file.
    After `max_failures` broken scanners the rest is refused unread; `workers` 0 is one a core.
    """

    memory_bytes: int = 3 << 30
    time_s: float = 60.0
    slowest_bytes_per_s: int = 4 << 20
    max_pixels: int = 16_000_000_000
    max_side_px: int = 500_000
    max_bands: int = 512
    max_expansion: int = 500
    expands_freely_bytes: int = 256 << 20
    max_text_bytes: int = 1 << 30
    max_nesting: int = 64
    max_members: int = 100_000
    max_failures: int = 10
    workers: int = 0

    def time_for(self, size: int) -> float:
        """Seconds that a file of `size` bytes may take."""
        return self.time_s + size / self.slowest_bytes_per_s
