"""What the proofs of the airlock share: two sites in the middle of their dealings, founded once and copied for each."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from casemate.airlock.bundle import read_head
from casemate.factory.desk import utc_now
from tests.factory.test_airlock import DEPOT, sent, taken
from tests.factory.town import PEOPLE, Town, decided, found, introduce
from tests.modalities.imagery.scenes import write_set


@dataclass(frozen=True)
class World:
    """A port and a depot that deal with each other up to DR; `ids` are of orders at the port or at the depot.

    The port sent three bundles: the first is answered (`receipts`, not read yet), the second waits at the depot and is
    decided (`in`), the third has not come yet (`new`). At the port an order to send is decided (`out`), another lacks
    the officer (`open`), a copy may be lowered (`lower`) and a spill undone (`restore`). A courier's folder is `stick`.
    """

    root: Path
    ids: dict[str, str]

    @property
    def port(self) -> Town:
        """The site that sends, up to S."""
        return Town(self.root / "port", utc_now)

    @property
    def depot(self) -> Town:
        """The site that takes in, up to DR."""
        return Town(self.root / "depot", utc_now)

    def copied(self, into: Path) -> World:
        """The same world once more, at another place."""
        subprocess.run(["cp", "-a", self.root, into], check=True)  # noqa: S607  it opens no database in this process
        return replace(self, root=into)

    def catalog(self, *names: str) -> dict[str, Any]:
        """What the catalogs of these towns (of both) hold: entries by kind, project and marking, orders, numbers.

        Their chains and records are verified on the way. A peer's newer trust file is left out: it is kept in an act of
        its own, whatever becomes of what brought it.
        """
        return {name: _catalog(getattr(self, name)) for name in names or ("port", "depot")}

    def litter(self) -> list[str]:
        """What no finished act leaves behind, wherever it lies."""
        below = [path for path in self.root.rglob("*") if path.name == ".seal" or path.name.endswith(".partial")]
        for town in (self.port, self.depot):
            site = town.site
            below += [path for path in (site / "quarantine").glob("*") if path.is_dir()]
            below += [path for area in ("receiving", "objects/tmp") for path in (site / area).glob("*")]
            below += list((site / "waiting").glob(".*"))
            factory = town.acting("claire")
            places = [path.name for path in (site / "waiting").glob("[!.]*")]
            below += [site / "waiting" / name for name in set(places) - factory.catalog.registered(places)]
            factory.catalog.close()
        return sorted(str(path.relative_to(self.root)) for path in below)

    def trace(self) -> list[str]:
        """Bundles that could be carried away from `sealed`, by their manifests, without an entry of the port's."""
        factory = self.port.acting("claire")
        known = {str(e.facts["manifest"]) for e in factory.view.walk(kind="bundle") if e.facts["direction"] == "out"}
        factory.catalog.close()
        sealed = self.root / "sealed"
        whole = [sealed] if (sealed / "manifest.dsse.json").exists() else []
        heads = [read_head(source).digest.hex for source in [*whole, *sealed.glob("volume-*")]]
        return [digest for digest in heads if digest not in known]


def _catalog(town: Town) -> dict[str, Any]:
    factory = town.acting("claire")
    factory.catalog.verify()
    peer = {"port": "depot", "depot": "port"}[factory.site.name]
    marking = factory.site.policy.parse("DR")
    told = {
        "entries": Counter((e.kind, e.project, str(e.marking)) for e in factory.view.walk() if e.kind != "trust"),
        "orders": Counter(
            (row["action"], row["state"], len(row["decisions"])) for row in factory.waiting(everything=True)
        ),
        "numbers": {way: [p.sequence for p in factory.view.passages(peer, way, marking)] for way in ("in", "out")},
    }
    factory.catalog.close()
    return told


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world that is copied; nobody acts in it."""
    root = tmp_path_factory.mktemp("worlds") / "world"
    root.mkdir()
    people = PEOPLE | {"odile": ("S//FRA", {"officer"})}
    port = found(root / "port", clock=utc_now, people=people)  # type: ignore[arg-type]
    depot = found(root / "depot", clock=utc_now, name="depot", ceiling="DR", people=DEPOT)
    introduce(port, depot)
    port.acting("claire").add_project("open", marking="NP", members=frozenset({"ines", "lea"}))
    ines = port.acting("ines")
    for seed, name in enumerate(("ports", "other", "spilled")):
        ines.import_dataset(write_set(root / name, scenes=1, seed=seed), name=name, marking="DR", project="harbour")
    write_set(root / "stick", scenes=1, seed=9)
    return World(root, _dealings(root, port, depot))


def _dealings(root: Path, port: Town, depot: Town) -> dict[str, str]:
    ines, claire = port.acting("ines"), port.acting("claire")
    sent(port, root / "first", "ports")
    taken(depot, root / "first")
    depot.acting("ines").write_receipts("port", root / "receipts")
    sent(port, root / "second", "ports")
    sent(port, root / "new", "other")
    ids = {
        "in": depot.acting("ines").take_bundle(root / "second", project="harbour", reason="exercise")["id"],
        "out": ines.ask_out(["ports"], to="depot", reason="exercise")["id"],
        "open": ines.ask_out(["other"], to="depot", reason="exercise")["id"],
        "lower": ines.ask_lower("ports", marking="NP", project="open", reason="nothing in it is sensitive")["id"],
    }
    spilled = claire.spill("spilled", raise_to="S", reason="secret?", into=root / "undone")
    ids["restore"] = claire.ask_restore(spilled["spill"], reason="a mistake")["id"]
    decided(depot, ids["in"])
    decided(port, ids["out"])
    decided(port, ids["lower"])
    port.acting("paul").decide(ids["open"], reason="read")
    for name in ("paul", "odile"):
        port.acting(name).decide(ids["restore"], reason="read")
    return ids


@pytest.fixture
def copies(founded: World, tmp_path: Path) -> Callable[[], World]:
    """Worlds for one test, each fresh."""
    numbers = count(1)
    return lambda: founded.copied(tmp_path / f"world{next(numbers)}")
