"""XML: the text of its elements, one a line, in order."""

from __future__ import annotations

import re
from collections.abc import Iterator

from casemate.modalities.language.documents.block import Block
from casemate.modalities.language.documents.readers.text import cut, decoded
from casemate.modalities.language.documents.source import Found, Source
from casemate.store.texts import said_in_xml

_DECLARATION = re.compile(r"\A\s*<\?xml\s[^<>]*?\?>")  # what it says of its encoding is no longer so


def parsed(data: bytes) -> object:
    """The root of an XML text, nothing of which is expanded or fetched."""
    from lxml import etree

    return etree.fromstring(
        data, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    )


def read(source: Source, found: Found) -> Iterator[Block]:
    """The texts of a file."""
    data = source.bytes()
    plain = _DECLARATION.sub("", decoded(data, found, said_in_xml(data)), count=1)
    texts = (text.strip() for text in parsed(plain.encode()).itertext())  # type: ignore[attr-defined]
    gathered = "\n".join(text for text in texts if text)
    if gathered:
        yield from cut(gathered)
