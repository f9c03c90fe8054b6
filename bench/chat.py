"""Chat: what Casemate adds to an engine, in time to first token, in tokens/s, and under many streams at once.

    python bench/chat.py --model PACK [--rounds 5] [--tokens 64]     the embedded engine against bare llama.cpp
    python bench/chat.py --streams 200 [--requests 2000]             the HTTP API against the stand-in behind it

Engine. The reference is `xllamacpp` itself, in a process of its own, with the same context, batch and threads; both are
asked the same prompts in turn, each round in the other order, and no prompt is reused from the one before. Beside the
clock, the processor time of each answer is told (the engine's process and ours together): on a machine that does other
work, the clock measures the others too.
Streams. A stand-in engine says a word every tenth of a second, for six seconds; so many clients come within four, so
that all streams are open together, directly and through the API of a site (`casemate serve`, a listed engine, keys,
journal). None may be lost; what the API adds is the difference of the same percentile. Memory is the server's resident
set after each tenth of the requests; its processor time is told too: other work on the machine does not bend it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

CONTEXT, BATCH = 2048, 256
WORD_S, WORDS, OVER_S = 0.1, 60, 4.0  # of a stream of the stand-in; the clients come one after another within OVER_S
PLACES = ["Brest", "Toulon", "Cherbourg", "Lorient", "Papeete", "Nouméa", "Djibouti", "Dakar"]


def prompt(number: int) -> list[dict[str, str]]:
    """A question of about 60 tokens that begins unlike the others."""
    place = PLACES[number % len(PLACES)]
    text = f"{number}. {place} : décrivez en une page le port, ses quais, son histoire, ses navires et ses habitants."
    return [{"role": "user", "content": text}]


# ── The embedded engine ──────────────────────────────────────────────────────────────────────────────────────────────
def bare(file: str, threads: int) -> None:
    """xllamacpp itself: questions as lines in, (first_s, whole_s, tokens) as lines out."""
    from xllamacpp import CommonParams, Server

    parameters = CommonParams()
    parameters.model.path, parameters.n_ctx, parameters.n_parallel = file, CONTEXT, 1
    parameters.n_batch = parameters.n_ubatch = BATCH
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.cache_ram_mib, parameters.warmup, parameters.verbosity = 0, False, 0
    server = Server(parameters)
    print("ready", flush=True)
    for line in sys.stdin:
        times: list[float] = []
        began = time.perf_counter()

        def hear(said: str, times: list[float] = times) -> bool:
            if any((c.get("delta") or {}).get("content") for c in json.loads(said).get("choices") or ()):
                times.append(time.perf_counter())
            return False

        body = json.loads(line) | {"stream": True, "cache_prompt": False}
        server.handle_chat_completions(json.dumps(body), hear)
        print(json.dumps([times[0] - began, times[-1] - began, len(times)]), flush=True)


async def through(engine: Any, messages: list[dict[str, str]], tokens: int) -> tuple[float, float, int]:
    from casemate.serving.engines import Message, Sampling

    asked = [Message(m["role"], m["content"]) for m in messages]
    began = time.perf_counter()
    times = [time.perf_counter() async for piece in engine.stream(asked, Sampling(max_tokens=tokens)) if piece.text]
    return times[0] - began, times[-1] - began, len(times)


def engine_bench(model: Path, rounds: int, tokens: int, threads: int) -> None:
    from casemate.serving.engines.llamacpp import open_engine
    from casemate.serving.fair import Party
    from casemate.serving.pool import Caller, EnginePool
    from casemate.serving.turns import Limits

    argv = [sys.executable, __file__, "--bare", str(model / "model.gguf"), "--threads", str(threads)]
    rows: dict[str, list[tuple[float, float, int]]] = {"bare": [], "engine": []}
    used: dict[str, list[float]] = {"bare": [], "engine": []}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reference:
        assert reference.stdin
        assert reference.stdout
        reference.stdout.readline()
        pool = EnginePool()
        opened = pool.engine("bench", lambda: open_engine("bench", model, context_tokens=CONTEXT, threads=threads),
                             Limits(), Caller(Party("bench")))  # fmt: skip

        def ask_bare(messages: list[dict[str, str]]) -> tuple[float, float, int]:
            body = {"messages": messages, "max_tokens": tokens, "temperature": 0.0, "top_p": 1.0, "seed": 0}
            reference.stdin.write(json.dumps(body) + "\n")  # type: ignore[union-attr]
            reference.stdin.flush()  # type: ignore[union-attr]
            first, whole, count = json.loads(reference.stdout.readline())  # type: ignore[union-attr]
            return first, whole, count

        async def story() -> None:
            for number in range(rounds + 1):  # the first is to warm up
                for name in ("bare", "engine") if number % 2 else ("engine", "bare"):
                    messages = prompt(number)
                    pids = [reference.pid] if name == "bare" else [os.getpid(), *children(os.getpid(), reference.pid)]
                    before = sum(map(processor_s, pids))
                    row = ask_bare(messages) if name == "bare" else await through(opened, messages, tokens)
                    if number:
                        rows[name].append(row)
                        used[name].append((sum(map(processor_s, pids)) - before) / row[2])
            await pool.close()

        asyncio.run(story())
        reference.stdin.close()
    told(rows)
    each = {name: statistics.median(found) * 1000 for name, found in used.items()}
    print(f"processor time a token with its prompt: bare {each['bare']:.2f} ms, engine {each['engine']:.2f} ms "
          f"({each['bare'] / each['engine']:.3f})")  # fmt: skip


def children(pid: int, but: int) -> list[int]:
    """The processes that `pid` started, but one."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(one) for file in listed for one in file.read_text(encoding="ascii").split() if int(one) != but]


def told(rows: dict[str, list[tuple[float, float, int]]]) -> None:
    first = {name: statistics.median(row[0] for row in found) for name, found in rows.items()}
    rate = {
        name: statistics.median((count - 1) / (whole - start) for start, whole, count in found)
        for name, found in rows.items()
    }
    for name, found in rows.items():
        print(
            f"{name:8} first token {first[name] * 1000:8.1f} ms   {rate[name]:7.2f} tokens/s   (median of {len(found)})"
        )
    pairs = list(zip(rows["engine"], rows["bare"], strict=True))
    added = statistics.median(one[0] - other[0] for one, other in pairs)
    ratio = statistics.median(
        ((one[2] - 1) / (one[1] - one[0])) / ((other[2] - 1) / (other[1] - other[0])) for one, other in pairs
    )
    print(f"added to the first token: {added * 1000:+.1f} ms (aim +10); tokens/s: {ratio:.3f} of bare (aim 0.97)")
    print(f"same number of tokens each: {all(one[2] == other[2] for one, other in pairs)}")


# ── Many streams ─────────────────────────────────────────────────────────────────────────────────────────────────────
async def says_words(_: Any, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """The stand-in: a word now and then, as a large engine under load."""
    from tests.serving.engines.stand_in import HEAD, chunk, event, usage

    writer.write(HEAD)
    for number in range(asked["max_tokens"]):
        writer.write(chunk({"content": f"mot{number} "}))
        await writer.drain()
        await asyncio.sleep(WORD_S)
    writer.write(chunk({}, "stop") + usage(10, asked["max_tokens"]) + event("[DONE]"))
    await writer.drain()


async def one(client: Any, url: str, model: str, secret: str, tokens: int) -> tuple[float, float, bool]:
    """One stream: seconds to its first word and to its end, and whether it came whole."""
    body = {"model": model, "messages": [{"role": "user", "content": "Parlez."}], "max_tokens": tokens, "stream": True}
    head = {"Authorization": f"Bearer {secret}"}
    words, first, began = [], 0.0, time.perf_counter()
    done = False
    try:
        async with client.stream("POST", f"{url}/chat/completions", json=body, headers=head) as response:
            said = b"" if response.status_code == 200 else await response.aread()
            if said:
                print(f"lost: HTTP {response.status_code}: {said[:300]!r}")
            async for line in response.aiter_lines():
                if '"error"' in line:
                    print(f"lost: {line[:300]}")
                done = done or line == "data: [DONE]"
                if line.startswith("data: {"):
                    for choice in json.loads(line[6:]).get("choices", ()):
                        if choice["delta"].get("content"):
                            first = first or time.perf_counter() - began
                            words.append(choice["delta"]["content"])
    except OSError as why:
        print(f"lost: {why!r}")
    return first, time.perf_counter() - began, done and words == [f"mot{number} " for number in range(tokens)]


async def at_once(
    url: str, model: str, secrets: list[str], count: int, tokens: int, over_s: float = 0.0
) -> list[tuple[float, float, bool]]:
    import httpx

    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=120, limits=limits, trust_env=False) as client:

        async def later(number: int) -> tuple[float, float, bool]:
            await asyncio.sleep(over_s * number / count)
            return await one(client, url, model, secrets[number % len(secrets)], tokens)

        return await asyncio.gather(*(later(number) for number in range(count)))


def site(root: Path, url: str, count: int) -> tuple[Any, list[str]]:
    """A site with a release that the stand-in serves, and the keys of its clients."""
    from tests.console.released import released
    from tests.factory.town import found

    from casemate.factory.desk import utc_now

    town = found(root / "town", clock=utc_now)
    (root / "model").mkdir()
    (root / "model" / "model.safetensors").write_bytes(b"elsewhere")
    entry = released(town, root / "model", "big", task="chat")
    with (town.site / "site.toml").open("a") as stream:
        stream.write(f'\n[[assistant.engines]]\nname = "stand-in"\nurl = "{url}"\nmodel = "big"\nat_once = {count}\n')
        stream.write(f'release = "{entry.facts["release"]}"\nceiling = "DR"\n')
    scopes = frozenset({"models"})
    keys = [town.acting("ines").new_api_key(f"key {n}", project="harbour", scopes=scopes)["secret"] for n in range(8)]
    return town, keys


async def streams_bench(count: int, requests: int) -> None:
    from tests.serving.engines.stand_in import stand_in

    with tempfile.TemporaryDirectory() as temporary:
        async with stand_in(says_words) as it:
            town, secrets = await asyncio.to_thread(site, Path(temporary), it.url, count)
            argv = [str(Path(sys.executable).with_name("casemate")), "serve", "--port", "0", "--site", str(town.site)]
            argv += ["--key", str(town.key("claire"))]
            with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:  # noqa: ASYNC220  once, at the start
                try:
                    url = await asyncio.to_thread(address, server)
                    await measured(it.url, f"{url}/v1", secrets, count, server.pid)
                    await memory(f"{url}/v1", secrets, requests, server.pid)
                finally:
                    server.terminate()


async def measured(direct: str, api: str, secrets: list[str], count: int, pid: int) -> None:
    await at_once(api, "big", secrets, 8, 4)  # to warm up
    found = {
        "direct": await at_once(direct, "big", secrets, count, WORDS, OVER_S),
    }
    before = processor_s(pid)
    found["api"] = await at_once(api, "big", secrets, count, WORDS, OVER_S)
    used = processor_s(pid) - before
    print(f"processor time of the server: {used:.1f} s, {used / count / WORDS * 1e6:.0f} µs a word with its request")
    for name, rows in found.items():
        firsts, wholes = sorted(row[0] for row in rows), sorted(row[1] for row in rows)
        print(f"{name:7} {count} streams of {WORDS} words: lost {sum(not row[2] for row in rows)}; first word "
              f"p50 {at(firsts, 50):.0f} ms, p99 {at(firsts, 99):.0f} ms; whole p50 {at(wholes, 50):.0f} ms, "
              f"p99 {at(wholes, 99):.0f} ms")  # fmt: skip
    for place, what in ((0, "first word"), (1, "whole")):
        api_rows, rows = (sorted(row[place] for row in found[name]) for name in ("api", "direct"))
        print(f"added by the API, {what}: p50 {at(api_rows, 50) - at(rows, 50):+.0f} ms, "
              f"p99 {at(api_rows, 99) - at(rows, 99):+.0f} ms")  # fmt: skip


async def memory(url: str, secrets: list[str], requests: int, pid: int) -> None:
    """The server's resident set as requests go by; keys are asked within their 600 a minute."""
    sizes, batch = [], max(1, requests // 10)
    began, lost, asked, before = time.perf_counter(), 0, 0, processor_s(pid)
    for _ in range(10):
        for start in range(0, batch, 20):
            rows = await at_once(url, "big", secrets, min(20, batch - start), 3)
            asked, lost = asked + len(rows), lost + sum(not row[2] for row in rows)
            behind = asked / (8 * 9) - (time.perf_counter() - began)  # 8 keys, 9 a second each
            await asyncio.sleep(max(0.0, behind))
        sizes.append(resident_mb(pid))
    used = (processor_s(pid) - before) / asked
    print(f"processor time of the server: {used * 1000:.1f} ms a request of 3 words")
    shown = ", ".join(f"{size:.1f}" for size in sizes)
    print(f"{asked} requests, lost {lost}: resident {shown} MB; {sizes[-1] - sizes[1]:+.1f} since the 2nd tenth")


def at(values: list[float], percent: int) -> float:
    """A percentile of sorted seconds, in milliseconds."""
    return values[min(len(values) - 1, round(percent / 100 * (len(values) - 1)))] * 1000


def address(server: subprocess.Popen[str]) -> str:
    for line in server.stdout or ():
        for word in line.split():
            if word.startswith("http://127.0.0.1:"):
                return word.rstrip(".,/;")
    raise SystemExit("the server did not start")


def processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="folder with model.gguf")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--streams", type=int, default=0)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    told_ = parser.parse_args()
    if told_.bare:
        bare(told_.bare, told_.threads)
        return
    if told_.model:
        engine_bench(told_.model, told_.rounds, told_.tokens, told_.threads)
    if told_.streams:
        asyncio.run(streams_bench(told_.streams, told_.requests))


if __name__ == "__main__":
    main()
