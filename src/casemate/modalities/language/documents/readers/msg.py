"""Outlook messages: who, when and about what, then the words; what is attached is told, to be read as documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from casemate.modalities.language.documents.block import Block
from casemate.modalities.language.documents.readers import html, text
from casemate.modalities.language.documents.readers.eml import named
from casemate.modalities.language.documents.source import Found, Source, UnreadableError, iso_date


def read(source: Source, found: Found) -> Iterator[Block]:
    """The blocks of a message."""
    import oxmsg

    try:
        message = oxmsg.Message.load(source.bytes())
    except (ValueError, OSError) as why:
        raise UnreadableError("an Outlook message", str(why)) from why
    found.title = message.subject or ""
    found.date = iso_date(message.sent_date)
    people = ", ".join(f"{person.name or ''} <{person.email_address or ''}>" for person in message.recipients)
    sent = message.sent_date.isoformat(" ") if message.sent_date else ""
    told = (("From", message.sender), ("To", people), ("Date", sent), ("Subject", message.subject))
    yield from text.cut("\n".join(f"{name}: {' '.join(value.split())}" for name, value in told if value))
    if message.body and message.body.strip():
        yield from text.blocks(message.body.splitlines())
    elif message.html_body:
        yield from html.blocks(message.html_body, Found(found.limits))
    found.attachments = list(_attachments(message, found))


def _attachments(message: Any, found: Found) -> Iterator[tuple[str, bytes]]:
    names: set[str] = set()
    for attachment in message.attachments:
        if len(names) >= found.limits.max_attachments:
            found.note(f"attachments: the first {len(names)} only")
            return
        data = attachment.file_bytes
        if data is None:
            found.note("attachments: one that is no file was not read")
            continue
        yield named(attachment.file_name or "", names), data
