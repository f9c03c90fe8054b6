"""The real thing: two network namespaces, a link that goes one way, 5 % of packets lost, others out of order."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.airlock.diode.conftest import write_bundle
from tests.airlock.diode.link import contents
from tests.airlock.diode.namespaces import RECEIVER, SENDER, OneWay, absent, one_way
from tests.airlock.diode.receiver import CHECKOUT, Receiver

RATE = "60e6"


@pytest.fixture
def link() -> Iterator[OneWay]:
    why = absent()
    if why is not None:
        pytest.skip(why)
    with one_way() as link:
        link.close_the_way_back()
        yield link


def run_sender(link: OneWay, *argv: str) -> str:
    done = subprocess.run(
        link.in_sender(sys.executable, "-m", "tests.airlock.diode.sender", *argv),
        capture_output=True,
        text=True,
        check=True,
        cwd=CHECKOUT,
    )
    return done.stdout.strip()


def shuffle_on_the_way(link: OneWay) -> subprocess.Popen[str]:
    """A relay beside the receiver that hands packets on out of order."""
    argv = [sys.executable, "-m", "tests.airlock.diode.shuffler", f"{RECEIVER}:5005", f"{RECEIVER}:5006"]
    relay = subprocess.Popen(link.in_receiver(*argv), stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    assert relay.stdout is not None
    assert relay.stdout.readline() == "relaying\n"
    return relay


def test_a_bundle_crosses_a_one_way_link_that_loses_5_per_cent_and_reorders(
    link: OneWay, tmp_path: Path, into: Path
) -> None:
    bundle = write_bundle(tmp_path / "bundle", big_bytes=8_000_000)
    link.lose(5)
    receiver = Receiver(into, address=f"{RECEIVER}:5006", prefix=link.in_receiver(), idle_s=5)
    relay = shuffle_on_the_way(link)
    try:
        session = run_sender(link, str(bundle), f"{RECEIVER}:5005", RATE, "0.15")
        said = receiver.end()
    finally:
        relay.kill()
        relay.communicate()
    assert ["whole", str(into / session)] in said
    assert contents(into / session) == contents(bundle)


def test_what_is_missing_after_heavy_loss_is_sent_again(link: OneWay, tmp_path: Path, into: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", big_bytes=3_000_000)
    link.lose(20)
    first = Receiver(into, address=f"{RECEIVER}:5005", prefix=link.in_receiver(), idle_s=5)
    session = run_sender(link, str(bundle), f"{RECEIVER}:5005", RATE, "0.1")
    (missing,) = [words[1] for words in first.end() if words[0] == "missing"]
    link.lose(5)
    second = Receiver(into, address=f"{RECEIVER}:5005", prefix=link.in_receiver(), idle_s=5)
    run_sender(link, str(bundle), f"{RECEIVER}:5005", RATE, "0.15", missing)
    assert ["whole", str(into / session)] in second.end()
    assert contents(into / session) == contents(bundle)


def test_the_link_of_these_tests_goes_one_way_only(link: OneWay) -> None:
    there = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('{}', 5005)); s.settimeout({}); {}"
    say = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('{}', 5005))"
    for to, sends, hears, heard in (
        (RECEIVER, link.in_sender, link.in_receiver, True),
        (SENDER, link.in_receiver, link.in_sender, False),
    ):
        script = there.format(to, 10 if heard else 1, "print('ready', flush=True); print(s.recv(1))")
        listener = subprocess.Popen(
            hears(sys.executable, "-c", script), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert listener.stdout is not None
        assert listener.stdout.readline() == "ready\n"
        subprocess.run(sends(sys.executable, "-c", say.format(to)), check=False, stderr=subprocess.DEVNULL)
        out, _ = listener.communicate()
        assert ("b'x'" in out) is heard
