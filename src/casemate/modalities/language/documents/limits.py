"""How much one document may take of the machine that reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a reader may use: memory of its process, processor seconds a page, and how much may come out of a document.

    One that gets the processor only now and then, as on a busy machine, is waited for `patience` times as long.
    A page is rendered for recognition at `dpi`, within `max_side_px`. Mail in mail is read `max_depth` deep.
    """

    memory_bytes: int = 4 << 30
    page_s: float = 90.0
    patience: float = 4.0
    start_s: float = 60.0
    max_pages: int = 20_000
    max_characters: int = 128 << 20
    max_unpacked_bytes: int = 512 << 20
    max_attachments: int = 1000
    max_depth: int = 4
    max_failures: int = 20
    dpi: int = 200
    max_side_px: int = 4000
    workers: int = 0
