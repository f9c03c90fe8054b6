"""Mail as text (eml): its structure, its words; files attached are told, to be taken out and inspected.

What a mail may hold is said in `casemate.airlock.mail_rules`.
"""

from __future__ import annotations

import platform
from pathlib import Path

from casemate.airlock import mail_rules
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding


def versions() -> dict[str, str]:
    """The scanner's version and its parser's."""
    return {"eml_message": "1", "email": platform.python_version()}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:  # noqa: ARG001  one signature for all
    """Whether it is a mail that only says."""
    import email
    import email.policy

    size = file.stat().st_size
    if size > limits.max_text_bytes:
        return [Finding("size", f"a mail of at most {limits.max_text_bytes} bytes", str(size))]
    try:
        return mail_rules.check(email.message_from_bytes(file.read_bytes(), policy=email.policy.default), limits)
    except RecursionError:
        return [Finding("mail", mail_rules.WITHIN, "more")]
    except mail_rules.BROKEN as why:
        return [Finding("mail", "a mail whose headers and parts can be read", type(why).__name__)]
