"""The pen, for the acts that the gates allow: the only module of this room that imports what signs."""

from __future__ import annotations

from pathlib import Path

from casemate.signing.agent import AgentPen, serve
from casemate.signing.sign import Pen

__all__ = ["AgentPen", "Pen", "serve", "through_agent", "unlock"]


def unlock(path: Path, passphrase: bytes | None) -> Pen:
    """The pen in a key file; WrongPassphrase if the passphrase does not open it, NotFound if there is none."""
    return Pen.unlock(path, passphrase)


def through_agent(socket: Path) -> AgentPen:
    """The pen that an agent holds (`casemate.signing.agent.serve`); NotFound if none answers at `socket`."""
    return AgentPen(socket)
