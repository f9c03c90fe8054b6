"""The models that are evaluated, opened from their folders by `predict` as everywhere else."""

from __future__ import annotations

import queue
from collections.abc import Mapping, Sequence
from typing import Any

from casemate.errors import RunFailed
from casemate.modalities.language import predict
from casemate.modalities.language.evaluation.asking import Chat
from casemate.modalities.language.evaluation.retrieval import Embedder
from casemate.modalities.language.evaluation.task import Task

_CONTEXT_TOKENS = 4096
_SHARED = "evaluation"  # what the questions of one evaluation begin with alike is computed once


class Replies:
    """A chat model of `predict.chat`, asked for whole answers."""

    def __init__(self, model: Any) -> None:
        """Wrap an open model."""
        self._model = model

    def reply(self, messages: Sequence[Mapping[str, str]], *, max_tokens: int) -> str:
        """The answer, greedily decoded; RunFailed where the engine gives none."""
        said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        body = {"messages": list(messages), "max_tokens": max_tokens, "temperature": 0.0, "seed": 0}
        self._model.start(self._model.new_call(), body, said.put, reuse=_SHARED)
        text = ""
        while True:
            piece = said.get()
            if "error" in piece:
                raise _failed(piece["error"])
            text += str(piece.get("content", ""))
            if piece.get("end"):
                return text.strip()


def _failed(error: object) -> RunFailed:
    """Why there is no answer: counted as none, it would flatter a model that is attacked."""
    match error:
        case {"prompt_tokens": prompt, "context_tokens": context}:
            expected = f"questions and passages of at most {context} tokens (fewer: passages=1)"
            return RunFailed("evaluation", expected=expected, found=f"one of {prompt}")
        case _:
            return RunFailed("evaluation", expected="an answer of the model", found=f"{error!s:.200}")


def open_chat(task: Task) -> Chat:
    """The chat model of an evaluation, with a context that holds its passages and an answer."""
    wanted = _CONTEXT_TOKENS + task.asked.answer_tokens
    model = predict.chat(task.model_dir, context_tokens=wanted, threads=task.plan.resources.threads)
    return Replies(model)


def open_recogniser(task: Task) -> Any:
    """The recogniser of an evaluation: pictures in, lines out."""
    return predict.recogniser(task.model_dir, threads=task.plan.resources.threads)


def open_embedder(task: Task) -> Embedder:
    """The embedder of an evaluation."""
    found: Embedder = predict.embedder(task.model_dir)
    return found
