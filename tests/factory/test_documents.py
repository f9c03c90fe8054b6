"""Documents come in by both doors as the same set; what is written in them refuses or raises; readers see their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from casemate.errors import AboveCeiling, BadInput, BadMarking, InspectionRefused, NotAllowed, NotFound
from casemate.factory import Factory
from casemate.store import get_bytes, get_manifest
from tests.airlock.samples.mails import eml
from tests.factory.test_airlock import DEPOT, sent, taken
from tests.factory.town import Town, found, introduce
from tests.modalities.language.documents import makers

HOW = {"marking": "DR", "project": "harbour"}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return found(tmp_path_factory.mktemp("town") / "port")


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    (folder / "mail").mkdir(parents=True)
    (folder / "consignes.pdf").write_bytes(makers.pdf(2))
    (folder / "mail" / "a.eml").write_bytes(eml(("note.txt", "Une note jointe à la réunion.".encode())))
    (folder / "scan.png").write_bytes(makers.png())
    return folder


def files_of(factory: Factory, entry: dict[str, object]) -> dict[str, bytes]:
    manifest = get_manifest(factory.store, factory.view.get(str(entry["id"])).digest)
    return {file.path: get_bytes(factory.store, file.digest) for file in manifest.files}


def test_documents_come_in_as_a_set_with_its_facts(town: Town, papers: Path) -> None:
    ines = town.acting("ines")
    entry = ines.import_documents(papers, name="papers", **HOW, licence="own")
    facts = entry["facts"]
    assert (entry["kind"], entry["marking"]) == ("documents", "DR")
    assert {k: facts[k] for k in ("documents", "files", "pages", "ocr_pages", "unread_pages", "refused")} == {
        "documents": 4, "files": 3, "pages": 3, "ocr_pages": 0, "unread_pages": 1, "refused": 0,
    }  # fmt: skip
    assert facts["kinds"] == {"eml": 1, "image": 1, "pdf": 1, "text": 1}
    files = files_of(ines, entry)
    assert sorted(files) == [
        "documents.jsonl", "files/consignes.pdf", "files/mail/a.eml", "files/scan.png", "passages.jsonl",
    ]  # fmt: skip
    listed = ines.documents(str(entry["id"]))
    assert [d["path"] for d in listed] == ["consignes.pdf", "mail/a.eml", "mail/a.eml!/note.txt", "scan.png"]
    lines = [json.loads(line) for line in files["passages.jsonl"].splitlines()]
    assert {line["document"] for line in lines} == {d["id"] for d in listed if d["passages"]}
    assert not [p for p in ines.site.quarantine.iterdir() if p.name != ".lock"]


def test_a_passage_opens_its_page_at_the_place(town: Town, papers: Path) -> None:
    ines = town.acting("ines")
    entry = str(ines.import_documents(papers, name="to be opened", **HOW)["id"])
    of = {d["path"]: d for d in ines.documents(entry)}
    shown = ines.passage(entry, f"{of['consignes.pdf']['id']}-00001")
    assert shown["png"].startswith(b"\x89PNG")
    assert (shown["marking"], shown["wording"]) == ("DR", "DIFFUSION RESTREINTE")
    assert makers.HEADING in shown["passage"]["text"]
    note = ines.passage(entry, f"{of['mail/a.eml!/note.txt']['id']}-00001")
    assert (note["png"], note["passage"]["text"]) == (None, "Une note jointe à la réunion.")
    with pytest.raises(NotFound, match=r"passage x: expected a passage of to be opened, found none"):
        ines.passage(entry, "x")
    assert not [p for p in ines.site.shelf.iterdir() if p.name.startswith(".page-")]
    assert "note jointe" not in json.dumps(ines.journal())


def test_who_may_not_read_a_set_finds_nothing(town: Town, papers: Path) -> None:
    entry = str(town.acting("ines").import_documents(papers, name="not for tom", **HOW)["id"])
    tom = town.acting("tom")
    for read in (lambda: tom.documents(entry), lambda: tom.passage(entry, "x")):
        with pytest.raises(NotFound) as above:
            read()
        with pytest.raises(NotFound) as absent:
            tom.documents("a" * 26)
        assert str(above.value).replace(entry, "") == str(absent.value).replace("a" * 26, "")
    assert tom.entries(kind="documents") == []


def test_markings_that_are_written_refuse_or_raise_and_never_lower(town: Town, tmp_path: Path) -> None:
    lea = town.acting("lea")
    folder = tmp_path / "marked"
    folder.mkdir()
    (folder / "a.txt").write_text("SECRET\n\nLe quai est fermé.\n", encoding="utf-8")
    (folder / "b.txt").write_text("NON PROTÉGÉ\n\nLe quai est ouvert.\n", encoding="utf-8")
    why = r"documents marked: expected documents marked within DR, .*, found S written in a\.txt"
    with pytest.raises(BadMarking, match=why):
        lea.import_documents(folder, name="marked", **HOW)
    assert lea.entries(kind="documents", text="marked") == []
    entry = lea.import_documents(folder, name="marked", **HOW, accept_markings=True)
    assert (entry["marking"], entry["facts"]["suggested_marking"]) == ("S", "S")
    (folder / "a.txt").unlink()
    assert lea.import_documents(folder, name="low", **HOW)["marking"] == "DR"


def test_markings_above_the_ceiling_are_never_accepted(town: Town, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("TRÈS SECRET\n\nLe quai.\n", encoding="utf-8")
    with pytest.raises((AboveCeiling, NotAllowed, BadMarking)):
        town.acting("lea").import_documents(tmp_path / "a.txt", name="top", **HOW, accept_markings=True)


def test_what_inspection_refuses_leaves_nothing(town: Town, papers: Path) -> None:
    (papers / "x.html").write_text("<html><script>1</script></html>")
    ines = town.acting("ines")
    with pytest.raises(InspectionRefused, match=r"x\.html: expected elements that only show"):
        ines.import_documents(papers, name="refused", **HOW)
    assert ines.entries(kind="documents", text="refused") == []


def test_documents_that_no_reader_opens_are_named(town: Town, papers: Path) -> None:
    (papers / "weights.parquet").write_bytes(_parquet())
    ines = town.acting("ines")
    entry = ines.import_documents(papers, name="with a table", **HOW)
    assert entry["facts"]["refused_documents"] == [
        {"path": "weights.parquet", "reason": "expected a kind of document that is read, found .parquet"}
    ]
    assert "files/weights.parquet" not in files_of(ines, entry)
    with pytest.raises(BadInput, match=r"expected at least one document that can be read, found weights\.parquet"):
        ines.import_documents(papers / "weights.parquet", name="only a table", **HOW)


def _parquet() -> bytes:
    import io

    import pyarrow as pa
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(pa.table({"a": [1, 2]}), out)
    return out.getvalue()


def test_both_doors_make_the_same_set(town: Town, papers: Path) -> None:
    ines = town.acting("ines")
    one = files_of(ines, ines.import_documents(papers, name="by the near door", **HOW))
    row = ines.take_folder(papers, kind="documents", name="by the airlock", **HOW, reason="archive")
    for person in ("claire", "paul"):
        town.acting(person).decide(row["id"], reason="seen")
    (entry,) = ines.carry_out(row["id"])
    assert files_of(ines, entry) == one
    assert entry["facts"]["passages"] == one["passages.jsonl"].count(b"\n")


def test_the_text_of_a_file_is_read_and_not_kept(town: Town, papers: Path) -> None:
    ines = town.acting("ines")
    before = len(ines.entries())
    read = ines.read_text(papers / "consignes.pdf", marking="DR")
    assert makers.WORDS in " ".join(read["text"].split())
    assert (read["marking"], read["pages"], read["release"]) == ("DR", 2, "")
    assert ines.read_text(papers / "scan.png", marking="DR")["notes"] == [
        "scan.png: page 1: a picture, not read: no OCR model"
    ]
    assert len(ines.entries()) == before
    act = ines.journal(limit=1)[0]
    assert (act["verb"], act["facts"]["pages"]) == ("ocr", 1)
    assert "cargaison" not in json.dumps(ines.journal())


def test_a_set_crosses_to_another_site_as_it_is(town: Town, papers: Path, tmp_path: Path) -> None:
    depot = found(tmp_path / "depot", clock=town.clock, name="depot", ceiling="DR", people=DEPOT)
    introduce(town, depot)
    entry = town.acting("ines").import_documents(papers, name="crossing", **HOW)
    sent(town, tmp_path / "bundle", str(entry["id"]))
    (there,) = taken(depot, tmp_path / "bundle")
    assert (there["kind"], there["digest"]) == ("documents", entry["digest"])
    assert there["facts"]["passages"] == entry["facts"]["passages"]
    assert next(d["path"] for d in depot.acting("ines").documents(there["id"])) == "consignes.pdf"


def test_a_site_without_local_import_takes_documents_by_the_airlock_only(tmp_path: Path, papers: Path) -> None:
    town = found(tmp_path / "strict")
    policy = tmp_path / "exchange.toml"
    policy.write_text(town.acting("claire").policy_text("exchange").replace("import = true", "import = false"))
    town.acting("claire").set_policy("exchange", policy, reason="one door")
    with pytest.raises(NotAllowed, match=r"documents papers: expected a delivery through the airlock"):
        town.acting("ines").import_documents(papers, name="papers", **HOW)
