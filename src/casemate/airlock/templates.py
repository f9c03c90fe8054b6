"""Chat templates: programs in Jinja that turn a conversation into what a model reads. Parsed here, never run.

Rules. What a template may be made of is listed: statements, filters, tests, functions and methods that conversations
need. Nothing in it reaches into Python (names with two underscores, computed names, imports, inclusion), and nothing
that a reader of the template would not see is in it. What it says to the model in words is told, and it may not say so
only where a message holds certain words: that is how a template betrays the people who trust the model.

The lists are those of what transformers and llama.cpp offer to templates. They run templates in a sandbox; this is the
layer before it.
"""

from __future__ import annotations

import re

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from casemate.airlock.hidden import hidden_character
from casemate.airlock.report import Finding
from casemate.airlock.template_keys import computed_key, word
from casemate.airlock.template_words import check_words, walk

MAX_CHARS = 256 << 10


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NODES = _words(
    "Template Output TemplateData Name NSRef Const Tuple List Dict Pair Keyword CondExpr Filter Test Call Getitem "
    "Getattr Slice Concat Compare Operand Mul Div FloorDiv Add Sub Mod And Or Not Neg Pos For If Macro FilterBlock "
    "Assign AssignBlock With Break Continue"
)
_FILTERS = _words(
    "abs capitalize count d default dictsort e escape first float from_json indent int items join last length list "
    "lower map max min reject rejectattr replace reverse round safe select selectattr slice sort string sum title "
    "tojson trim truncate unique upper wordcount"
)
_TESTS = _words(
    "boolean defined divisibleby eq equalto even false float ge gt greaterthan in integer iterable le lessthan lower "
    "lt mapping ne none number odd sameas sequence string true undefined upper == != < <= > >="
)
_FUNCTIONS = frozenset({"dict", "namespace", "raise_exception", "range", "strftime_now"})
_METHODS = _words(
    "append capitalize copy count cycle endswith extend find get index insert isalnum isalpha isdigit isspace items "
    "join keys lower lstrip partition pop removeprefix removesuffix replace rfind rpartition rsplit rstrip split "
    "splitlines startswith strip title upper values"
)
_NOT_NAMES = frozenset({"caller", "cycler", "joiner", "kwargs", "lipsum", "self", "super", "varargs"})
# What Python's own objects hold: the sandbox of Jinja refuses these too.
_INNER = frozenset(
    {"gi_frame", "gi_code", "cr_frame", "cr_code", "ag_frame", "ag_code", "tb_frame", "f_globals", "mro"}
)
_BY_ATTRIBUTE = frozenset({"map", "selectattr", "rejectattr", "sort", "sum", "unique", "min", "max", "join"})
_PLAIN_PLACES = re.compile(r"(?:[^{}]|\{\d*\})*")
_MARKS = ("{{", "{%", "{#")


class _Generation(Extension):
    """`{% generation %}`, with which transformers marks what the assistant said."""

    tags = {"generation"}  # noqa: RUF012  as the class that it derives from says

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The statements inside."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def looks_like_one(text: str) -> bool:
    """Whether a text has marks of a template."""
    return any(mark in text for mark in _MARKS)


def check(source: str, where: str) -> list[Finding]:
    """What is wrong with a template, and as a note what it says; `where` names it in messages."""
    if len(source) > MAX_CHARS:
        return [_finding(f"a template of at most {MAX_CHARS} characters", str(len(source)), where)]
    if hidden := hidden_character(source):
        return [_finding("a template without hidden characters", hidden, where)]
    try:
        tree = _environment().parse(source)
    except (TemplateSyntaxError, ValueError, OverflowError) as why:
        return [_finding("a Jinja template", f"{why}"[:200], where)]
    except RecursionError:
        return [_finding("a Jinja template", "one nested too deeply to parse", where)]
    every = list(walk(tree))
    problem = _unlisted(every) or computed_key(every)
    if problem:
        return [_finding(*problem, where)]
    return [Finding("template", expected, f"{found} in {where}", note) for expected, found, note in check_words(tree)]


def _environment() -> Environment:
    return Environment(extensions=["jinja2.ext.loopcontrols", _Generation], autoescape=False)  # noqa: S701  never run


def _finding(expected: str, found: str, where: str) -> Finding:
    return Finding("template", expected, f"{found} in {where}")


# ── What it is made of ───────────────────────────────────────────────────────────────────────────────────────────────
def _unlisted(every: list[nodes.Node]) -> tuple[str, str] | None:
    functions = _FUNCTIONS | {node.name for node in every if isinstance(node, nodes.Macro)}
    for node in every:
        kind = type(node).__name__
        if kind not in _NODES:
            return "statements that conversations need", f"{kind} in line {node.lineno}"
        problem = _unlisted_word(node, functions)
        if problem:
            return problem[0], f"{problem[1][:80]!a} in line {node.lineno}"
    return None


def _unlisted_word(node: nodes.Node, functions: frozenset[str]) -> tuple[str, str] | None:
    if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
        return "filters that conversations need", node.name
    if isinstance(node, nodes.Test) and node.name not in _TESTS:
        return "tests that conversations need", node.name
    if isinstance(node, nodes.Call):
        return _unlisted_call(node, functions)
    if isinstance(node, nodes.Filter) and node.name in _BY_ATTRIBUTE:
        return _unlisted_attribute(node)
    name = word(node)
    inner = (
        name.startswith("__") or "__" in name or name in _INNER or (isinstance(node, nodes.Getattr) and name[0] == "_")
    )
    if inner or (isinstance(node, nodes.Name) and name in _NOT_NAMES):
        return "nothing of Python's own", name
    return None


def _unlisted_call(node: nodes.Call, functions: frozenset[str]) -> tuple[str, str] | None:
    if isinstance(node.node, nodes.Name):
        known, name = node.node.name in functions, node.node.name
    elif isinstance(node.node, nodes.Getattr):
        known, name = node.node.attr in _METHODS or _fills_in(node.node), f".{node.node.attr}"
    else:
        known, name = False, f"a call of a {type(node.node).__name__}"
    if known and not (node.dyn_args or node.dyn_kwargs):
        return None
    return "functions and methods that conversations need", name


def _fills_in(method: nodes.Getattr) -> bool:
    """Whether it is `format` of a text with plain places only, which cannot reach into what fills them."""
    text = word(method.node) if isinstance(method.node, nodes.Const) else "{"
    return method.attr == "format" and _PLAIN_PLACES.fullmatch(text) is not None


def _unlisted_attribute(node: nodes.Filter) -> tuple[str, str] | None:
    """A filter that takes attributes or filters by name must be given plain ones."""
    given: list[nodes.Node] = [*node.args[:1], *(k.value for k in node.kwargs if k.key == "attribute")]
    for value in given:
        if not isinstance(value, nodes.Const):
            return f"constants given to {node.name}", f"a {type(value).__name__}"
        if isinstance(value.value, str) and any(part.startswith("_") for part in value.value.split(".")):
            return "nothing of Python's own", value.value
    first = node.args[0] if node.args else None
    if node.name == "map" and isinstance(first, nodes.Const) and first.value not in _FILTERS:
        return "filters that conversations need", str(first.value)
    return None
