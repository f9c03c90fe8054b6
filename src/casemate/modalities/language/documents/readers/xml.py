"""XML: the text of its elements, one a line, in order."""

from __future__ import annotations

from collections.abc import Iterator

from casemate.modalities.language.documents.block import Block
from casemate.modalities.language.documents.readers.text import cut
from casemate.modalities.language.documents.source import Found, Source


def parsed(data: bytes) -> object:
    """The root of an XML text, nothing of which is expanded or fetched."""
    from lxml import etree

    return etree.fromstring(
        data, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    )


def read(source: Source, found: Found) -> Iterator[Block]:  # noqa: ARG001  one signature for all
    """The texts of a file."""
    texts = (text.strip() for text in parsed(source.bytes()).itertext())  # type: ignore[attr-defined]
    gathered = "\n".join(text for text in texts if text)
    if gathered:
        yield from cut(gathered)
