"""Mail as text: what is attached to it, each file once; an attached mail is a file of its own."""

from __future__ import annotations

import email
import email.policy
import platform
from collections.abc import Iterator
from email.message import Message
from typing import BinaryIO

from casemate.airlock import mail_rules
from casemate.airlock.archives import PIECE_BYTES, BadArchiveError, Member
from casemate.airlock.limits import ScanLimits
from casemate.airlock.mail_names import AttachedNames


def versions() -> dict[str, str]:
    """The version of what reads MIME."""
    return {"email": platform.python_version()}


def members(stream: BinaryIO, type_name: str, name: str, limits: ScanLimits) -> Iterator[Member]:  # noqa: ARG001  one signature for all
    """Every file attached, in the order of the mail."""
    data = stream.read(limits.max_text_bytes + 1)
    if len(data) > limits.max_text_bytes:
        raise BadArchiveError(f"a mail of at most {limits.max_text_bytes} bytes", "more")
    try:
        message = email.message_from_bytes(data, policy=email.policy.default)
        names = AttachedNames()
        attached = [
            (names.place(_name(part)), _content(part))
            for part in mail_rules.parts(message)
            if not mail_rules.is_body(part)
        ]
    except BadArchiveError:
        raise
    except mail_rules.BROKEN as why:
        raise BadArchiveError("a mail whose headers and parts can be read", type(why).__name__) from why
    for path, content in attached:
        yield Member(path, _pieces(content))


def _name(part: Message) -> str:
    name = str(part.get_filename() or "")
    if part.get_content_maintype() == "message" and not name.lower().endswith(".eml"):
        return f"{name or 'message'}.eml"
    return name


def _content(part: Message) -> bytes:
    inner = part.get_payload()
    if isinstance(inner, list):  # a mail, or the report of one
        return b"".join(p.as_bytes() for p in inner if isinstance(p, Message))
    payload = part.get_payload(decode=True)
    if part.defects:
        raise BadArchiveError("an attachment that decodes", type(part.defects[0]).__name__)
    return payload if isinstance(payload, bytes) else b""


def _pieces(content: bytes) -> Iterator[bytes]:
    yield from (content[i : i + PIECE_BYTES] for i in range(0, len(content), PIECE_BYTES))
