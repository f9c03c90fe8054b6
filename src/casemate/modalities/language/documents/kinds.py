"""Which kinds of documents are read, by what their names end in; the airlock has held names to their bytes."""

from __future__ import annotations

_KINDS = {
    "pdf": ("pdf",), "docx": ("docx",), "xlsx": ("xlsx",), "pptx": ("pptx",), "odt": ("odt",), "ods": ("ods",),
    "odp": ("odp",), "html": ("html", "htm"), "eml": ("eml",), "msg": ("msg",), "markdown": ("md", "markdown"),
    "image": ("png", "jpg", "jpeg", "tif", "tiff", "webp"), "json": ("json", "jsonl", "ndjson", "geojson"),
    "text": ("", "txt", "csv", "tsv", "xml", "srt", "vtt", "yaml", "yml", "toml", "log"),
}  # fmt: skip
_READERS = {"csv": "csv", "tsv": "csv", "xml": "xml", "odt": "odf", "ods": "odf", "odp": "odf"}
_BY_ENDING = {ending: kind for kind, endings in _KINDS.items() for ending in endings}
INSIDE = "!/"  # between a mail and what is attached to it, in the path of a document


def ending(path: str) -> str:
    """What stands after the last dot of a name, in lower case."""
    stem, dot, end = path.rpartition("/")[2].rpartition(".")
    return end.lower() if dot and stem else ""


def kind_of(path: str) -> str | None:
    """The kind of a document, or None for what is not read."""
    return _BY_ENDING.get(ending(path))


def reader_of(path: str) -> str:
    """The name of the reader that reads it: its kind's, but for some texts."""
    end = ending(path)
    return _READERS.get(end) or _READERS.get(_BY_ENDING[end]) or _BY_ENDING[end]
