"""The folder where bundles land, and the sessions that are known in it.

Rules. One receiver at a time. Sessions are few: a newcomer beyond the limit is refused while the others are unfinished.
A session whose index never came is nothing on the disk. What is refused is remembered, so that its packets cost little.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from casemate.airlock.diode.announcement import SESSION_BYTES, Announcement
from casemate.airlock.diode.landing import PREFIX, Landing
from casemate.airlock.diode.limits import BLOCK_BYTES_MAX, LinkLimits
from casemate.airlock.diode.missing import Missing
from casemate.airlock.diode.outcome import Outcome
from casemate.errors import BadInput, CasemateError, Unavailable

_LOCK = ".diode.lock"
_REASONS_MAX = 16
_REMEMBERED_MAX = 1024


class Harbour:
    """Landings by session; `whole` are the bundles that came in while this harbour was open."""

    def __init__(self, into: Path, limits: LinkLimits) -> None:
        """Use `open_harbour`."""
        self.into, self.limits = into, limits
        self.landings: dict[bytes, Landing] = {}
        self.announced: dict[bytes, Announcement] = {}
        self.whole: dict[bytes, Outcome] = {}
        self.refused: dict[bytes, str] = {}
        self._crowded = ""

    def resume(self) -> None:
        """Take up what an earlier process left; what is not in order is removed, beyond the limits left alone."""
        for place in sorted(self.into.glob(f"{PREFIX}*")):
            session = _session(place)
            if session is None or (self.into / session.hex()).exists():
                shutil.rmtree(place, ignore_errors=True)
                continue
            try:
                landing = Landing.resume(place)
            except (BadInput, FileNotFoundError):
                shutil.rmtree(place, ignore_errors=True)
                continue
            if landing.announcement.fits(self.limits):
                self.landings[session] = landing
                self.announced[session] = landing.announcement

    def announce(self, session: bytes, body: bytes) -> Announcement | None:
        """Hear an announcement; None where it is not this session's or is refused."""
        known = self.announced.get(session)
        if known is not None or session in self.refused or session in self.whole:
            return known
        try:
            announcement = Announcement.from_bytes(body)
            if announcement.session != session:
                return None
            announcement.check_within(self.limits)
            self._make_room()
        except BadInput as why:
            self.refuse(session, why)
            return None
        except Unavailable as why:  # not for ever: one of the others may become whole
            self._crowded = f"{session.hex()}: {why}"
            return None
        if (self.into / session.hex()).is_dir():
            self.whole[session] = _whole(self.into / session.hex(), announcement)
            return None
        self.announced[session] = announcement
        return announcement

    def moor(self, session: bytes) -> Outcome:
        """Note that a landing is finished and in its place."""
        landing = self.landings.pop(session)
        del self.announced[session]
        self.whole[session] = outcome = _whole(landing.target, landing.announcement)
        self._list_path(session).unlink(missing_ok=True)
        return outcome

    def refuse(self, session: bytes, why: CasemateError) -> None:
        """Want nothing more of a session."""
        self.announced.pop(session, None)
        if len(self.refused) < _REMEMBERED_MAX:
            self.refused[session] = f"{session.hex()}: {why}"

    def reasons(self) -> tuple[str, ...]:
        """Why sessions were refused: the last few."""
        reasons = (*self.refused.values(), self._crowded)
        return tuple(filter(None, reasons))[-_REASONS_MAX:]

    def outcomes(self) -> tuple[Outcome, ...]:
        """Every bundle seen; the lists of missing blocks are also written beside, as `<session>.missing.txt`."""
        unfinished = []
        for session, announcement in self.announced.items():
            landing = self.landings.get(session)
            missing = Missing.of(session, landing.missing) if landing else Missing(session, None)
            self._list_path(session).write_text(missing.to_text() + "\n", encoding="ascii")
            unfinished.append(Outcome(session, None, missing, announcement.blocks, announcement.stream_bytes))
        return (*self.whole.values(), *unfinished)

    def _make_room(self) -> None:
        if len(self.announced) < self.limits.max_sessions:
            return
        idle = next((session for session in self.announced if session not in self.landings), None)
        if idle is None:
            expected = f"at most {self.limits.max_sessions} unfinished bundles in {self.into}"
            raise Unavailable("announcement", expected=expected, found="one more")
        del self.announced[idle]

    def _list_path(self, session: bytes) -> Path:
        return self.into / f"{session.hex()}.missing.txt"


@contextmanager
def open_harbour(into: Path, limits: LinkLimits) -> Iterator[Harbour]:
    """The harbour of a folder, held by this process alone, with what an earlier process left."""
    if into.is_symlink() or not into.is_dir():
        raise BadInput(into, expected="a folder to receive into", found="a link" if into.is_symlink() else "none")
    fd = os.open(into / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as why:
            raise Unavailable(into, expected="one receiver at a time", found="another at work") from why
        harbour = Harbour(into, limits)
        harbour.resume()
        yield harbour
    finally:
        os.close(fd)


def unfinished(into: Path) -> tuple[Outcome, ...]:
    """The bundles that `into` holds in part, and what they miss; for when a receiver was killed."""
    with open_harbour(into, LinkLimits(max_block_bytes=BLOCK_BYTES_MAX, max_block_symbols=BLOCK_BYTES_MAX)) as harbour:
        return harbour.outcomes()


def _session(place: Path) -> bytes | None:
    try:
        session = bytes.fromhex(place.name.removeprefix(PREFIX))
    except ValueError:
        return None
    return session if len(session) == SESSION_BYTES else None


def _whole(folder: Path, announcement: Announcement) -> Outcome:
    return Outcome(announcement.session, folder, None, announcement.blocks, announcement.stream_bytes)
