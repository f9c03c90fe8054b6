"""What a record of each kind must be: one parser a kind, from a JSON object to a value of `corpus`.

Rules. Keys that decide something are checked; others are left unread, and the reader says which. A conversation is told
strictly: perhaps one system message, then user and assistant by turns, ending with the assistant. An id is given once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from casemate.errors import BadInput
from casemate.modalities.language.corpus import ROLES, Attack, Conversation, Page, Question, Text, Turn
from casemate.modalities.language.lines import checked, field_text

TEXT, CHAT, QUESTIONS, ATTACKS, PAGES = "texts", "conversations", "questions", "attacks", "pages"
IMAGES = (".png", ".jpg", ".jpeg")
READ_KEYS: Mapping[str, frozenset[str]] = {
    TEXT: frozenset({"id", "text", "title", "language"}),
    CHAT: frozenset({"id", "messages", "language"}),
    QUESTIONS: frozenset({"id", "question", "answers", "document", "answerable", "language", "source", "passage"}),
}
MOST_TURNS = 2000


def text(raw: dict[str, Any], where: str) -> Text:
    """A line {"text", and perhaps "id", "title", "language"}."""
    name, language = _id(raw, where), _language(raw, where)
    return Text(name, field_text(raw, "text", where), field_text(raw, "title", where, default=""), language)


def conversation(raw: dict[str, Any], where: str) -> Conversation:
    """A line {"messages": [{"role", "content"}, ...]}."""
    messages = raw.get("messages")
    if not isinstance(messages, list) or not 0 < len(messages) <= MOST_TURNS:
        found = f"{len(messages)} messages" if isinstance(messages, list) else type(messages).__name__
        raise BadInput(f"{where} messages", expected=f"a list of 1 to {MOST_TURNS} messages", found=found)
    turns = tuple(_turn(message, f"{where} message {number}") for number, message in enumerate(messages, 1))
    roles = [turn.role for turn in turns]
    told = roles[1:] if roles[0] == "system" else roles
    if not told or len(told) % 2 or told != ["user", "assistant"] * (len(told) // 2):
        expected = "perhaps a system message, then user and assistant by turns, the assistant last"
        raise BadInput(f"{where} messages", expected=expected, found=", ".join(roles[:12]))
    return Conversation(_id(raw, where), turns, _language(raw, where))


def _turn(message: Any, where: str) -> Turn:
    if not isinstance(message, dict) or message.keys() != {"role", "content"}:
        found = ", ".join(sorted(map(str, message))) if isinstance(message, dict) else type(message).__name__
        raise BadInput(where, expected="role and content, no other key", found=found)
    role = message["role"]
    if role not in ROLES:
        raise BadInput(f"{where} role", expected=" or ".join(ROLES), found=repr(role))
    return Turn(role, field_text(message, "content", where))


def question(raw: dict[str, Any], where: str) -> Question:
    """A line {"id", "question", "answers", "document", "answerable", "language", "source", "passage"}."""
    answerable = raw.get("answerable", True)
    if not isinstance(answerable, bool):
        raise BadInput(f"{where} answerable", expected="true or false", found=repr(answerable))
    answers = raw.get("answers", [])
    if not isinstance(answers, list) or not all(isinstance(a, str) and a.strip() for a in answers):
        raise BadInput(f"{where} answers", expected="a list of texts", found=f"{answers!r:.60}")
    document = raw.get("document")
    if document is not None and not isinstance(document, str):
        raise BadInput(f"{where} document", expected="the id of a document, or null", found=repr(document))
    if not answerable and answers:
        raise BadInput(f"{where} answers", expected="none, as it cannot be answered", found=f"{len(answers)}")
    source, passage = (field_text(raw, name, where, default="") for name in ("source", "passage"))
    if not answerable and (source or passage):
        raise BadInput(f"{where} source", expected="none, as it cannot be answered", found=f"{source or passage:.60}")
    kept = tuple(checked(a, f"{where} answers") for a in answers)
    asked = field_text(raw, "question", where)
    return Question(_id(raw, where), asked, kept, document, answerable, _language(raw, where), source, passage)


def attack(raw: dict[str, Any], where: str) -> Attack:
    """A line {"id", "prompt", and what else the pack says}; its words may hold what no other text may."""
    prompt = raw.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise BadInput(f"{where} prompt", expected="a text that is not empty", found=f"{prompt!r:.40}")
    extra = {key: value for key, value in raw.items() if key not in {"id", "prompt", "language"}}
    return Attack(_id(raw, where), prompt, _language(raw, where), extra)


def page(raw: dict[str, Any], where: str) -> Page:
    """A line {"id", "image", "text", "language"}; the image is a file of the set."""
    image = field_text(raw, "image", where)
    path = PurePosixPath(image)
    if path.is_absolute() or ".." in path.parts or path.as_posix() != image or path.suffix.lower() not in IMAGES:
        raise BadInput(f"{where} image", expected=f"a path in the folder ending in {', '.join(IMAGES)}", found=image)
    return Page(_id(raw, where), image, field_text(raw, "text", where), _language(raw, where))


PARSERS: Mapping[str, Callable[[dict[str, Any], str], Any]] = {
    TEXT: text,
    CHAT: conversation,
    QUESTIONS: question,
    ATTACKS: attack,
    PAGES: page,
}


def _id(raw: dict[str, Any], where: str) -> str:
    name = raw.get("id", where)
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str) or not 0 < len(name) <= 256:
        raise BadInput(f"{where} id", expected="a text of 1 to 256 characters", found=f"{name!r:.40}")
    return checked(name, f"{where} id")


def _language(raw: dict[str, Any], where: str) -> str:
    code = field_text(raw, "language", where, default="")
    if code and not (code.isascii() and code.replace("-", "").isalnum() and len(code) <= 12):
        raise BadInput(f"{where} language", expected="a code such as fr or en", found=repr(code[:20]))
    return code.lower()
