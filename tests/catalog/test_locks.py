"""Opening a catalog again must not drop the locks that SQLite holds for this process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from casemate.catalog import Catalog
from casemate.markings import Policy

_TRY = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], timeout=0)
try:
    other.execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError as no:
    print(no)
else:
    print("taken")
"""


def test_opening_a_catalog_again_keeps_the_locks_of_the_first(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    first = Catalog.open(url, Policy.shipped("fr"))
    with first._database.writing():
        Catalog.open(url, Policy.shipped("fr")).close()
        argv = [sys.executable, "-c", _TRY, str(tmp_path / "catalog.sqlite")]
        told = subprocess.run(argv, capture_output=True, text=True, check=True)
    first.close()
    assert told.stdout == "database is locked\n"
