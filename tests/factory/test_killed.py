"""kill -9 at any moment of an import, a training and a release: the site is as before or as after, never between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from casemate.compute.state import read_state
from casemate.errors import NameTaken, RunFailed
from casemate.factory.desk import utc_now
from tests.factory.town import Town, found
from tests.modalities.imagery.scenes import write_set

STEPS = "60"
_ACT = """
import sys
from pathlib import Path
from casemate.factory import Factory
site, key, what, *words = sys.argv[1:]
factory = Factory.open(Path(site), key=Path(key), passphrase=lambda: b"")
print("open", flush=True)
if what == "import":
    factory.import_dataset(Path(words[0]), name=words[1], marking="DR", project="harbour")
elif what == "train":
    settings = {"steps": int(words[1]), "checkpoint_every": 2}
    factory.train(["training"], name=words[0], project="harbour", recipe="debug", settings=settings)
elif what == "release":
    factory.release("report", name=words[0])
print("done", flush=True)
"""


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    root = tmp_path_factory.mktemp("town")
    town = found(root, clock=utc_now)
    write_set(root / "training", scenes=3, seed=1)
    town.acting("ines").import_dataset(root / "training", name="training", marking="DR", project="harbour")
    return town


def start(town: Town, *words: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", _ACT, str(town.site), str(town.key("ines")), *words]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)


def killed_after(process: subprocess.Popen[str], wait_s: float) -> bool:
    """Kill the process and its group after it opened the site and `wait_s`; whether it had ended before."""
    assert process.stdout
    assert process.stdout.readline() == "open\n"
    time.sleep(wait_s)
    os.killpg(process.pid, signal.SIGKILL)
    return "done" in process.communicate()[0]


def sound(town: Town) -> bool:
    return {check["verdict"] for check in town.acting("claire").verify()} == {"ok"}


def test_a_killed_import_leaves_a_whole_data_set_or_none_and_can_be_given_again(town: Town, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "many", scenes=30, seed=9)
    for attempt, wait_s in enumerate((0.02, 0.2, 0.5, 0.9)):
        name = f"many {attempt}"
        killed_after(start(town, "import", str(folder), name), wait_s)
        ines = town.acting("ines")
        with suppress(NameTaken):  # it had landed before it was killed
            ines.import_dataset(folder, name=name, marking="DR", project="harbour")
        entry = ines.show(name)
        ines.get(entry["id"], tmp_path / f"got{attempt}")
        assert len(list((tmp_path / f"got{attempt}" / "images").iterdir())) == 30
        assert [f for f in (town.site / "quarantine").iterdir() if f.is_dir()] == []
    assert sound(town)


def test_a_training_whose_worker_is_killed_resumes_to_bit_identical_weights(town: Town) -> None:
    whole = start(town, "train", "whole", STEPS)
    assert "done" in whole.communicate(timeout=300)[0]
    before = set((town.site / "runs").iterdir())
    hurt = start(town, "train", "hurt", STEPS)
    workdir = _started(town, before)
    keeper = read_state(workdir).keeper.pid
    for pid in [*_children(keeper), keeper]:
        os.kill(pid, signal.SIGKILL)
    hurt.communicate(timeout=120)
    assert hurt.returncode != 0
    ines = town.acting("ines")
    run = next(row for row in ines.runs() if row["name"] == "hurt")
    assert run["state"] == "failed"
    assert ines.entries(kind="model", text="hurt") == []
    ines.resume(run["id"])
    assert ines.show("hurt")["digest"] == ines.show("whole")["digest"]


def test_a_training_whose_command_and_worker_are_killed_resumes_too(town: Town) -> None:
    before = set((town.site / "runs").iterdir())
    command = start(town, "train", "orphan", STEPS)
    workdir = _started(town, before)
    keeper = read_state(workdir).keeper.pid
    for pid in [command.pid, *_children(keeper), keeper]:
        os.kill(pid, signal.SIGKILL)
    command.communicate()
    ines = town.acting("ines")
    run = next(row for row in ines.runs() if row["name"] == "orphan")
    ines.resume(run["id"])
    assert ines.show("orphan")["digest"] == ines.show("whole")["digest"]
    with pytest.raises(Exception, match="expected a run that is not done, found done"):
        ines.resume(run["id"])


def test_a_killed_release_is_there_whole_or_not_at_all(town: Town, tmp_path: Path) -> None:
    ines = town.acting("ines")
    gate = tmp_path / "gate.toml"
    gate.write_text(
        'format = "casemate-gate-policy/1"\nname = "any"\n[[rules]]\nmetric = "ap50"\nat_least = 0.0\n'
        "[overlap]\nmax_near_duplicates = 0\n[held_out]\nmin_images = 1\nmin_boxes = 1\n"
        "[approvals]\napprover = 2\n[release]\nvalidity_days = 30\n"
    )
    town.acting("claire").set_policy("gates", gate, reason="for the test")
    held_out = write_set(tmp_path / "held-out", scenes=2, seed=70)
    ines.import_dataset(held_out, name="held-out", marking="DR", project="harbour")
    ines.evaluate("whole", "held-out", name="report", settings={"robustness": [], "samples": 0})
    for name in ("marc", "lea"):
        town.acting(name).approve("report", reason="read")
    for attempt, wait_s in enumerate((0.0, 0.15, 0.4)):
        name = f"release {attempt}"
        killed_after(start(town, "release", name), wait_s)
        with suppress(NameTaken):
            ines.release("report", name=name)
        assert [entry["name"] for entry in ines.entries(kind="release", text=name)] == [name]
    assert sound(town)


def _started(town: Town, before: set[Path]) -> Path:
    """The work folder that was not there before, once it has a checkpoint."""
    for _ in range(2400):
        for workdir in set((town.site / "runs").iterdir()) - before:
            if (workdir / "checkpoints").is_dir() and any((workdir / "checkpoints").iterdir()):
                return workdir
        time.sleep(0.025)
    raise RunFailed("run", expected="a checkpoint within a minute", found="none")


def _children(pid: int) -> list[int]:
    """All processes below `pid`, the deepest first."""
    below = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [deeper for child in below for deeper in [*_children(child), child]]
