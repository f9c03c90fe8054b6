"""Clean mail, and a writer of compound files small enough for Outlook messages in tests."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from email.message import EmailMessage
from itertools import pairwise

SECTOR, MINI = 512, 64
_END, _FREE, _FAT = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
Tree = Mapping[str, "bytes | Tree"]


def eml(*attached: tuple[str, bytes], body: str = "Bonjour à tous, voici le compte rendu.\n", html: str = "") -> bytes:
    message = EmailMessage()
    message["From"], message["To"] = "Inès <ines@port.example>", "paul@port.example"
    message["Date"], message["Subject"] = "Mon, 02 Mar 2026 10:00:00 +0100", "Réunion du port"
    message.set_content(body)
    if html:
        message.add_alternative(html, subtype="html")
    for name, data in attached:
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return message.as_bytes()


def msg(
    *attached: tuple[str, bytes], body: str = "Bonjour à tous.", extra: Tree | None = None, method: int = 1
) -> bytes:
    tree: dict[str, bytes | Tree] = {
        "__nameid_version1.0": {"__substg1.0_00020102": b"", "__substg1.0_00030102": b"", "__substg1.0_00040102": b""},
        "__substg1.0_001A001F": "IPM.Note".encode("utf-16-le"),
        "__substg1.0_0037001F": "Réunion du port".encode("utf-16-le"),
        "__substg1.0_0C1A001F": "Inès".encode("utf-16-le"),
        "__substg1.0_1000001F": body.encode("utf-16-le"),
    }
    tree["__properties_version1.0"] = struct.pack("<8xIIII8x", 0, len(attached), 0, len(attached)) + b"".join(
        struct.pack("<IIQ", int(name[-8:], 16), 6, len(data) + 2)
        for name, data in tree.items()
        if name.startswith("__substg") and isinstance(data, bytes)
    )
    for number, (name, data) in enumerate(attached):
        tree[f"__attach_version1.0_#{number:08X}"] = {
            "__properties_version1.0": bytes(8)
            + struct.pack("<IIQ", 0x37050003, 6, method)
            + struct.pack("<IIQ", 0x37010102, 6, len(data))
            + struct.pack("<IIQ", 0x3707001F, 6, 2 * len(name) + 2),
            "__substg1.0_37010102": data,
            "__substg1.0_3707001F": name.encode("utf-16-le"),
        }
    return compound({**tree, **(extra or {})})


def compound(tree: Tree) -> bytes:
    """A compound file of version 3 with these streams and storages. [MS-CFB]"""
    entries: list[list[object]] = [["Root Entry", 5, _FREE, b"", _FREE]]
    _gather(tree, 0, entries)
    mini, mini_fat, sectors, fat = bytearray(), list[int](), list[bytes](), list[int]()

    def chain(data: bytes) -> int:
        if not data:
            return _END
        first = len(sectors)
        for at in range(0, len(data), SECTOR):
            sectors.append(data[at : at + SECTOR].ljust(SECTOR, b"\0"))
            fat.append(len(sectors))
        fat[-1] = _END
        return first

    starts = []
    for _, kind, _, data, _ in entries:
        assert isinstance(data, bytes)
        if kind != 2 or not data:
            starts.append(_END if kind == 2 else 0)
        elif len(data) >= 4096:
            starts.append(chain(data))
        else:
            starts.append(len(mini_fat))
            count = -(-len(data) // MINI)
            mini += data.ljust(count * MINI, b"\0")
            mini_fat += [*range(len(mini_fat) + 1, len(mini_fat) + count), _END]
    starts[0] = chain(bytes(mini))
    mini_fat_start = chain(
        struct.pack(f"<{len(mini_fat)}I", *mini_fat).ljust(-(-len(mini_fat) // 128) * SECTOR, b"\xff")
    )
    sizes = [len(mini), *(len(entry[3]) for entry in entries[1:])]  # type: ignore[arg-type]
    directory = b"".join(map(_entry, entries, starts, sizes))
    empty = bytes(64) + struct.pack("<HBBIII", 0, 0, 0, _FREE, _FREE, _FREE) + bytes(48)
    directory_start = chain(directory + empty * (-(len(directory) // 128) % 4))
    fat_sectors = 1
    while len(fat) + fat_sectors > fat_sectors * 128:
        fat_sectors += 1
    first_fat = len(sectors)
    fat += [_FAT] * fat_sectors
    table = struct.pack(f"<{len(fat)}I", *fat).ljust(fat_sectors * SECTOR, b"\xff")
    assert fat_sectors <= 109
    difat = [*range(first_fat, first_fat + fat_sectors)] + [_FREE] * (109 - fat_sectors)
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    head += struct.pack(
        "<IIIIIIIII", 0, fat_sectors, directory_start, 0, 4096, mini_fat_start, -(-len(mini_fat) // 128), _END, 0
    )
    return head + struct.pack("<109I", *difat) + b"".join(sectors) + table


def _gather(tree: Tree, parent: int, entries: list[list[object]]) -> None:
    """Entries of a storage, each the right neighbour of the one before: a tree that leans, and is one."""
    names = sorted(tree, key=lambda name: (len(name), name.upper()))
    numbers = []
    for name in names:
        numbers.append(len(entries))
        held = tree[name]
        entries.append(
            [name, 2 if isinstance(held, bytes) else 1, _FREE, held if isinstance(held, bytes) else b"", _FREE]
        )
        if not isinstance(held, bytes):
            _gather(held, numbers[-1], entries)
    for number, after in pairwise(numbers):
        entries[number][4] = after
    entries[parent][2] = numbers[0] if numbers else _FREE


def _entry(entry: list[object], start: int, size: int) -> bytes:
    name = str(entry[0]).encode("utf-16-le") + b"\0\0"
    _, kind, child, _, right = entry
    return (
        name.ljust(64, b"\0")
        + struct.pack("<HBBIII", len(name), kind, 1, _FREE, right, child)
        + bytes(36)
        + struct.pack("<IQ", start, size)
    )


SAMPLES = {"eml": eml, "msg": msg}
