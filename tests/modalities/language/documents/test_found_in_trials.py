"""What was tried by hand and went wrong once: text that lay too deep, headers not looked at, readings without end."""

from __future__ import annotations

from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from casemate.modalities.language.documents import child
from casemate.modalities.language.documents.limits import Limits
from casemate.modalities.language.documents.readers import find
from casemate.modalities.language.documents.source import Found, Source, UnreadableError
from tests.modalities.language.documents import makers
from tests.modalities.language.documents.conftest import ReadFiles

Passages = Callable[[], list[Any]]


def texts(name: str, data: bytes, reader: str) -> list[str]:
    return [block.text for block in find(reader).read(Source(name, data=data), Found(Limits()))]


@pytest.mark.parametrize("depth", [300, 2000])
def test_text_in_deep_pages_is_read(depth: int) -> None:
    page = f"<html><body>{'<div>' * depth}au fond{'</div>' * depth}<p>la fin</p></body></html>"
    assert texts("a.html", page.encode(), "html") == ["au fond", "la fin"]


def test_a_page_too_deep_to_be_read_whole_is_refused_and_not_cut() -> None:
    page = f"<html><body>{'<b><i>mot ' * 5000}</body></html>".encode()
    with pytest.raises(UnreadableError, match="expected elements at most 2,048 deep, found deeper ones"):
        texts("a.html", page, "html")


@pytest.mark.parametrize("times", ["9" * 6000, "²", "-3", "1e9", ""])
def test_cells_repeated_without_end_or_sense_are_some_cells(times: str) -> None:
    cell = f'<table:table-cell table:number-columns-repeated="{times}"><text:p>été</text:p></table:table-cell>'
    rows = f'<table:table table:name="a"><table:table-row>{cell}</table:table-row></table:table>'
    name, row = texts("a.ods", makers.odf_with(rows), "odf")
    assert name == "a"
    assert 1 <= row.count("été") <= 100


def test_what_is_attached_to_a_mail_is_taken_out_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    inner, times, reader = b"", list[str](), find("eml")
    for name in ("inner", "outer"):
        message = EmailMessage()
        message["From"] = "a@example.fr"
        message.set_content("Voir les pièces jointes.")
        for number in range(30):
            said = f"La pièce numéro {number} de {name}.".encode()
            message.add_attachment(said, maintype="text", subtype="plain", filename=f"{number}.txt")
        if inner:
            message.add_attachment(inner, maintype="application", subtype="octet-stream", filename="inner.eml")
        inner = message.as_bytes()
    (tmp_path / "a.eml").write_bytes(inner)
    read = reader.read
    monkeypatch.setattr(reader, "read", lambda source, found: times.append(source.name) or read(source, found))
    reading = child._Reading(tmp_path, Limits(), None, child._Out(-1))
    for number in range(30):
        for inside in ([f"{number}.txt"], ["inner.eml", f"{number}.txt"]):
            data = reading._source({"file": "a.eml", "inside": inside}).data
            assert f"numéro {number} de {'inner' if len(inside) > 1 else 'outer'}".encode() in data
    assert times == ["a.eml", "inner.eml"]


def test_markings_around_pages_are_read_wherever_they_stand() -> None:
    words = "DIFFUSION RESTREINTE"
    assert texts("a.docx", makers.docx_around(words, "SPÉCIAL FRANCE"), "docx")[:2] == ["SPÉCIAL FRANCE", words]
    assert texts("a.pptx", makers.pptx_behind(words), "pptx").count(words) == 1
    assert texts("a.xlsx", makers.xlsx_around(f"{words} &P sur &N"), "xlsx")[-1] == f"{words} 1 sur 1"
    for place in ("header", "footer-left", "header-first"):
        around = f"<style:{place}><text:p>{words}</text:p></style:{place}>"
        assert texts("a.odt", makers.odf_with("<text:p>Le quai.</text:p>", "text", around=around), "odf")[0] == words


def test_a_long_table_says_that_it_is_still_read() -> None:
    told: list[int] = []
    found = Found(Limits(), on_page=lambda: told.append(1))
    blocks = list(find("csv").read(Source("a.csv", data=b"quai,nord\n" * 10_000), found))
    assert (len(blocks), len(told)) == (500, 5)


def test_a_subject_and_a_second_page_raise_what_is_suggested(read: ReadFiles) -> None:
    mail = b"From: a@example.fr\nSubject: =?iso-8859-1?Q?[DIFFUSION_RESTREINTE]_r=E9union?=\n\nBonjour.\n"
    found = read({"a.eml": mail, "b.md": b"# Note\n\nspecial france\n\nLe quai est ouvert.\n"})
    assert str(found.suggested) == "DR//REL TO FRA"


def test_a_header_in_bytes_that_say_no_encoding_is_read_or_refused(read: ReadFiles, passages: Passages) -> None:
    mail = b"From: a@example.fr\nSubject: R\xe9union \xe0 l'\xe9t\xe9\n\nBonjour.\n"
    found = read({"a.eml": mail, "b.eml": mail.replace(b"\xe9", b"\x82")})
    assert [document.title for document in found.documents] == ["Réunion à l'été"]
    assert found.documents[0].notes == ("text: read as Windows-1252, which it does not say",)
    assert "plausible as Windows-1252" in found.refused[0].reason


def test_texts_say_their_encoding_in_a_note(read: ReadFiles, passages: Passages) -> None:
    files = {
        "a.txt": "L’été à quai".encode("cp1252"), "b.csv": '"Été";"Nord"\n'.encode("utf-16"),
        "c.html": "<meta charset=iso-8859-15><p>12 €</p>".encode("iso8859-15"),
        "d.xml": "<?xml version='1.0' encoding='latin1'?><a>é</a>".encode("latin-1"), "e.md": "l'été".encode(),
    }  # fmt: skip
    found = read(files)
    assert [document.notes for document in found.documents] == [
        ("text: read as Windows-1252, which it does not say",), ("text: read as UTF-16, as its mark says",),
        ("text: read as ISO-8859-15, as it says",), ("text: read as Windows-1252, as it says",), (),
    ]  # fmt: skip
    assert [p.text for p in passages()] == ["L’été à quai", "Été | Nord", "12 €", "é", "l'été"]
    assert found.refused == ()
