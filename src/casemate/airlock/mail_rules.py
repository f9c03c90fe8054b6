"""What a mail may hold: words and files attached to it, in a structure that every reader cuts alike. Pure.

Rules. Parts are of known kinds, in known encodings, and break no rule of MIME. A part that fetches (`external-body`) or
is only a piece (`partial`) is refused. Words are text without control or direction characters. What else a mail holds
is attached, and inspected as a file of its own. A body in HTML is read for its words and never shown here, but people
open mail elsewhere: what runs or acts in it is refused; what it would load is a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import EmailMessage, Message
from html.parser import HTMLParser
from typing import cast

from casemate.airlock import references
from casemate.airlock.distinct import distinct
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from casemate.store import texts

# What the reader of MIME raises over headers and parts that it cannot make sense of.
BROKEN = (LookupError, AttributeError, ValueError, TypeError, RecursionError)
ATTACHED = "attachment"  # the rule of the note that a mail has files attached, which are then taken out and inspected
MAX_PARTS, MAX_DEPTH = 2000, 32
WITHIN = f"at most {MAX_PARTS} parts, {MAX_DEPTH} deep"
_CONTAINERS = frozenset({"mixed", "alternative", "related", "report", "signed", "digest", "parallel"})
_NEVER = frozenset({"message/external-body", "message/partial"})
_ENCODINGS = frozenset({"", "7bit", "8bit", "quoted-printable", "base64"})
_RUNS = frozenset(
    {"script", "iframe", "frame", "frameset", "object", "embed", "applet", "form", "base", "svg", "math", "portal"}
)
_ADDRESSES = frozenset({"href", "src", "background", "poster", "cite", "xlink:href", "action", "formaction", "data"})
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def parts(message: Message) -> Iterator[Message]:
    """The parts of a mail that hold something, in order; a mail attached to it is one part."""
    stack = [message]
    while stack:
        part = stack.pop()
        if part.get_content_maintype() == "multipart":
            inner = part.get_payload()
            stack.extend(reversed([p for p in inner if isinstance(p, Message)] if isinstance(inner, list) else []))
        else:
            yield part


def is_body(part: Message) -> bool:
    """Whether a part is words of the mail, and no file attached to it."""
    attached = part.get_content_disposition() == "attachment" or part.get_filename() is not None
    return part.get_content_type() in {"text/plain", "text/html"} and not attached


def check(message: EmailMessage, limits: ScanLimits) -> list[Finding]:
    """What is wrong with a mail, and how many files are attached to it."""
    findings, attached = list(_structure(message)), 0
    if findings:
        return distinct(findings)
    for part in parts(message):
        if is_body(part):
            findings += _words(cast("EmailMessage", part), limits)
        else:
            attached += 1
    if attached:
        findings.append(Finding(ATTACHED, "words alone", f"{attached} attached, inspected as files", note=True))
    return distinct(findings)


def _structure(message: Message) -> Iterator[Finding]:
    if not (message["From"] or message["Date"] or message["Received"]):
        yield Finding("mail", "a mail with From or Date", "neither")
    stack, count = [(message, 1)], 0
    while stack:
        part, depth = stack.pop()
        count += 1
        if depth > MAX_DEPTH or count > MAX_PARTS:
            yield Finding("mail", WITHIN, "more")
            return
        yield from _part(part)
        inner = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(inner, list):
            stack.extend((p, depth + 1) for p in inner if isinstance(p, Message))


def _part(part: Message) -> Iterator[Finding]:
    kind = part.get_content_type()
    for defect in part.defects:
        yield Finding("mail", "MIME that every reader cuts alike", type(defect).__name__)
    if kind in _NEVER:
        yield Finding("mail", "parts that are whole and here", kind)
    if part.get_content_maintype() == "multipart" and part.get_content_subtype() not in _CONTAINERS:
        yield Finding("mail", f"multipart of {', '.join(sorted(_CONTAINERS))}", f"{kind!a}")
    if part.get_content_maintype() == "multipart" and not isinstance(part.get_payload(), list):
        yield Finding("mail", "a multipart with its parts", "none")
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    if encoding not in _ENCODINGS:
        yield Finding("mail", f"an encoding of {', '.join(sorted(_ENCODINGS - {''}))}", f"{encoding[:40]!a}")


def _words(part: EmailMessage, limits: ScanLimits) -> list[Finding]:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    if part.defects:  # what only shows when it is decoded
        return [Finding("mail", "MIME that every reader cuts alike", type(part.defects[0]).__name__)]
    if len(data) > limits.max_text_bytes:
        return [Finding("size", f"text of at most {limits.max_text_bytes} bytes", str(len(data)))]
    try:
        text = texts.decode(data, part.get_content_charset() or "").text
    except texts.NotTextError as why:
        return [Finding("text", why.expected, why.found)]
    return check_text(text) or (check_html(text) if part.get_content_subtype() == "html" else [])


def check_text(text: str) -> list[Finding]:
    """What is wrong with words."""
    control = _CONTROL.search(text)
    if control is None:
        return []
    return [Finding("text", "text without control or direction characters", f"U+{ord(control[0]):04X} in the words")]


def check_html(text: str) -> list[Finding]:
    """What is wrong with a body in HTML, and what it would load."""
    page = _Body()
    page.feed(text)
    page.close()
    return distinct(page.findings)


class _Body(HTMLParser):
    """Gathers findings while a body is parsed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.findings: list[Finding] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        values = {name: value or "" for name, value in attrs}
        if tag in _RUNS or (tag == "meta" and values.get("http-equiv", "").strip().lower() == "refresh"):
            self.findings.append(Finding("element", "a body that only shows", f"<{tag}>"))
        for name, value in values.items():
            if name.startswith("on") or name == "srcdoc":
                self.findings.append(Finding("attribute", "a body that only shows", f"{name} in <{tag}>"))
            elif name in _ADDRESSES:
                self._check(tag, name, value)

    def _check(self, tag: str, name: str, value: str) -> None:
        reference = references.read(value)
        if reference.kind in {"active", "drawing"} and not value.strip().lower().startswith("cid:"):
            self.findings.append(Finding("reference", "no address that acts", f"{name}={reference.shown!a} in <{tag}>"))
        elif reference.kind in {"link", "outside"} and not value.strip().lower().startswith("cid:"):
            self.findings.append(Finding("link", "nothing outside the mail", reference.shown, note=True))
