"""Text of documents as data: control text stripped, words of chat templates neutralised, instructions found.

Rules. A document is never an instruction. What is not seen is removed, what a chat template would read as the end of a
message is written with other characters, and sentences that speak to the model and not to the reader are cut out of
what it is shown, and told. A document about such attacks loses those sentences too: the citation still opens its page.
The lists are of what is known; that nothing above the reader is there does not rest on them. Pure.
"""

from __future__ import annotations

import functools
import re
import tomllib
import unicodedata
from dataclasses import dataclass
from importlib import resources

from casemate.airlock.hidden import hidden_matches
from casemate.serving.answers.sentences import sentences

CUT = "[…]"

_ORDINARY = frozenset("\u00ad\u200b\u200c\u200d\u2060\ufeff\u2028\u2029")  # typesetting leaves these everywhere
_TOKENS = re.compile(
    r"<\s?[|｜][^<>\n]{0,60}[|｜]\s?>"  # <|im_start|>, <|eot_id|>, <｜User｜>
    r"|<\s?/?\s?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|think|tool_call|tool_response|function_call)\s?>"
    r"|\[\s?/?\s?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\s?\]"
    r"|<<\s?/?\s?SYS\s?>>"
    r"|(?m:^[ \t]*(?:#{2,}[ \t]*)?(?:system|assistant|user|human|instruction|response|système|utilisateur)[ \t]*:)",
    re.IGNORECASE,
)
_IMAGE = re.compile(r"!\[[^\]\n]{0,200}\]\([^)\n]{0,2000}\)|<img\b[^<>\n]{0,2000}>", re.IGNORECASE)
_SAME = str.maketrans({"<": "‹", ">": "›", "[": "⟦", "]": "⟧", "|": "¦", "｜": "¦", ":": "∶", "#": "♯"})


@dataclass(frozen=True)
class Shown:
    """A text as it may be put before a model; `found` are the kinds of what was removed from it."""

    text: str
    found: frozenset[str]


def clean(text: str) -> tuple[str, bool]:
    """A text without what is not seen, in NFC with plain line ends; and whether any of it is used to hide."""
    plain = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    hidden = hidden_matches(plain)
    for separator in ("\u2028", "\u2029"):
        plain = plain.replace(separator, "\n")
    for character in sorted(set(hidden)):
        plain = plain.replace(character, "")
    # Lone surrogates are no text, and no engine can be sent them.
    plain = plain.encode("utf-8", "replace").decode("utf-8")
    return plain, any(character not in _ORDINARY for character in hidden)


def neutral(text: str) -> tuple[str, bool]:
    """A text in which nothing is a token of a chat template any more; and whether something was."""
    changed, count = _TOKENS.subn(lambda match: match[0].translate(_SAME), text)
    return changed, count > 0


def instructions(text: str) -> frozenset[str]:
    """The kinds of instructions to a model that a text holds."""
    plain = " ".join(text.split())
    return frozenset(kind for kind, pattern in _patterns() if pattern.search(plain))


def _without(text: str) -> str:
    """A text without the sentences that are instructions."""
    return "".join((CUT if instructions(one.text) else one.text) + one.tail for one in sentences(text))


@functools.lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    file = resources.files("casemate.serving.answers").joinpath("words", "instructions.toml")
    raw = tomllib.loads(file.read_text(encoding="utf-8"))["pattern"]
    return tuple((one["kind"], re.compile("".join(one["expression"]), re.IGNORECASE)) for one in raw)


def shown(text: str) -> Shown:
    """A passage as data: cleaned, neutral, and without the sentences that are instructions."""
    plain, hides = clean(text)
    plain, had_tokens = neutral(plain)
    found = set(instructions(plain))
    cut = _without(_IMAGE.sub(CUT, plain)) if found else plain
    if instructions(cut):  # an instruction over several sentences: nothing of the text is shown
        cut = CUT
    found |= {"hidden text"} if hides else set()
    found |= {"template tokens"} if had_tokens else set()
    return Shown(cut.strip(), frozenset(found))
