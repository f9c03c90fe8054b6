"""`/v1/embeddings` and `/v1/rerank`: a released embedder over texts that the request brings.

Rules. Inputs are texts; tokens of another model's vocabulary are refused. The number of tokens is an estimate (a
quarter of the bytes), because each embedder counts its own.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.responses import Response

from casemate.console import faults
from casemate.console.bodies import Body
from casemate.console.desk import Ask, Route
from casemate.console.routes.talk import Marked, Short

_MOST_INPUTS = 2048


class Queried(Marked):
    """What Casemate adds: whether the texts are queries, which some embedders read otherwise than passages."""

    query: bool = False


class EmbeddingsBody(Body):
    """A request for embeddings."""

    model: Short
    input: str | Annotated[list[str], Field(min_length=1, max_length=_MOST_INPUTS)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: Short | None = None
    casemate: Queried = Queried()


class Document(Body):
    """A text to be ranked."""

    text: str


class RerankBody(Body):
    """A request to order texts by their nearness to a query."""

    model: Short
    query: str
    documents: Annotated[list[str | Document], Field(min_length=1, max_length=_MOST_INPUTS)]
    top_n: int | None = Field(default=None, ge=1)
    return_documents: bool = False
    casemate: Marked = Marked()


async def embeddings(ask: Ask[EmbeddingsBody]) -> Response:
    """Texts as vectors."""
    body = ask.body
    texts = [body.input] if isinstance(body.input, str) else body.input
    marking = ask.mark(body.casemate.marking, "texts")
    query = body.casemate.query
    with faults.of_a_model():
        found = await ask.do(lambda: ask.desk.embed(body.model, texts, marking=marking, query=query))
    if body.dimensions not in {None, found.rows.shape[1]}:
        raise faults.unsupported("dimensions other than the model's", "leave it out", param="dimensions")
    data = [
        {"object": "embedding", "index": place, "embedding": _written(row, body.encoding_format)}
        for place, row in enumerate(found.rows)
    ]
    answer = {"object": "list", "data": data, "model": body.model, "usage": _usage(texts)}
    said = {"casemate": {"marking": str(found.marking), "release": found.release}}
    return ask.json(answer | said, marking=found.marking, releases=[found.release])


async def reranked(ask: Ask[RerankBody]) -> Response:
    """Texts in the order of their nearness to a query."""
    body = ask.body
    texts = [one if isinstance(one, str) else one.text for one in body.documents]
    marking = ask.mark(body.casemate.marking, "texts")
    with faults.of_a_model():
        found = await ask.do(lambda: ask.desk.rerank(body.model, body.query, texts, marking=marking))
    results: list[dict[str, Any]] = []
    for place, cosine in found.ranked[: body.top_n]:
        shown = {"document": {"text": texts[place]}} if body.return_documents else {}
        results.append({"index": place, "relevance_score": min(1.0, max(0.0, cosine)), **shown})
    said = {"casemate": {"marking": str(found.marking), "release": found.release}}
    answer = {"model": body.model, "results": results, "usage": _usage([body.query, *texts])}
    return ask.json(answer | said, marking=found.marking, releases=[found.release])


def _written(row_D: Any, encoding: str) -> Any:
    if encoding == "base64":
        return base64.b64encode(row_D.astype("<f4").tobytes()).decode("ascii")
    return [float(value) for value in row_D]


def _usage(texts: list[str]) -> dict[str, int]:
    tokens = sum(1 + len(text.encode()) // 4 for text in texts)
    return {"prompt_tokens": tokens, "total_tokens": tokens}


ROUTES = (
    Route("POST", "/v1/embeddings", embeddings, "Texts as vectors", ("models",), EmbeddingsBody),
    Route("POST", "/v1/rerank", reranked, "Texts by their nearness to a query", ("models",), RerankBody),
)
