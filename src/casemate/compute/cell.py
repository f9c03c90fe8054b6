"""What a process gives up before it reads a byte that others wrote: a scanner, a reader of documents.

Rules. Everything is given up that the system lets go of, and what it does not let go of is said in the report: new
privileges, the network, writing files, core dumps, memory beyond a limit, reading anything but programs and what it is
told to read, starting programs or processes, and reaching those of others. Linux only; no C of our own: the system
calls go through ctypes (ADR 0007).
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from pathlib import Path

from casemate.compute.confine import LOOPBACK_ONLY, close_network
from casemate.compute.seccomp import forbid_calls

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000
# linux/landlock.h; the numbers are the same on every architecture since Linux 5.13
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_RULE_PATH_BENEATH = 1
_FS_READ_FILE, _FS_READ_DIR, _FS_EXECUTE = 1 << 2, 1 << 3, 1 << 0
# What each version of Landlock governs: execute, write, read, remove, make; link elsewhere; truncate; control devices.
_FS_ALL = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NET_ALL, _NET_SINCE = 0b11, 4  # bind and connect by TCP
_SCOPE_ALL, _SCOPE_SINCE = 0b11, 6  # abstract sockets and signals of processes outside
_PROGRAMS = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/proc/self", "/dev/null", "/dev/urandom")


def confine(*readable: Path, memory_bytes: int, open_files: int = 64, loopback: bool = False) -> dict[str, bool | int]:
    """Give up what a scanner does not need, for good; returns what was given up, for the report.

    With `loopback`, a process that is alone in its network may speak to itself by TCP: for a library that must
    listen. Where the system allows no such network, it gets none.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    alone = loopback and close_network() == LOOPBACK_ONLY
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    facts: dict[str, bool | int] = {
        "memory_bytes": memory_bytes,
        "no_core_dump": libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0,
        "no_new_privileges": libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0,
        "no_network": alone if loopback else _leave_network(libc),
        "landlock_version": landlock_version(libc),
        "reads_quarantine_only": _read_only_below(
            libc, [*map(str, readable), sys.prefix, sys.base_prefix, *sys.path], loopback=alone
        ),
        "no_new_processes": forbid_calls(libc, loopback=alone),
    }
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    facts["no_writing"] = resource.getrlimit(resource.RLIMIT_FSIZE) == (0, 0)
    return facts


def allow_processor_s(seconds: float) -> None:
    """Let this process use so many more seconds of processor, and die of SIGXCPU beyond."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime + seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (until if hard == resource.RLIM_INFINITY else min(until, hard), hard))


def _leave_network(libc: ctypes.CDLL) -> bool:
    # An empty network namespace has not even a loopback that is up. Root needs no user namespace; others do.
    alone = _CLONE_NEWNET | _CLONE_NEWIPC
    return bool(libc.unshare(_CLONE_NEWUSER | alone) == 0 or libc.unshare(alone) == 0)


def landlock_version(libc: ctypes.CDLL) -> int:
    """The version of Landlock that this kernel has; 0 for none."""
    return max(0, int(libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)))


def governed(version: int, *, loopback: bool = False) -> bytes:
    """All that a version of Landlock can govern (TCP not, with `loopback`), as its `struct landlock_ruleset_attr`."""
    files = max(mask for since, mask in _FS_ALL.items() if since <= version)
    net = 0 if loopback else _NET_ALL
    fields = [files, *([net] if version >= _NET_SINCE else []), *([_SCOPE_ALL] if version >= _SCOPE_SINCE else [])]
    return struct.pack(f"={len(fields)}Q", *fields)


def _read_only_below(libc: ctypes.CDLL, readable: list[str], *, loopback: bool = False) -> bool:
    version = landlock_version(libc)
    if not version:
        return False
    rules = governed(version, loopback=loopback)
    ruleset_fd = libc.syscall(_CREATE_RULESET, rules, len(rules), 0)
    if ruleset_fd < 0:
        return False
    try:
        for path in [*readable, *_PROGRAMS]:
            _let_read(libc, ruleset_fd, path)
        return bool(libc.syscall(_RESTRICT_SELF, ruleset_fd, 0) == 0)
    finally:
        os.close(ruleset_fd)


def _let_read(libc: ctypes.CDLL, ruleset_fd: int, path: str) -> None:
    if not path or not Path(path).exists():
        return
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        access = _FS_READ_FILE | (_FS_READ_DIR | _FS_EXECUTE if Path(path).is_dir() else 0)
        rule = struct.pack("=Qi", access, fd)
        libc.syscall(_ADD_RULE, ruleset_fd, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(fd)
