"""`casemate search` and `casemate index` as their users meet them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from casemate.cli import root
from casemate.factory.desk import utc_now
from tests.factory.test_searching import PEOPLE, TEXTS, add
from tests.factory.town import Town, found


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    made = found(tmp_path_factory.mktemp("town"), clock=utc_now, people=PEOPLE)
    made.acting("claire").add_project("open", marking="NP", members=frozenset(PEOPLE))
    add(made.acting("lea"), "notes", list(TEXTS), "NP")
    return made


def run(town: Town, *words: str, typed: str | None = None) -> str:
    env = {"CASEMATE_SITE": str(town.site), "CASEMATE_KEY": str(town.key("tom")), "COLUMNS": "200"}
    told = CliRunner().invoke(root, list(words), input=typed, env=env, catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return told.output


def test_a_search_prints_what_it_found_with_its_marking_and_its_name(town: Town) -> None:
    told = run(town, "search", "grue")
    assert told.startswith(" 1. [NP] Note 1, page 1  (")
    assert f"    {TEXTS[1]}\n" in told


def test_a_query_may_come_by_standard_input(town: Town) -> None:
    found_ = json.loads(run(town, "search", "-", "--json", "--limit", "1", typed="la paie\n"))
    assert [hit["text"] for hit in found_["hits"]] == [TEXTS[3]]


def test_nothing_found_says_so(town: Town) -> None:
    assert run(town, "search", "sous-marin") == "Nothing that you may read answers this.\n"


def test_the_index_is_updated_rebuilt_and_told_of(town: Town) -> None:
    for verb in ("update", "rebuild", "status"):
        rows = json.loads(run(town, "index", verb, "--json"))
        assert [(row["marking"], row["passages"], row["up_to_date"]) for row in rows] == [("NP", 4, True)]
    assert "unreadable" in run(town, "index", "status")


def test_the_site_keeps_its_shards_under_digests(town: Town) -> None:
    run(town, "index", "update")
    assert [len(path.name) for path in Path(town.site, "index").iterdir()] == [64]
