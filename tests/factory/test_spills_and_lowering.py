"""Markings that move: a copy lowered by two people; a spill that is found, raised, withdrawn, recalled and undone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from casemate.catalog import NewEntry
from casemate.errors import AirlockClosed, BadInput, NotAllowed, NotFound
from casemate.factory.desk import utc_now
from casemate.store import put_folder
from tests.factory.test_airlock import DEPOT, reconciled, sent, sound, taken
from tests.factory.town import Town, decided, found, introduce
from tests.modalities.imagery.scenes import write_set


@pytest.fixture
def towns(tmp_path: Path) -> tuple[Town, Town]:
    port = found(tmp_path / "port", clock=utc_now)
    depot = found(tmp_path / "depot", clock=utc_now, name="depot", ceiling="DR", people=DEPOT)
    introduce(port, depot)
    port.acting("claire").add_project("open", marking="NP", members=frozenset({"ines", "lea"}))
    port.acting("ines").import_dataset(
        write_set(tmp_path / "ports", scenes=1, seed=1), name="ports", marking="DR", project="harbour"
    )
    return port, depot


def model_of(town: Town, root: Path, name: str, parent: str) -> dict[str, Any]:
    """A model made from an entry: enough for lineage."""
    ines = town.acting("ines")
    root.mkdir()
    (root / "model.json").write_text(json.dumps({"name": name}))
    parent_entry = ines.view.find(parent)
    new = NewEntry(
        "model", name, "harbour", parent_entry.marking, put_folder(ines.store, root).digest, (parent_entry.id,)
    )
    return {"id": ines.catalog.register(new, by=ines.reader, sign=ines.sign).id}


def test_a_lowered_copy_needs_two_people_and_tells_nothing_of_its_original(towns: tuple[Town, Town]) -> None:
    port, _ = towns
    ines, original = port.acting("ines"), port.acting("ines").show("ports")
    order = ines.ask_lower("ports", marking="NP", project="open", reason="nothing in it is sensitive")
    assert (order["state"], order["marking"]) == ("waiting", "DR")
    with pytest.raises(AirlockClosed, match="expected 1 by different people as officer, found 0"):
        port.acting("claire").carry_out(order["id"])
    decided(port, order["id"])
    copy = port.acting("claire").carry_out(order["id"])[0]
    assert (copy["marking"], copy["project"], copy["digest"]) == ("NP", "open", original["digest"])
    assert port.acting("claire").carry_out(order["id"])[0]["id"] == copy["id"]
    tom = port.acting("tom")
    assert [entry["id"] for entry in tom.entries(project="open")] == [copy["id"]]
    assert [node["id"] for node in tom.lineage(copy["id"])["nodes"]] == [copy["id"]]
    told = json.dumps(tom.journal(limit=100)) + json.dumps(copy["facts"])
    assert original["id"] not in told
    assert order["id"] not in told
    assert sound(port)


def test_a_marking_is_not_lowered_to_where_it_is_or_into_a_project_above(towns: tuple[Town, Town]) -> None:
    port, _ = towns
    with pytest.raises(BadInput, match="marking of dataset ports: expected one lower than DR, found DR"):
        port.acting("ines").ask_lower("ports", marking="DR", project="harbour", reason="?")
    with pytest.raises(BadInput, match="project harbour: expected one within NP, found DR"):
        port.acting("ines").ask_lower("ports", marking="NP", project="harbour", reason="?")


def test_a_spill_raises_all_that_was_made_recalls_what_was_sent_and_can_be_undone(
    towns: tuple[Town, Town], tmp_path: Path
) -> None:
    port, depot = towns
    model = model_of(port, tmp_path / "m1", "vessels", "ports")
    order = port.acting("ines").ask_lower("ports", marking="NP", project="open", reason="nothing in it is sensitive")
    decided(port, order["id"])
    lowered = port.acting("claire").carry_out(order["id"])[0]
    sealed = sent(port, tmp_path / "bundle", "harbour/ports")
    there = taken(depot, tmp_path / "bundle")
    reconciled(port, depot, tmp_path / "receipts")
    port.acting("ines").get("harbour/ports", tmp_path / "copy")

    shown = port.acting("claire").spill(
        "harbour/ports", raise_to="S", reason="the berth is secret", into=tmp_path / "spill"
    )

    lea, ines = port.acting("lea"), port.acting("ines")
    assert {lea.show(i)["marking"] for i in (model["id"], lowered["id"])} == {"S"}
    for gone in ("ports", model["id"], lowered["id"]):
        with pytest.raises(NotFound):
            ines.show(gone)
    assert "berth" not in json.dumps(ines.journal(limit=200))
    account = json.loads((tmp_path / "spill" / "spill.json").read_text())
    assert [(s["peer"], s["sequence"], s["marking"]) for s in account["sent"]] == [("depot", sealed["sequence"], "DR")]
    assert [(h["by"], h["verb"]) for h in account["handed_out"]] == [("ines", "get")]
    assert sound(port)

    notices = sorted((tmp_path / "spill").glob("recall-depot-*.dsse.json"))
    heard = depot.acting("claire").notice(notices[0])
    assert (heard["raise_to"], [e["id"] for e in heard["here"]]) == ("", [there[0]["id"]])
    assert "secret" not in (tmp_path / "spill" / notices[0].name.replace(".dsse.json", ".html")).read_text()

    undo = port.acting("claire").ask_restore(shown["spill"], reason="it was not, after all")
    with pytest.raises(NotAllowed, match="decision by claire: expected somebody other than the author"):
        port.acting("claire").decide(undo["id"], reason="mine")
    with pytest.raises(AirlockClosed):
        port.acting("claire").carry_out(undo["id"])


def test_numbers_of_a_channel_stay_spent_when_what_they_carried_is_raised(
    towns: tuple[Town, Town], tmp_path: Path
) -> None:
    port, depot = towns
    first = sent(port, tmp_path / "first", "ports")
    taken(depot, tmp_path / "first")
    port.acting("claire").spill("ports", raise_to="S", reason="secret", into=tmp_path / "spill")
    other = write_set(tmp_path / "other", scenes=1, seed=2)
    port.acting("ines").import_dataset(other, name="other", marking="DR", project="harbour")
    second = sent(port, tmp_path / "second", "other")
    assert (first["sequence"], second["sequence"]) == (1, 2)
    assert len(taken(depot, tmp_path / "second")) == 1


def test_a_sealed_order_whose_entry_was_raised_since_does_not_leave(towns: tuple[Town, Town], tmp_path: Path) -> None:
    port, _ = towns
    order = port.acting("ines").ask_out(["ports"], to="depot", reason="exercise")
    decided(port, order["id"])
    port.acting("claire").spill("ports", raise_to="S", reason="secret", into=tmp_path / "spill")
    with pytest.raises(NotFound):
        port.acting("ines").seal(order["id"], tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_spill_is_for_an_officer_who_is_cleared_for_the_site(towns: tuple[Town, Town], tmp_path: Path) -> None:
    port, _ = towns
    for name in ("ines", "lea"):
        with pytest.raises(NotAllowed):
            port.acting(name).spill("ports", raise_to="DR", reason="?", into=tmp_path / name)
    low = port.acting("claire", ceiling="DR")
    with pytest.raises(NotAllowed, match="expected an officer cleared for the site's ceiling S"):
        low.spill("ports", raise_to="DR", reason="?", into=tmp_path / "low")
    assert not (tmp_path / "low").exists()


def test_two_people_undo_a_spill(tmp_path: Path) -> None:
    people = {
        "ines": ("DR//FRA", {"author"}), "paul": ("S//FRA", {"sponsor"}), "odile": ("S//FRA", {"officer"}),
        "tom": ("NP//FRA", set()),
    }  # fmt: skip
    port = found(tmp_path / "port", clock=utc_now, people=people)  # type: ignore[arg-type]
    port.acting("ines").import_dataset(
        write_set(tmp_path / "ports", scenes=1, seed=1), name="ports", marking="DR", project="harbour"
    )
    spilled = port.acting("claire").spill("ports", raise_to="S", reason="secret?", into=tmp_path / "spill")
    undo = port.acting("claire").ask_restore(spilled["spill"], reason="a mistake")
    port.acting("paul").decide(undo["id"], reason="read")
    port.acting("odile").decide(undo["id"], reason="read")
    port.acting("odile").carry_out(undo["id"])
    assert port.acting("ines").show("ports")["marking"] == "DR"
    assert sound(port)
