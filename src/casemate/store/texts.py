"""Text out of bytes: in which encoding it is, decided once for whoever inspects a file and whoever reads it. Pure.

Rules. In this order: the mark at its beginning; what the file says of itself (a page, an XML text, a part of a mail);
UTF-8; UTF-16 without a mark where nearly all of it is Latin letters; Windows-1252 where what comes of it is plausible
text. A mark and a declaration that differ, a declaration that the bytes do not keep, an encoding whose ASCII is not
ASCII (UTF-7, ISO-2022), and what could as well be another encoding are refused: nothing is read with letters replaced.
Source: WHATWG Encoding (ISO-8859-1 means Windows-1252), with refusals where it guesses.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Literal

UTF_8 = "UTF-8"
Why = Literal["", "mark", "said", "plausible"]
_UTF_16 = frozenset({"utf-16-le", "utf-16-be"})
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"),
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
# What may be declared, as Python names it: ASCII stays ASCII in all of them.
_SAID = {
    "utf-8": UTF_8, "ascii": "US-ASCII", "cp1252": "Windows-1252",
    **{f"cp{n}": f"Windows-{n}" for n in (1250, 1251, 1253, 1254, 1255, 1256, 1257, 1258)},
    **{f"iso8859-{n}": f"ISO-8859-{n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16)},
    **{f"cp{n}": f"code page {n}" for n in (437, 850, 858)},
    "mac-roman": "Mac Roman", "koi8-r": "KOI8-R", "koi8-u": "KOI8-U",
    "gb2312": "GB 2312", "gbk": "GBK", "gb18030": "GB 18030", "big5": "Big5", "shift_jis": "Shift JIS",
    "euc_jp": "EUC-JP", "euc_kr": "EUC-KR", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16",
}  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,39}")
_MOST_HEAD = 4096
_META = re.compile(rb"<meta\s[^<>]*?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_XML = re.compile(rb"\s*<\?xml\s[^<>]*?encoding\s*=\s*[\"']([A-Za-z0-9_.:-]+)")

# Windows-1252: letters beyond ASCII, and what never stands where it would if another encoding were read as this one.
_LETTER = "A-Za-zÀ-ÖØ-öø-ÿŒœŠšŽžŸ"
_ODD = re.compile(
    f"(?<=[{_LETTER}])[‚„ƒ]|ˆ"  # what opens, after a letter: é, ä, â and ê of code page 850
    f"|(?<=[{_LETTER}])[†‡‰‹›“¡¢£¤¥¦¨©ª¬®¯±²³µ¶¸¹º¼½¾¿×÷™](?=[{_LETTER}])"  # signs within words
    "|[ðþÐÞ]"  # Turkish, Mac Roman; Icelandic has to say that it is itself
    "|(?<=[a-zà-öø-ÿœšž])[À-ÖØ-ÞŒŠŽŸ]"  # a capital after a small letter
    "|[ÂÃ][¡-¿€ƒ„…†‡ˆ‰‹›‘’“”•–—˜™]|â€"  # UTF-8 that was damaged
    "|[À-ÖØ-öø-ÿŒœŠšŽžŸ]{4}"  # Cyrillic, Greek, Chinese
)
_ODD_IN = 200  # so many characters beyond ASCII for one that is odd
_ASCII = bytes(range(0x80))
_ASCII_LETTERS = bytes(byte for byte in _ASCII if chr(byte).isalpha())
_BEYOND = bytes(
    b for b in range(0x80, 0x100) if b not in b"\x81\x8d\x8f\x90\x9d" and bytes([b]).decode("cp1252").isalpha()
)
_MOST_BEYOND = 0.35
_FEW = 6
_LATIN_IN_UTF_16 = 0.7
_AT_ONCE = 1 << 20


class NotTextError(ValueError):
    """What is wrong with bytes that should be text: expected and found."""

    def __init__(self, expected: str, found: str) -> None:
        """Keep both facts."""
        self.expected, self.found = expected, found
        super().__init__(f"expected {expected}, found {found}")


@dataclass(frozen=True)
class Decoded:
    """A text without its mark, the name of its encoding, and by what that was told: nothing says plain UTF-8."""

    text: str
    encoding: str = UTF_8
    why: Why = ""

    @property
    def note(self) -> str:
        """What whoever reads the text should know of its encoding; nothing where it is UTF-8."""
        how = {"mark": "as its mark says", "said": "as it says", "plausible": "which it does not say", "": ""}[self.why]
        return "" if self.encoding in {UTF_8, "US-ASCII"} else f"text: read as {self.encoding}, {how}"

    def is_in(self, said: str) -> bool:
        """Whether `said` names the encoding that the text was read in."""
        name = _SAID.get(_codec(said), "")
        return name == self.encoding or (name == "US-ASCII" and self.encoding == UTF_8 and self.text.isascii())


def decode(data: bytes, said: str = "") -> Decoded:
    """The text of a file; `said` is the encoding that it names itself. NotTextError where that cannot be told."""
    mark = next(((mark, codec) for mark, codec in _MARKS if data.startswith(mark)), None)
    if mark:
        return _marked(data, *mark, said)
    if said:
        return _as_said(data, said)
    unmarked = _utf_16_without_mark(data) if b"\0" in data else None
    if unmarked is not None:
        return Decoded(unmarked, "UTF-16", "plausible")
    try:
        return Decoded(data.decode("utf-8"))
    except UnicodeDecodeError as why:
        return _windows(data, why.start)


def said_in_html(data: bytes) -> str:
    """The encoding that a page names in its head; nothing where it names none."""
    said = _META.search(_COMMENT.sub(b"", data[:_MOST_HEAD]))
    return said[1].decode("ascii") if said else ""


def said_in_xml(data: bytes) -> str:
    """The encoding that an XML text names in its declaration."""
    said = _XML.match(data.removeprefix(codecs.BOM_UTF8)[:_MOST_HEAD])
    return said[1].decode("ascii") if said else ""


def mark_of_cells(text: str) -> str:
    """What stands between the cells of a table in text: tab, semicolon or comma, whichever is most."""
    head = text[:65536]
    return max("\t;,", key=head.count)


def head_in_utf_8(head: bytes) -> bytes | None:
    """The first bytes of a text in UTF-16 as UTF-8; None of anything else."""
    marked = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not head.startswith(_MARKS[0][0])
    whole = head[: len(head) - len(head) % 2]
    text = _plain_utf_16(whole, "utf-16", cut=True) if marked else _utf_16_without_mark(whole, cut=True)
    return None if text is None else text.encode()


def line_of(data: bytes, offset: int) -> str:
    """Where a byte stands, in words."""
    return f"in line {data.count(10, 0, offset) + 1}, at byte {offset}"


def _codec(said: str) -> str:
    """The name that Python has for an encoding; Windows-1252 for ISO-8859-1, as all readers take it."""
    name = said.strip()
    if not _NAME.fullmatch(name):
        return ""
    try:
        codec = codecs.lookup(name).name
    except LookupError:
        return ""
    return {"iso8859-1": "cp1252", "utf-16": "utf-16-le"}.get(codec, codec)


def _marked(data: bytes, mark: bytes, codec: str, said: str) -> Decoded:
    name = _SAID.get(codec, "UTF-32")
    if name == "UTF-32":
        raise NotTextError("text in UTF-8 or UTF-16", "the mark of UTF-32")
    if said and _SAID.get(_codec(said)) != name:
        raise NotTextError("text that says one encoding", f"the mark of {name}, and {said[:40]!a}")
    body = data[len(mark) :]
    if codec in _UTF_16:
        text = _plain_utf_16(body, codec)
        if text is None:
            raise NotTextError("text in UTF-16, as its mark says", "other bytes")
        return Decoded(text, "UTF-16", "mark")
    try:
        return Decoded(body.decode("utf-8"), UTF_8, "mark")
    except UnicodeDecodeError as why:
        place = line_of(data, why.start + len(mark))
        raise NotTextError("UTF-8, as its mark says", f"byte 0x{body[why.start]:02x} {place}") from None


def _as_said(data: bytes, said: str) -> Decoded:
    codec = _codec(said)
    name = _SAID.get(codec)
    if name is None:
        raise NotTextError("an encoding that can be read, such as UTF-8 or Windows-1252", f"{said[:40]!a}")
    if codec in _UTF_16:
        text = _utf_16_without_mark(data)
    else:
        try:
            text = data.decode(codec)
        except UnicodeDecodeError as why:
            found = f"byte 0x{data[why.start]:02x} {line_of(data, why.start)}"
            raise NotTextError(f"text in {said[:40]!a}, as it says", found) from None
    if text is None:
        raise NotTextError(f"text in {said[:40]!a}, as it says", "other bytes")
    if codec not in {"utf-8", "ascii"} | _UTF_16 and not data.isascii() and _is_utf_8(data):
        raise NotTextError(f"text in {said[:40]!a}, as it says", "UTF-8")
    return Decoded(text, name, "said")


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _windows(data: bytes, first: int) -> Decoded:
    """The text as Windows-1252, where that is plausible; `first` is the byte that is not UTF-8."""
    expected = "UTF-8, or text that is plausible as Windows-1252"
    found = f"byte 0x{data[first]:02x} {line_of(data, first)}"
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as why:
        where = f"byte 0x{data[why.start]:02x} {line_of(data, why.start)}"
        raise NotTextError(expected, f"{where}, which Windows-1252 does not have") from None
    if not _plausible(data, text):
        raise NotTextError(expected, f"{found}, in words that are none in it")
    return Decoded(text, "Windows-1252", "plausible")


def _plausible(data: bytes, text: str) -> bool:
    """Whether few characters stand where they would only if the bytes were of another encoding."""
    beyond = _count(data, _BEYOND)
    if beyond >= _FEW and beyond > _MOST_BEYOND * (beyond + _count(data, _ASCII_LETTERS)):
        return False
    most = (len(data) - _count(data, _ASCII)) // _ODD_IN
    odd = 0
    for start in range(0, len(text), _AT_ONCE):
        words = Counter(word for word in text[start : start + _AT_ONCE].split() if not word.isascii())
        odd += sum(times * len(_ODD.findall(word)) for word, times in words.items())
        if odd > most:
            return False
    return True


def _count(data: bytes, which: bytes) -> int:
    return len(data) - len(data.translate(None, which))


def _plain_utf_16(data: bytes, codec: str, *, cut: bool = False) -> str | None:
    """The text, where every character of it is one; the last may be half where a head was cut off."""
    if len(data) % 2:
        return None
    try:
        text = codecs.getincrementaldecoder(codec)().decode(data, final=not cut)
    except UnicodeDecodeError:
        return None
    text = text.removeprefix("\ufeff")
    known = all(c > "\uffff" or unicodedata.category(c) != "Cn" for c in set(text))
    return text if known else None


def _utf_16_without_mark(data: bytes, *, cut: bool = False) -> str | None:
    """The text, where nearly all of it is Latin: the upper bytes tell which comes first."""
    if not data or len(data) % 2:
        return None
    for codec, upper in (("utf-16-le", data[1::2]), ("utf-16-be", data[::2])):
        if len(upper) - len(upper.translate(None, b"\0\1\2")) >= _LATIN_IN_UTF_16 * len(upper):
            lower = data[::2] if codec == "utf-16-le" else data[1::2]
            if lower.count(0) < 0.1 * len(lower):
                return _plain_utf_16(data, codec, cut=cut)
    return None
