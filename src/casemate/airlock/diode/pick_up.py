"""Folder-drop mode, the other side: pick bundles up from the folder that a diode fills.

Rules. Files may come in any order, twice, partly written or damaged. One that is not whole is left where it is and read
again when it has changed. One is taken away only when its block is verified and on this side's disk, or is had already.
What is not called as our files are is never touched. Nothing that is picked up is trusted: see the package's rules.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from casemate.airlock.diode.dropped import DropFile, drop_names, read_file
from casemate.airlock.diode.harbour import Harbour, open_harbour
from casemate.airlock.diode.landing import Landing
from casemate.airlock.diode.limits import BLOCK_BYTES_MAX, LinkLimits
from casemate.airlock.diode.outcome import Outcome, Received, Tally
from casemate.airlock.diode.packet import Kind
from casemate.airlock.diode.patience import Patience
from casemate.errors import BadInput
from casemate.store import Progress

_POLL_S = 0.5


def pick_up(
    incoming: Path,
    into: Path,
    *,
    patience: Patience | None = None,
    limits: LinkLimits | None = None,
    progress: Progress | None = None,
    on_whole: Callable[[Outcome], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Received:
    """Pick up what a diode drops into `incoming`; whole bundles are put into `into`."""
    if not incoming.is_dir():
        raise BadInput(incoming, expected="a folder that the diode fills", found="none")
    patience = patience or Patience()
    limits = replace(limits or LinkLimits(), max_block_bytes=BLOCK_BYTES_MAX, max_block_symbols=BLOCK_BYTES_MAX)
    with open_harbour(into, limits) as harbour:
        picker = _Picker(incoming, harbour, progress, on_whole)
        started = heard = clock()
        while True:
            now = clock()
            if picker.round():
                heard = now = clock()
            if patience.over(whole=picker.whole, idle_s=now - heard, elapsed_s=now - started):
                return Received(harbour.outcomes(), harbour.reasons(), picker.tally)
            sleep(_POLL_S)


class _Picker:
    def __init__(
        self,
        incoming: Path,
        harbour: Harbour,
        progress: Progress | None,
        on_whole: Callable[[Outcome], None] | None,
    ) -> None:
        self.tally, self.whole = Tally(), 0
        self._incoming, self._harbour = incoming, harbour
        self._progress, self._on_whole = progress, on_whole
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._index: dict[bytes, dict[int, bytes]] = {}
        for landing in list(harbour.landings.values()):
            self._finish_if_whole(landing)

    def round(self) -> bool:
        """Look at every file once; whether anything was of use."""
        before = self.tally.ours, self.whole
        names = drop_names(self._incoming)
        self._seen = {name: facts for name, facts in self._seen.items() if name in set(names)}
        for name in names:
            self._look_at(name)
        return (self.tally.ours, self.whole) != before

    def _look_at(self, name: str) -> None:
        if self._waits_for_index(name):
            return
        path = self._incoming / name
        try:
            facts = path.lstat()
            seen = facts.st_ino, facts.st_size, facts.st_mtime_ns
            if self._seen.get(name) == seen:
                return
            file = read_file(path)
        except FileNotFoundError:  # the diode, or a person, took it away
            return
        except BadInput:
            self.tally.not_ours += 1
            self._seen[name] = seen
            return
        if self._take(file):
            path.unlink(missing_ok=True)
        elif file.announcement.session in self._harbour.refused:
            self._seen[name] = seen

    def _waits_for_index(self, name: str) -> bool:
        session = bytes.fromhex(name[:32])
        return "-block-" in name and session in self._harbour.announced and session not in self._harbour.landings

    def _take(self, file: DropFile) -> bool:
        """Use a whole file; whether it is not needed any more."""
        session = file.announcement.session
        announced = self._harbour.announce(session, file.announcement.to_bytes())
        for gone in self._index.keys() - self._harbour.announced.keys():  # those that made room
            del self._index[gone]
        if announced is None:
            return session in self._harbour.whole
        landing = self._harbour.landings.get(session)
        if file.kind is Kind.INDEX:
            if landing is None:
                self._take_index(file)
            return session in self._harbour.landings or session in self._harbour.whole
        return landing is not None and self._take_block(landing, file)

    def _take_index(self, file: DropFile) -> None:
        announcement, digest = file.announcement, hashlib.sha256(file.data).digest()
        if file.number >= len(announcement.index_blocks) or digest != announcement.index_blocks[file.number]:
            self.tally.lies += 1
            return
        parts = self._index.setdefault(announcement.session, {})
        self.tally.taken += file.number not in parts
        parts[file.number] = file.data
        if len(parts) < len(announcement.index_blocks):
            return
        index = b"".join(parts[number] for number in sorted(self._index.pop(announcement.session)))
        try:
            landing = Landing.begin(self._harbour.into, announcement, index, self._harbour.limits)
        except BadInput as why:
            self._harbour.refuse(announcement.session, why)
            return
        self._harbour.landings[announcement.session] = landing
        self._finish_if_whole(landing)

    def _take_block(self, landing: Landing, file: DropFile) -> bool:
        if file.number not in landing.missing:
            self.tally.repeated += 1
            return file.number < landing.announcement.blocks
        if not landing.write(file.number, file.data, durable=True):
            self.tally.lies += 1
            return False
        self.tally.taken += 1
        landing.missing.discard(file.number)
        if self._progress:
            total = landing.announcement.blocks
            self._progress(total - len(landing.missing), total, "blocks")
        self._finish_if_whole(landing)
        return True

    def _finish_if_whole(self, landing: Landing) -> None:
        if landing.whole and not landing.finish():
            self.whole += 1
            outcome = self._harbour.moor(landing.announcement.session)
            if self._on_whole:
                self._on_whole(outcome)
