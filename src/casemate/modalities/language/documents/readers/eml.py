"""Mail as text: who, when and about what, then the words; what is attached is told, to be read as documents."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage, Message
from typing import cast

from casemate.modalities.language.documents.block import Block
from casemate.modalities.language.documents.readers import html, text
from casemate.modalities.language.documents.source import Found, Source, UnreadableError, iso_date

_HEADERS = ("From", "To", "Cc", "Date", "Subject")


def read(source: Source, found: Found) -> Iterator[Block]:
    """The blocks of a mail."""
    message = email.message_from_bytes(source.bytes(), policy=email.policy.default)
    if not message.keys():
        raise UnreadableError("a mail with its headers", "none")
    found.title = str(message.get("Subject", ""))
    found.date = _date(message)
    told = [f"{name}: {' '.join(str(message[name]).split())}" for name in _HEADERS if message[name]]
    yield from text.cut("\n".join(told))
    body = message.get_body(preferencelist=("plain", "html"))
    if body is not None:
        words = _words(cast("EmailMessage", body), found)
        if body.get_content_subtype() == "html":
            yield from html.blocks(words, Found(found.limits))
        else:
            yield from text.blocks(words.splitlines())
    found.attachments = list(_attachments(message, found))


def _date(message: EmailMessage) -> str:
    try:
        return iso_date(getattr(message["Date"], "datetime", None))
    except (TypeError, ValueError):
        return ""


def _words(part: EmailMessage, found: Found) -> str:
    data = part.get_payload(decode=True)
    data = data if isinstance(data, bytes) else b""
    try:
        return data.decode(part.get_content_charset() or "utf-8")
    except (LookupError, UnicodeDecodeError):
        found.note("text: not in the encoding that it names, read as Windows-1252")
        return data.decode("cp1252", "replace")


def _attachments(message: EmailMessage, found: Found) -> Iterator[tuple[str, bytes]]:
    names: set[str] = set()
    for part in message.iter_attachments() if message.is_multipart() else ():
        if len(names) >= found.limits.max_attachments:
            found.note(f"attachments: the first {len(names)} only")
            return
        if part.get_content_type() == "message/rfc822":
            inner = part.get_payload()
            data = inner[0].as_bytes() if isinstance(inner, list) and isinstance(inner[0], Message) else b""
            name = part.get_filename() or "message.eml"
        else:
            payload = part.get_payload(decode=True)
            data, name = payload if isinstance(payload, bytes) else b"", part.get_filename() or ""
        yield named(name, names), data


def named(name: str, names: set[str]) -> str:
    """A plain name for an attachment, unlike those before it."""
    plain = "".join(c for c in name.replace("\\", "/").rpartition("/")[2] if c.isprintable())[:150].strip(" .")
    plain = plain or "attachment"
    stem, dot, end = plain.rpartition(".")
    unlike, number = plain, 2
    while unlike.casefold() in names:
        unlike = f"{stem} ({number}){dot}{end}" if stem else f"{plain} ({number})"
        number += 1
    names.add(unlike.casefold())
    return unlike
