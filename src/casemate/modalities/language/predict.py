"""Answering with a language model: one door for each task, which imports its runtime when it is asked for.

Rules. A model is a folder whose bytes the caller has verified. A door reads nothing outside it and opens no socket.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def chat(model_dir: Path, **options: Any) -> Any:
    """The chat model in a folder (GGUF), run in process (`llama`)."""
    from casemate.modalities.language import llama

    return llama.open_model(model_dir, **options)


def embedder(model_dir: Path, **options: Any) -> Any:
    """The embedder in a folder: `dim`, `name` and `embed(texts, query=...)`, float32 rows of unit length."""
    from casemate.modalities.language import embedders

    return embedders.open_model(model_dir, **options)


def recogniser(model_dir: Path, **options: Any) -> Any:
    """The recogniser of printed text in a folder (ONNX)."""
    from casemate.modalities.language.documents import ocr

    return ocr.open_model(model_dir, **options)
