from __future__ import annotations

from pathlib import Path

import pytest

from casemate.airlock.bundle import check, read_head, rebuild, rebuilt_path, receive, seal, verify_head
from casemate.signing import Trust
from casemate.store import Digest, get_manifest
from casemate.store.objects import ObjectStore
from casemate.store.posix import PosixStore
from tests.airlock.bundle.conftest import LABEL, NOW, a_few, entry_of, pen_of, statement


@pytest.mark.parametrize("as_tar", [False, True], ids=["folder", "tar"])
def test_what_is_sealed_is_rebuilt_bit_by_bit(
    any_store: ObjectStore, target: PosixStore, trust: Trust, tmp_path: Path, *, as_tar: bool
) -> None:
    entry = entry_of(any_store, tmp_path / "files", a_few())
    sealed = seal(
        any_store,
        LABEL,
        [entry],
        tmp_path / "out",
        pen_of("harbour"),
        statements={"a.dsse.json": statement()},
        as_tar=as_tar,
    )
    (source,) = sealed.volumes
    head = read_head(source)
    assert verify_head(head, trust, NOW).name == "harbour"
    assert check(source, trust, NOW) == sealed.manifest == head.manifest
    received = receive(source, tmp_path / "area", head)
    assert received.whole
    rebuild(received.folder, head.manifest, target, tmp_path / "rebuilt")
    manifest = get_manifest(any_store, entry.digest)
    for digest in {entry.digest, *(file.digest for file in manifest.files)}:
        assert Digest.of_file(rebuilt_path(tmp_path / "rebuilt", digest)) == digest
    assert sealed.objects == 6
