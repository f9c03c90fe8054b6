"""Tokens a day: what each project (or person outside any) may use, counted in a file that survives a crash.

Rules. A call reserves what it could use at most before it begins, and gives back what it did not; a crash between the
two leaves the whole reservation counted, never too little. The counts are lines appended under a lock, one file a day
(UTC), so that a command and the server count together; a line that was cut is passed over. Names stay out of the file:
a line has the digest of whose share it is. Only what has a quota is counted.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from casemate.errors import QuotaSpent
from casemate.serving.fair import project_of

_KEPT_DAYS = 2


@dataclass(frozen=True)
class Grants:
    """Tokens a day by project, and for those that it does not name (`others`, each person outside projects too)."""

    projects: Mapping[str, int] = field(default_factory=dict)
    others: int = 0

    def of(self, share: str) -> int:
        """Tokens a day of a share; 0 is no limit."""
        return self.projects.get(project_of(share), self.others)


class Quotas:
    """The day's counts, in `folder`."""

    def __init__(self, folder: Path, grants: Grants, *, now: Callable[[], datetime]) -> None:
        self._folder, self._grants, self._now = folder, grants, now
        self._lock = threading.Lock()
        self._day: _Day | None = None

    def reserve(self, share: str, tokens: int) -> Reservation | None:
        """Set tokens aside; None where the share has no quota, QuotaSpent where it does not suffice."""
        granted = self._grants.of(share)
        if not granted:
            return None
        day, key = self._today(), _key(share)
        with day.locked() as counts:
            used = counts[key]
            if used + tokens > granted:
                expected = f"at most {granted} tokens a day"
                found = f"{used} used or set aside, and up to {tokens} more asked for"
                whose = share.partition("\n")[0]
                raise QuotaSpent(whose, expected=expected, found=found, retry_after_s=self._left_s())
            day.append(key, tokens)
        return Reservation(day, key, tokens)

    def used(self, share: str) -> int:
        """Tokens that a share has used or set aside today."""
        with self._today().locked() as counts:
            return counts[_key(share)]

    def _today(self) -> _Day:
        today = self._now().astimezone(UTC).date()
        file = self._folder / f"tokens-{today.isoformat()}.jsonl"
        with self._lock:
            if self._day is None or self._day.file != file:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                oldest = f"tokens-{(today - timedelta(days=_KEPT_DAYS)).isoformat()}.jsonl"
                for old in self._folder.glob("tokens-*.jsonl"):
                    if old.name < oldest:
                        old.unlink(missing_ok=True)
                self._day = _Day(file)
            return self._day

    def _left_s(self) -> int:
        now = self._now().astimezone(UTC)
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return max(1, int((midnight - now).total_seconds()))


class _Day:
    """One day's file and what it says, read as it grows: others append too."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        self._read, self._counts = 0, Counter[str]()

    @contextmanager
    def locked(self) -> Iterator[Counter[str]]:
        """The counts, while nobody else changes them."""
        with self._lock, self.file.open("ab+") as stream:
            self.file.chmod(0o600)
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.seek(self._read)
            for line in stream:
                key, tokens = _parsed(line)
                self._counts[key] += tokens
            self._read = stream.tell()
            yield self._counts

    def append(self, key: str, tokens: int) -> None:
        """Add a line, inside `locked`; a line feed first, so that what a crash cut stays a line of its own."""
        with self.file.open("ab") as stream:
            stream.write(b"\n" + json.dumps([key, tokens]).encode())


@dataclass(frozen=True)
class Reservation:
    """Tokens that are set aside; `settle` once, with what was used."""

    day: _Day
    key: str
    tokens: int

    def settle(self, used: int) -> None:
        """Give back what was not used; what was used beyond is counted too."""
        if used != self.tokens:
            with self.day.locked():
                self.day.append(self.key, used - self.tokens)


def _parsed(line: bytes) -> tuple[str, int]:
    try:
        key, tokens = json.loads(line)
    except (ValueError, TypeError):
        return "", 0
    return (key, tokens) if isinstance(key, str) and type(tokens) is int else ("", 0)


def _key(share: str) -> str:
    return hashlib.sha256(share.encode()).hexdigest()[:32]
