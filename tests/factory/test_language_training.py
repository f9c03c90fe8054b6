"""Language data and models on a site: imported, learned from, carried to another site, and never read from above."""

from __future__ import annotations

from pathlib import Path

import pytest

from casemate.errors import BadInput, InspectionRefused, NotFound
from casemate.factory.desk import utc_now
from tests.factory.test_airlock import DEPOT, sent, taken
from tests.factory.town import Town, decided, found, introduce
from tests.modalities.language.sets import chats, texts, write_lines

LANGUAGE = {"project": "harbour", "modality": "language"}
TINY = {"objective": "chat", "context": 96}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """A port with two sets: texts at DR, conversations at S; a model made of conversations at DR."""
    port = found(tmp_path_factory.mktemp("port"), clock=utc_now)
    ines = port.acting("ines")
    ines.import_dataset(texts(port.root / "words"), name="words", marking="DR", **LANGUAGE)
    ines.import_dataset(chats(port.root / "talks"), name="talks", marking="DR", **LANGUAGE)
    port.acting("lea").import_dataset(chats(port.root / "secret", 5), name="secret", marking="S", **LANGUAGE)
    ines.train(["talks"], name="first", recipe="debug", executor="inline", settings=TINY | {"gguf": "q8_0"}, **LANGUAGE)
    return port


def test_language_data_are_imported_with_their_facts(port: Town) -> None:
    facts = port.acting("ines").show("words")["facts"]
    assert (facts["modality"], facts["label_format"], facts["documents"]) == ("language", "text", 8)
    assert facts["languages"] == {"fr": 8}
    assert facts["inspection"].startswith("sha256:")


def test_a_trained_model_says_its_task_and_serves_as_a_base(port: Town) -> None:
    first = port.acting("ines").show("first")
    assert (first["facts"]["task"], first["facts"]["base"], first["marking"]) == ("chat", "", "DR")
    assert first["facts"]["parameters"] > 0
    second = port.acting("lea").train(
        ["secret"], name="second", recipe="fine_tune", base="first", executor="inline",
        settings=TINY | {"steps": 2, "validation_share": 0.0, "validate_every": 0, "gguf": "none"}, **LANGUAGE,
    )  # fmt: skip
    assert second["marking"] == "S"
    shown = port.acting("lea").show("second")
    assert shown["facts"]["base"] == first["digest"]
    nodes = {node["name"] for node in port.acting("lea").lineage("second")["nodes"]}
    assert nodes == {"first", "second", "secret", "talks"}


def test_a_base_that_is_none_for_this_person_is_not_found(port: Town) -> None:
    with pytest.raises(NotFound) as unseen:
        port.acting("ines").train(["talks"], name="x", base="second", executor="inline", **LANGUAGE)
    with pytest.raises(NotFound) as absent:
        port.acting("ines").train(["talks"], name="x", base="nothing", executor="inline", **LANGUAGE)
    assert str(unseen.value).replace("second", "nothing") == str(absent.value)


def test_a_recipe_that_needs_a_base_says_how_to_give_one(port: Town) -> None:
    with pytest.raises(BadInput, match=r"recipe fine_tune: expected a base model to start from \(--base\), found none"):
        port.acting("ines").train(["talks"], name="x", recipe="fine_tune", executor="inline", **LANGUAGE)


def test_a_base_of_another_modality_is_refused(port: Town) -> None:
    with pytest.raises(BadInput, match=r"base model first: expected modality imagery, found language"):
        port.acting("ines").train(["talks"], name="x", base="first", project="harbour", modality="imagery")


def test_language_data_and_models_cross_to_another_site(port: Town, tmp_path: Path) -> None:
    depot = found(tmp_path / "depot", clock=utc_now, name="depot", ceiling="DR", people=DEPOT)
    introduce(port, depot)
    sent(port, tmp_path / "bundle", "words", "first")
    there = {entry["name"]: entry for entry in taken(depot, tmp_path / "bundle")}
    assert there["words"]["digest"] == port.acting("ines").show("words")["digest"]
    assert there["first"]["facts"]["task"] == "chat"


def test_language_data_come_in_by_courier_too(port: Town, tmp_path: Path) -> None:
    ines = port.acting("ines")
    row = ines.take_folder(
        texts(tmp_path / "stick"), kind="dataset", name="brought", marking="DR", reason="x", **LANGUAGE
    )
    decided(port, row["id"])
    assert ines.carry_out(row["id"])[0]["facts"]["documents"] == 8


def test_what_the_modality_does_not_read_is_refused(port: Town, tmp_path: Path) -> None:
    folder = texts(tmp_path / "words")
    (folder / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InspectionRefused, match=r"table.csv"):
        port.acting("ines").import_dataset(folder, name="y", marking="DR", **LANGUAGE)
    (folder / "table.csv").unlink()
    write_lines(folder / "bad.jsonl", [{"text": ""}])
    with pytest.raises(BadInput, match=r"bad.jsonl:1 text: expected a text that is not empty, found ''"):
        port.acting("ines").import_dataset(folder, name="y", marking="DR", **LANGUAGE)
