"""Over real sockets: both kinds of address, a bad link between, and processes that are killed."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from casemate.airlock.diode import Address, Cut, Missing, Patience, receive, send, unfinished
from casemate.airlock.diode.address import bound_to, listening
from casemate.errors import BadInput, Unavailable
from tests.airlock.diode.conftest import write_bundle
from tests.airlock.diode.link import contents, flipped
from tests.airlock.diode.receiver import Receiver

CUT = Cut(overhead=0.3, block_bytes=64 << 10, symbol_bytes=1024)
RATE = 40e6


@contextmanager
def bad_link(to: Address, *, seed: int) -> Iterator[Address]:
    """A relay that loses 5 % of what it is sent, and repeats, delays and corrupts some of the rest."""
    chance = random.Random(seed)  # noqa: S311  a bad link, the same in every run
    with closing(listening(Address.of("127.0.0.1", 0))) as door:
        stop = threading.Event()

        def relay() -> None:
            held: list[bytes] = []
            door.settimeout(0.1)
            while not stop.is_set():
                try:
                    packet = door.recv(65535)
                except TimeoutError:
                    continue
                if chance.random() < 0.05:
                    continue
                held.extend([packet] * (1 + (chance.random() < 0.02)))
                if len(held) > 20:
                    chosen = held.pop(chance.randrange(len(held)))
                    door.sendto(flipped(chosen, chance) if chance.random() < 0.02 else chosen, to.sockaddr)

        thread = threading.Thread(target=relay)
        thread.start()
        try:
            yield bound_to(door)
        finally:
            stop.set()
            thread.join()


def test_a_bundle_arrives_over_a_socket_and_a_link_with_losses_and_reordering(bundle: Path, into: Path) -> None:
    receiver = Receiver(into)
    with bad_link(receiver.address, seed=11) as address:
        sent = send(bundle, address, rate_bits_per_s=RATE, cut=CUT)
        said = receiver.end()
    assert ["whole", str(into / sent.session.hex())] in said
    assert contents(into / sent.session.hex()) == contents(bundle)


def test_a_bundle_arrives_over_ipv6(bundle: Path, into: Path) -> None:
    try:
        listening(Address.parse("[::1]:0")).close()
    except BadInput as why:
        pytest.skip(f"no IPv6 here: {why}")
    receiver = Receiver(into, address="[::1]:0")
    sent = send(bundle, receiver.address, rate_bits_per_s=RATE, cut=CUT)
    assert ["whole", str(into / sent.session.hex())] in receiver.end()


def test_a_receiver_killed_in_the_middle_goes_on_and_is_sent_only_what_it_misses(tmp_path: Path, into: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", big_bytes=2_000_000)
    first = Receiver(into)
    sender = threading.Thread(target=send, args=(bundle, first.address), kwargs={"rate_bits_per_s": 20e6, "cut": CUT})
    sender.start()
    for _ in range(5):
        first.next("block")
    first.kill()
    sender.join()
    (killed,) = unfinished(into)
    assert killed.missing is not None
    assert 0 < killed.missing.count(killed.blocks) <= killed.blocks - 5
    second = Receiver(into)
    again = send(bundle, second.address, rate_bits_per_s=RATE, cut=CUT, only=killed.missing)
    assert again.blocks == killed.missing.count(killed.blocks)
    assert ["whole", str(into / again.session.hex())] in second.end()
    assert contents(into / again.session.hex()) == contents(bundle)


class Cut_off(Exception):  # noqa: N801, N818
    """The sender's power went."""


def test_a_sender_that_dies_is_followed_by_one_that_sends_only_what_is_missing(tmp_path: Path, into: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", big_bytes=2_000_000)

    def dies(done: int, _total: int, _unit: str) -> None:
        if done >= 16:
            raise Cut_off

    first = Receiver(into, idle_s=1)
    with pytest.raises(Cut_off):
        send(bundle, first.address, rate_bits_per_s=RATE, cut=CUT, progress=dies)
    (line,) = [words[1] for words in first.end() if words[0] == "missing"]
    missing = Missing.parse(line)
    assert missing.count(31) <= 31 - 16
    second = Receiver(into)
    sent = send(bundle, second.address, rate_bits_per_s=RATE, cut=CUT, only=missing)
    assert ["whole", str(into / sent.session.hex())] in second.end()


def test_two_receivers_in_one_folder_are_one_too_many(into: Path) -> None:
    first = Receiver(into, idle_s=30)
    try:
        with pytest.raises(Unavailable, match="expected one receiver at a time, found another at work"):
            receive(Address.of("127.0.0.1", 0), into)
    finally:
        first.kill()


def test_an_address_in_use_is_named(into: Path) -> None:
    with closing(listening(Address.of("127.0.0.1", 0))) as door, pytest.raises(BadInput) as refused:
        receive(bound_to(door), into)
    assert str(refused.value).endswith("expected an address of this machine, not in use, found Address already in use")


def test_a_receiver_that_hears_nothing_stops_and_says_so(into: Path) -> None:
    result = receive(Address.of("127.0.0.1", 0), into, patience=Patience(first_s=0.1))
    assert result.outcomes == ()
    assert result.tally.ours == 0


def test_the_receiver_never_sends_a_packet(bundle: Path, into: Path) -> None:
    receiver = Receiver(into)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as door:
        door.bind(("127.0.0.1", 0))
        door.sendto(b"anybody there?", receiver.address.sockaddr)
        send(bundle, receiver.address, rate_bits_per_s=RATE, cut=CUT)
        receiver.end()
        door.setblocking(False)
        with pytest.raises(BlockingIOError):
            door.recv(1)


def test_a_link_that_refuses_packets_is_named(bundle: Path) -> None:
    with pytest.raises(Unavailable, match=r"127.0.0.1:0: expected a link that takes packets, found"):
        send(bundle, Address.of("127.0.0.1", 0), rate_bits_per_s=RATE, cut=CUT)
