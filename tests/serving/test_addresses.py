"""Addresses: this machine and private networks, resolved once, and nothing else."""

from __future__ import annotations

import pytest

from casemate.errors import BadInput, Refused, Unavailable
from casemate.serving.addresses import pinned, resolve


def at(url: str, *numbers: str, clear: bool = False) -> str:
    return pinned(url, thing="engine x", clear=clear, resolver=lambda _host, _port: list(numbers)).url


@pytest.mark.parametrize(
    ("url", "number", "found"),
    [
        ("http://localhost:8000/v1", "127.0.0.1", "http://127.0.0.1:8000/v1"),
        ("http://localhost:8000/v1/", "::1", "http://[::1]:8000/v1"),
        ("https://gpu.site/v1", "10.1.2.3", "https://10.1.2.3:443/v1"),
        ("https://gpu.site:8443", "172.31.0.9", "https://172.31.0.9:8443"),
        ("https://gpu.site/v1", "192.168.7.7", "https://192.168.7.7:443/v1"),
        ("https://gpu.site/v1", "fd00::5", "https://[fd00::5]:443/v1"),
    ],
)
def test_addresses_of_the_site_are_pinned_to_their_number(url: str, number: str, found: str) -> None:
    assert at(url, number) == found


@pytest.mark.parametrize(
    "number",
    ["8.8.8.8", "172.32.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "224.0.0.1", "2001:db8::1", "fe80::1",
     "::ffff:8.8.8.8", "::", "fe80::1%eth0"],
)  # fmt: skip
def test_every_other_address_is_refused(number: str) -> None:
    expected = f"engine x: expected an address of this machine or of a private network, found gpu.site at {number}"
    with pytest.raises(Refused) as no:
        at("https://gpu.site/v1", number)
    assert str(no.value) == expected


def test_a_name_with_one_address_outside_is_refused_whatever_the_others() -> None:
    with pytest.raises(Refused, match=r"gpu.site at 8\.8\.8\.8"):
        at("https://gpu.site/v1", "10.0.0.1", "8.8.8.8")


def test_in_clear_to_this_machine_alone_unless_the_settings_say_so() -> None:
    with pytest.raises(Refused, match=r"expected https to another machine, or clear = true .* found http to gpu.site"):
        at("http://gpu.site/v1", "10.0.0.1")
    assert at("http://gpu.site/v1", "10.0.0.1", clear=True) == "http://10.0.0.1:80/v1"


@pytest.mark.parametrize(
    "url",
    ["", "gpu.site", "ftp://gpu.site", "file:///etc/passwd", "http://", "http://user:secret@gpu.site/v1",
     "http://gpu.site/v1?x=1", "http://gpu.site/v1#x", "http://gpu.site:99999/", "http://[::1", "unix:///run/x.sock"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match=r"engine x: expected an address, http\(s\)://host:port/path, found"):
        at(url, "127.0.0.1")


def test_a_name_that_nobody_knows_is_unavailable() -> None:
    with pytest.raises(Unavailable, match=r"expected a name that this machine can resolve, found gpu\.site"):
        at("https://gpu.site/v1")


def test_numbers_resolve_to_themselves() -> None:
    assert resolve("127.0.0.1", 80) == ["127.0.0.1"]
    assert resolve("no such name", 80) == []


def test_the_engine_is_told_the_name_and_reached_by_the_number() -> None:
    address = pinned("https://gpu.site:8443/v1", thing="x", resolver=lambda _host, _port: ["10.0.0.1"])
    assert (address.netloc, address.host) == ("gpu.site:8443", "gpu.site")
