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
    After `max_failures` broken scanners the rest is refused unread; `workers` 0 is one a core. What comes out of an
    archive that arrived, and of all within it, is held against `max_expansion` and `expands_freely_bytes` too.
    A process that gets the processor only now and then, as on a busy machine, is waited for `patience` times as long as
    it may compute. An antivirus is sent `antivirus_window_bytes` at once: its own default limit, less something.
    Texts are in UTF-8 and cells between commas unless `older_texts`: what reads them afterwards has to tell them too.
    """

    memory_bytes: int = 3 << 30
    time_s: float = 60.0
    slowest_bytes_per_s: int = 4 << 20
    patience: float = 4.0
    max_pixels: int = 16_000_000_000
    max_side_px: int = 500_000
    max_bands: int = 512
    max_expansion: int = 500
    expands_freely_bytes: int = 256 << 20
    max_text_bytes: int = 1 << 30
    max_nesting: int = 64
    max_members: int = 100_000
    max_pages: int = 5_000
    max_objects: int = 1_000_000
    max_channels: int = 32
    max_rate_hz: int = 768_000
    max_duration_s: float = 172_800.0
    max_personal_bytes: int = 8 << 20
    max_archive_depth: int = 4
    max_archive_files: int = 200_000
    max_archive_bytes: int = 256 << 30
    antivirus_window_bytes: int = 96 << 20
    max_failures: int = 10
    workers: int = 0
    older_texts: bool = False

    def time_for(self, size: int) -> float:
        """Seconds of processor time that a file of `size` bytes may take."""
        return self.time_s + size / self.slowest_bytes_per_s

    def wait_for(self, size: int) -> float:
        """Seconds that a scanner's answer on a file of `size` bytes is waited for."""
        return self.patience * self.time_for(size)
