"""The command line as its users meet it: a real process, exit codes, JSON, no heavy import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from casemate.cli import root
from casemate.factory.desk import utc_now
from tests.docs.test_docs import commands
from tests.factory.town import Town, found


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return found(tmp_path_factory.mktemp("town"), clock=utc_now)


def run(*words: str, town: Town | None = None, who: str = "claire", **more: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "COLUMNS": "200", **more}
    if town:
        env |= {"CASEMATE_SITE": str(town.site), "CASEMATE_KEY": str(town.key(who))}
    program = [sys.executable, "-c", "from casemate.cli import main; main()", *words]
    return subprocess.run(program, capture_output=True, text=True, check=False, env=env, stdin=subprocess.DEVNULL)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom casemate.cli import root\n"
        "try: root.main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'torch', 'rasterio', 'sqlalchemy', 'cryptography', 'pydantic', 'rich', 'onnxruntime'}\n"
        "sys.exit(', '.join(heavy & sys.modules.keys()) or 0)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize("command", sorted(commands(root)))
def test_every_command_explains_itself(command: str, golden: Callable[[str, str], None]) -> None:
    told = CliRunner().invoke(root, [*command.split()[1:], "--help"], prog_name="casemate", terminal_width=120)
    assert told.exit_code == 0, told.output
    golden(f"help/{command.replace(' ', '-')}.txt", told.output)


def test_the_overview_names_every_noun(golden: Callable[[str, str], None]) -> None:
    golden("help/casemate.txt", run("--help").stdout)


def test_an_entry_that_is_not_there_exits_5_in_words_and_in_json(town: Town) -> None:
    told = run("show", "nothing", town=town)
    assert (told.returncode, told.stdout) == (5, "")
    assert told.stderr == "NotFound: nothing: expected an entry that you may read, found none\n"
    told = run("show", "nothing", "--json", town=town)
    assert json.loads(told.stderr) == {
        "error": "NotFound", "thing": "nothing", "expected": "an entry that you may read", "found": "none",
    }  # fmt: skip


def test_a_command_that_ends_with_a_code_hands_it_to_the_shell(town: Town) -> None:
    copy = town.site / "policy" / "gates.toml"
    text = copy.read_text()
    copy.write_text(text + "# changed\n")
    told = run("verify", town=town)
    copy.write_text(text)
    assert (told.returncode, "damaged" in told.stdout) == (4, True)


def test_a_wrong_option_exits_2() -> None:
    told = run("list", "--surprise")
    assert told.returncode == 2
    assert "No such option" in told.stderr


def test_without_a_key_nothing_is_listed(town: Town) -> None:
    told = run("list", "--site", str(town.site))
    assert told.returncode == 3
    assert "expected your key" in told.stderr


def test_a_refusal_exits_3_and_is_in_the_journal(town: Town) -> None:
    told = run("people", "list", town=town, who="ines")
    assert told.returncode == 3
    rows = json.loads(run("journal", "--json", town=town).stdout)
    assert (rows[-1]["actor"], rows[-1]["verb"], rows[-1]["outcome"]) == ("ines", "people.list", "refused")


def test_tables_for_people_and_json_for_machines_say_the_same(town: Town) -> None:
    rows = json.loads(run("people", "list", "--json", town=town).stdout)
    table = run("people", "list", town=town).stdout
    assert [row["name"] for row in rows] == ["claire", "ines", "lea", "marc", "paul", "tom"]
    assert all(row["clearance"] in table for row in rows)


def test_a_name_with_control_characters_cannot_play_with_the_terminal(town: Town) -> None:
    told = run("show", "x\x1b[2Jy\nz", town=town)
    assert told.stderr == "NotFound: x\\x1b[2Jy\\nz: expected an entry that you may read, found none\n"


def test_a_passphrase_comes_from_a_file_and_never_shows(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("correct horse\n")
    told = run("key", "new", str(tmp_path / "k"), "--passphrase-file", str(tmp_path / "secret"))
    assert told.returncode == 0
    assert "correct horse" not in told.stdout + told.stderr + (tmp_path / "k").read_text()


def test_without_a_terminal_a_passphrase_must_be_named(tmp_path: Path) -> None:
    told = run("key", "new", str(tmp_path / "k"))
    assert told.returncode == 2
    assert "expected a passphrase" in told.stderr
    assert not (tmp_path / "k").exists()


def test_doctor_says_that_nothing_reaches_outside(town: Town) -> None:
    told = run("doctor", "--json", town=town)
    checks = {check["topic"]: check for check in json.loads(told.stdout)}
    assert told.returncode == 0
    assert checks["reaches outside"]["detail"].startswith("nothing")
    assert checks["site"]["detail"].startswith("port, ceiling S")


def test_completion_is_there_for_shells() -> None:
    told = run(_CASEMATE_COMPLETE="bash_source")
    assert told.returncode == 0
