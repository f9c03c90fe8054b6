"""The airlock as its users meet it at the command line: exit codes, JSON, tables; two sites, one process a command."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from casemate.factory.desk import utc_now
from tests.cli.test_cli import run
from tests.factory.test_airlock import DEPOT
from tests.factory.town import Town, found
from tests.modalities.imagery.scenes import write_set


@pytest.fixture(scope="module")
def towns(tmp_path_factory: pytest.TempPathFactory) -> tuple[Town, Town]:
    port = found(tmp_path_factory.mktemp("port"), clock=utc_now)
    depot = found(tmp_path_factory.mktemp("depot"), clock=utc_now, name="depot", ceiling="DR", people=DEPOT)
    write_set(port.root / "ports", scenes=1, seed=1)
    told = run(
        "data", "import", str(port.root / "ports"), "--marking", "DR", "--project", "harbour", town=port, who="ines"
    )
    assert told.returncode == 0, told.stderr
    return port, depot


def ok(*words: str, town: Town, who: str) -> Any:
    """What a command answers in JSON."""
    told = run(*words, "--json", town=town, who=who)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def decided(town: Town, order: str) -> None:
    for who in ("paul", "claire"):
        state = ok("airlock", "release", order[:10], "--reason", "read", town=town, who=who)["state"]
    assert state == "decided"


def test_a_bundle_from_site_to_site_and_its_receipt_back(towns: tuple[Town, Town], tmp_path: Path) -> None:
    port, depot = towns
    for here, there, name, way in ((port, depot, "depot", "out"), (depot, port, "port", "in")):
        key = str(there.key("claire").with_name("claire.key.pub"))
        ok("airlock", "peers", "add", name, "--officer-key", key, "--up-to", "DR", "--direction", way,
           "--reason", "agreed", town=here, who="claire")  # fmt: skip
    order = ok("airlock", "out", "ports", "--to", "depot", "--reason", "exercise", town=port, who="ines")["id"]
    waiting = run("airlock", "waiting", town=port, who="claire").stdout
    assert order in waiting
    decided(port, order)
    stick = tmp_path / "stick"
    assert ok("airlock", "seal", order, str(stick), town=port, who="ines")["sequence"] == 1
    assert ok("airlock", "verify", str(stick), town=port, who="ines")["entries"] == 1
    row = ok("airlock", "in", str(stick), "--project", "harbour", "--reason", "exercise", town=depot, who="ines")
    assert row["state"] == "waiting"
    early = run("airlock", "take", row["id"], town=depot, who="ines")
    assert (early.returncode, early.stderr.split(":")[0]) == (3, "AirlockClosed")
    decided(depot, row["id"])
    assert [e["name"] for e in ok("airlock", "take", row["id"], town=depot, who="ines")] == ["ports"]
    back = str(tmp_path / "receipts")
    ok("airlock", "receipts", "--for", "port", "--write", back, town=depot, who="ines")
    assert [r["outcome"] for r in ok("airlock", "receipts", "--read", back, town=port, who="ines")] == ["taken"]
    assert "taken" in run("airlock", "receipts", town=port, who="ines").stdout
    assert ok("airlock", "peers", town=depot, who="claire")[0]["taken_in"] == ["DR 1"]


def test_inspection_of_something_bad_exits_3_and_says_which_file(towns: tuple[Town, Town], tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "w.safetensors").write_bytes(b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x07builtins")
    words = ("airlock", "inspect", str(tmp_path / "bad"), "--kind", "model", "--out", str(tmp_path / "report"))
    told = run(*words, town=towns[0], who="ines")
    assert told.returncode == 3
    assert "w.safetensors" in told.stdout
    assert (tmp_path / "report" / "report.html").is_file()


def test_a_courier_must_say_what_a_folder_is(towns: tuple[Town, Town], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    told = run(
        "airlock", "in", str(tmp_path / "folder"), "--project", "harbour", "--reason", "?", town=towns[0], who="ines"
    )
    assert (told.returncode, "needs --marking, and --kind or --pack" in told.stderr) == (2, True)


@pytest.mark.parametrize("size", ["4X", "G", "four"])
def test_a_size_that_is_none_exits_2(towns: tuple[Town, Town], tmp_path: Path, size: str) -> None:
    told = run("airlock", "seal", "order", str(tmp_path / "x"), "--volume-size", size, town=towns[0], who="ines")
    assert (told.returncode, f"found '{size}'" in told.stderr) == (2, True)


def test_a_sealed_bundle_crosses_a_diode_and_what_was_not_sealed_here_does_not(
    towns: tuple[Town, Town], tmp_path: Path
) -> None:
    port, depot = towns
    order = ok("airlock", "out", "ports", "--to", "depot", "--reason", "again", town=port, who="ines")["id"]
    decided(port, order)
    ok("airlock", "seal", order, str(tmp_path / "stick"), town=port, who="ines")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    program = [sys.executable, "-c", "from casemate.cli import main; main()", "diode", "receive", str(tmp_path / "got"),
               "--listen", address, "--idle", "8", "--json"]  # fmt: skip
    env = {"PATH": os.environ["PATH"], "CASEMATE_SITE": str(depot.site), "CASEMATE_KEY": str(depot.key("ines"))}
    with subprocess.Popen(program, env=env, stdout=subprocess.PIPE, text=True) as receiver:
        for _ in range(20):  # the receiver takes its time to start; a sender never knows
            ok("diode", "send", str(tmp_path / "stick"), "--to", address, "--rate", "50M", town=port, who="ines")
            if receiver.poll() is not None:
                break
        told = json.loads(receiver.communicate(timeout=60)[0])
    (one,) = told["bundles"]
    assert one["missing"] == ""
    row = ok("airlock", "in", one["folder"], "--project", "harbour", "--reason", "by diode", town=depot, who="ines")
    assert row["state"] == "waiting"
    other = run("diode", "send", one["folder"], "--to", address, town=depot, who="ines")
    assert (other.returncode, other.stderr.split(":")[0]) == (4, "BadSignature")


def test_packs_are_listed_without_a_site() -> None:
    rows = json.loads(run("pack", "list", "--json").stdout)
    assert {"chat", "ocr", "speech"} <= {row["name"] for row in rows}
