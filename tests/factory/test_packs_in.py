"""Starter packs and Casemate's own software at the airlock: by the officer's list, by the digest that deciders see."""

from __future__ import annotations

import shutil
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest

from casemate.airlock.packs import Software, build, check_software, read, wheels
from casemate.errors import BadInput, DigestMismatch, NotAllowed, NotFound, NotTrusted
from casemate.factory.desk import utc_now
from casemate.store import Digest
from tests.airlock.packs.conftest import HEADER, LICENCE, Registry, listed, tiny, write_project
from tests.airlock.samples import makers
from tests.factory.town import Town, decided, found

__all__ = ["tiny"]  # a fixture of theirs
OPAQUE = b"vocab" + struct.pack(">QQ", 1, 2) * 8


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return found(tmp_path / "town", clock=utc_now)


def packed(tmp_path: Path) -> tuple[Path, Path]:
    """A pack's list and its folder: a GGUF file, something opaque, a licence."""
    registry = Registry(tmp_path / "registry")
    registry.folder.mkdir()
    gguf = makers()["gguf"]()
    digest = registry.add("small-model", ("small/model.gguf", gguf), ("small/v.bin", OPAQUE), ("LICENSE", LICENCE))
    text = HEADER.replace('modality = "language"', 'modality = "language"\ntask = "chat"') + "".join(
        listed(path, data, kind, ("small-model", digest, inside))
        for path, data, kind, inside in (
            ("model.gguf", gguf, "gguf", "small/model.gguf"), ("vocab.bin", OPAQUE, "opaque", "small/v.bin"),
            ("LICENSE", LICENCE, "text", "LICENSE"),
        )
    )  # fmt: skip
    file = tmp_path / "small.toml"
    file.write_text(text, encoding="utf-8")
    build(read(text), tmp_path / "pack", download=registry)
    return file, tmp_path / "pack"


def test_a_pack_comes_in_once_its_list_is_signed_and_two_people_decided(town: Town, tmp_path: Path) -> None:
    list_file, folder = packed(tmp_path)
    ines = town.acting("ines")
    how = {"kind": "model", "name": "small", "project": "harbour", "marking": "DR", "reason": "chat", "pack": "small"}
    with pytest.raises(NotFound, match="policy pack small: expected a registered policy, found none"):
        ines.take_folder(folder, **how)
    with pytest.raises(NotAllowed, match=r"pack .*: expected the officer whose key signs"):
        ines.trust_pack(str(list_file), reason="mine")
    town.acting("claire").trust_pack(str(list_file), reason="read and compared with upstream")
    row = ines.take_folder(folder, **how)
    assert row["facts"]["notes"] >= 1  # what no scanner reads is told, and vouched for by the list
    decided(town, row["id"])
    entry = ines.carry_out(row["id"])[0]
    assert (entry["kind"], entry["facts"]["pack"], entry["facts"]["modality"]) == ("model", "small", "language")
    assert (entry["facts"]["task"], entry["facts"]["list"]) == ("chat", str(read(list_file.read_text()).digest))
    ines.get(entry["id"], tmp_path / "got")
    assert (tmp_path / "got" / "vocab.bin").read_bytes() == OPAQUE


def test_a_pack_that_is_not_its_list_is_refused_by_file(town: Town, tmp_path: Path) -> None:
    list_file, folder = packed(tmp_path)
    town.acting("claire").trust_pack(str(list_file), reason="read")
    how = {"kind": "model", "name": "small", "project": "harbour", "marking": "DR", "reason": "chat", "pack": "small"}
    (folder / "extra.txt").write_text("more")
    with pytest.raises(NotTrusted, match=r"extra\.txt: expected no such file"):
        town.acting("ines").take_folder(folder, **how)
    (folder / "extra.txt").unlink()
    data = bytearray((folder / "vocab.bin").read_bytes())
    data[-1] ^= 1
    (folder / "vocab.bin").chmod(0o600)
    (folder / "vocab.bin").write_bytes(data)
    with pytest.raises(DigestMismatch, match=r"vocab\.bin: expected sha256:"):
        town.acting("ines").take_folder(folder, **how)
    assert town.acting("ines").entries(kind="model") == []


def test_software_comes_in_by_the_digest_of_its_list_and_is_got_back_whole(
    town: Town, tiny: Registry, tmp_path: Path
) -> None:
    made = wheels(
        tmp_path / "house", lock=tiny.folder / "run.lock", project=write_project(tmp_path / "project", "1.0"),
        made=datetime(2030, 1, 1, tzinfo=UTC), download=tiny,
    )  # fmt: skip
    ines, digest = town.acting("ines"), str(Digest.of_bytes(made.to_json()))
    how = {"kind": "software", "name": "tiny 1.0", "project": "harbour", "marking": "DR", "reason": "to install"}
    with pytest.raises(DigestMismatch, match=r"software\.json: expected a digest \(--expect\)"):
        ines.take_folder(tmp_path / "house", **how)
    row = ines.take_folder(tmp_path / "house", expect=digest, **how)
    decided(town, row["id"])
    entry = ines.carry_out(row["id"])[0]
    assert (entry["facts"]["software"], entry["facts"]["version"]) == (made.name, "1.0")
    ines.get(entry["id"], tmp_path / "got")
    assert isinstance(check_software(tmp_path / "got"), Software)
    copy = Path(shutil.copytree(tmp_path / "got", tmp_path / "copy", copy_function=shutil.copyfile))
    (copy / "install.sh").write_text("#!/bin/sh\n")
    with pytest.raises((DigestMismatch, BadInput), match=r"install\.sh"):
        ines.take_folder(copy, expect=digest, **{**how, "name": "tiny again"})
