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
    headers = {name: said for name in _HEADERS if (said := _header(message, name, found))}
    found.title = headers.get("Subject", "")
    found.date = _date(message)
    told = [f"{name}: {said}" for name, said in headers.items()]
    yield from text.cut("\n".join(told))
    body = message.get_body(preferencelist=("plain", "html"))
    if body is not None:
        words = _words(cast("EmailMessage", body), found)
        if body.get_content_subtype() == "html":
            yield from html.blocks(words, Found(found.limits))
        else:
            yield from text.blocks(words.splitlines())
    found.attachments = list(_attachments(message, found))


def _header(message: EmailMessage, name: str, found: Found) -> str:
    """A header on one line; bytes that are not ASCII stand in it as they came, in an encoding that it does not say."""
    raw = next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")
    try:
        raw.encode("utf-8")
    except UnicodeEncodeError:
        return " ".join(text.decoded(raw.encode("utf-8", "surrogateescape"), found).split())
    return " ".join(str(message.get(name, "")).split())


def _date(message: EmailMessage) -> str:
    try:
        return iso_date(getattr(message["Date"], "datetime", None))
    except (TypeError, ValueError):
        return ""


def _words(part: EmailMessage, found: Found) -> str:
    data = part.get_payload(decode=True)
    return text.decoded(data if isinstance(data, bytes) else b"", found, part.get_content_charset() or "")


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
