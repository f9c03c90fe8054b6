"""Finding passages: one shard of the index for each marking, opened only where the reader may read it.

Rules. A reader's search opens the shards of the markings that they see and nothing else, so that nothing above them
takes part: statistics are integers, added up over the opened shards, and scores follow from them to the last bit
however passages are spread over shards and segments (ADR 0009). Whoever calls chooses the shards by `seen_by(reader)`;
this room never lists them. An index is derived and disposable. A shard's writers exclude one another, and its readers
hold the generation that they opened. What is here is light; `shard` (opening) and `writing` bring NumPy.
"""

from casemate.serving.retrieval.embedding import Embedder, Reranker
from casemate.serving.retrieval.passages import Filters, Hit, Passage, read_passages
from casemate.serving.retrieval.search import search

__all__ = ["Embedder", "Filters", "Hit", "Passage", "Reranker", "read_passages", "search"]
