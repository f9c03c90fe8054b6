"""Vorbis comments (of FLAC, Vorbis and Opus): words, and pictures in base64 that are pictures; FLAC picture blocks."""

from __future__ import annotations

import base64
import binascii
import struct

from casemate.airlock.sound import SoundRefusedError, check_picture, require

_PICTURE, _COVER = b"METADATA_BLOCK_PICTURE", b"COVERART"


def check(block: bytes) -> int:
    """Refuse what comments hold besides words and pictures; where they end."""
    try:
        at = 4 + int(struct.unpack_from("<I", block, 0)[0])
        count = struct.unpack_from("<I", block, at)[0]
        at += 4
        require(count <= len(block) // 4, "tag", f"{count} comments", f"room for {len(block) // 4}")
        for _ in range(count):
            size = struct.unpack_from("<I", block, at)[0]
            at += 4 + size
            require(at <= len(block), "tag", f"a comment of {size} bytes", "fewer")
            _check_comment(block[at - size : at])
    except struct.error as why:
        raise SoundRefusedError("tag", "whole comments", f"some cut short: {why}") from why
    return at


def _check_comment(comment: bytes) -> None:
    name, _, value = comment.partition(b"=")
    if name.upper() not in {_PICTURE, _COVER}:
        return
    try:
        data = base64.b64decode(value, validate=True)
    except binascii.Error as why:
        raise SoundRefusedError("tag", f"base64 in the comment {name!a}", str(why)) from why
    if name.upper() == _PICTURE:
        check_picture_block(data)
    else:
        check_picture(data, f"the comment {name!a}")


def check_picture_block(block: bytes) -> None:
    """Refuse a picture block of FLAC that holds none, or the address of one."""
    try:
        at = 4
        kind_size = struct.unpack_from(">I", block, at)[0]
        kind = block[at + 4 : at + 4 + kind_size]
        at += 4 + kind_size
        at += 4 + int(struct.unpack_from(">I", block, at)[0]) + 16
        size = struct.unpack_from(">I", block, at)[0]
    except struct.error as why:
        raise SoundRefusedError("tag", "a whole picture block", f"one cut short: {why}") from why
    require(kind != b"-->", "tag", "a picture", "the address of one")
    require(at + 4 + size == len(block), "tag", f"a picture of {size} bytes", f"{len(block) - at - 4}")
    check_picture(block[at + 4 :], "a picture block")
