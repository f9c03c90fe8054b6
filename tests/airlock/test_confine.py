"""What a scanner's process cannot do any more, tried from inside one."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from casemate.compute.cell import governed
from casemate.compute.seccomp import ARCHITECTURES, program

_BEFORE = """
import json, os, sys
from pathlib import Path
from casemate.compute.cell import confine
facts = confine(Path(sys.argv[1]), memory_bytes=3 << 30)
"""


def confined(code: str, tmp_path: Path, argument: str = "") -> subprocess.CompletedProcess[str]:
    """Run Python in a confined process; its facts are `facts`."""
    argv = [sys.executable, "-I", "-c", _BEFORE + code, str(tmp_path), argument]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def facts(tmp_path: Path) -> dict[str, int]:
    """What this system lets go of."""
    return dict(json.loads(confined("print(json.dumps(facts))", tmp_path).stdout))


def needs(facts: dict[str, int], fact: str) -> None:
    if not facts[fact]:
        pytest.skip(f"this system does not give up {fact}")


def test_the_facts_say_what_was_given_up(facts: dict[str, int]) -> None:
    assert facts.keys() == {
        "landlock_version", "memory_bytes", "no_core_dump", "no_network", "no_new_privileges", "no_new_processes",
        "no_writing", "reads_quarantine_only",
    }  # fmt: skip
    assert (facts["no_writing"], facts["no_new_privileges"], facts["no_core_dump"]) == (True, True, True)


@pytest.mark.parametrize(
    "attempt",
    [
        "os.fork()",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "__import__('subprocess').run(['/bin/true'])",
        "__import__('socket').socket()",
        "__import__('socket').socket(__import__('socket').AF_UNIX)",
    ],
)
def test_a_scanner_that_starts_a_process_or_reaches_for_a_socket_fails(
    attempt: str, facts: dict[str, int], tmp_path: Path
) -> None:
    needs(facts, "no_new_processes")
    done = confined(attempt, tmp_path)
    assert done.returncode == 1
    assert "PermissionError" in done.stderr


@pytest.mark.parametrize(
    "attempt",
    [
        "os.execv('/bin/true', ['true'])",
        "__import__('ctypes').CDLL(None).ptrace(0, 0, 0, 0)",
        "__import__('ctypes').CDLL(None).unshare(0x10000000)",
        "os.chroot('/')",
    ],
)
def test_a_scanner_that_tries_what_no_decoder_does_dies(attempt: str, facts: dict[str, int], tmp_path: Path) -> None:
    needs(facts, "no_new_processes")
    assert confined(attempt, tmp_path).returncode == -signal.SIGSYS


def test_threads_stay_possible(tmp_path: Path) -> None:
    code = "import threading; t = threading.Thread(target=print, args=('ran',)); t.start(); t.join()"
    assert confined(code, tmp_path).stdout == "ran\n"


def test_nothing_is_written_and_nothing_read_but_the_quarantine(facts: dict[str, int], tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("here")
    secret = tmp_path.parent / f"{tmp_path.name} outside.txt"
    secret.write_text("secret")
    write = "try: Path(sys.argv[1], 'new').write_text('x' * 100)\nexcept OSError: print('no')\n"
    read = "print(Path(sys.argv[1], 'in.txt').read_text())\n"
    assert confined(write + read, tmp_path).stdout == "no\nhere\n"
    needs(facts, "reads_quarantine_only")
    done = confined("print(Path(sys.argv[2]).read_text())", tmp_path, str(secret))
    assert done.returncode == 1
    assert "PermissionError" in done.stderr


def test_a_listener_of_this_machine_cannot_be_reached(facts: dict[str, int], tmp_path: Path) -> None:
    if not (facts["no_network"] or facts["no_new_processes"] or facts["landlock_version"] >= 4):
        pytest.skip("this system gives up none of what keeps a process from the network")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = confined(f"__import__('socket').create_connection(('127.0.0.1', {port}), 5)", tmp_path)
    assert done.returncode == 1


def test_processes_outside_cannot_be_signalled(facts: dict[str, int], tmp_path: Path) -> None:
    if facts["landlock_version"] < 6:
        pytest.skip("this system's Landlock does not govern signals")
    done = confined(f"os.kill({os.getpid()}, 0)", tmp_path)
    assert "PermissionError" in done.stderr


def test_each_version_of_landlock_is_asked_for_all_that_it_governs() -> None:
    sizes = {version: len(governed(version)) for version in range(1, 9)}
    assert sizes == {1: 8, 2: 8, 3: 8, 4: 16, 5: 16, 6: 24, 7: 24, 8: 24}
    assert [struct.unpack_from("=Q", governed(v))[0].bit_length() for v in (1, 2, 3, 4, 5, 7)] == [
        13,
        14,
        15,
        15,
        16,
        16,
    ]


def run_filter(name: str, number: int, argument: int = 0, audit: int | None = None, *, loopback: bool = False) -> int:
    """What the filter of an architecture answers to a call: BPF, interpreted."""
    here = ARCHITECTURES[name]
    data = struct.pack("<IIQQ", number, here.audit if audit is None else audit, 0, argument)
    code, at, word = program(here, loopback=loopback), 0, 0
    while True:
        op, yes, no, value = code[at]
        at += 1
        if op == 0x20:
            (word,) = struct.unpack_from("<I", data, value)
        elif op == 0x06:
            return value
        else:
            true = {0x15: word == value, 0x35: word >= value, 0x45: bool(word & value)}[op]
            at += yes if true else no


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_filter_answers_each_call_on_each_architecture(name: str) -> None:
    here = ARCHITECTURES[name]
    allow, kill, eperm, enosys = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
    assert {run_filter(name, n) for n in here.deadly} == {kill}
    assert {run_filter(name, n) for n in here.refused} == {eperm}
    assert run_filter(name, here.clone, 0x11) == eperm
    assert run_filter(name, here.clone, 0x3D0F00) == allow
    assert run_filter(name, 435) == enosys
    assert run_filter(name, 0, audit=0x40000003) == kill, "another architecture's numbers"
    assert run_filter(name, 0x40000000 + 59) == kill
    read = {"x86_64": 0, "aarch64": 63}[name]
    assert run_filter(name, read) == allow
    assert len(set(here.deadly) | set(here.refused)) == len(here.deadly) + len(here.refused)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_with_loopback_sockets_of_the_internet_stay_and_no_others(name: str) -> None:
    here = ARCHITECTURES[name]
    allow, eperm = 0x7FFF0000, 0x00050001
    assert run_filter(name, here.sockets[0], socket.AF_INET, loopback=True) == allow
    for family in (socket.AF_UNIX, socket.AF_NETLINK, socket.AF_INET6, socket.AF_PACKET):
        assert run_filter(name, here.sockets[0], family, loopback=True) == eperm
    assert {run_filter(name, n, loopback=True) for n in here.sockets[1:]} == {allow}
    others = set(here.refused) - set(here.sockets)
    assert {run_filter(name, n, loopback=True) for n in others} <= {eperm}
    assert {run_filter(name, n, loopback=True) for n in here.deadly} == {0x80000000}
    assert run_filter(name, here.clone, 0x11, loopback=True) == eperm


def test_a_process_with_loopback_reaches_itself_and_nobody_outside(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as outside:
        port = outside.getsockname()[1]
        code = f"""
import socket
facts = confine(Path(sys.argv[1]), memory_bytes=3 << 30, loopback=True)
if not facts["no_network"]:
    sys.exit(77)
own = socket.create_server(("127.0.0.1", 0))
socket.create_connection(own.getsockname()).close()
print("itself")
try:
    socket.create_connection(("127.0.0.1", {port}))
except ConnectionRefusedError:
    print("nobody else")
"""
        bare = _BEFORE.rsplit("facts", 1)[0]
        argv = [sys.executable, "-I", "-c", bare + code, str(tmp_path)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode == 77:
        pytest.skip("this system gives no network of one's own")
    assert done.stdout.split("\n") == ["itself", "nobody else", ""], done.stderr
