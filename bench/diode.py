"""Diode: goodput on loopback and across two namespaces, loss survived, speed of the code, against plain UDP and TCP.

    python bench/diode.py                     # about two minutes; as root, with ip and nft, also across namespaces
    python bench/diode.py --mb 256 --rates 80 400 2000

Sender and receiver are processes of their own. Time runs from the call of `send` (listing and digesting the bundle
included) until the receiver has verified every block and file, synchronised them to disk and renamed the bundle into
its place. Plain UDP sends the same bytes at the same rate with neither index, code nor checks, and keeps what arrives
in one file; TCP does so over a link that also goes back. MB/s are payload, 1 MB = 10^6 bytes; the rate counts IP and
UDP headers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from tests.airlock.diode.namespaces import RECEIVER, OneWay, absent, one_way  # noqa: E402

from casemate.airlock.diode import Address, Cut, Patience, receive, send  # noqa: E402
from casemate.airlock.diode.address import bound_to, listening  # noqa: E402
from casemate.airlock.diode.coding import Coder, source_packets  # noqa: E402
from casemate.airlock.diode.pace import Pace  # noqa: E402

PAYLOAD_BYTES = 1400
Prefix = Callable[..., tuple[str, ...]]


# ── the processes ────────────────────────────────────────────────────────────────────────────────────────────────────
def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def processor_s() -> float:
    """Seconds of processor that this process and its children that ended have used."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def role_receive(address: str, into: str) -> None:
    result = receive(
        Address.parse(address),
        Path(into),
        patience=Patience(idle_s=4, deadline_s=100),
        on_listening=lambda bound: say(address=str(bound)),
        on_whole=lambda outcome: say(whole=time.monotonic(), bytes=outcome.size),
    )
    for outcome in result.outcomes:
        missing = outcome.missing
        say(missing=missing.count(outcome.blocks) if missing else 0, blocks=outcome.blocks)


def role_send(folder: str, address: str, rate: str, overhead: str) -> None:
    started = time.monotonic()
    cut = Cut(overhead=float(overhead))
    sent = send(Path(folder), Address.parse(address), rate_bits_per_s=float(rate), cut=cut)
    say(started=started, ended=time.monotonic(), wire=sent.wire_bytes)


def role_plain_receive(address: str, into: str) -> None:
    door = listening(Address.parse(address))
    say(address=str(bound_to(door)))
    door.settimeout(60)
    got, last = 0, 0.0
    with (Path(into) / "plain").open("wb") as out:
        try:
            while packet := door.recv(65535):
                out.write(packet)
                got, last = got + len(packet), time.monotonic()
                door.settimeout(1)
        except TimeoutError:
            pass
    say(whole=last, bytes=got)


def role_plain_send(folder: str, address: str, rate: str, _overhead: str) -> None:
    started = time.monotonic()
    to = Address.parse(address)
    door = socket.socket(to.family, socket.SOCK_DGRAM)
    pace = Pace(float(rate), clock=time.monotonic, sleep=time.sleep)
    with (Path(folder) / "parts" / "000001.tar").open("rb") as stream:
        while data := stream.read(PAYLOAD_BYTES):
            pace.spend(len(data) + 28)
            door.sendto(data, to.sockaddr)
    say(started=started, ended=time.monotonic(), wire=0)


def role_tcp_receive(address: str, into: str) -> None:
    to = Address.parse(address)
    with socket.create_server(to.sockaddr[:2]) as server:
        host, port = server.getsockname()[:2]
        say(address=f"{host}:{port}")
        peer, _ = server.accept()
        got = 0
        with (Path(into) / "plain").open("wb") as out:
            while data := peer.recv(1 << 20):
                out.write(data)
                got += len(data)
        say(whole=time.monotonic(), bytes=got)


def role_tcp_send(folder: str, address: str, _rate: str, _overhead: str) -> None:
    started = time.monotonic()
    with (
        (Path(folder) / "parts" / "000001.tar").open("rb") as stream,
        socket.create_connection(Address.parse(address).sockaddr[:2]) as door,
    ):
        door.sendfile(stream)
    say(started=started, ended=time.monotonic(), wire=0)


ROLES = {name.removeprefix("role_"): act for name, act in list(globals().items()) if name.startswith("role_")}


# ── the measurements ─────────────────────────────────────────────────────────────────────────────────────────────────
def bare(*argv: str) -> tuple[str, ...]:
    return argv


def cross(
    bundle: Path, place: Path, kind: str, rate: float, overhead: float, *,
    listen: str = "127.0.0.1:0", there: Prefix = bare, here: Prefix = bare,
) -> dict[str, float]:  # fmt: skip
    """One crossing; the facts of both processes together."""
    into = place / "in"
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    me = (sys.executable, __file__, "--role")
    receiver = subprocess.Popen(there(*me, f"{kind}receive", listen, str(into)), stdout=subprocess.PIPE, text=True)
    assert receiver.stdout is not None
    address = json.loads(receiver.stdout.readline())["address"]
    argv = here(*me, f"{kind}send", str(bundle), address, str(rate), str(overhead))
    sent = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    facts: dict[str, float] = {}
    for line in (sent + receiver.communicate(timeout=120)[0]).splitlines():
        facts |= json.loads(line)
    return facts


def goodput(bundle: Path, place: Path, size: int, rates: list[float], where: str, **link: object) -> Iterator[str]:
    for kind, name, rate in [
        *(("", "casemate diode, 15 % overhead", rate) for rate in rates),
        *(("plain_", "plain UDP", rate) for rate in rates),
        ("tcp_", "TCP (no diode carries it)", 0.0),
    ]:
        facts = cross(bundle, place, kind, rate, 0.15, **link)  # type: ignore[arg-type]
        asked = f"{rate / 1e6:.0f} Mb/s" if rate else "–"
        arrived = facts.get("bytes", 0) / size
        if "whole" in facts and (kind or facts["missing"] == 0):
            seconds = facts["whole"] - facts["started"]
            used = f"{facts['processor_send_s']:.1f} + {facts['processor_receive_s']:.1f}"
            rate_MBs = min(arrived, 1) * size / seconds / 1e6
            yield f"| {where} | {name} | {asked} | {rate_MBs:.1f} | {arrived:.1%} | {used} |"
        else:
            missing = f"{facts.get('missing', -1)} of {facts.get('blocks', -1)} blocks missing"
            yield f"| {where} | {name} | {asked} | – | {missing} | |"


def survival(bundle: Path, place: Path, link: OneWay, losses: list[int], overheads: list[float]) -> Iterator[str]:
    yield "| overhead | " + " | ".join(f"{loss} % lost" for loss in losses) + " |"
    yield "|---|" + "---|" * len(losses)
    for overhead in overheads:
        cells = []
        for loss in losses:
            link.lose(loss)
            facts = cross(
                bundle, place, "", 300e6, overhead,
                listen=f"{RECEIVER}:5005", there=link.in_receiver, here=link.in_sender,
            )  # fmt: skip
            missing = facts.get("missing", -1)
            cells.append("whole" if missing == 0 else f"{missing:.0f} of {facts.get('blocks', -1):.0f} missing")
        link.lose(0)
        yield f"| {overhead:.0%} | " + " | ".join(cells) + " |"


def code_speed() -> Iterator[str]:
    data = os.urandom(2 << 20)
    source = source_packets(data, PAYLOAD_BYTES)
    with Coder() as coder:
        repair = coder.repair_packets(data, PAYLOAD_BYTES, 233)
        lost = [packet for place, packet in enumerate(source) if place % 20] + repair
        yield f"| encode, 15 % overhead | {speed(data, lambda: coder.repair_packets(data, PAYLOAD_BYTES, 233)):.0f} |"
        yield f"| decode, 5 % lost | {speed(data, lambda: coder.decode(lost, PAYLOAD_BYTES, len(data))):.0f} |"
    yield f"| sha256 (reference) | {speed(data, lambda: hashlib.sha256(data)):.0f} |"


def speed(data: bytes, act: Callable[[], object], seconds: float = 1.5) -> float:
    start, rounds = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        act()
        rounds += 1
    return rounds * len(data) / (time.perf_counter() - start) / 1e6


@contextmanager
def written_bundle(place: Path, name: str, size: int) -> Iterator[Path]:
    folder = place / name
    (folder / "parts").mkdir(parents=True)
    (folder / "manifest.json").write_text("{}\n", encoding="ascii")
    with (folder / "parts" / "000001.tar").open("wb") as out:
        for _ in range(0, size, 1 << 20):
            out.write(os.urandom(1 << 20))
    yield folder
    shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=64, help="size of the bundle for goodput")
    parser.add_argument("--rates", type=float, nargs="+", default=[80, 400], help="Mb/s")
    parser.add_argument("--losses", type=int, nargs="+", default=[0, 1, 2, 5, 10, 15, 20])
    parser.add_argument("--overheads", type=float, nargs="+", default=[0.05, 0.15, 0.30])
    parser.add_argument("--place", type=Path, help="an existing folder on the disk to use")
    options = parser.parse_args()
    rates = [rate * 1e6 for rate in options.rates]
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, load {load:.1f}\n")
    print("| code, 2 MiB blocks of 1400-byte symbols, one process | MB/s |\n|---|---:|", *code_speed(), sep="\n")
    with tempfile.TemporaryDirectory(prefix="diode-", dir=options.place) as name:
        place = Path(name)
        print(
            "\n| link | what | rate asked | MB/s | arrived | processor s, sender + receiver |",
            "\n|---|---|---|---:|---|---|",
            sep="",
            flush=True,
        )
        with written_bundle(place, "large", options.mb << 20) as bundle:
            size = options.mb << 20
            for line in goodput(bundle, place, size, rates, "loopback"):
                print(line, flush=True)
            why = absent()
            if why is not None:
                print(f"\nAcross namespaces: left out, {why}.")
                return
            with one_way() as link:
                ends = {"listen": f"{RECEIVER}:5005", "there": link.in_receiver, "here": link.in_sender}
                for line in goodput(bundle, place, size, rates, "namespaces", **ends):
                    print(line, flush=True)
        print("\nLoss survived: 16 MiB in one pass at 300 Mb/s, a link that goes one way\n")
        with one_way() as link, written_bundle(place, "small", 16 << 20) as bundle:
            link.close_the_way_back()
            for line in survival(bundle, place, link, options.losses, options.overheads):
                print(line, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--role"]:
        ROLES[sys.argv[2]](*sys.argv[3:])
        say(**{f"processor_{sys.argv[2].rpartition('_')[2]}_s": processor_s()})
    else:
        main()
