"""The digest in the report is that of the bytes that were inspected, and of those that the store then keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from casemate.airlock import ScanLimits, admit, require_clean
from casemate.airlock.inspect import inspect
from casemate.airlock.layout import lay_out
from casemate.airlock.quarantine import Admitted
from casemate.airlock.report import InspectionReport
from casemate.errors import CasemateError
from casemate.store.digest import Digest, Hashed
from casemate.store.folders import get_manifest, put_folder
from casemate.store.objects import get_bytes
from casemate.store.posix import open_backend
from tests.airlock.archives import zipped
from tests.airlock.conftest import Arrive

ALLOWED = frozenset({"text", "zip"})
GOOD, EVIL = b"good " * 1000, b"\x7fELF" + b"evil " * 999


def put(root: Path, admitted: Admitted) -> dict[str, bytes]:
    """Move a quarantine into a store, as an import does, and read it back by digest."""
    store = open_backend(root)
    known = {f.path: Hashed.seen(f.digest, (admitted.folder / f.path).stat()) for f in admitted.files}
    manifest = put_folder(store, admitted.folder, move=True, known=known)
    assert get_manifest(store, manifest.digest) == manifest
    return {file.path: get_bytes(store, file.digest) for file in manifest.files}


def run(source: Path, root: Path, then: Callable[[Admitted], None]) -> tuple[InspectionReport, dict[str, bytes]]:
    """Admit, let `then` happen, inspect, lay out, store; what the report says and what is stored."""
    with admit(source, root / "quarantine") as admitted:
        then(admitted)
        report = inspect(admitted, allowed=ALLOWED, limits=ScanLimits(workers=1))
        require_clean(report)
        return report, put(root / "store", lay_out(admitted, report))


def test_a_source_that_changes_after_it_was_admitted_changes_nothing(arrive: Arrive, tmp_path: Path) -> None:
    source = arrive({"a.txt": GOOD, "b.zip": zipped({"in.txt": b"inside"})})

    def swap(_: Admitted) -> None:
        (source / "a.txt").write_bytes(EVIL)
        (source / "b.zip").write_bytes(zipped({"in.txt": EVIL}))
        (source / "new.txt").write_bytes(EVIL)

    report, stored = run(source, tmp_path, swap)
    assert stored == {"a.txt": GOOD, "b.zip/in.txt": b"inside"}
    said = {f.path: f.digest for f in report.files}
    assert said["a.txt"] == Digest.of_bytes(stored["a.txt"])
    assert said["b.zip!/in.txt"] == Digest.of_bytes(stored["b.zip/in.txt"])


def test_a_source_that_keeps_changing_while_it_is_admitted_gives_one_version_or_a_refusal(
    arrive: Arrive, tmp_path: Path
) -> None:
    source = arrive({"a.txt": GOOD})
    stop = threading.Event()

    def flip() -> None:
        while not stop.is_set():
            for data in (EVIL, GOOD):
                (source / "a.txt").write_bytes(data)

    flipper = threading.Thread(target=flip)
    flipper.start()
    outcomes, refusals = set(), []
    try:
        for _ in range(30):
            try:
                with admit(source, tmp_path / "quarantine") as admitted:
                    (file,) = admitted.files
                    kept = (admitted.folder / file.path).read_bytes()
                    assert file.digest == Digest.of_bytes(kept), "the digest is of what is kept, whatever that is"
                    assert file.size == len(kept)
                    outcomes.add("admitted")
            except CasemateError as why:
                outcomes.add(type(why).__name__)
                refusals.append(str(why))
    finally:
        stop.set()
        flipper.join()
    assert outcomes <= {"admitted", "InspectionRefused", "BadInput"}
    assert outcomes
    assert all("a.txt" in said for said in refusals)


def test_what_waits_in_quarantine_can_be_read_by_its_owner_alone_and_written_by_nobody(
    arrive: Arrive, tmp_path: Path
) -> None:
    def look(admitted: Admitted) -> None:
        (file,) = admitted.files
        assert (admitted.folder / file.path).stat().st_mode & 0o777 == 0o400
        assert admitted.folder.parent.stat().st_mode & 0o777 == 0o700

    run(arrive({"a.txt": GOOD}), tmp_path, look)


@pytest.mark.parametrize("name", ["a.txt", "b.zip"])
def test_the_report_of_one_delivery_does_not_cover_another(name: str, arrive: Arrive, tmp_path: Path) -> None:
    files = {"a.txt": GOOD, "b.zip": zipped({"in.txt": b"inside"})}
    one, _ = run(arrive(files), tmp_path / "1", lambda _: None)
    (tmp_path / "arrived" / name).write_bytes(GOOD + b"!" if name == "a.txt" else zipped({"in.txt": b"other"}))
    other, _ = run(tmp_path / "arrived", tmp_path / "2", lambda _: None)
    assert one.to_json() != other.to_json()
