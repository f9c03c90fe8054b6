"""Personal data and secrets are told by kind and place, with their check digits, and never shown."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from casemate.airlock.inspect import personal_data
from casemate.airlock.limits import ScanLimits
from casemate.airlock.personal import Summary, find, masked, people
from casemate.airlock.personal.secrets import SECRETS
from tests.airlock.conftest import Arrive, Inspected
from tests.airlock.samples.documents import PAGE, odf_of, ooxml_of, pdf_of, stream_of

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _kinds(text: str) -> list[tuple[str, str]]:
    return [(found.kind, text[found.start : found.end]) for found in find(text)]


def _with_checksum(prefix: str) -> str:
    body = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5"
    value, written = zlib.crc32(body.encode()), ""
    for _ in range(6):
        value, rest = divmod(value, 62)
        written = _BASE62[rest] + written
    return prefix + body + written


def _nir(first: str) -> str:
    number = int(first.replace("2A", "19").replace("2B", "18"))
    return f"{first}{97 - number % 97:02d}"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("e-mail address", "jean.dupont+test@exemple.gouv.fr"),
        ("e-mail address", "józef@example.org"),
        ("telephone number", "01 23 45 67 89"),
        ("telephone number", "06.12.34.56.78"),
        ("telephone number", "0612345678"),
        ("telephone number", "+33 6 12 34 56 78"),
        ("telephone number", "+33 (0)1 23 45 67 89"),
        ("telephone number", "0033 1 23 45 67 89"),
        ("telephone number", "+44 20 7946 0958"),
        ("telephone number", "+4930123456"),
        ("telephone number", "(212) 555-0123"),
        ("NIR", _nir("1850578006084")),
        ("NIR", "1 85 05 78 006 084 " + _nir("1850578006084")[13:]),
        ("NIR", _nir("185052A006084")),
        ("NIR", _nir("299052B006084")),
        ("SIRET", "732 829 320 00074"),
        ("IBAN", "FR76 3000 6000 0112 3456 7890 189"),
        ("IBAN", "GB82WEST12345698765432"),
        ("payment card", "4111 1111 1111 1111"),
        ("payment card", "5555-5555-5555-4444"),
        ("payment card", "378282246310005"),
        ("IP address", "192.0.2.146"),
        ("IP address", "2001:db8::8a2e:370:7334"),
        ("private key", "-----BEGIN PRIVATE KEY-----"),
        ("private key", "-----BEGIN OPENSSH PRIVATE KEY-----"),
        ("private key", "-----BEGIN RSA PRIVATE KEY-----"),
        ("private key", "-----BEGIN PGP PRIVATE KEY BLOCK-----"),
        ("AWS key", "AKIA" + "QYLPMN5HFIQR7XYA"),
        ("GitHub token", _with_checksum("ghp_")),
        ("npm token", _with_checksum("npm_")),
        ("service token", "glpat-" + "a1B2c3D4e5F6g7H8i9J0"),
        ("service token", "xoxb-" + "123456789012-abcdefGHIJKL"),
        (
            "signed token (JWT)",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        ),
    ],
)
def test_each_kind_is_found_within_a_sentence_and_nothing_else(kind: str, value: str) -> None:
    for text in (f"Voir {value} svp.", value, f'{{"a": "{value}"}}', f"a,{value},b\n", f"({value})"):
        assert _kinds(text) == [(kind, value)], text


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("M. Jean Dupont est venu", "name after a title", "Jean Dupont"),
        ("Mme de La Tour", "name after a title", None),
        ("Madame Élodie van den Berg, 12", "name after a title", "Élodie van den Berg"),
        ("le Colonel Martin", "name after a title", "Martin"),
        ("Dr. J. Smith said", "name after a title", "J. Smith"),
        ("SIRET : 73282932000074", "SIRET", "73282932000074"),
        ("SIRET 35600000000048", "SIRET", "35600000000048"),
        ("SIREN 732 829 320", "SIREN", "732 829 320"),
        ("RCS Paris B 732829320", "SIREN", "732829320"),
        ("Tél. : 467 33 95", "telephone number", "467 33 95"),
        ("phone:\n0490 39 07 81", "telephone number", "0490 39 07 81"),
        ("https://user:s3cr3t!pw@host.example/a", "password in an address", "s3cr3t!pw"),
        ("password = 'Tr0ub4dor&3x'", "password", "Tr0ub4dor&3x"),
        ("mot de passe : Azerty!2031", "password", "Azerty!2031"),
        ('"api_key": "9f8e7d6c5b4a"', "password", "9f8e7d6c5b4a"),
        ("AccountKey=" + "Ab1+xY9/" * 10 + "Ab1+Zq==;", "storage key", "Ab1+xY9/" * 10 + "Ab1+Zq=="),
    ],
)
def test_what_needs_a_word_before_it_is_found_after_that_word(text: str, kind: str, value: str | None) -> None:
    assert _kinds(text) == ([(kind, value)] if value else [])


@pytest.mark.parametrize(
    "text",
    [
        "1 85 05 78 006 084 00",  # the NIR's key is wrong
        "732 829 320 00075",
        "SIREN 732 829 321",
        "FR76 3000 6000 0112 3456 7890 188",
        "4111 1111 1111 1112",
        "9111111111111116",
        "0000000000000000",
        "999.1.1.1, 127.0.0.1 and version 1.2.3.4.5",
        "12:34:56 and 2031-05-06 12:34",
        _with_checksum("ghp_")[:-1] + "0",
        "AKIAAAAAAAAAAAAAAAAA",
        "password: example1234, password = ${SECRET}, secret: <your secret>",
        "https://user@host/ and http://host:8080/a",
        "2.3522219000, 48.85661400001, 123456789.12",
        "-----BEGIN PUBLIC KEY-----",
        "M. est venu. Mr and Mrs",
        "The year 2031, pages 12-34, 1 234 567 habitants, 75001 Paris",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "a@b, @name, 5 @ 3",
        "3567 3985 2372 1816 2482 3797 3565 1110 plane 0",  # the corners of a box, as labels give them
    ],
)
def test_what_only_resembles_is_not_found(text: str) -> None:
    assert _kinds(text) == []


_PIECES = [
    *(f"{title} Jean Martin" for title in people._TITLES),
    *(
        "password",
        "passwd",
        "PWD",
        "passphrase",
        "mot de passe",
        "mdp",
        "Secret",
        "api_key",
        "access-token",
        "auth token",
    ),
    *("client_secret", "secret_access_key", "secret key", "=", ": ", "'", '"', " = ", "Tr0ub4dor&3x", "x9!kPq27zz"),
    *("https://", "user", "s3cr3t!pw", "@host.example", ":", "2001:db8::8a2e:370:7334", "fe80::1", "12:34:56", "::"),
    *("ghp_", "a@b.example", " ", "\n", ", ", "é", "\N{KELVIN SIGN}ey", "naïf"),
]


@settings(max_examples=300)
@given(some.lists(some.sampled_from(_PIECES), min_size=1, max_size=12), some.integers(0, 2))
def test_looking_around_anchors_finds_what_looking_everywhere_does(pieces: list[str], filler: int) -> None:
    text = "le navire est à quai " * 200 * filler + "".join(pieces) + " près de la grue" * 200 * filler
    for pattern in (*SECRETS, *people.PERSONAL):
        if pattern.near == "anchors":
            everywhere = replace(pattern, anchors=re.compile(r"\A"), after=len(text))
            assert list(pattern.spans(text, [])) == list(everywhere.spans(text, [])), pattern.kind


@pytest.mark.parametrize("title", people._TITLES)
def test_a_name_is_found_after_every_title(title: str) -> None:
    text = "le navire est à quai " * 200 + f"{title} Martin" + " près de la grue" * 200
    assert _kinds(text) == [("name after a title", "Martin")]


def test_a_secret_at_the_end_of_a_text_as_long_as_is_read_whole_is_found(tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    end = b"\npassword = 'Tr0ub4dor&3x'\n-----BEGIN PRIVATE KEY-----\n"
    limits = ScanLimits()
    file.write_bytes(b"rien\n".ljust(limits.max_personal_bytes - len(end), b".") + end)
    found = [f.found for f in personal_data.scan(file, "text", limits)]
    assert [f.partition(" (")[0] for f in found] == ["password: 1", "private key: 1"]


@given(some.integers(0, 10**16 - 1))
def test_a_number_is_a_card_only_if_its_last_digit_checks_the_others(number: int) -> None:
    text = f"card {number:016d}"
    if ("payment card", f"{number:016d}") in _kinds(text):
        doubled = [int(d) * (2 - i % 2) for i, d in enumerate(f"{number:016d}")]
        assert sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


@given(some.text(some.characters(codec="utf-8"), max_size=300))
def test_what_is_found_lies_within_the_text_and_does_not_overlap(text: str) -> None:
    at = 0
    for found in find(text):
        assert at <= found.start < found.end <= len(text)
        at = found.end


def test_a_report_holds_no_value_only_its_first_and_last_character() -> None:
    values = ["jean.dupont@exemple.fr", "06 12 34 56 78", "4111111111111111", _with_checksum("ghp_")]
    summary = Summary()
    summary.add("\n".join(values * 3))
    told = " ".join(f.found for f in summary.findings())
    for value in values:
        assert value not in told
        assert masked(value) in told
        assert not any(part in told for part in re.findall(r"\w{5,}", value))
    assert "e-mail address: 3 (j…r in line 1, j…r in line 5, j…r in line 9)" in told


def test_counts_go_on_after_the_places_that_are_shown() -> None:
    summary = Summary()
    summary.add("a@example.org\n" * 10)
    (finding,) = summary.findings()
    assert (finding.rule, finding.expected, finding.note) == ("personal data", "no personal data", True)
    assert finding.found == "e-mail address: 10 (a…g in line 1, a…g in line 2, a…g in line 3, and 7 more)"


def test_every_kind_of_document_is_read_and_the_file_still_passes(arrive: Arrive, inspected: Inspected) -> None:
    mail, key = "jean@exemple.fr", "-----BEGIN PRIVATE KEY-----"
    files = {
        "a.txt": f"{mail}\n{key}\n".encode(),
        "a.csv": f"name,mail\nx,{mail}\n".encode(),
        "a.json": json.dumps({"mail": mail}).encode(),
        "a.html": f"<!doctype html><html><body>{mail}</body></html>".encode(),
        "a.docx": ooxml_of(
            body=f"<w:p><w:r><w:t>jean@exe</w:t></w:r><w:r><w:t>mple.fr</w:t></w:r></w:p><w:p>{key}</w:p>"
        ),
        "a.odt": odf_of(body=f"<text:p>{mail}</text:p>"),
        "a.pdf": pdf_of({**PAGE, 4: stream_of(b"BT /F1 12 Tf 20 100 Td (jean@exemple.fr) Tj ET")}),
    }
    allowed = frozenset({"text", "csv", "json", "html", "ooxml", "odf", "pdf"})
    report = inspected(arrive(files), allowed=allowed)
    assert report.clean, report.refused
    for file in report.files:
        told = [(f.rule, f.found) for f in file.findings]
        assert any(rule == "personal data" and "e-mail address: 1 (j…r in " in found for rule, found in told), file.path
        assert ("personal_data" in file.scanners) is True
    places = {f.path: f.findings[0].found for f in report.files}
    assert places["a.pdf"] == "e-mail address: 1 (j…r in page 1)"
    assert places["a.docx"] == "e-mail address: 1 (j…r in 'word/document.xml')"
    assert [f.rule for f in report.files[-1].findings] == ["personal data", "secret"]


def test_a_long_text_is_read_in_pieces_spread_over_it_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    line = b"nothing here at all\n"
    filler = line * (1 + (1 << 20) // len(line))
    file.write_bytes(filler * 5 + b"late@example.org\n")
    limits = ScanLimits(max_personal_bytes=2 << 20)
    found = [f.found for f in personal_data.scan(file, "text", limits)]
    assert found[0].startswith("e-mail address: 1 (l…g in the MiB at byte ")
    assert found[1] == f"{2 << 20} of {file.stat().st_size} bytes"
    whole = [f.found for f in personal_data.scan(file, "text", ScanLimits())]
    assert whole == [f"e-mail address: 1 (l…g in line {5 * (len(filler) // len(line)) + 1})"]


def test_files_that_hold_no_text_are_not_read(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"jean@exemple.fr")
    assert personal_data.scan(file, "png", ScanLimits()) == []


def test_documents_that_their_own_scanner_refuses_raise_nothing_here(tmp_path: Path) -> None:
    file = tmp_path / "broken"
    for data in (b"%PDF-1.7 broken", b"PK\3\4 broken", pdf_of(PAGE)[:-40], ooxml_of()[:-3]):
        file.write_bytes(data)
        for kind in ("pdf", "ooxml", "odf"):
            assert all(f.note for f in personal_data.scan(file, kind, ScanLimits()))


@pytest.mark.real_data
def test_checked_kinds_are_found_in_marked_texts_as_often_as_results_say(real_data: Callable[[str], Path]) -> None:
    texts = json.loads((real_data("text_pii") / "presidio_synth_dataset_v2.json").read_text("utf-8"))
    held_out = [text for text in texts if text["template_id"] % 2]
    for kind, entity, least in (("e-mail address", "EMAIL_ADDRESS", 1.0), ("IBAN", "IBAN_CODE", 1.0),
                                ("payment card", "CREDIT_CARD", 0.9),
                                ("telephone number", "PHONE_NUMBER", 0.5)):  # fmt: skip
        spans = [(t["full_text"], s) for t in held_out for s in t["spans"] if s["entity_type"] == entity]
        hits = [any(f.kind == kind and s["start_position"] < f.end and f.start < s["end_position"] for f in find(text))
                for text, s in spans]  # fmt: skip
        assert sum(hits) / len(hits) >= least, kind
