"""Where packets go and come from: numbers only, so that no name is ever looked up."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TypeAlias, cast

from casemate.errors import BadInput

Sockaddr: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
_RECEIVE_BUFFER_BYTES = 32 << 20
_SO_RCVBUFFORCE = 33  # linux/socket.h; Python names it only from 3.13 on


@dataclass(frozen=True)
class Address:
    """An IPv4 or IPv6 address and a UDP port."""

    family: socket.AddressFamily
    sockaddr: Sockaddr

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `192.0.2.1:5005` or `[2001:db8::1]:5005` or `[fe80::1%eth0]:5005`."""
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if not colon or not port.isascii() or not port.isdigit() or (":" in host and not bracketed):
            raise BadInput("address", expected="HOST:PORT or [IPv6]:PORT", found=repr(text))
        return cls.of(host.strip("[]"), int(port))

    @classmethod
    def of(cls, host: str, port: int) -> Address:
        """The address of a host given in digits; a name is BadInput, because asking for it would be speaking."""
        if not 0 <= port <= 65535:
            raise BadInput("address", expected="a port from 0 to 65535", found=port)
        try:
            found = socket.getaddrinfo(
                host, port, type=socket.SOCK_DGRAM, proto=socket.IPPROTO_UDP, flags=socket.AI_NUMERICHOST
            )
        except (OSError, UnicodeError) as why:
            raise BadInput("address", expected="an IPv4 or IPv6 address in digits", found=repr(host)) from why
        family, _, _, _, sockaddr = found[0]
        return cls(family, cast("Sockaddr", sockaddr))

    @property
    def header_bytes(self) -> int:
        """What IP and UDP put before each packet."""
        return 48 if self.family == socket.AF_INET6 else 28

    def __str__(self) -> str:
        host, port = self.sockaddr[:2]
        return f"[{host}]:{port}" if self.family == socket.AF_INET6 else f"{host}:{port}"


def listening(address: Address) -> socket.socket:
    """A bound socket with as large a buffer as the system grants."""
    door = socket.socket(address.family, socket.SOCK_DGRAM)
    try:
        try:
            door.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)
        except PermissionError:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        door.bind(address.sockaddr)
    except OSError as why:
        door.close()
        raise BadInput(address, expected="an address of this machine, not in use", found=why.strerror) from why
    return door


def bound_to(door: socket.socket) -> Address:
    """The address that a socket has."""
    return Address(socket.AddressFamily(door.family), door.getsockname())
