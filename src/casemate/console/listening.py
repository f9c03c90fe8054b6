"""Listening: where, under which names, with which certificate; until somebody stops it.

Rules. Loopback unless told otherwise; beyond it, without a certificate, keys and answers cross the network in the
clear, and the start says so. Answers that are on their way are finished when it stops, for half a minute.
"""

from __future__ import annotations

import signal
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from casemate.console.app import make_app
from casemate.console.desk import Console
from casemate.console.wire import Wire, as_many_files_as_allowed
from casemate.errors import BadInput, Unavailable
from casemate.factory import Factory

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_ENDING_S = 30
_WAITING_CONNECTIONS = 512


@dataclass(frozen=True)
class Listening:
    """Where to listen (port 0: a free one), by which other names clients call it, its certificate and private key."""

    host: str = "127.0.0.1"
    port: int = 8080
    names: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None

    @property
    def called(self) -> frozenset[str]:
        """The names by which a request may call this host."""
        own = LOOPBACK if self.host in LOOPBACK else frozenset({self.host})
        return frozenset(name.lower() for name in (*own, *self.names))


def serve_api(factory: Factory, where: Listening, *, tell: Callable[[str], None]) -> None:
    """Answer until stopped; `tell` gets the lines of the start."""
    if (where.tls_cert is None) != (where.tls_key is None):
        raise BadInput("TLS", expected="both a certificate and its private key", found="one of them")
    as_many_files_as_allowed()
    listener = _bound(where)
    host, port = listener.getsockname()[:2]
    scheme = "http" if where.tls_cert is None else "https"
    address = f"{scheme}://{'[' + host + ']' if ':' in host else host}:{port}"
    tempfile.tempdir = str(factory.site.quarantine)  # what is sent waits on the site's own disk, as files without names
    with listener, factory.entrance(address=address) as entrance:
        console = Console(entrance, where.called, factory.site.settings.api)
        for line in told(factory, where, address):
            tell(line)
        made = config(console, where)
        with _ending_by_signal():
            uvicorn.Server(made).run(sockets=[listener])


@contextmanager
def _ending_by_signal() -> Iterator[None]:
    """Let a signal end the server and not the process: uvicorn raises it once more when it has stopped."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def config(console: Console, where: Listening) -> uvicorn.Config:
    """How uvicorn is to serve a console: nothing of a request is logged, nothing of a proxy is believed."""
    made = uvicorn.Config(
        make_app(console), http=Wire, lifespan="on", ws="none", access_log=False, log_level="error",
        server_header=False, proxy_headers=False, timeout_graceful_shutdown=_ENDING_S, timeout_keep_alive=30,
        h11_max_incomplete_event_size=65536,
        ssl_certfile=where.tls_cert, ssl_keyfile=where.tls_key, backlog=_WAITING_CONNECTIONS,
    )  # fmt: skip
    try:
        made.load()
    except (ssl.SSLError, OSError) as why:
        raise BadInput("TLS", expected="a certificate and its private key (PEM)", found=why) from why
    if made.ssl is not None:
        made.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return made


def told(factory: Factory, where: Listening, address: str) -> list[str]:
    """What a start says: what is used, and from where."""
    site, who = factory.site, factory.person.name
    lines = [
        f"site {site.name} in {site.root}, ceiling {site.ceiling}, opened by {who}",
        f"policy of markings: {site.policy.name}; catalog: {site.catalog_url}; objects: {site.settings.store.root}",
        f"names of this host: {', '.join(sorted(where.called))}",
    ]
    offers = factory.usable()
    lines += [f"release {o.entry.name} ({o.task}, {o.marking}), until {o.expires[:10]}" for o in offers]
    lines += [] if offers else ["no release that you may read: only quoted passages are answered"]
    if where.host not in LOOPBACK and where.tls_cert is None:
        lines.append("WARNING: beyond loopback without a certificate, keys and answers cross the network in the clear")
    return [*lines, f"listening at {address}; Ctrl-C stops it"]


def _bound(where: Listening) -> socket.socket:
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((where.host, where.port))
        listener.listen(_WAITING_CONNECTIONS)  # before the start says so: who comes early waits, and is not turned away
    except OSError as why:
        listener.close()
        expected = "an address of this machine with a free port"
        raise Unavailable(f"address {where.host}:{where.port}", expected=expected, found=why) from why
    return listener
