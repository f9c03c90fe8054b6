"""Embedders: texts as vectors of unit length, by models whose files came through the airlock.

Rules. What a folder holds says which runtime reads it; nothing in it is code, and nothing is fetched. A text is
embedded by itself, so that its vector is the same whatever else was asked for with it, before it or after it, and
memory is bounded by one text. A long text is read in windows, as wide as the model's positions, whose means are
averaged by their length.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from casemate.errors import BadInput

if TYPE_CHECKING:
    from casemate.modalities.language.embedders.texts import TextEmbedder

_FORMATS = {
    "sentence_encoder": ("weights.npz", "sp.model"),
    "bert": ("model.safetensors", "tokenizer.json", "config.json"),
    "packed_e5": ("e5-small-q4.bin",),
}


def open_model(folder: Path, *, name: str = "") -> TextEmbedder:
    """The embedder in a folder, told by its files; `name` says whose vectors they are (else the folder's name)."""
    for runtime, files in _FORMATS.items():
        if all((folder / file).is_file() for file in files):
            return _open(runtime, folder, name or folder.name)
    known = "; ".join(" + ".join(files) for files in _FORMATS.values())
    found = ", ".join(sorted(f.name for f in folder.iterdir())) if folder.is_dir() else "no folder"
    raise BadInput(f"embedder {folder.name}", expected=f"the files of one ({known})", found=found or "no file")


def _open(runtime: str, folder: Path, name: str) -> TextEmbedder:
    from casemate.modalities.language.embedders import bert, packed_e5, sentence_encoder

    opened = {"sentence_encoder": sentence_encoder.read, "bert": bert.read, "packed_e5": packed_e5.read}
    return opened[runtime](folder, name)
