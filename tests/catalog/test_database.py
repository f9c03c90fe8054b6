"""What the database promises: kill it, fill it, lock it, race it, and it holds the acts whole or not at all."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import MetaData, inspect
from sqlalchemy.exc import IntegrityError

from casemate.catalog import Catalog, migrations, schema
from casemate.catalog.migrations import MIGRATIONS
from casemate.errors import BadInput, DiskFull, NotTrusted, Unavailable
from tests.catalog.house import POLICY, House, says, settled

ACTING = Path(__file__).with_name("acting.py")
IMPORTS = "from casemate.catalog import Catalog; from casemate.markings import Policy"


def process(url: str, *names: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, str(ACTING), url, *names], stdout=subprocess.PIPE, text=True)


def test_kill_9_at_any_moment_leaves_before_or_after(house_on_disk: House) -> None:
    catalog, told = house_on_disk.catalog, set[str]()
    view = catalog.seen_by(house_on_disk.low)
    for landed in (1, 3, 8):
        with process(house_on_disk.url) as acting:
            assert acting.stdout is not None
            assert acting.stdout.readline() == "ready\n"
            told |= {acting.stdout.readline().strip() for _ in range(landed)}
            os.kill(acting.pid, signal.SIGKILL)
            told |= {line.strip() for line in acting.stdout if line.endswith("\n")}
        entries = {entry.id for entry in view.walk()}
        assert told <= entries  # what was said to be done is there
        catalog.verify()  # every entry has its line, every line its entry
        assert all(set(entry.parents) <= entries for entry in view.walk())
    assert house_on_disk.put("afterwards", by=house_on_disk.low) in view.list().entries


def test_two_who_register_the_same_names_at_once_get_each_name_once(house_on_disk: House) -> None:
    names = [f"entry {number}" for number in range(15)]
    both = [process(house_on_disk.url, *names) for _ in range(2)]
    said = sorted(line for one in both for line in one.communicate()[0].splitlines() if line != "ready")
    assert [one.returncode for one in both] == [0, 0]
    assert said == sorted([f"{name} done" for name in names] + [f"{name} taken" for name in names])
    house_on_disk.catalog.verify()


def test_several_who_open_a_new_catalog_at_once_make_its_tables_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    opening = f"{IMPORTS}; Catalog.open({url!r}, Policy.shipped('fr'))"
    several = [subprocess.Popen([sys.executable, "-c", opening], stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(one.communicate()[1], one.returncode) for one in several] == [("", 0)] * 3


def test_reading_writes_nothing(house_on_disk: House, tmp_path: Path) -> None:
    made = house_on_disk.put()

    def on_disk() -> dict[str, str]:
        files = [f for f in tmp_path.iterdir() if not f.name.endswith("-shm")]
        return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}

    before = on_disk()
    view = house_on_disk.catalog.seen_by(house_on_disk.officer)
    assert (view.get(made.id), view.find("ports"), list(view.walk())) == (made, made, [made])
    assert view.count() == view.facets().total == len(view.lineage(made.id).nodes) == 1
    assert (view.runs().runs, len(view.projects()), len(view.people())) == ((), 1, 4)
    assert view.journal().lines
    house_on_disk.catalog.verify()
    assert on_disk() == before


def test_a_reading_connection_refuses_to_write(house_on_disk: House) -> None:
    with (
        pytest.raises(
            Unavailable, match="expected a database file that can be read and written, found attempt to write"
        ),
        house_on_disk.catalog._database.reading() as connection,
    ):
        connection.exec_driver_sql("INSERT INTO marking VALUES ('S')")


@pytest.mark.parametrize("table", ["marking", "entry", "lineage", "journal"])
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {0} SET rowid = rowid + 1", "DELETE FROM {0}", "INSERT OR REPLACE INTO {0} SELECT * FROM {0}"],
)
def test_what_is_append_only_cannot_be_changed_or_removed(house: House, table: str, statement: str) -> None:
    data = house.put()
    house.put("model", parents=(data.id,))
    with (
        pytest.raises(IntegrityError, match=f"{table} is append-only"),
        house.catalog._database.writing() as connection,
    ):
        connection.exec_driver_sql(statement.format(table))


@pytest.mark.parametrize("column", ["id", "kind", "project", "digest", "facts", "author", "created"])
@pytest.mark.parametrize("statement", ["UPDATE entry SET marking = 'DR', {0} = {0} || 'x'"])
def test_of_an_entry_all_but_its_marking_and_name_stays(house: House, column: str, statement: str) -> None:
    house.put()
    with (
        pytest.raises(IntegrityError, match="entry is append-only"),
        house.catalog._database.writing() as connection,
    ):
        connection.exec_driver_sql(statement.format(column))
    with house.catalog._database.writing() as connection:
        connection.exec_driver_sql("UPDATE entry SET marking = 'NP', name = 'other', folded = 'OTHER'")


def test_only_the_owner_reads_the_database_file(house_on_disk: House, tmp_path: Path) -> None:
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {0o600}


def test_what_was_committed_survives_a_power_cut(house_on_disk: House) -> None:
    with house_on_disk.catalog._database.reading() as connection:
        said = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")}
        assert (said, connection.exec_driver_sql("PRAGMA foreign_keys").scalar()) == (
            {"journal_mode": "wal", "synchronous": 2},
            1,
        )


def test_a_full_disk_leaves_nothing_half_written(house: House) -> None:
    before = house.catalog.journal.head()
    database = house.catalog._database
    with database.engine.connect() as connection:  # the pool of a catalog in memory has one connection
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with says(DiskFull, "catalog: expected room for the act, found database or disk is full"):
        house.put(facts={"large": "x" * 100_000})
    assert (house.catalog.verify(), house.catalog.seen_by(house.high).count()) == (before, 0)


def test_a_writer_who_waits_too_long_is_told_to_try_again(house_on_disk: House) -> None:
    with house_on_disk.catalog._database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(house_on_disk.url.removeprefix("sqlite:///"))
    other.execute("BEGIN IMMEDIATE")
    with says(Unavailable, "catalog: expected the database to be free within 60 s, found database is locked"):
        house_on_disk.put()
    assert house_on_disk.catalog.seen_by(house_on_disk.low).count() == 0  # a writer does not keep readers out
    other.close()
    house_on_disk.put()


def test_a_file_that_is_no_catalog_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "catalog.db"
    file.write_bytes(b"not a database, but long enough to look" * 100)
    with says(NotTrusted, "catalog: expected a whole SQLite database, found file is not a database"):
        Catalog.open(f"sqlite:///{file}", POLICY)
    with pytest.raises(Unavailable, match="catalog: expected a database file that can be read and written"):
        Catalog.open(f"sqlite:///{tmp_path / 'nowhere' / 'catalog.db'}", POLICY)


@pytest.mark.parametrize("url", ["postgresql://me:secret@host/db", "catalog.db"])
def test_a_database_that_is_not_known_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BadInput, match="database: expected a URL such as sqlite:///PATH") as no:
        Catalog.open(url, POLICY)
    assert "secret" not in str(no.value)


def test_the_tables_are_those_that_queries_see(house: House) -> None:
    made = MetaData()
    made.reflect(house.catalog._database.engine)
    assert set(made.tables) == set(schema.METADATA.tables)
    for name, table in schema.METADATA.tables.items():
        columns = {c.name: (c.nullable, c.primary_key) for c in made.tables[name].columns}
        assert columns == {c.name: (c.nullable, c.primary_key) for c in table.columns}, name


def test_a_migration_that_was_released_is_never_edited() -> None:
    assert {step.number: step.sha256 for step in MIGRATIONS} == {
        1: "313e2d4a2dc4b8825b329fcb31600f51dc33e1ae36252cfe2108b77eff03bd46",
        2: "286f85eed1c84e8a070ac0be9dc4715cd2e7f5f8fc10c4487f7c052f7b61d7d6",
        3: "b9647e1e2c6ecd54793b716202ded5c149d7aff83e015fc718f362a495fef6b8",
        4: "c521e63ea737634cc72ffc433ec2b5b8248913224ca77775ae0eb9b837cfbe45",
    }


def test_each_migration_is_recorded_and_applied_once(house_on_disk: House) -> None:
    again = Catalog.open(house_on_disk.url, POLICY)
    with again._database.reading() as connection:
        applied = connection.execute(schema.migration.select()).all()
    again.close()
    assert [(row.number, row.sha256) for row in applied] == [(step.number, step.sha256) for step in MIGRATIONS]


def test_a_catalog_from_before_markings_could_be_raised_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "MIGRATIONS", MIGRATIONS[:1])
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    house = settled(url, ceiling=POLICY.parse("S//ALPHA,BRAVO"))
    data = house.put()
    with pytest.raises(IntegrityError, match="entry is append-only"):
        house.catalog.raise_markings({data.id: POLICY.parse("S")}, by=house.officer, reason="spill")
    before = house.catalog.journal.verify()  # an older Casemate knows no later tables
    house.catalog.close()
    monkeypatch.undo()
    again = Catalog.open(url, POLICY, ceiling=POLICY.parse("S//ALPHA,BRAVO"))
    assert again.verify(before) == before
    assert again.raise_markings({data.id: POLICY.parse("S")}, by=house.officer, reason="spill")
    assert again.verify(before).count == before.count + 1
    again.close()


def test_a_catalog_of_a_newer_casemate_is_refused(house_on_disk: House) -> None:
    with house_on_disk.catalog._database.writing() as connection:
        row = {"number": 99, "name": "later", "sha256": "0" * 64, "applied": "later"}
        connection.execute(schema.migration.insert().values(row))
    newest = MIGRATIONS[-1].number
    with says(Unavailable, f"catalog: expected at most migration {newest}, found 99: a newer Casemate made it"):
        Catalog.open(house_on_disk.url, POLICY)


def test_a_catalog_made_by_another_step_of_that_number_is_refused(house_on_disk: House) -> None:
    with house_on_disk.catalog._database.writing() as connection:
        connection.execute(schema.migration.update().values(sha256="0" * 64))
    expected = MIGRATIONS[0].sha256
    with says(NotTrusted, f"migration 1 of the catalog: expected {expected}, found {'0' * 64}"):
        Catalog.open(house_on_disk.url, POLICY)


def test_names_are_looked_up_by_index(house: House) -> None:
    indexes = {index["name"] for index in inspect(house.catalog._database.engine).get_indexes("entry")}
    assert {"entry_name", "entry_digest", "entry_newest", "entry_facets"} <= indexes
