"""What the signed policy of exchange asks of inspection is done, at every door."""

from __future__ import annotations

from pathlib import Path

import pytest

from casemate.errors import BadInput, InspectionRefused
from casemate.factory.desk import utc_now
from tests.factory.town import Town, found
from tests.modalities.imagery.scenes import write_set


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return found(tmp_path / "town", clock=utc_now)


def ask(town: Town, old: str, new: str) -> None:
    """Put another policy of exchange in force."""
    text = town.acting("claire").policy_text("exchange")
    assert old in text
    file = town.root / "exchange.toml"
    file.write_text(text.replace(old, new), encoding="utf-8")
    town.acting("claire").set_policy("exchange", file, reason="stricter")


def papers(town: Town, text: str) -> Path:
    folder = town.root / "papers"
    folder.mkdir(exist_ok=True)
    (folder / "note.txt").write_text(text, encoding="utf-8")
    return folder


def bring(town: Town, folder: Path) -> None:
    town.acting("ines").take_folder(
        folder, kind="documents", name="papers", project="harbour", marking="DR", reason="archive"
    )


def test_an_antivirus_that_is_asked_for_and_does_not_answer_is_a_refusal(town: Town) -> None:
    ask(town, 'antivirus = ""', f'antivirus = "{town.root / "no.socket"}"')
    with pytest.raises(InspectionRefused, match=r"note\.txt: expected an antivirus that reads the file whole"):
        bring(town, papers(town, "harmless"))
    images = write_set(town.root / "ports", scenes=1, seed=1)
    with pytest.raises(InspectionRefused, match="expected an antivirus"):
        town.acting("ines").import_dataset(images, name="ports", marking="DR", project="harbour")


def test_rules_of_the_site_refuse_what_they_name(town: Town) -> None:
    ask(town, 'rules = ""', "rules = '''rule codename { strings: $a = \"OPERATION GRANIT\" condition: $a }'''")
    bring(town, papers(town, "nothing of note"))
    with pytest.raises(InspectionRefused, match=r"note\.txt: .*codename"):
        bring(town, papers(town, "see OPERATION GRANIT"))


def test_notes_refuse_where_the_policy_says_so(town: Town) -> None:
    text = "Écrire à jean.dupont@exemple.fr\n"
    bring(town, papers(town, text))
    ask(town, "refuse = []", 'refuse = ["personal data"]')
    with pytest.raises(InspectionRefused, match=r"note\.txt: expected no personal data, found e-mail address: 1"):
        bring(town, papers(town, text + "bis\n"))


def test_rules_that_do_not_compile_are_named_by_their_line(town: Town) -> None:
    ask(town, 'rules = ""', "rules = '''rule broken { condition: nonsense }'''")
    with pytest.raises(BadInput, match="line:1:26"):
        bring(town, papers(town, "harmless"))
