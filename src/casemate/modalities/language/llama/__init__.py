"""GGUF chat models, run by llama.cpp (`xllamacpp`) in a process of their own.

Rules. Native code that reads a model others made can end its process: it never ends ours. The process gives up files,
network and new processes before it reads a byte of the model (`casemate.compute.cell`); the HTTP port that the library
insists on is on a loopback where nobody else lives. Nothing is cut: messages that do not fit are BadInput with both
numbers. The beginning of a prompt is reused only among calls of one `reuse` key, and never without one. A process that
dies fails its calls, and the next call starts another.
"""

from __future__ import annotations

import os
from pathlib import Path

from casemate.modalities.language.llama.model import ChatModel, Options

__all__ = ["ChatModel", "Options", "open_model"]

_BLOCK = 256


def open_model(
    model_dir: Path,
    *,
    context_tokens: int = 4096,
    slots: int = 1,
    threads: int = 0,
    load_s: float = 600.0,
) -> ChatModel:
    """The chat model in a folder with `model.gguf`, loaded; BadInput for a file that llama.cpp does not load.

    `context_tokens` is for each of `slots` calls at once, rounded up to whole blocks of 256 as the engine does;
    `threads` is 0 for every core that this process may use.
    """
    cores = threads or len(os.sched_getaffinity(0))
    model = ChatModel(model_dir / "model.gguf", Options(-(-context_tokens // _BLOCK) * _BLOCK, slots, cores, load_s))
    model.load()
    return model
