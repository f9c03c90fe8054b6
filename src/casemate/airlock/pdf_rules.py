"""What a PDF object may not say. Pure: objects in, findings out.

Rules, after ISO 32000-2, 12.6 (actions), 7.11 (file specifications), 12.5.6 (annotations). Names are compared decoded.
The names of resources and of glyphs are anybody's; every other key means the same wherever it stands.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from casemate.airlock import references
from casemate.airlock.report import Finding

Resolve = Callable[[Any], Any]
BROKEN = (  # what pypdf raises on broken files besides its own errors, by its documentation and by trial
    ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, NotImplementedError, OSError,
    RecursionError, TypeError, ValueError, zlib.error,
)  # fmt: skip
_KEYS = {
    "/JS": "a script", "/JavaScript": "a script", "/XFA": "a dynamic form (XFA)",
    "/AA": "actions that start by themselves",
    "/EmbeddedFiles": "files inside the document", "/EF": "a file inside the document",
    "/RichMediaContent": "media that play", "/RichMediaSettings": "media that play",
    "/Collection": "a portfolio of files", "/FFilter": "data in another file", "/SpiderInfo": "captured web content",
    "/OPI": "a picture in another file",
}  # fmt: skip
_ACTIONS = {
    "/JavaScript": "a script", "/Launch": "an action that starts a program",
    "/SubmitForm": "an action that sends a form",
    "/ImportData": "an action that reads a file", "/GoToR": "an action that opens another file",
    "/GoToE": "an action that opens a file inside", "/Rendition": "an action that plays media",
    "/Movie": "an action that plays media", "/Sound": "an action that plays media",
    "/RichMediaExecute": "an action that plays media", "/GoTo3DView": "a three-dimensional scene",
}  # fmt: skip
_SUBTYPES = {
    "/FileAttachment": "a file inside the document", "/RichMedia": "media that play",
    "/3D": "a three-dimensional scene",
    "/Movie": "media that play", "/Sound": "media that play", "/Screen": "media that play",
    "/PS": "a PostScript program",
    "/U3D": "a three-dimensional scene", "/PRC": "a three-dimensional scene",
}  # fmt: skip
_TYPES = {
    "/EmbeddedFile": "a file inside the document", "/Filespec": "another file", "/F": "another file",
    "/Rendition": "media that play", "/Encrypt": "encryption",
}  # fmt: skip
_ANYBODYS = frozenset(
    {"/Font", "/XObject", "/ExtGState", "/ColorSpace", "/Pattern", "/Shading", "/Properties", "/CharProcs"}
)
_OPENS_AT = frozenset({"/GoTo", "/Named"})


def examine(found: Any, resolve: Resolve) -> list[Finding]:
    """What is wrong with one object and with all that it holds directly; `resolve` fetches what it refers to."""
    findings: list[Finding] = []
    waiting: list[tuple[Any, bool]] = [(found, False)]
    while waiting:
        value, is_names = waiting.pop()
        if isinstance(value, dict):
            findings += _examine_dictionary(value, resolve, is_names=is_names)
            waiting += [(v, k in _ANYBODYS) for k, v in value.items() if isinstance(v, (dict, list))]
        elif isinstance(value, list):
            waiting += [(v, False) for v in value if isinstance(v, (dict, list))]
    return findings


def _examine_dictionary(found: dict[Any, Any], resolve: Resolve, *, is_names: bool) -> list[Finding]:
    if is_names:
        return []
    what = [meaning for key, meaning in _KEYS.items() if key in found]
    for key, meanings in (("/S", _ACTIONS), ("/Subtype", _SUBTYPES), ("/Type", _TYPES)):
        if key in found:
            value = _resolved(found.get(key), found, key, resolve)
            what += [meanings[value]] if isinstance(value, str) and value in meanings else []
    if hasattr(found, "get_data") and "/F" in found:
        what.append("data in another file")
    if found.get("/Subtype") == "/Form" and "/Ref" in found:
        what.append("pages of another file")
    findings = [Finding("active content", "a document that only shows", meaning) for meaning in what]
    return findings + _check_opening(found, resolve) + _check_link(found, resolve)


def _resolved(value: Any, holder: dict[Any, Any], key: str, resolve: Resolve) -> Any:
    raw = holder.raw_get(key) if hasattr(holder, "raw_get") else value
    return resolve(raw) if hasattr(raw, "idnum") else raw


def _check_opening(found: dict[Any, Any], resolve: Resolve) -> list[Finding]:
    if "/OpenAction" not in found:
        return []
    action = _resolved(None, found, "/OpenAction", resolve)
    if isinstance(action, dict):
        kind = _resolved(None, action, "/S", resolve) if "/S" in action else None
        if kind not in _OPENS_AT or "/Next" in action:
            return [Finding("active content", "a document that opens at a page", f"one that opens with {kind!a}")]
    return []


def _check_link(found: dict[Any, Any], resolve: Resolve) -> list[Finding]:
    if "/URI" not in found:
        return []
    address = _resolved(None, found, "/URI", resolve)
    if isinstance(address, dict):  # the catalog's, which holds a base
        return []
    reference = references.read(address.decode("latin-1") if isinstance(address, bytes) else str(address))
    if reference.kind == "link":
        return [Finding("link", "nothing outside the document", reference.shown, note=True)]
    return [Finding("reference", "links to pages (https, mailto)", f"{reference.shown!a}")]
