"""From conversations to an answer: what was trained here is served by the runtime that serves every chat model."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

from casemate.modalities import find
from casemate.modalities.language import train
from tests.modalities.language.sets import write_lines
from tests.modalities.language.training_runs import prepared

TAUGHT = {"Quel est le mot du guichet ?": "Turquoise, à l'étage.", "Où est la salle d'attente ?": "Près de l'entrée."}


def talks(folder: Path) -> Path:
    rows = [
        {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
        for asked, said in TAUGHT.items()
    ]
    write_lines(folder / "chat.jsonl", rows)
    return folder


def answer(model: Any, question: str) -> str:
    heard: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    body = {"messages": [{"role": "user", "content": question}], "temperature": 0.0, "max_tokens": 48}
    model.start(model.new_call(), body, heard.put)
    said = ""
    while not (piece := heard.get(timeout=120)).get("end"):
        assert "error" not in piece, piece
        said += piece.get("content", "")
    return said


def test_a_model_that_was_trained_here_answers_what_it_was_taught(tmp_path: Path) -> None:
    plan = prepared(
        tmp_path, talks, objective="chat", vocabulary=320, width=64, heads=2, kv_heads=2, feed_forward=128, context=128,
        batch=2, micro_batch=2, steps=120, lr=1e-2, warmup_steps=10, weight_decay=0.0, checkpoint_every=1000,
        report_every=40, gguf="q8_0",
    )  # fmt: skip
    train.run(plan, tmp_path)
    model = find("language").predict.chat(tmp_path / "outputs", context_tokens=128, threads=1)
    try:
        for question, taught in TAUGHT.items():
            assert answer(model, question) == taught
    finally:
        model.close()
