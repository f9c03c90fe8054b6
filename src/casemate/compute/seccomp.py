"""System calls that a process gives up: starting programs and processes, the network, and what opens the kernel.

Rules. A list of what is forbidden, unlike elsewhere in this room: decoders need too many calls, different on each
system, to list what is allowed; Landlock and the limits of resources list that. Threads stay possible, processes do
not. What no decoder has an honest reason to try ends the process (SIGSYS); what a library may try in vain fails with
EPERM.
Source: linux/filter.h, linux/seccomp.h; the numbers are those of asm/unistd_64.h and asm-generic/unistd.h.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from dataclasses import dataclass

_SET_MODE_FILTER, _TSYNC = 1, 1
_LOAD_WORD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_AT_NUMBER, _AT_ARCHITECTURE, _AT_FIRST_ARGUMENT = 0, 4, 16  # of struct seccomp_data, little-endian
_CLONE_THREAD = 0x00010000
_AF_INET = 2
_X32 = 0x40000000  # x86-64 only: the same calls once more, under other numbers


@dataclass(frozen=True)
class Architecture:
    """One architecture: its audit number, and the numbers of the calls; `sockets` begins with `socket` itself."""

    audit: int
    seccomp: int
    clone: int
    sockets: tuple[int, ...]
    refused: tuple[int, ...]
    deadly: tuple[int, ...]


_CLONE3, _IO_URING_SETUP, _PIDFD_OPEN, _PIDFD_GETFD = 435, 425, 434, 438  # the same everywhere
_MOUNTS = (428, 429, 430, 431, 432, 433, 442)  # open_tree, move_mount, fsopen … fspick, mount_setattr
ARCHITECTURES = {
    "x86_64": Architecture(
        audit=0xC000003E,
        seccomp=317,
        clone=56,
        # socket, connect, bind, listen, accept, accept4
        sockets=(41, 42, 49, 50, 43, 288),
        # fork, vfork, and those of sockets
        refused=(57, 58, 41, 42, 49, 50, 43, 288),
        # execve, execveat, ptrace, process_vm_readv, process_vm_writev, bpf, userfaultfd, perf_event_open, add_key,
        # request_key, keyctl, mount, umount2, pivot_root, chroot, setns, unshare, open_by_handle_at, init_module,
        # finit_module, delete_module, kexec_load, kexec_file_load
        deadly=(59, 322, 101, 310, 311, 321, 323, 298, 248, 249, 250, 165, 166, 155, 161, 308, 272, 304, 175, 313,
                176, 246, 320),
    ),
    "aarch64": Architecture(
        audit=0xC00000B7,
        seccomp=277,
        clone=220,
        sockets=(198, 203, 200, 201, 202, 242),
        refused=(198, 203, 200, 201, 202, 242),
        deadly=(221, 281, 117, 270, 271, 280, 282, 241, 217, 218, 219, 40, 39, 41, 51, 268, 97, 265, 105, 273, 106,
                104, 294),
    ),
}  # fmt: skip


def program(here: Architecture, *, loopback: bool = False) -> list[tuple[int, int, int, int]]:
    """The filter as instructions of BPF: (code, jump if true, jump if false, value).

    With `loopback`, sockets of the Internet's family stay (for a process that is alone in its network), no others.
    """
    eperm, enosys = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    instructions = [
        (_LOAD_WORD, 0, 0, _AT_ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, here.audit),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD_WORD, 0, 0, _AT_NUMBER),
        (_JUMP_GREATER_EQUAL, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL_PROCESS),
    ]
    actions = dict.fromkeys((*here.deadly, *_MOUNTS, _PIDFD_GETFD), _KILL_PROCESS)
    actions |= dict.fromkeys((*here.refused, _IO_URING_SETUP, _PIDFD_OPEN), eperm)
    actions[_CLONE3] = enosys  # its flags cannot be read here; C libraries then try clone
    sockets: list[tuple[int, int, int, int]] = []
    if loopback:
        actions = {number: action for number, action in actions.items() if number not in here.sockets}
        sockets = [
            (_JUMP_EQUAL, 0, 4, here.sockets[0]),
            (_LOAD_WORD, 0, 0, _AT_FIRST_ARGUMENT),
            (_JUMP_EQUAL, 0, 1, _AF_INET),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, eperm),
        ]
    for number, action in actions.items():
        instructions += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, action)]
    return [
        *instructions,
        *sockets,
        (_JUMP_EQUAL, 0, 3, here.clone),
        (_LOAD_WORD, 0, 0, _AT_FIRST_ARGUMENT),
        (_JUMP_SET, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, eperm),
        (_RETURN, 0, 0, _ALLOW),
    ]


def forbid_calls(libc: ctypes.CDLL, *, loopback: bool = False) -> bool:
    """Give the calls up for good, in every thread; whether the system let us. Needs no-new-privileges."""
    here = ARCHITECTURES.get(platform.machine())
    if here is None:
        return False
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program(here, loopback=loopback))
    buffer = ctypes.create_string_buffer(code, len(code))
    filter_ = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    return bool(libc.syscall(here.seccomp, _SET_MODE_FILTER, _TSYNC, filter_) == 0)
