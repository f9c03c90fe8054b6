"""Two network namespaces and a link between them that goes one way and loses packets: for tests and benchmarks.

Whatever the receiver's end would send is dropped at its egress (nft, table netdev), ARP and ICMP included, so the
sender's neighbour is written by hand. Loss is drawn by nft at the receiver's input.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SENDER, RECEIVER = "10.111.0.1", "10.111.0.2"
_MAC = "02:00:00:00:00:02"


@dataclass(frozen=True)
class OneWay:
    """The names of the two namespaces."""

    sender: str
    receiver: str

    def in_sender(self, *argv: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.sender, *argv)

    def in_receiver(self, *argv: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.receiver, *argv)

    def lose(self, per_cent: int) -> None:
        """Lose so many of a hundred packets from now on."""
        self._nft("table inet loss\ndelete table inet loss\n")
        if per_cent:
            chain = "type filter hook input priority 0; policy accept;"
            rule = f"iifname inside meta l4proto udp numgen random mod 100 < {per_cent} counter drop"
            self._nft(f"table inet loss {{\n chain input {{\n {chain}\n {rule}\n }}\n}}\n")

    def close_the_way_back(self) -> None:
        """Drop whatever would go from the receiver to the sender."""
        chain = "type filter hook egress device inside priority 0; policy drop;"
        self._nft(f"table netdev oneway {{\n chain egress {{\n {chain}\n counter\n }}\n}}\n")

    def _nft(self, text: str) -> None:
        run(*self.in_receiver("nft", "-f", "-"), text=text)


def absent() -> str | None:
    """Why there can be no such link here; None where there can."""
    if os.geteuid() != 0:
        return "namespaces want root"
    for program in ("ip", "nft"):
        if shutil.which(program) is None:
            return f"no {program} here"
    name = f"casemate-{secrets.token_hex(4)}"
    made = tried("ip", "netns", "add", name)
    if made.returncode != 0:
        return f"no network namespace to be had: {made.stderr.strip()}"
    run("ip", "netns", "del", name)
    return None


@contextmanager
def one_way() -> Iterator[OneWay]:
    """Two namespaces joined by a link; gone afterwards."""
    end = secrets.token_hex(4)
    link = OneWay(f"casemate-s-{end}", f"casemate-r-{end}")
    try:
        for name in (link.sender, link.receiver):
            run("ip", "netns", "add", name)
        run("ip", "-n", link.sender, "link", "add", "outside", "type", "veth", "peer", "inside", "netns", link.receiver)
        run("ip", "-n", link.receiver, "link", "set", "inside", "address", _MAC)
        for name, device, address in ((link.sender, "outside", SENDER), (link.receiver, "inside", RECEIVER)):
            run("ip", "-n", name, "address", "add", f"{address}/24", "dev", device)
            run("ip", "-n", name, "link", "set", device, "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", link.sender, "neighbour", "add", RECEIVER, "lladdr", _MAC, "dev", "outside", "nud", "permanent")
        yield link
    finally:
        for name in (link.sender, link.receiver):
            tried("ip", "netns", "del", name)


def run(*argv: str, text: str = "") -> None:
    done = tried(*argv, text=text)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}\n{text}")


def tried(*argv: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
