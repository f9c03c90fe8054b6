"""How far two engines are apart on the same words: PyTorch on the weights, llama.cpp on the file written from them.

Rules. First the tokens: every text must become the very same ones in both (llama.cpp composes no accents: where a
vocabulary does, both get the text composed). Then, at each place of a text, the whole distribution of the next token:
their divergence (nats), the mean loss of each (whose exponent is the perplexity), and how often both put the same
token first. llama.cpp runs in this process, on loopback, behind a key that nobody else has.
"""

import http.client
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from casemate.errors import BadInput, RunFailed
from casemate.modalities.language.vocabulary import Vocabulary

Floats = NDArray[np.float64]
SAMPLES = (
    "L’été dernier, l'usager a déposé sa demande n° 12 345 à la préfecture de l'Hérault : où en est-elle ?",
    "Coût : 1 234,50 € (TVA 20 %) ; délai de 3 à 6 mois.\n\n- Pièce d'identité\n\t- Justificatif de domicile\n",
    "Œuvre, cœur, Noël, ÇA, aïeul, «\u00a0guillemets\u00a0», e\u0301 décomposé, naïveté…   Trois espaces.",
    "The quick brown fox can't jump over 42 lazy dogs; it's 10:30 a.m. https://example.org/a?b=c&d=1 😀 中文",
    "À TOUTES FINS UTILES\r\nARTICLE 1ER\r\n  aujourd'hui, presqu'île, s'il te plaît",
)
_PLACES = 48
_THREADS = 1


@dataclass(frozen=True)
class Parity:
    """What was compared, and how far apart it is."""

    texts: int
    places: int
    divergence_mean: float
    divergence_max: float
    loss: float
    loss_there: float
    first_alike: float

    @property
    def loss_apart(self) -> float:
        """How far the two mean losses are apart, in nats a token."""
        return abs(self.loss - self.loss_there)

    def to_json(self) -> dict[str, float]:
        """Figures for model.json."""
        return {name: round(float(value), 6) for name, value in asdict(self).items()}


def compare(file: Path, network: nn.Module, vocabulary: Vocabulary, texts: Sequence[str]) -> Parity:
    """Compare a GGUF file with the network that it was written from; RunFailed where a text becomes other tokens."""
    context = int(network.config.max_position_embeddings)  # type: ignore[union-attr, arg-type]
    with served(file, context=min(context, _PLACES + 16), plain=vocabulary.encode("a")[0]) as engine:
        for text in map(vocabulary.composed, (*SAMPLES, *texts)):
            ours, theirs = vocabulary.encode(text), engine.tokens(text)
            if ours != theirs:
                raise RunFailed(f"tokens of {text[:40]!r}", expected=f"{ours[:40]}", found=f"{theirs[:40]}")
        ids = [token for text in texts for token in vocabulary.encode(text)] or vocabulary.encode(SAMPLES[0])
        ids = ids[: min(_PLACES + 1, context)]
        if len(ids) < 2:
            raise BadInput("text to compare engines on", expected="at least two tokens", found=len(ids))
        here = _log_probabilities(network, ids)
        there = np.stack([engine.log_probabilities(ids[: place + 1], here.shape[1]) for place in range(len(ids) - 1)])
    return _apart(here[:-1], there, np.array(ids[1:]), len(texts))


def _apart(here: Floats, there: Floats, following: NDArray[np.int64], texts: int) -> Parity:
    divergence = (np.exp(here) * (here - there)).sum(axis=1)
    rows = np.arange(len(following))
    alike = here.argmax(axis=1) == there.argmax(axis=1)
    return Parity(
        texts=texts, places=len(following),
        divergence_mean=float(divergence.mean()), divergence_max=float(divergence.max()),
        loss=float(-here[rows, following].mean()), loss_there=float(-there[rows, following].mean()),
        first_alike=float(alike.mean()),
    )  # fmt: skip


def _log_probabilities(network: nn.Module, ids: Sequence[int]) -> Floats:
    with torch.inference_mode():
        logits = network.eval()(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0]
    found: Floats = torch.log_softmax(logits.double(), dim=-1).numpy()
    return found


class Engine:
    """llama.cpp with one model, as far as comparing needs it."""

    def __init__(self, server: Any, key: str, plain: int) -> None:
        self._server, self._key, self._plain = server, key, plain

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text, nothing added, special tokens known by name."""
        asked = {"content": text, "add_special": False, "parse_special": True}
        return [int(token) for token in self._post("/tokenize", asked)["tokens"]]

    def log_probabilities(self, ids: Sequence[int], size: int) -> Floats:
        """The distribution of the token after these, before anything is chosen.

        What is chosen is always the same plain letter: half a character, or the end, would come without probabilities.
        """
        chosen = {"n_predict": 1, "temperature": 0.0, "logit_bias": [[self._plain, 1e4]], "cache_prompt": True}
        asked = {"prompt": list(ids), "n_probs": size, "post_sampling_probs": False, **chosen}
        answer = self._post("/completion", asked)
        try:
            told = answer["completion_probabilities"][0]["top_logprobs"]
        except (KeyError, IndexError, TypeError) as why:
            raise RunFailed("llama.cpp", expected="probabilities of the next token", found=f"{answer!s:.200}") from why
        found = np.full(size, -np.inf)
        found[[row["id"] for row in told]] = [row["logprob"] for row in told]
        # What is too unlikely to be told is as unlikely as the least likely that was.
        found[np.isinf(found)] = found[np.isfinite(found)].min()
        return np.asarray(found - np.logaddexp.reduce(found))

    def _post(self, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        address = self._server.listening_address.removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=600)
        try:
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
            connection.request("POST", path, json.dumps(asked), headers)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise RunFailed("llama.cpp", expected=f"an answer to {path}", found=f"{answer.status} {body[:200]!r}")
        return dict(json.loads(body))


@contextmanager
def served(file: Path, *, context: int, plain: int = 0) -> Iterator[Engine]:
    """llama.cpp with a GGUF file, for as long as the block lasts; `plain` is the token of a letter."""
    import xllamacpp

    key = secrets.token_hex(16)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.n_ctx, parameters.n_parallel, parameters.verbosity, parameters.warmup = context, 1, -1, False
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = _THREADS
    parameters.n_gpu_layers = 0
    parameters.api_keys = [key]
    parameters.hostnames = ["127.0.0.1"]
    try:
        server = xllamacpp.Server(parameters)
    except RuntimeError as why:
        raise RunFailed(file.name, expected="a file that llama.cpp loads", found=f"{why!s:.200}") from why
    try:
        yield Engine(server, key, plain)
    finally:
        del server
