"""The page that a security officer files, and the statement that they sign."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from casemate.airlock import Finding, InspectedFile, InspectionReport
from casemate.airlock.inspection_statement import INSPECTION_TYPE, check, inspection_statement
from casemate.airlock.page import PageFacts, Signatory, bars, page
from casemate.airlock.page_words import Words, count, instant, plain, size
from casemate.errors import BadInput, DigestMismatch
from casemate.signing.statement import Statement, Subject
from casemate.store.digest import Digest

AT = datetime(2026, 11, 25, 19, 30, 12, tzinfo=UTC)
VIRUS = Finding("yara", "no match of the rule eicar_test_file", "the EICAR test file, at byte 0")
PHONE = Finding("personal data", "no telephone numbers", "2 telephone numbers", note=True)


def line(path: str, kind: str, *findings: Finding, inside: str = "") -> InspectedFile:
    return InspectedFile(
        path, Digest.of_bytes(path.encode()), 1234, kind, ("plain_text", "yara_rules"), findings, inside
    )


FILES = (
    line("<b>&\u202ename.txt", "text", VIRUS),
    line("a.zip", "zip", Finding("member", "every file inside clean", "a.zip!/in.txt refused")),
    line("a.zip!/in.txt", "text", VIRUS, PHONE, inside="a.zip"),
    line("clean.png", "png"),
    line("note.txt", "text", PHONE),
)
REPORT = InspectionReport(
    FILES,
    ("d/.DS_Store",),
    ("png", "text", "zip"),
    {"plain_text": {"plain_text": "1"}, "clamav": {"clamav": "ClamAV 1.4.6/27800"}, "yara_rules": {"yara": "4.5.4"}},
    {"no_network": True, "no_writing": False, "memory_bytes": 3 << 30, "landlock_version": 7},
)
FACTS = PageFacts(
    REPORT,
    "Livraison n\u00b0 <7>",
    "Brest",
    Words("RESTRICTED", "DIFFUSION RESTREINTE"),
    AT,
    (
        Signatory("Marie Le Goff", Words("security officer", "officier de sécurité"), "a1b2c3", AT),
        Signatory("Paul Martin", Words("courier's sponsor", "parrain du courrier")),
    ),
)


class Read(HTMLParser):
    """What matters to somebody who hears the page."""

    _VOID = frozenset({"meta", "input"})

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[int] = []
        self.tables_without_caption = 0
        self._after_table = False
        self.feed(data.decode())
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._after_table:
            self.tables_without_caption += tag != "caption"
        self._after_table = tag == "table"
        self.tags.append((tag, dict(attrs)))
        if tag not in self._VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def article(data: bytes, language: str) -> str:
    (text,) = re.findall(rf'<article lang="{language}">(.*?)</article>', data.decode(), re.DOTALL)
    return str(text)


def test_the_page_is_whole_refers_to_nothing_and_runs_nothing() -> None:
    text = page(FACTS).decode()
    assert "http" not in text.replace("http-equiv", "")
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert not re.search(r"\son\w+=|javascript:|\ssrc=|\shref=\"[^#]", text)
    assert page(FACTS) == page(FACTS)


def test_the_page_can_be_heard_and_walked_by_keyboard() -> None:
    read = Read(page(FACTS))
    assert read.headings == [1, *[2] * 7] * 2
    assert read.tables_without_caption == 0
    for tag, attributes in read.tags:
        if tag == "th":
            assert attributes["scope"] in {"col", "row"}
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-labelledby"]
    ids = [a["id"] for _, a in read.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"] for t, a in read.tags if t == "a"} <= {f"#{name}" for name in ids}
    named = " ".join(a["aria-labelledby"] or "" for _, a in read.tags if "aria-labelledby" in a).split()
    assert set(named) <= set(ids)
    assert [a["lang"] for t, a in read.tags if t == "html"] == ["fr"]
    assert [a["lang"] for t, a in read.tags if t == "article"] == ["fr", "en"]


def test_colours_of_text_stand_out_from_their_ground() -> None:
    css = page(FACTS).decode()
    colours = dict(re.findall(r"--([a-z-]+): #([0-9a-f]{6})", css))

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    def contrast(one: str, other: str) -> float:
        high, low = sorted((light(one), light(other)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    pairs = [("ink", "paper"), ("soft", "paper"), ("accent", "paper"), ("good", "paper"), ("bad", "paper"),
             ("good", "good-ground"), ("bad", "bad-ground"), ("note", "note-ground"), ("ink", "ground")]  # fmt: skip
    for text, ground in pairs:
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast("ffffff", "7a1518") >= 4.5
    assert contrast("b45f06", "ffffff") >= 3, "the outline of what has the focus"


def test_both_languages_say_the_same_under_the_marking() -> None:
    data = page(FACTS)
    french, english = article(data, "fr"), article(data, "en")
    assert "3 fichiers sont refusés" in french
    assert "3 files are refused" in english
    assert "25 novembre 2026, 19:30 UTC" in french
    assert "25 November 2026, 19:30 UTC" in english
    assert "3,2\u00a0Go" in french
    assert "3.2\u00a0GB" in english
    assert "Ne peut écrire aucun fichier</dt><dd>non" in french
    assert "Can write no file</dt><dd>no<" in english
    assert "Version de Landlock sur ce noyau</dt><dd>7" in french
    text = data.decode()
    for end in ("header", "footer"):
        (banner,) = re.findall(rf'<{end} class="marking">(.*?)</{end}>', text, re.DOTALL)
        assert re.findall(r"<span lang=\"(..)\">(.*?)</span>", banner) == [
            ("fr", "DIFFUSION RESTREINTE"), ("en", "RESTRICTED"),
        ]  # fmt: skip
    first_english = page(replace(FACTS, first_language="en")).decode()
    assert first_english.index('<article lang="en">') < first_english.index('<article lang="fr">')
    assert '<html lang="en">' in first_english


def test_refused_files_come_first_with_their_reasons_and_notes_stand_apart() -> None:
    english = article(page(FACTS), "en")
    refused, noted, rest = re.split(r'<h2 id="(?:noted|types)-en">', english)
    for finding in (VIRUS.found, VIRUS.expected, "a.zip!/in.txt refused"):
        assert finding in refused
    assert PHONE.found not in refused
    assert noted.count(PHONE.found) == 2
    assert "clean.png" not in refused + noted
    assert "clean.png" in rest
    assert str(FILES[3].digest.hex) in rest
    assert "ClamAV 1.4.6/27800" in rest
    assert "d/.DS_Store" in rest
    assert Digest.of_bytes(REPORT.to_json()).hex in english


def test_a_hostile_name_is_shown_and_does_nothing() -> None:
    text = page(FACTS).decode()
    assert "&lt;b&gt;&amp;\\u202ename.txt" in text
    assert "<b>" not in text
    assert "\u202e" not in text
    assert "Livraison n° &lt;7&gt;" in text


def test_who_signed_and_who_is_still_to_sign() -> None:
    english = article(page(FACTS), "en")
    assert re.search(r"Marie Le Goff.*security officer.*25 November 2026, 19:30 UTC.*a1b2c3", english)
    assert re.search(r"Paul Martin.*sponsor.*Not signed yet", english)
    assert "Not signed yet." in article(page(replace(FACTS, signatories=())), "en")


def test_long_lists_are_cut_and_the_page_says_how_much_is_in_the_json_only() -> None:
    many = replace(REPORT, files=tuple(line(f"{i:05}.txt", "text", VIRUS) for i in range(1500)))
    data = page(replace(FACTS, report=many, max_shown=100))
    english = article(data, "en")
    assert english.count("And 1,400 more, which are in the JSON report.") == 2
    assert "00099.txt" in english
    assert "00100.txt" not in english
    assert "Et 1\u202f400 de plus, dans le rapport JSON." in article(data, "fr")


def test_a_clean_report_says_so() -> None:
    clean = replace(REPORT, files=(line("a.png", "png"),), dropped=())
    data = page(replace(FACTS, report=clean))
    assert "✓ Sain" in article(data, "fr")
    assert "✓ Clean" in article(data, "en")
    assert article(data, "en").count("<p>None.</p>") == 2


def test_bars_are_the_types_by_number_the_rest_in_one() -> None:
    files = [line(f"{t}{i}", f"type {t}") for t in range(15) for i in range(20 - t)]
    files += [line("broken", "", VIRUS)]
    drawn = bars(files)
    assert [b.type for b in drawn] == [*(f"type {t}" for t in range(11)), ""]
    assert sum(b.files for b in drawn) == len(files)
    assert drawn[-1].refused == 1
    assert drawn[0].width == max(b.width for b in drawn[:-1])
    assert bars([]) == []


def test_figures_are_written_as_each_language_does() -> None:
    assert [size(n, "en") for n in (0, 999, 1000, 123_456, 7 * 10**9)] == [
        "0\u00a0B", "999\u00a0B", "1.0\u00a0kB", "123\u00a0kB", "7.0\u00a0GB",
    ]  # fmt: skip
    assert size(1500, "fr") == "1,5\u00a0ko"
    assert (count(1234567, "en"), count(1234567, "fr")) == ("1,234,567", "1\u202f234\u202f567")
    assert instant(datetime(2026, 12, 1, tzinfo=UTC), "fr") == "1er décembre 2026, 00:00 UTC"
    assert plain("a\nb\u2066\ud800") == "a\\nb\\u2066\\ud800"


# ── The statement ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_statement_is_about_the_reports_bytes_and_repeats_its_head() -> None:
    statement = inspection_statement(REPORT, at=AT)
    data = REPORT.to_json()
    assert statement.predicate_type == "urn:casemate:inspection:1" == INSPECTION_TYPE
    assert statement.subjects == (Subject("inspection.json", Digest.of_bytes(data).hex),)
    assert statement.predicate["totals"] == {"bytes": 5 * 1234, "files": 5, "refused": 3}
    assert statement.predicate["verdict"] == "refused"
    assert statement.predicate["inspected_at"] == "2026-11-25T19:30:12Z"
    assert statement.predicate["scanners"]["yara_rules"] == {"yara": "4.5.4"}
    check(Statement.from_json(statement.to_json()), data)


def test_a_statement_about_other_bytes_of_another_kind_or_that_says_otherwise_is_refused() -> None:
    statement, data = inspection_statement(REPORT, at=AT), REPORT.to_json()
    with pytest.raises(DigestMismatch, match=r"inspection report: expected [0-9a-f]{64}, found [0-9a-f]{64}"):
        check(statement, data.replace(b"refused", b"clean", 1))
    with pytest.raises(BadInput, match=r"inspection statement: expected urn:casemate:inspection:1, found urn:other"):
        check(replace(statement, predicate_type="urn:other"), data)
    with pytest.raises(BadInput, match=r"inspection statement verdict: expected refused, found clean"):
        check(replace(statement, predicate={**statement.predicate, "verdict": "clean"}), data)
    old = json.dumps({**json.loads(data), "format": "casemate-inspection/1"}).encode()
    other = replace(statement, subjects=(Subject("inspection.json", Digest.of_bytes(old).hex),))
    with pytest.raises(BadInput, match=r"expected casemate-inspection/2, found casemate-inspection/1"):
        check(other, old)
    none = replace(statement, subjects=(Subject("inspection.json", Digest.of_bytes(b"[]").hex),))
    with pytest.raises(BadInput, match=r"inspection report: expected JSON of format casemate-inspection/2"):
        check(none, b"[]")
