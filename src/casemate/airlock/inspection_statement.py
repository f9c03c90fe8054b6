"""The statement about an inspection, for its officer to sign: which report, and what it says in short.

Rules. The subject is the report's JSON, by the SHA-256 of its bytes; the predicate repeats its verdict, totals and the
versions of what read the files, so that the signature can be read without the report. `check` holds the two together.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from casemate.airlock.report import FORMAT, InspectionReport
from casemate.errors import BadInput, DigestMismatch
from casemate.signing.statement import Statement, Subject, instant_text
from casemate.store.digest import Digest

INSPECTION_TYPE = "urn:casemate:inspection:1"
_SUBJECT = "inspection.json"
_REPEATED = ("allowed", "confinement", "format", "scanners", "totals", "verdict")


def inspection_statement(report: InspectionReport, *, at: datetime) -> Statement:
    """What to sign about a report; `at` is when the inspection ended."""
    data = report.to_json()
    subject = Subject(_SUBJECT, Digest.of_bytes(data).hex)
    return Statement(INSPECTION_TYPE, (subject,), {**_head(data), "inspected_at": instant_text(at)})


def check(statement: Statement, data: bytes) -> None:
    """Whether a statement is about the report `data`; BadInput or DigestMismatch, naming what differs."""
    if statement.predicate_type != INSPECTION_TYPE:
        raise BadInput("inspection statement", expected=INSPECTION_TYPE, found=statement.predicate_type)
    said, found = [subject.digest for subject in statement.subjects], Digest.of_bytes(data).hex
    if said != [found]:
        raise DigestMismatch("inspection report", expected=" and ".join(said), found=found)
    head = _head(data)
    for key in _REPEATED:
        if statement.predicate.get(key) != head[key]:
            raise BadInput(f"inspection statement {key}", expected=head[key], found=statement.predicate.get(key))


def _head(data: bytes) -> dict[str, Any]:
    try:
        report = json.loads(data)
        head = {key: report[key] for key in _REPEATED}
    except (ValueError, KeyError, TypeError) as why:
        raise BadInput("inspection report", expected=f"JSON of format {FORMAT}", found=repr(why)) from why
    if head["format"] != FORMAT:
        raise BadInput("inspection report", expected=FORMAT, found=head["format"])
    return head
