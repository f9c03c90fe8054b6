from __future__ import annotations

from pathlib import Path

import pytest

from casemate.airlock.packs import Target
from casemate.airlock.packs.lock import markers, read_lock, read_project, unlocked_pins
from casemate.errors import BadInput
from tests.airlock.packs.conftest import write_project

HASH = "--hash=sha256:" + "a" * 64
HERE = markers(None)


def test_only_the_lines_of_this_platform_count() -> None:
    text = f"One==1 \\\n    {HASH}\ntwo==2 ; sys_platform == 'win32' \\\n    {HASH}\n# a word\nthree_x==3 {HASH}\n"
    assert [(item.name, item.version) for item in read_lock(text, HERE)] == [("one", "1"), ("three-x", "3")]
    line = read_lock(text, HERE)[0].line
    assert line == f"one==1 {HASH}"


def test_another_python_and_machine_may_be_meant() -> None:
    lines = (
        f"old==1 ; python_full_version < '3.12' {HASH}\nnew==1 ; python_version >= '3.12' {HASH}\n"
        f"arm==1 ; platform_machine == 'aarch64' {HASH}\n"
    )
    there = markers(Target("3.13", ("manylinux_2_28_aarch64",)))
    assert [item.name for item in read_lock(lines, there)] == ["arm", "new"]


@pytest.mark.parametrize("target", [Target("3.12'; rm -rf /", ("any",)), Target("3.12", ()), Target("2.7", ("any",))])
def test_a_target_that_is_none_is_refused(target: Target) -> None:
    with pytest.raises(BadInput, match=r'target: expected a Python such as "3\.12" and at least one platform, found '):
        markers(target)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("one==1", "lock line one==1: expected at least one --hash=sha256:…, found none"),
        (f"one>=1 {HASH}", "lock line one>=1: expected name==version, found one>=1"),
        (f"one==1.* {HASH}", "lock line one==1.*: expected name==version, found one==1.*"),
        (f"one[fast]==1 {HASH}", "lock line one[fast]==1: expected name==version, found one[fast]==1"),
        (
            f"--extra-index-url https://evil.example {HASH}",
            "lock line --extra-index-url https://evil.example: expected",
        ),
        (f"one @ https://evil.example/one.whl {HASH}", "lock line one @ https://evil.example/one.whl: expected name=="),
        ("-r other.txt", "lock line -r other.txt: expected name==version and hashes, found"),
        (f"one==1 {HASH}\none==2 {HASH}", "lock one: expected one version, found two"),
        ("one==1 --hash=md5:abc", "lock line one==1 --hash=md5:abc: expected name==version and hashes, found"),
    ],
)
def test_anything_beside_exact_versions_with_digests_is_an_error(line: str, message: str) -> None:
    with pytest.raises(BadInput) as refusal:
        read_lock(line + "\n", HERE)
    assert str(refusal.value).startswith(message)


def test_what_is_pinned_and_not_locked_is_named(tmp_path: Path) -> None:
    project = read_project(write_project(tmp_path / "p", "1.0"))
    leaf = read_lock(f"leaf==1.5 {HASH}", HERE)
    assert unlocked_pins(project, leaf) == ("pinned==2.0",)
    with pytest.raises(BadInput) as refusal:
        unlocked_pins(project, ())
    assert (
        str(refusal.value)
        == "casemate dependency leaf>=1: expected an exact version, or a line in the lock, found neither"
    )


def test_our_own_lock_and_project_leave_out_torch_alone() -> None:
    checkout = Path(__file__).resolve().parents[3]
    locked = read_lock((checkout / "requirements" / "run.lock").read_text(), HERE)
    pins = [pin for pin in unlocked_pins(read_project(checkout), locked) if not pin.startswith("torch==")]
    assert pins == []


def test_a_folder_without_a_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"pyproject\.toml: expected a pyproject.toml with name, version and dependencies"
    ):
        read_project(tmp_path)
