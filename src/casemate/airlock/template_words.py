"""What a chat template says in words, and when.

Rules. Words that a template puts before the model whatever is written are told, for somebody to read. Words that appear
only where a message holds certain others are a finding: nobody who tries the model would meet them. So are texts that
an editor shows beyond its edge, comments of web pages, and long texts that are no words at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from jinja2 import nodes

from casemate.airlock.hidden import hidden_character

_WORDS = re.compile(r"(?:[^\W\d_]{2,}[\s,.;:!?'’()\"-]+){4,}[^\W\d_]{2,}")  # five words, one after another
_PLAIN = re.compile(r"(?=.*[^\W\d_]{3})[^<>\[\]|{}/]*", re.DOTALL)
_BLOB = re.compile(r"[A-Za-z0-9+/=_-]{256,}|(?:\\x[0-9a-fA-F]{2}){32,}")
_FAR_AWAY = re.compile(r"\S[ \t]{160,}\S|^[ \t]{400,}\S|\n(?:[ \t]*\n){40,}", re.MULTILINE)
_PAGE_COMMENT = re.compile(r"<!--.*?(-->|\Z)", re.DOTALL)
_SAID = frozenset({"content", "text"})
_ASKS = frozenset({"startswith", "endswith", "find", "rfind", "index", "count"})
_MAX_TOLD, _TOLD_CHARS = 40, 400
_Verdict = tuple[str, str, bool]


def walk(node: nodes.Node) -> Iterator[nodes.Node]:
    """A node and all below it, without recursion."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(list(node.iter_child_nodes())))


def check_words(tree: nodes.Template) -> list[_Verdict]:
    """Expected, found and whether it is a note, of what a template says."""
    texts = list(_texts(tree))
    for text in texts:
        problem = _unseen(text)
        if problem:
            return [(*problem, False)]
    hidden = _said_on_condition(tree)
    if hidden:
        return [(*hidden, False)]
    told = [" ".join(text.split())[:_TOLD_CHARS] for text in texts if _WORDS.search(text)]
    if not told:
        return []
    more = f" and {len(told) - _MAX_TOLD} more" if len(told) > _MAX_TOLD else ""
    said = " · ".join(f"“{text}”" for text in told[:_MAX_TOLD])
    return [("words that somebody has read", f"it tells the model {said}{more}", True)]


def _texts(tree: nodes.Node) -> Iterator[str]:
    """Every text of a template but the messages of errors."""
    waiting: list[nodes.Node] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, nodes.TemplateData):
            yield node.data
        elif isinstance(node, nodes.Const) and isinstance(node.value, str):
            yield node.value
        if not (isinstance(node, nodes.Call) and _called(node) == "raise_exception"):
            waiting.extend(reversed(list(node.iter_child_nodes())))


def _called(node: nodes.Call) -> str:
    return node.node.name if isinstance(node.node, nodes.Name) else ""


def _unseen(text: str) -> tuple[str, str] | None:
    if hidden := hidden_character(text):  # as Jinja reads it, so that "\\u202e" is found
        return "a template without hidden characters", hidden
    if blob := _BLOB.search(text):
        return "text that can be read", f"{len(blob[0])} characters without a space, {blob[0][:24]!a}…,"
    if _FAR_AWAY.search(text):
        return "text that an editor shows", "a text beyond its edge"
    comment = _PAGE_COMMENT.search(text)
    if comment and _WORDS.search(comment[0]):
        return "text that a page shows", f"a comment that the model reads, {comment[0][:60]!a}"
    return None


# ── Words on a condition ─────────────────────────────────────────────────────────────────────────────────────────────
def _said_on_condition(tree: nodes.Template) -> tuple[str, str] | None:
    said = _SAID | _names_for_content(tree)
    for node in walk(tree):
        if not isinstance(node, nodes.If | nodes.CondExpr):
            continue
        word = _word_asked_for(node.test, said)
        if word is None:
            continue
        parts: Sequence[nodes.Node | None] = (
            [*node.body, *node.elif_, *node.else_] if isinstance(node, nodes.If) else [node.expr1, node.expr2]
        )
        for part in parts:
            text = next((t for t in _texts(part) if _WORDS.search(t)), None) if part else None
            if text:
                expected = "the same words whatever a message says"
                return expected, f"“{' '.join(text.split())[:200]}” where a message holds {word[:60]!a}"
    return None


def _names_for_content(tree: nodes.Template) -> set[str]:
    """Names that were given what a message says, step by step."""
    names: set[str] = set()
    while True:
        given = [node for node in walk(tree) if isinstance(node, nodes.Assign) and _is_said(node.node, _SAID | names)]
        found = {node.target.name for node in given if isinstance(node.target, nodes.Name)}
        if found <= names:
            return names
        names |= found


def _is_said(node: nodes.Node | None, said: frozenset[str] | set[str]) -> bool:
    while isinstance(node, nodes.Filter | nodes.Call | nodes.Getitem | nodes.Getattr):
        if isinstance(node, nodes.Getattr) and node.attr in said:
            return True
        if isinstance(node, nodes.Getitem):
            if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
                return node.arg.value in said
            if not isinstance(node.arg, nodes.Slice):
                return False
        elif isinstance(node, nodes.Getattr) and node.attr not in {"lower", "upper", "strip", "split"}:
            return False
        node = node.node
    return isinstance(node, nodes.Name) and node.name in said


def _word_asked_for(test: nodes.Node, said: frozenset[str] | set[str]) -> str | None:
    """Plain words for which a condition looks in what a message says."""
    for node in walk(test):
        if isinstance(node, nodes.Compare):
            sides: list[nodes.Node] = [node.expr, *(operand.expr for operand in node.ops)]
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr in _ASKS:
            sides = [node.node.node, *node.args]
        elif isinstance(node, nodes.Test):
            sides = [node.node, *(node.args or [])]
        else:
            continue
        if any(_is_said(side, said) for side in sides):
            words = (text for side in sides if not _is_said(side, said) for text in _texts(side))
            plain = next((text for text in words if _PLAIN.fullmatch(text)), None)
            if plain is not None:
                return plain
    return None
