"""`casemate docs` and `casemate ocr` as their users meet them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from casemate.factory.desk import utc_now
from tests.cli.test_cli import run
from tests.factory.town import Town, found
from tests.modalities.language.documents import makers


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return found(tmp_path_factory.mktemp("town"), clock=utc_now)


def test_documents_come_in_and_a_citation_opens_its_page(town: Town, tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "a.pdf").write_bytes(makers.pdf())
    told = run(
        "docs", "import", str(tmp_path / "papers"), "--marking", "DR", "--project", "harbour", "--json",
        town=town, who="ines",
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    entry = json.loads(told.stdout)
    assert "papers" in run("docs", "list", town=town, who="ines").stdout
    (document,) = json.loads(run("docs", "show", entry["id"], "--json", town=town, who="ines").stdout)
    page = run(
        "docs", "page", entry["id"], f"{document['id']}-00001", "--out", str(tmp_path / "p.png"), town=town, who="ines"
    )
    assert (page.returncode, "DR" in page.stdout, makers.HEADING in page.stdout) == (0, True, True), page.stderr
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_a_marking_that_is_written_exits_3(town: Town, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("SECRET\n\nLe quai.\n", encoding="utf-8")
    told = run(
        "docs", "import", str(tmp_path / "a.txt"), "--marking", "DR", "--project", "harbour", town=town, who="lea"
    )
    assert told.returncode == 3
    assert "found S written in a.txt" in told.stderr


def test_the_text_of_a_file_is_printed_between_its_markings(town: Town, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Le quai\x1b[2J est fermé.\n".replace("\x1b[2J", ""), encoding="utf-8")
    told = run("ocr", str(tmp_path / "a.txt"), "--marking", "DR", town=town, who="ines")
    assert told.stdout == "DR\nLe quai est fermé.\nDR\n"
