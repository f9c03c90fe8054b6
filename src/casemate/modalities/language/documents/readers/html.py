"""HTML pages: what a person would read, without what is styled, scripted or hidden by its markup."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from casemate.modalities.language.documents.block import Block, Kind
from casemate.modalities.language.documents.readers.text import cut, decoded
from casemate.modalities.language.documents.source import Found, Source, UnreadableError, iso_date, row_text
from casemate.store.texts import said_in_html

_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BLOCKS = _HEADINGS | {
    "p", "div", "li", "dt", "dd", "blockquote", "pre", "section", "article", "header", "footer", "nav", "aside", "main",
    "figcaption", "caption", "address", "td", "th", "tr", "table", "ul", "ol", "dl", "form", "fieldset", "details",
    "summary", "hgroup", "search", "center", "body", "title",
}  # fmt: skip
_UNREAD = frozenset({"script", "style", "template", "noscript", "svg", "math", "head", "object", "iframe", "select"})
_DATES = ("dcterms.created", "dcterms.modified", "dc.date", "date", "article:published_time", "last-modified")


def read(source: Source, found: Found) -> Iterator[Block]:
    """The blocks of a page."""
    data = source.bytes()
    yield from blocks(decoded(data, found, said_in_html(data)), found)


def blocks(text: str, found: Found) -> Iterator[Block]:
    """The blocks of a page's text; title and date go to `found` where it has none."""
    from lxml import html

    if not text.strip():
        return
    parser = html.HTMLParser(no_network=True, remove_comments=True, remove_pis=True, encoding="utf-8", huge_tree=True)
    root = html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    if any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log):  # it left out what is deeper
        raise UnreadableError("elements at most 2,048 deep", "deeper ones")
    title = root.findtext(".//title") or ""
    found.title = found.title or " ".join(title.split())
    found.date = found.date or _date(root)
    yield from _Walk().of(root)


def _date(root: Any) -> str:
    from datetime import date

    for meta in root.iter("meta"):
        if (meta.get("name") or meta.get("property") or "").lower() in _DATES:
            try:
                return iso_date(date.fromisoformat((meta.get("content") or "")[:10]))
            except ValueError:
                continue
    return ""


class _Walk:
    """Gathers text until a block ends."""

    def __init__(self) -> None:
        self._text: list[str] = []

    def of(self, element: Any) -> Iterator[Block]:
        """The blocks within an element, and of the text that was open before it."""
        yield from self._element(element)
        yield from self._end("paragraph")

    def _element(self, element: Any) -> Iterator[Block]:
        stack: list[tuple[Any, bool]] = [(element, False)]
        while stack:  # a stack of our own: pages nest deeper than Python calls
            node, ended = stack.pop()
            tag = node.tag if isinstance(node.tag, str) else ""
            if ended:
                yield from self._leave(tag)
                self._text.append(node.tail or "")
                continue
            if tag == "table" and not node.xpath(".//table"):
                yield from self._end("paragraph")
                yield from _table(node)
                self._text.append(node.tail or "")
                continue
            if tag in _UNREAD or not tag or node.get("hidden") is not None:
                self._text.append(node.tail or "")
                continue
            if tag in _BLOCKS:
                yield from self._end("paragraph")
            self._text.append("\n" if tag in {"br", "hr"} else node.text or "")
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(node))

    def _leave(self, tag: str) -> Iterator[Block]:
        if tag in _BLOCKS:
            yield from self._end("heading" if tag in _HEADINGS else "paragraph")

    def _end(self, kind: Kind) -> Iterator[Block]:
        text = "".join(self._text)
        self._text.clear()
        lines = [" ".join(line.split()) for line in text.split("\n")]
        plain = " ".join(line for line in lines if line)
        if plain:
            yield from cut(plain, kind=kind)


def _table(table: Any) -> Iterator[Block]:
    rows = []
    for row in table.iter("tr"):
        cells = [" ".join(cell.text_content().split()) for cell in row if cell.tag in {"td", "th"}]
        rows.append(row_text(cells))
    text = "\n".join(row for row in rows if row)
    if text:
        yield from cut(text, kind="table")
