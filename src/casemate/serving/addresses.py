"""Addresses of engines on the site's own network, and no others.

Rules. An address is what the officer wrote into the settings, nothing that anybody asks for. A name is resolved once,
when the engine is opened, and every address it has must be loopback or of a private network; the connection goes to the
one found then, whatever the name says later. In clear only to this machine, unless the settings say otherwise. No
credentials, queries or fragments in an address.
Source: RFC 1918, RFC 4193, RFC 6890.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from casemate.errors import BadInput, Refused, Unavailable

_PRIVATE_TEXT = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
_PRIVATE = tuple(ipaddress.ip_network(text) for text in _PRIVATE_TEXT)

Resolver = Callable[[str, int], list[str]]


@dataclass(frozen=True)
class Address:
    """Where an engine listens: the name that it is asked by, and the numeric address that it is reached at."""

    scheme: str
    host: str
    port: int
    number: str
    path: str

    @property
    def url(self) -> str:
        """The address to connect to, without a name in it."""
        number = f"[{self.number}]" if ":" in self.number else self.number
        return f"{self.scheme}://{number}:{self.port}{self.path}"

    @property
    def netloc(self) -> str:
        """What the engine is told that it was called."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def resolve(host: str, port: int) -> list[str]:
    """The numeric addresses of a name, as this system knows it; none for a name that it does not know."""
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except OSError:
        return []


def pinned(url: str, *, thing: str, clear: bool = False, resolver: Resolver = resolve) -> Address:
    """The address in the settings, resolved: BadInput for what is none, Refused for one outside the site's network."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError as why:
        raise BadInput(thing, expected="an address, http(s)://host:port/path", found=repr(url)) from why
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        raise BadInput(thing, expected="an address, http(s)://host:port/path", found=repr(url))
    numbers = resolver(parts.hostname, port)
    if not numbers:
        raise Unavailable(thing, expected="a name that this machine can resolve", found=parts.hostname)
    for number in numbers:
        if not _private(number):
            expected = "an address of this machine or of a private network"
            raise Refused(thing, expected=expected, found=f"{parts.hostname} at {number}")
    if parts.scheme == "http" and not clear and not all(ipaddress.ip_address(n).is_loopback for n in numbers):
        expected = "https to another machine, or clear = true in the settings"
        raise Refused(thing, expected=expected, found=f"http to {parts.hostname}")
    return Address(parts.scheme, parts.hostname, port, numbers[0], parts.path.rstrip("/"))


def _private(number: str) -> bool:
    try:
        address = ipaddress.ip_address(number)
    except ValueError:  # a scope, as of a link
        return False
    return any(address in network for network in _PRIVATE if network.version == address.version)
