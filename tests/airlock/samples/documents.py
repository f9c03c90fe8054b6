"""Clean documents: a page, a PDF, Office files."""

from __future__ import annotations

SAMPLES = {
    "html": lambda: b"<!doctype html>\n<html><head><title>Notes</title></head><body><p>Two planes.</p></body></html>\n",
}
