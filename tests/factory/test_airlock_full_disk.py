"""A full disk under the site, a sealing's target or the receiving area: said with its numbers, nothing half-written.

Each is a small file system in memory, filled to its last bytes; where mounting is not to be had, these tests are
skipped and say so. When room is made, the verb given again comes to the end that it would have come to.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from casemate.errors import DiskFull, Unavailable
from tests.factory.conftest import World
from tests.factory.test_airlock import sound
from tests.factory.town import Town

FILLER = "filler"
Mount = Callable[[Path, int], None]


@pytest.fixture
def mounted() -> Iterator[Mount]:
    """Puts a file system of so many bytes in memory at a folder, with what the folder holds."""
    places: list[Path] = []

    def mount(place: Path, size: int) -> None:
        aside = place.with_name(f"{place.name}-before")
        place.rename(aside)
        place.mkdir()
        argv = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(place)]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no mount command here")
        if done.returncode != 0:
            pytest.skip(f"a file system in memory cannot be mounted here: {done.stderr.strip()}")
        places.append(place)
        subprocess.run(["cp", "-a", f"{aside}/.", str(place)], check=True)  # noqa: S607
        shutil.rmtree(aside)

    yield mount
    for place in places:
        subprocess.run(["umount", "-l", str(place)], check=True)  # noqa: S607


def fill(place: Path, *, leave: int = 0) -> None:
    """Take all the room that there is, but for `leave` bytes."""
    room = shutil.disk_usage(place).free - leave
    with suppress(OSError), (place / FILLER).open("wb", buffering=0) as stream:
        while room > 0:
            room -= stream.write(bytes(min(room, 1 << 16)))


def refused(verb: Callable[[], Any]) -> str:
    """What a verb says when there is no room: exit code 6, and the bytes that are free or needed."""
    with pytest.raises(Unavailable) as no:
        verb()
    assert no.value.exit_code == 6
    assert isinstance(no.value, DiskFull), no.value
    return str(no.value)


def size_of(place: Path) -> int:
    return sum(path.stat().st_size + 4096 for path in place.rglob("*")) + (6 << 20)


ON_THE_SITE: dict[str, tuple[str, str, Callable[[World, Town], Any]]] = {
    "ask to send": ("port", "ines", lambda _, t: t.acting("ines").ask_out(["ports"], to="depot", reason="more")),
    "decide": ("port", "claire", lambda w, t: t.acting("claire").decide(w.ids["open"], reason="read")),
    "seal": ("port", "ines", lambda w, t: t.acting("ines").seal(w.ids["out"], w.root / "sealed")),
    "take a bundle": (
        "depot", "ines",
        lambda w, t: t.acting("ines").take_bundle(w.root / "new", project="harbour", reason="exercise"),
    ),
    "take a folder": (
        "port", "ines",
        lambda w, t: t.acting("ines").take_folder(
            w.root / "stick", kind="dataset", name="stick", marking="DR", project="harbour", reason="exercise"
        ),
    ),
    "lower": ("port", "claire", lambda w, t: t.acting("claire").carry_out(w.ids["lower"])),
    "spill": (
        "port", "claire",
        lambda w, t: t.acting("claire").spill("ports", raise_to="S", reason="secret", into=w.root / "notices"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(ON_THE_SITE))
@pytest.mark.parametrize("leave", [0, 40_000], ids=["none left", "little left"])
def test_a_full_site_refuses_and_goes_on_when_room_is_made(
    name: str, leave: int, copies: Callable[[], World], mounted: Mount
) -> None:
    world = copies()
    town_name, person, verb = ON_THE_SITE[name]
    town: Town = getattr(world, town_name)
    before = world.catalog()
    mounted(town.site, size_of(town.site))
    town.acting(person)  # a session is open: what SQLite keeps beside its file is there
    fill(town.site, leave=leave)
    said = refused(lambda: verb(world, town))
    assert any(character.isdigit() for character in said), said
    (town.site / FILLER).unlink()
    assert world.catalog() == before
    assert world.trace() == []
    assert not (world.root / "notices").exists()
    verb(world, town)
    assert world.litter() == []
    assert sound(town)


def test_a_full_medium_refuses_a_sealing_which_goes_on_when_room_is_made(
    copies: Callable[[], World], mounted: Mount
) -> None:
    world = copies()
    medium = world.root / "medium"
    medium.mkdir()
    mounted(medium, 64 << 10)
    into = medium / "sealed"
    said = refused(lambda: world.port.acting("ines").seal(world.ids["out"], into))
    assert "expected room to write, found No space left on device, " in said
    assert not (into / "manifest.dsse.json").exists()
    subprocess.run(["mount", "-o", "remount,size=4m", str(medium)], check=True)  # noqa: S607
    sealed = world.port.acting("ines").seal(world.ids["out"], into)
    assert sealed["sequence"] == 4
    assert world.depot.acting("ines").verify_bundle([into])["entries"] == 1
    assert world.catalog()["port"]["numbers"]["out"] == [1, 2, 3, 4]
    assert world.litter() == []


def test_a_full_receiving_area_keeps_what_came_and_takes_the_rest_when_room_is_made(
    copies: Callable[[], World], mounted: Mount
) -> None:
    world = copies()
    before = world.catalog()
    area = world.depot.site / "receiving"
    area.mkdir(exist_ok=True)
    mounted(area, 64 << 10)
    ines = world.depot.acting("ines")
    said = refused(lambda: ines.take_bundle(world.root / "new", project="harbour", reason="exercise"))
    assert "room" in said
    assert any(character.isdigit() for character in said)
    assert world.catalog() == before
    subprocess.run(["mount", "-o", "remount,size=4m", str(area)], check=True)  # noqa: S607
    assert ines.take_bundle(world.root / "new", project="harbour", reason="exercise")["state"] == "waiting"
    assert world.litter() == []
    assert sound(world.depot)
