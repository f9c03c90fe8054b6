"""A keeper that is nobody's child: `python -m casemate.compute.detach` reads a job on its standard input and keeps it.

Rules. It answers on its standard output when the run is kept, or with the facts of the refusal; then it lets go of
whoever submitted: terminal, pipes, session.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TextIO

from casemate.compute.keeper import LOG, keep, parse_job, take
from casemate.errors import CasemateError

KEPT = "kept"


def main(stdin: TextIO) -> int:
    """Take the job that `stdin` describes in a process of its own; answer 0 when it is kept, else say why not."""
    job = parse_job(stdin.read())
    hear, say = os.pipe()
    if os.fork():
        os.close(say)
        with os.fdopen(hear, encoding="utf-8") as answers:
            answer = answers.read()
        sys.stdout.write(answer)
        return 0 if answer == KEPT else 1
    os.close(hear)
    os.setsid()
    with os.fdopen(say, "w", encoding="utf-8") as answers:
        try:
            kept = take(job)
        except CasemateError as why:
            answers.write(json.dumps(why.facts()))
            return 1
        _speak_into(job.workdir / LOG)
        answers.write(KEPT)
    keep(kept)
    return 0


def _speak_into(log: Path) -> None:
    """Let go of the terminal or pipe of whoever submitted: what this process says goes to the log."""
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, end in ((0, nothing), (1, fd), (2, fd)):
        os.dup2(end, number)
    os.close(fd)
    os.close(nothing)


if __name__ == "__main__":
    sys.exit(main(sys.stdin))
