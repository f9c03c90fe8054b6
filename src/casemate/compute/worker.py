"""What runs on the node: `python -m casemate.compute.worker WORKDIR` executes the plan of a work folder.

Rules. Nothing runs over bytes that are not those of the plan: every input is digested again against its manifest, and
the manifest against the plan; several processes share that work, and none of them alone can end the run well. Verbs and
modalities are those listed (the plan's verbs, the folders of casemate.modalities), never a name to import as it comes.
Checkpoints are left alone, so that the same plan resumes; outputs are made anew and named by a manifest at the end.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import casemate
from casemate.compute.confine import die_with_parent
from casemate.compute.keeper import RESULT
from casemate.compute.plan import Plan
from casemate.compute.state import write_whole
from casemate.errors import BadInput, CasemateError, DigestMismatch
from casemate.store.digest import Digest, digest_files
from casemate.store.folders import list_files, manifest_of
from casemate.store.manifest import Manifest

OUTPUTS_MANIFEST = "outputs.manifest.json"


def run(workdir: Path, *, rank: int = 0, world_size: int = 1) -> Digest | None:
    """Execute the plan of `workdir` as process `rank` of `world_size`; process 0 gives the digest of the outputs."""
    plan = Plan.read(workdir)
    check_modality(plan.modality)
    verify_inputs(plan, workdir, rank=rank, world_size=world_size)
    outputs = workdir / "outputs"
    if rank == 0:
        shutil.rmtree(outputs, ignore_errors=True)
        for folder in (outputs, workdir / "checkpoints"):
            folder.mkdir(mode=0o700, exist_ok=True)
    random.seed(plan.seed)
    importlib.import_module(f"casemate.modalities.{plan.modality}.{plan.verb}").run(plan, workdir)
    if rank != 0:
        return None
    manifest = manifest_of(outputs)
    write_whole(workdir / OUTPUTS_MANIFEST, manifest.to_json().decode("ascii"))
    return manifest.digest


def modality_names() -> list[str]:
    """The modalities there are, by their folders; nothing of them is imported."""
    found = Path(casemate.__file__).with_name("modalities").glob("*/__init__.py")
    return sorted(file.parent.name for file in found)


def check_modality(name: str) -> None:
    """Refuse a modality that has no folder."""
    if name not in modality_names():
        raise BadInput("plan modality", expected=" or ".join(modality_names()) or "one that is there", found=repr(name))


def verify_inputs(plan: Plan, workdir: Path, *, rank: int = 0, world_size: int = 1) -> None:
    """Refuse inputs that are not, file by file and byte by byte, those that the plan names.

    Of `world_size` processes each digests every `world_size`-th file; the names and sizes of all are checked by each.
    """
    for name, expected in sorted(plan.inputs.items()):
        text = workdir / "inputs" / f"{name}.manifest.json"
        data = text.read_bytes() if text.is_file() else b""
        if Digest.of_bytes(data) != expected:
            found = Digest.of_bytes(data) if data else "no such file"
            raise DigestMismatch(f"inputs/{text.name}", expected=expected, found=found)
        _verify_folder(workdir / "inputs" / name, Manifest.from_json(data, source=str(text)), rank, world_size)


def _verify_folder(folder: Path, manifest: Manifest, rank: int, world_size: int) -> None:
    there = {item.path: item.facts.st_size for item in list_files(folder)}
    named = {file.path: file for file in manifest.files}
    for path in sorted(there.keys() ^ named.keys()):
        expected, found = ("no such file", "a file") if path in there else ("a file", "no such file")
        raise DigestMismatch(f"inputs/{folder.name}/{path}", expected=expected, found=found)
    for path, size in ((path, file.size) for path, file in named.items()):
        if there[path] != size:
            found = f"{there[path]} bytes"
            raise DigestMismatch(f"inputs/{folder.name}/{path}", expected=f"{size} bytes", found=found)
    mine = {folder / file.path: file for file in manifest.files[rank::world_size]}
    for file, digest in digest_files(mine):
        if digest != mine[file].digest:
            name = f"inputs/{folder.name}/{mine[file].path}"
            raise DigestMismatch(name, expected=mine[file].digest, found=digest)


def main(argv: list[str]) -> int:
    """Run, and leave in result.json what the keeper of the run writes down as its end."""
    os.umask(0o077)
    die_with_parent()
    workdir = Path(argv[1]).absolute()
    rank, world_size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    try:
        digest = run(workdir, rank=rank, world_size=world_size)
    except CasemateError as why:
        _say(workdir, {"error": why.facts()})
        sys.stderr.write(f"{type(why).__name__}: {why}\n")
        return why.exit_code
    if digest is not None:
        _say(workdir, {"outputs": str(digest)})
    return 0


def _say(workdir: Path, result: dict[str, Any]) -> None:
    write_whole(workdir / RESULT, json.dumps(result, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
