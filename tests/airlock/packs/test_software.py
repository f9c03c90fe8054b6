from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from casemate.airlock.packs import (
    Order,
    Software,
    check_software,
    load_software,
    sign_software,
    wheels,
)  # fmt: skip
from casemate.errors import BadInput, BadSignature, CasemateError, DigestMismatch, NotFound
from casemate.store.digest import Digest
from tests.airlock.packs.conftest import Registry, pen_of, real_wheel, sha256, write_project

MADE = datetime(2030, 6, 1, tzinfo=UTC)


def make(into: Path, project: Path, registry: Registry) -> Software:
    return wheels(into, lock=registry.folder / "run.lock", project=project, made=MADE, download=registry)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, tiny: Registry) -> Path:
    """Version 1.0, made once; not to be changed."""
    place = tmp_path_factory.mktemp("first")
    make(place / "software", write_project(place / "project", "1.0"), tiny)
    return place / "software"


@pytest.fixture
def copied(first: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(first, tmp_path / "software"))


def sealed(folder: Path, changed: str) -> None:
    """Make software.json agree with a file that was changed, as somebody who may not sign it could."""
    raw = json.loads((folder / "software.json").read_text())
    data = (folder / changed).read_bytes()
    for file in raw["files"]:
        if file["path"] == changed:
            file.update(size=len(data), sha256=sha256(data))
    (folder / "software.json").write_text(json.dumps(raw, sort_keys=True, indent=1, ensure_ascii=False) + "\n")


def test_the_folder_is_the_wheels_their_lists_and_an_installer(first: Path) -> None:
    software = check_software(first)
    assert (software.name, software.version) == ("casemate", "1.0")
    assert sorted(file.path for file in software.files) == [
        "casemate-1.0-py3-none-any.whl", "install.sh", "leaf-1.5-py3-none-any.whl", "pinned-2.0-py3-none-any.whl",
        "requirements.txt", "sbom.cdx.json",
    ]  # fmt: skip
    assert [entry.name for entry in first.parent.iterdir() if entry.name.startswith(".")] == []
    digests = {name: Digest.of_file(next(first.glob(f"{name}-*.whl"))).hex for name in ("casemate", "leaf", "pinned")}
    assert (first / "requirements.txt").read_text().splitlines()[1:] == [
        "casemate==1.0 \\", f"    --hash=sha256:{digests['casemate']}",
        "leaf==1.5 \\", f"    --hash=sha256:{digests['leaf']}",
        "pinned==2.0 \\", f"    --hash=sha256:{digests['pinned']}",
    ]  # fmt: skip


def test_same_input_same_software(first: Path, tmp_path: Path, tiny: Registry) -> None:
    make(tmp_path / "again", write_project(tmp_path / "project", "1.0"), tiny)
    assert (tmp_path / "again" / "software.json").read_bytes() == (first / "software.json").read_bytes()


def test_what_was_fetched_is_kept_when_the_rest_fails(tmp_path: Path, tiny: Registry) -> None:
    project, cache = write_project(tmp_path / "project", "1.0"), tmp_path / "cache"
    asked: list[Order] = []

    def without_pinned(order: Order, into: Path) -> None:
        asked.append(order)
        if order.hashed:
            tiny(order, into)
        else:
            raise KeyboardInterrupt

    lock = tiny.folder / "run.lock"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            wheels(tmp_path / "sw", lock=lock, project=project, made=MADE, download=without_pinned, cache=cache)
    assert [order.hashed for order in asked] == [True, False, False]
    assert asked[1].lines == ("pinned==2.0",)
    assert asked[1].constraints == ("leaf==1.5",)
    assert not (tmp_path / "sw").exists()


def test_a_wheel_that_is_not_the_locks_is_refused(tmp_path: Path, tiny: Registry) -> None:
    evil = Registry(Path(shutil.copytree(tiny.folder, tmp_path / "evil")))
    changed = real_wheel(evil.folder, "leaf", "1.5", code="import os\n")
    with pytest.raises(DigestMismatch) as refusal:
        make(tmp_path / "sw", write_project(tmp_path / "project", "1.0"), evil)
    found = Digest.of_file(changed)
    assert str(refusal.value) == f"leaf-1.5-py3-none-any.whl: expected one of the 2 digests in the lock, found {found}"
    assert not (tmp_path / "sw").exists()


def test_what_a_wheel_needs_and_is_not_there_is_refused(tmp_path: Path, tiny: Registry) -> None:
    registry = Registry(Path(shutil.copytree(tiny.folder, tmp_path / "registry")))
    project = write_project(tmp_path / "project", "1.0")
    real_wheel(registry.folder, "pinned", "2.0", needs=("leaf>=1.2", "cuda-things==3"))
    with pytest.raises(NotFound) as missing:
        make(tmp_path / "sw", project, registry)
    assert str(missing.value) == "wheel of cuda-things: expected cuda-things==3, which pinned needs, found none"
    real_wheel(registry.folder, "pinned", "2.0", needs=("leaf>=2",))
    with pytest.raises(BadInput) as older:
        make(tmp_path / "sw2", project, registry)
    assert str(older.value) == "wheel of leaf: expected leaf>=2, which pinned needs, found 1.5"
    (registry.folder / "leaf-1.5-py3-none-any.whl").unlink()
    with pytest.raises(NotFound) as absent:
        make(tmp_path / "sw3", project, registry)
    assert str(absent.value) == "wheel of leaf: expected leaf 1.5, found none"


def test_what_a_pinned_package_needs_beside_the_lock_comes_along(tmp_path: Path, tiny: Registry) -> None:
    registry = Registry(Path(shutil.copytree(tiny.folder, tmp_path / "registry")))
    real_wheel(
        registry.folder, "pinned", "2.0", needs=("leaf>=1.2", 'cuda-things==3; extra == "" or python_version > "3"')
    )
    real_wheel(registry.folder, "cuda-things", "3")

    def with_needs(order: Order, into: Path) -> None:
        registry(order if order.hashed else Order((*order.lines, "cuda-things==3", "leaf==1.5"), hashed=False), into)

    project = write_project(tmp_path / "project", "1.0")
    lock = registry.folder / "run.lock"
    software = wheels(tmp_path / "sw", lock=lock, project=project, made=MADE, download=with_needs)
    assert "cuda_things-3-py3-none-any.whl" in {file.path for file in software.wheels}
    assert check_software(tmp_path / "sw") == software


def test_any_changed_byte_of_any_file_is_refused(copied: Path) -> None:
    software = check_software(copied)
    for file in software.files:
        whole = (copied / file.path).read_bytes()
        for place in {0, len(whole) // 2, len(whole) - 1}:
            (copied / file.path).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(DigestMismatch) as refusal:
                check_software(copied)
            assert str(refusal.value).startswith(f"{file.path}: expected {file.digest}, found ")
        (copied / file.path).write_bytes(whole)
    whole = (copied / "software.json").read_bytes()
    for place in range(0, len(whole), 7):
        (copied / "software.json").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(CasemateError):
            load_changed(copied, whole)


def load_changed(folder: Path, signed: bytes) -> None:
    """What a site does: the signed software.json, then the folder."""
    load_software(
        (folder / "software.json").read_bytes(), sign_software(signed, pen_of("olivia")), pen_of("olivia").public
    )
    check_software(folder)


def test_an_extra_file_and_a_link_are_refused(copied: Path) -> None:
    (copied / "evil-1.0-py3-none-any.whl").write_bytes(b"x")
    with pytest.raises(
        CasemateError, match=r"evil-1\.0-py3-none-any.whl: expected no such file, found a file that the list"
    ):
        check_software(copied)
    (copied / "evil-1.0-py3-none-any.whl").unlink()
    (copied / "install.sh").unlink()
    (copied / "install.sh").symlink_to("/bin/sh")
    with pytest.raises(CasemateError, match=r"install\.sh: expected files and folders only, found a symbolic link"):
        check_software(copied)


def change_digest(text: str) -> str:
    at = text.index("sha256:") + len("sha256:")
    return text[:at] + "0" * 64 + text[at + 64 :]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("requirements.txt", change_digest, "requirements.txt casemate==1.0: expected {casemate}, found 0000"),
        ("requirements.txt", lambda text: text + "--index-url https://evil.example\n", "requirements.txt line: exp"),
        ("requirements.txt", lambda text: text[: text.index("pinned")], "requirements.txt pinned==2.0: expected "),
        ("sbom.cdx.json", lambda text: text.replace('"leaf"', '"loaf"'), "sbom.cdx.json leaf==1.5: expected {leaf}"),
        ("sbom.cdx.json", lambda text: text.replace("SHA-256", "SHA-512"), "sbom.cdx.json casemate==1.0: expected"),
        ("sbom.cdx.json", lambda _: "[]", "sbom.cdx.json: expected a CycloneDX bill of materials, found"),
    ],
)  # fmt: skip
def test_lists_that_disagree_are_refused_even_when_each_is_whole(
    copied: Path, name: str, change: Callable[[str], str], message: str
) -> None:
    (copied / name).write_text(change((copied / name).read_text()))
    sealed(copied, name)
    with pytest.raises(CasemateError) as refusal:
        check_software(copied)
    digests = {n: Digest.of_file(next(copied.glob(f"{n}-*.whl"))).hex for n in ("casemate", "leaf", "pinned")}
    assert str(refusal.value).startswith(message.format(**digests))


def test_software_is_trusted_only_as_the_officer_signed_it(first: Path) -> None:
    data, officer = (first / "software.json").read_bytes(), pen_of("olivia")
    envelope = sign_software(data, officer)
    assert load_software(data, envelope, officer.public).version == "1.0"
    with pytest.raises(BadSignature, match="software signer: expected a trusted key, found key"):
        load_software(data, envelope, pen_of("mallory").public)
    with pytest.raises(BadSignature, match="software: expected the bytes that the officer signed, found other bytes"):
        load_software(data.replace(b'"1.0"', b'"9.0"'), envelope, officer.public)


# Laying pip down takes most of the time of `python -m venv`: here the environment borrows the pip that runs the tests.
QUICK_PYTHON = """#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then
    {python} -m venv --without-pip "$3" && echo {borrowed} >"$(echo "$3"/lib/python3*/site-packages)/pip.pth"
else
    exec {python} "$@"
fi
"""
Install = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Run a folder's installer, on a machine whose settings point pip elsewhere."""
    import pip

    borrowed, python = tmp_path / "borrowed", tmp_path / "python"
    borrowed.mkdir()
    (borrowed / "pip").symlink_to(Path(pip.__file__).parent)
    python.write_text(QUICK_PYTHON.format(python=sys.executable, borrowed=borrowed))
    python.chmod(0o755)
    env = {**os.environ, "PYTHON": str(python), "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_CONFIG_FILE": "/nowhere"}

    def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = ["sh", str(folder / "install.sh"), *arguments]
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)

    return run


def says(root: Path) -> str:
    return subprocess.run([root / "current" / "bin" / "casemate"], capture_output=True, text=True, check=True).stdout


def test_a_site_installs_upgrades_and_goes_back_and_never_switches_to_what_does_not_start(
    first: Path, tmp_path: Path, tiny: Registry, install: Install
) -> None:
    root = tmp_path / "opt with space"
    # a cut installation: a folder without its mark is no version
    (root / "versions" / "1.0" / "bin").mkdir(parents=True)
    done = install(first, str(root))
    assert (done.returncode, done.stderr) == (0, "")
    assert (says(root), str((root / "current").readlink())) == ("tiny 1.0\n", "versions/1.0")
    none_before = install(first, "--back", str(root))
    assert none_before.returncode == 3
    assert none_before.stderr == "install.sh: the version before 1.0: expected one to go back to, found none\n"

    make(tmp_path / "second", write_project(tmp_path / "project2", "2.0"), tiny)
    assert install(tmp_path / "second", str(root)).returncode == 0
    assert says(root) == "tiny 2.0\n"
    # again, and from the copy that stays at the site
    assert install(tmp_path / "second", str(root)).returncode == 0
    assert install(root, "--back", str(root)).returncode == 0
    assert says(root) == "tiny 1.0\n"

    make(tmp_path / "third", write_project(tmp_path / "project3", "3.0", "raise SystemExit(1)\n"), tiny)
    broken = install(tmp_path / "third", str(root))
    assert broken.returncode == 3
    assert "install.sh: casemate 3.0: expected a program that starts, found one that does not" in broken.stderr
    assert says(root) == "tiny 1.0\n"
    assert not (root / "versions" / "3.0.whole").exists()


def test_a_wheel_changed_after_the_check_is_refused_by_pip_and_nothing_is_switched(
    copied: Path, tmp_path: Path, install: Install
) -> None:
    real_wheel(copied, "leaf", "1.5", code="import os\n")
    done = install(copied, str(tmp_path / "opt"))
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not (tmp_path / "opt" / "current").exists()


def test_another_python_than_the_wheels_is_refused(copied: Path, tmp_path: Path, install: Install) -> None:
    script = copied / "install.sh"
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    script.write_text(script.read_text().replace(f"needed='{here}'", "needed='2.7'"))
    done = install(copied, str(tmp_path / "opt"))
    assert (done.returncode, done.stderr) == (
        3,
        f"install.sh: {tmp_path / 'python'}: expected Python 2.7, found Python {here}\n",
    )
