"""Run an argv as a child that cannot outlive its keeper, writes for its owner alone and has no network but loopback.

Run by path as `python -I -S confine.py KEEPER_PID ARGV…`, with the standard library only, so that it starts at once.

Rules. It dies with its keeper (PR_SET_PDEATHSIG). It gains no privileges (no_new_privs). Its network is a new namespace
where only loopback is up; where the kernel allows no namespaces the first line of the log says so: the site's own
firewall must then hold. Nothing of this is undone by what it executes.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP_RUNNING = 0x1 | 0x40
LOOPBACK_ONLY = "loopback only"


def main(keeper: int, argv: list[str]) -> None:
    """Confine this process, say how, and become `argv`."""
    os.umask(0o077)
    said = close_network()
    # After the namespace: entering one clears the signal that comes with the parent's death.
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    die_with_parent()
    if os.getppid() != keeper:
        sys.exit("casemate: the keeper of this run is gone")
    sys.stdout.write(f"casemate: network: {said}\n")
    sys.stdout.flush()
    try:
        os.execvp(argv[0], argv)  # noqa: S606  an argv, never a shell
    except OSError as why:
        sys.exit(f"casemate: {argv[0]}: expected a program, found {why.strerror}")


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent dies."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, int(value), 0, 0, 0) != 0:
        sys.exit(f"casemate: prctl {option}: {os.strerror(ctypes.get_errno())}")


def close_network() -> str:
    """Enter a network namespace with loopback alone, if the kernel lets it; what was done, in words."""
    hear, say = os.pipe()
    probe = os.fork()
    if probe == 0:  # a first try elsewhere: a namespace half made cannot be left again
        try:
            _enter_loopback()
        except OSError as why:
            os.write(say, (why.strerror or str(why)).encode())
        os._exit(0)
    os.close(say)
    with os.fdopen(hear, encoding="utf-8") as answer:
        refusal = answer.read()
    os.waitpid(probe, 0)
    if refusal:
        return f"not confined by the kernel here ({refusal})"
    _enter_loopback()
    return LOOPBACK_ONLY


def _enter_loopback() -> None:
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:  # needs a privilege, which a user namespace of one's own gives
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        fcntl.ioctl(door, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP_RUNNING))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
