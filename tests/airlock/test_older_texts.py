"""Texts in older encodings: read where documents may come in, refused elsewhere, and looked into like all others."""

from __future__ import annotations

from casemate.airlock import DOCUMENTS, IMAGERY, MODEL, InspectionReport
from casemate.airlock.formats import sniff
from tests.airlock.conftest import Arrive, Inspected

FRENCH = "Réunion à l’état-major : l'été à quai."
PAGE = "<!doctype html><html><head><meta charset={}><title>é</title></head><body><p>Réunion</p></body></html>"
ADDRESS = "Écrire à marie.dupont@example.fr."


def found(report: InspectionReport) -> dict[str, list[str]]:
    return {file.path: [f"{f.rule}: {f.found}" for f in file.findings] for file in report.files}


def test_documents_may_be_in_the_encodings_that_can_be_told(arrive: Arrive, inspected: Inspected) -> None:
    files = {
        "a.txt": FRENCH.encode("cp1252"), "b.md": FRENCH.encode("utf-16"),
        "c.csv": '"Nom";"Été"\n"a";"é"\n'.encode("cp1252"),
        "d.html": PAGE.format("iso-8859-1").encode("cp1252"), "e.html": PAGE.format("utf-16").encode("utf-16"),
        "f.xml": "<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>".encode("latin-1"),
        "g.xml": "<?xml version='1.0' encoding='UTF-16'?><a>é</a>".encode("utf-16"),
        "h.json": '{"é": 1}'.encode("utf-16"),
    }  # fmt: skip
    report = inspected(arrive(files), allowed=DOCUMENTS)
    assert {path: [f.split(":")[0] for f in findings] for path, findings in found(report).items()} == {
        path: ["encoding"] for path in files
    }
    assert report.clean
    elsewhere = inspected(arrive({}), allowed=IMAGERY)
    assert [line for line in elsewhere.files if line.clean] == []
    assert found(elsewhere)["a.txt"] == ["text: byte 0xe9 in line 1, at byte 1"]
    assert (
        found(elsewhere)["h.json"] == ["text: byte 0xff in line 1, at byte 0"]
        or "U+0000" in found(elsewhere)["h.json"][0]
    )
    assert not any(line.clean for line in inspected(arrive({}), allowed=MODEL).files)


HIDING = {
    "dos.txt": ("le pré est près".encode("cp850"), "text: byte 0x82 in line 1, at byte 5, in words"),
    "turned.txt": ("lisez\u202e ceci".encode("utf-16"), "text: U+202E in line 1, at byte 5"),
    "bell.txt": ("lisez\x07 ceci".encode("utf-16-le"), "format: unknown binary"),
    "far.txt": (("x" * 5000 + "\x07").encode("utf-16-le"), "text: U+0007 in line 1, at byte 5000"),
    "wrong.html": (PAGE.format("utf-8").encode("cp1252"), "text: byte 0xe9 in line 1, at byte 54"),
    "new.html": (PAGE.format("iso-8859-1").encode(), "text: UTF-8"),
    "mark.html": (PAGE.format("utf-8").encode("utf-16"), "text: a page that says it is 'utf-8'"),
    "runs.html": (PAGE.format("utf-16").replace("<p>", "<script>1</script><p>").encode("utf-16"), "element: <script>"),
    "mark.xml": ("<?xml version='1.0' encoding='UTF-8'?><a>é</a>".encode("utf-16"), "xml: the encoding UTF-8"),
    "type.xml": ("<!DOCTYPE a [<!ENTITY b 'x'>]><a>&b;é</a>".encode("utf-16"), "xml: <!DOCTYPE a>"),
    "page16.txt": ("<!doctype html><p>é</p>".encode("utf-16"), "name: .txt"),
    "page.txt": (b"<!doctype html><p>x</p>", "name: .txt"),
    "a.yaml": ("a: !!python/object/apply:os.system ['é']".encode("utf-16"), "yaml: !!python/object/apply"),
    "a.csv": ('"a";"b"c\n'.encode("utf-16"), "csv: "),
    "a.eml": (b"From: a@example.fr\nContent-Type: text/plain; charset=utf-7\n\n+AGE-\n", "text: 'utf-7'"),
}  # fmt: skip


def test_what_hides_in_another_encoding_is_found(arrive: Arrive, inspected: Inspected) -> None:
    report = inspected(arrive({name: data for name, (data, _) in HIDING.items()}), allowed=DOCUMENTS)
    assert not any(file.clean for file in report.files)
    for name, (_, why) in HIDING.items():
        assert any(finding.startswith(why) for finding in found(report)[name]), (name, found(report)[name])


def test_personal_data_and_rules_are_looked_for_in_what_a_text_decodes_to(arrive: Arrive, inspected: Inspected) -> None:
    rule = 'rule order { strings: $a = "marie.dupont" condition: $a }'
    files = {f"{codec}.txt": ADDRESS.encode(codec) for codec in ("utf-16", "utf-16-be", "cp1252")}
    for line in inspected(arrive(files), allowed=DOCUMENTS, rules=rule).files:
        assert [f.rule for f in line.findings].count("personal data") == 1, line
        assert "yara" in {f.rule for f in line.findings}, line
        assert not line.clean


def test_a_text_in_utf_16_is_the_type_that_its_text_is() -> None:
    assert sniff("<svg><a/></svg>".encode("utf-16"), "a.txt") == "SVG picture"
    assert sniff("%PDF-1.7".encode("utf-16"), "a.pdf") == "pdf"
    assert sniff("bonjour".encode("utf-16-be"), "a") == "text"
    assert sniff(b"\xff\xfe" + bytes(range(256)), "a.txt") == "unknown binary"


def test_what_is_not_taken_says_what_to_do(arrive: Arrive, inspected: Inspected) -> None:
    compound, archive = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"PK\3\4"
    hints = {
        "a.docx": (compound, "; if it is encrypted, save it without a password"),
        "a.doc": (compound, "; save it as .docx, .xlsx or .pptx"),
        "a.docm": (archive, "; a document with macros: save it without them"),
        "a.pdf": (archive, ", which is not what .pdf says: a document of Office is named by its kind"),
        "a.zip": (archive, "; unpack it first"),
    }
    report = inspected(arrive({name: data for name, (data, _) in hints.items()}), allowed=DOCUMENTS)
    for line in report.files:
        assert line.findings[0].found.endswith(hints[line.path][1]), line


def test_an_empty_text_has_no_notes(arrive: Arrive, inspected: Inspected) -> None:
    report = inspected(arrive({"a.txt": b"", "b.md": b"", "c.csv": b""}), allowed=DOCUMENTS)
    assert found(report) == {"a.txt": [], "b.md": [], "c.csv": []}


def test_a_mail_nested_without_end_is_refused_as_such(arrive: Arrive, inspected: Inspected) -> None:
    parts = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (depth, depth) for depth in range(1000)
    )
    report = inspected(arrive({"a.eml": b"From: a@example.fr\n" + parts + b"\nx\n"}), allowed=DOCUMENTS)
    assert found(report)["a.eml"] == ["mail: more", "personal data: e-mail address: 1 (a…r in line 1)"]
