"""What an HTML page or an SVG drawing may hold: what people read, and nothing that runs or loads. Pure.

Rules. Elements and attributes are those of a list; scripts, frames, forms, plug-ins and redirections are not on it. A
page refers to itself, to files beside it and to pictures that it holds; a link that a person may follow is a note. Tags
are so plain that every reader cuts them at the same places (quotes closed, no `<` in attributes, comments or styles);
what is not is a finding, because what one reader skips the next one runs.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

from casemate.airlock import references
from casemate.airlock.distinct import distinct
from casemate.airlock.report import Finding
from casemate.store.texts import Decoded

# What may begin with `<`, in the one form that all readers agree on.
_TAG = re.compile(
    r"""<[a-z][a-z0-9:-]*+(?:[\s]++[^\s"'<>/=]++(?:\s*+=\s*+(?:"[^"<]*+"|'[^'<]*+'|[^\s"'=<>`]++))?+)*+\s*+/?>"""
    r"|</[a-z][a-z0-9:-]*+\s*+>|<!--(?!>|->)(?:[^<>-]|-(?!->))*+-->|<!doctype\s++html[^<>]*+>",
    re.IGNORECASE,
)
_BEGINS = re.compile(r"<(?=[A-Za-z/!?])")
_ELEMENTS = frozenset(
    re.findall(
        r"\S+",
        """html head title meta style link body main header footer nav section article aside address hgroup search
    h1 h2 h3 h4 h5 h6 p hr pre blockquote ol ul menu li dl dt dd figure figcaption div center font big tt strike
    a em strong small s cite q dfn abbr ruby rt rp data time code var samp kbd sub sup i b u mark bdi bdo span br wbr
    ins del picture source img map area table caption colgroup col tbody thead tfoot tr td th label input details
    summary progress meter output svg g defs symbol use image path line rect circle ellipse polygon polyline text tspan
    textpath desc marker lineargradient radialgradient stop clippath mask pattern metadata""",
    )
)
_INPUTS = frozenset({"radio", "checkbox"})
_ADDRESSES = frozenset(
    {"href", "src", "xlink:href", "poster", "data", "background", "cite", "longdesc", "usemap", "lowsrc"}
)
_NEVER = frozenset({"srcdoc", "formaction", "action", "ping", "manifest", "codebase", "classid", "archive", "profile"})
_FOLLOWED = frozenset({"a", "area", "blockquote", "q", "ins", "del"})
_RELATIONS = frozenset({"canonical", "license", "author", "help", "next", "prev", "alternate", "bookmark"})
_META = frozenset({"content-type", "content-language", "content-security-policy", "x-ua-compatible"})
_CSS_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_CSS_ESCAPE = re.compile(r"\\([0-9a-f]{1,6})\s?|\\(.)", re.IGNORECASE | re.DOTALL)
_CSS_ADDRESS = re.compile(r"""url\(\s*+["']?([^"')]*+)""", re.IGNORECASE)
_CSS_LOADS = re.compile(r"@import|image-set\(|expression\(|-moz-binding|behavior\s*:|[^-\w]src\(", re.IGNORECASE)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w-]+)", re.IGNORECASE)


def check(text: str, encoding: Decoded | None = None) -> list[Finding]:
    """What is wrong with a page, and the links that it holds; `encoding` is what it was read in."""
    for begin in _BEGINS.finditer(text):
        if not _TAG.match(text, begin.start()):
            line = text.count("\n", 0, begin.start()) + 1
            found = text[begin.start() : begin.start() + 40]
            return [Finding("markup", "plain tags that every reader cuts alike", f"{found!a} in line {line}")]
    page = _Page(encoding or Decoded(""))
    page.feed(text)
    page.close()
    if encoding and encoding.why == "said" and not page.said:
        page.findings.append(Finding("text", "an encoding that the page says itself", encoding.encoding))
    return distinct(page.findings)


class _Page(HTMLParser):
    """Gathers findings while a page is parsed."""

    def __init__(self, encoding: Decoded) -> None:
        super().__init__(convert_charrefs=True)
        self.findings: list[Finding] = []
        self.said = False
        self._encoding = encoding
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        values = {name: value or "" for name, value in attrs}
        if len(values) != len(attrs):
            self._refuse("attribute", "each attribute once", f"one twice in <{tag}>")
        if tag not in _ELEMENTS:
            self._refuse("element", "elements that only show", f"<{tag}>")
        if tag == "input" and values.get("type", "text").lower() not in _INPUTS:
            self._refuse("element", "choices only, as there is no form", f"<input type={values.get('type', 'text')!a}>")
        if tag == "meta":
            self._check_meta(values)
        for name, value in values.items():
            self._check_attribute(tag, name, value, values)
        self._in_style = tag == "style"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element that ends itself: for some readers only."""
        super().handle_startendtag(tag, attrs)
        if tag in {"style", "title"}:
            self._refuse("markup", f"a <{tag}> with an end", f"<{tag}/>, which some readers do not end there")

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002  the parser's signature
        """An element ends."""
        self._in_style = False

    def handle_data(self, data: str) -> None:
        """Text: that of a style is checked, other text is for people."""
        if self._in_style:
            if "<" in data:
                self._refuse("style", "styles without markup", "< in a style")
            self._check_style(data)

    def _check_meta(self, values: dict[str, str]) -> None:
        equivalent = values.get("http-equiv", "").strip().lower()
        if equivalent and equivalent not in _META:
            self._refuse("element", f"meta http-equiv of {', '.join(sorted(_META))}", equivalent)
        named = _CHARSET.search(values.get("content", "")) if equivalent == "content-type" else None
        charset = values.get("charset") or (named[1] if named else "")
        self.said = self.said or bool(charset)
        if charset and not self._encoding.is_in(charset):
            self._refuse("text", self._encoding.encoding, f"a page that says it is {charset!a}")

    def _check_attribute(self, tag: str, name: str, value: str, values: dict[str, str]) -> None:
        if name.startswith("on") or name in _NEVER:
            self._refuse("attribute", "attributes that only show", f"{name} in <{tag}>")
        elif name == "style" or "url(" in _plain_css(value).lower():
            self._check_style(value)
        elif name in {"srcset", "imagesrcset"}:
            for candidate in value.split(","):
                self._check_address(tag, name, candidate.strip().partition(" ")[0], followed=False)
        elif name in _ADDRESSES:
            followed = tag in _FOLLOWED or (tag == "link" and set(values.get("rel", "").lower().split()) <= _RELATIONS)
            if tag == "link" and not followed:
                self._refuse("reference", "a page that loads nothing", f"<link rel={values.get('rel', '')!a}>")
            self._check_address(tag, name, value, followed=followed)
        elif references.read(value).kind == "active" and not name.startswith(("data-", "aria-")):
            self._refuse("attribute", "no address that acts", f"{name}={value[:60]!a} in <{tag}>")

    def _check_address(self, tag: str, name: str, value: str, *, followed: bool) -> None:
        reference = references.read(value)
        if reference.kind == "link" and followed:
            self.findings.append(Finding("link", "nothing outside the page", reference.shown, note=True))
        elif reference.kind == "drawing" and not followed:
            self.findings += check_drawing(reference.data)
        elif reference.kind != "inside" and not (reference.kind == "picture" and not followed):
            expected = "the page itself, files beside it and pictures that it holds"
            self._refuse("reference", expected, f"{name}={reference.shown!a} in <{tag}>")

    def _check_style(self, css: str) -> None:
        for plain in {_plain_css(css), _plain_css(_CSS_COMMENT.sub("", css))}:
            loads = _CSS_LOADS.search(plain)
            if loads:
                self._refuse("style", "styles that load nothing", loads[0])
            for address in _CSS_ADDRESS.findall(plain):
                self._check_address("style", "url", address, followed=False)

    def _refuse(self, rule: str, expected: str, found: str) -> None:
        self.findings.append(Finding(rule, expected, found))


def check_drawing(data: bytes) -> list[Finding]:
    """What is wrong with an SVG drawing that a document holds: it is held to the rules of a page."""
    if b"data:image/svg" in data.lower():
        return [Finding("reference", "a drawing that holds no other drawing", "one inside another")]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return [Finding("text", "a drawing in UTF-8", "another encoding")]
    return check(re.sub(r"\A\ufeff?\s*<\?xml\s[^<>?]*\?>", "", text))


def _plain_css(css: str) -> str:
    def meant(escape: re.Match[str]) -> str:
        code = int(escape[1], 16) if escape[1] else 0
        return chr(code) if 0 < code < 0x110000 else escape[2] or "\ufffd"

    return _CSS_ESCAPE.sub(meant, css) if "\\" in css else css
