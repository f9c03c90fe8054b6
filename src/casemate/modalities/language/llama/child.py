"""The process that runs one model: `python -m casemate.modalities.language.llama.child`, started by `model`.

Rules. It confines itself before it reads a byte of the model. It is told its options first, says when it is ready, then
answers calls until its input ends: `chat` with pieces, `count` with a number. A call that is cancelled ends within one
batch of its prompt or one token of its answer. It says nothing of what it was asked: errors are names, never texts.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from casemate.compute.cell import confine
from casemate.compute.messages import Unpacker, pack
from casemate.modalities.language.llama.slots import Slots

_READ_BYTES = 1 << 16
_BATCH = 256  # tokens of a prompt between two looks at whether its call was cancelled
_SPARE_BYTES = 16 << 30  # of address space beside the model: stacks, arenas, what a context needs


class Voice:
    """Standard output, shared by the threads of this process."""

    def __init__(self) -> None:
        self._out = os.dup(1)
        os.dup2(2, 1)  # a library that prints must not speak in our name
        self._lock = threading.Lock()

    def say(self, message: dict[str, Any]) -> None:
        """Send one message, whole."""
        data = memoryview(pack(message))
        with self._lock:
            while data:
                data = data[os.write(self._out, data) :]


class Runtime:
    """The engine and its calls."""

    def __init__(self, start: dict[str, Any], voice: Voice) -> None:
        from xllamacpp import Server

        self._voice, self._key = voice, secrets.token_hex(32)
        self._server = Server(_parameters(start, self._key))
        address = str(self._server.listening_address).removeprefix("http://")
        self._host, _, port = address.partition(":")
        self._port = int(port)
        self._slots = Slots(start["slots"])
        self._calls = ThreadPoolExecutor(start["slots"], "call")
        self._counts = ThreadPoolExecutor(1, "count")
        self._cancelled: set[int] = set()

    def hear(self, message: dict[str, Any]) -> None:
        """Begin what a message asks for."""
        number = message["id"]
        if message["act"] == "chat":
            self._calls.submit(self._chat, number, message["body"], message["reuse"])
        elif message["act"] == "count":
            self._counts.submit(self._count, number, message["body"])
        else:
            self._cancelled.add(number)

    def _chat(self, number: int, body: dict[str, Any], reuse: str) -> None:
        if number in self._cancelled:
            self._end(number)
            return
        slot, known = self._slots.take(reuse)
        own = {"id_slot": slot, "cache_prompt": known, "stream": True, "return_progress": True}
        asked = {**body, **own, "stream_options": {"include_usage": True}}
        try:
            self._server.handle_chat_completions(json.dumps(asked), lambda said: self._piece(number, said))
        except (ValueError, RuntimeError):  # of the library's own: what it says may quote what it was asked
            self._voice.say({"id": number, "error": "refused"})
        finally:
            self._slots.free(slot)
            self._end(number)

    def _end(self, number: int) -> None:
        self._cancelled.discard(number)
        self._voice.say({"id": number, "end": True})

    def _piece(self, number: int, said: str) -> bool:
        """Pass on what came; True asks the engine to stop."""
        chunk = json.loads(said)
        if "error" in chunk:
            self._voice.say({"id": number, "error": _named(chunk["error"])})
            return False
        piece = _told(chunk)
        if piece or "prompt_progress" in chunk:
            self._voice.say({"id": number, **piece})
        return number in self._cancelled

    def _count(self, number: int, body: dict[str, Any]) -> None:
        connection = HTTPConnection(self._host, self._port, timeout=60)
        head = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            connection.request("POST", "/v1/chat/completions/input_tokens", json.dumps(body), head)
            answer = json.loads(connection.getresponse().read())
            tokens = answer.get("input_tokens")
        except (OSError, HTTPException, ValueError):
            tokens = None
        finally:
            connection.close()
        said = {"tokens": tokens} if isinstance(tokens, int) else {"error": "refused"}
        self._voice.say({"id": number, **said, "end": True})


def _parameters(start: dict[str, Any], key: str) -> Any:
    """The engine's parameters: every cache that one call could feed for another is off."""
    from xllamacpp import CommonParams

    parameters = CommonParams()
    parameters.model.path = start["file"]
    parameters.n_ctx = start["context_tokens"] * start["slots"]
    parameters.n_parallel = start["slots"]
    parameters.n_batch = parameters.n_ubatch = _BATCH
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = start["threads"]
    parameters.cache_ram_mib, parameters.cache_idle_slots, parameters.slot_prompt_similarity = 0, False, 0.0
    parameters.kv_unified = parameters.fit_params = parameters.ctx_shift = False
    parameters.ui = parameters.endpoint_slots = parameters.endpoint_props = False
    parameters.api_keys = [key]
    parameters.warmup, parameters.verbosity, parameters.offline = False, 1, True
    return parameters


def _named(error: Any) -> Any:
    """An error of the engine by its kind alone, with the numbers of a context that is too small."""
    if isinstance(error, dict) and error.get("type") == "exceed_context_size_error":
        numbers = {"prompt_tokens": error.get("n_prompt_tokens"), "context_tokens": error.get("n_ctx")}
        if all(isinstance(number, int) for number in numbers.values()):
            return numbers
    return "refused"


def _told(chunk: dict[str, Any]) -> dict[str, Any]:
    """What a chunk of an answer says, without what we know ourselves."""
    said: dict[str, Any] = {}
    for choice in chunk.get("choices") or ():
        delta = choice.get("delta") or {}
        said |= {name: delta[name] for name in ("content", "tool_calls", "reasoning_content") if delta.get(name)}
        said |= {"finish": choice["finish_reason"]} if choice.get("finish_reason") else {}
    usage = chunk.get("usage")
    if usage:
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        said["usage"] = [usage["prompt_tokens"], usage["completion_tokens"], cached]
    return said


def main() -> None:
    """Confine this process, load the model, answer calls."""
    voice, unpacker = Voice(), Unpacker()
    runtime: Runtime | None = None
    while data := os.read(0, _READ_BYTES):
        for message in unpacker.feed(data):
            if runtime is None:
                runtime = _loaded(message, voice)
            else:
                runtime.hear(message)
    os._exit(0)  # whoever asked is gone: what the engine is doing is nobody's


def _loaded(start: dict[str, Any], voice: Voice) -> Runtime:
    import xllamacpp  # noqa: F401  the library first, so that a process that cannot have it says so

    file = Path(start["file"])
    facts = confine(file, memory_bytes=2 * file.stat().st_size + _SPARE_BYTES, open_files=256, loopback=True)
    voice.say({"confinement": facts})
    if not facts["no_network"]:
        voice.say({"refused": "a system that gives a process no network of its own"})
        os._exit(1)
    try:
        runtime = Runtime(start, voice)
    except RuntimeError:  # it says why on standard error, by a thread of its own: its end is waited for
        sys.exit(1)
    voice.say({"ready": True})
    return runtime


if __name__ == "__main__":
    main()
