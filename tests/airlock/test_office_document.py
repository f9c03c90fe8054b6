"""Office documents that only show are clean; macros, objects, what fetches, and odd packages are refused."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from casemate.airlock.inspect import office_document
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from tests.airlock.conftest import Arrive, Inspected, picture
from tests.airlock.samples.documents import odf_of, ooxml_of, relation, zip_of

Scan = Callable[..., list[Finding]]
_BIN = '<Default Extension="bin" ContentType="{}"/>'


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    def run(data: bytes, name: str = "a.docx", limits: ScanLimits | None = None) -> list[Finding]:
        file = tmp_path / name
        file.write_bytes(data)
        family = "odf" if name[-3:] in {"odt", "ods", "odp"} else "ooxml"
        return office_document.scan(file, family, limits or ScanLimits())

    return run


def _only(findings: list[Finding]) -> str:
    refused = [f"{f.rule}: expected {f.expected}, found {f.found}" for f in findings if not f.note]
    assert refused, "nothing was refused"
    return "; ".join(refused)


def test_documents_of_text_and_pictures_are_clean_and_links_are_notes(arrive: Arrive, inspected: Inspected) -> None:
    png = picture("PNG")
    link = relation("hyperlink", "https://example.org/a", "External") + relation("image", "media/a.png", number=8)
    inside = relation("package", "../embeddings/Book1.xlsx", number=7)
    types = (
        '<Default Extension="xlsx" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"/>'
    )
    files = {
        "a.docx": ooxml_of(relations=link, parts={"word/media/a.png": png}),
        "a.xlsx": ooxml_of("xlsx", "<f>SUM(A1:A2)</f><f>IF(A1=&quot;a|b!&quot;,1,2)</f>"),
        "a.pptx": ooxml_of(
            "pptx", relations=inside, types=types, parts={"ppt/embeddings/Book1.xlsx": ooxml_of("xlsx")}
        ),
        "a.odt": odf_of(
            "odt",
            '<text:a xlink:href="https://example.org/a"/><draw:image xlink:href="Pictures/a.png"/>',
            parts={"Pictures/a.png": png, "Pictures/a.svg": b"<svg/>", "Configurations2/accelerator/current.xml": b""},
        ),
        "a.ods": odf_of("ods", parts={"Object 1/content.xml": "<a/>", "ObjectReplacements/Object 1": b"VCLMTF"}),
        "a.odp": odf_of("odp"),
    }
    report = inspected(arrive(files), allowed=frozenset({"ooxml", "odf"}))
    assert [(f.path, f.findings) for f in report.refused] == []
    notes = {f.path: [(n.rule, n.found) for n in f.findings] for f in report.files if f.findings}
    assert notes == {
        "a.docx": [("link", "https://example.org/a")],
        "a.odt": [("link", "https://example.org/a")],
        "a.ods": [("part", "previews and layout")],
    }


def _vba() -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100)


@pytest.mark.parametrize(
    ("document", "refusal"),
    [
        (
            ooxml_of(
                relations=relation("vbaProject", "vbaProject.bin"),
                types=_BIN.format("application/vnd.ms-office.vbaProject"),
                parts={"word/vbaProject.bin": _vba()},
            ),
            "content type: expected parts of text and pictures, found 'application/vnd.ms-office.vbaProject'",
        ),
        (
            ooxml_of(relations=relation("vbaProject", "x.xml")),
            "found macros, 'x.xml' in 'word/_rels/document.xml.rels'",
        ),
        (ooxml_of(parts={"word/vbaProject.bin": _vba()}), "part: expected parts that [Content_Types].xml gives a type"),
        (
            ooxml_of(types=_BIN.format("image/png"), parts={"word/a.bin": _vba()}),
            "part: expected XML and pictures, found 'word/a.bin', Microsoft compound file",
        ),
        (ooxml_of(parts={"word/media/a.png": b"MZ" + bytes(99)}), "picture: expected png in 'word/media/a.png', found"),
        (ooxml_of(relations=relation("oleObject", "a.xml")), "found an embedded object (OLE)"),
        (ooxml_of(relations=relation("control", "a.xml")), "found a control (ActiveX)"),
        (
            ooxml_of(relations=relation("attachedTemplate", "https://host/t.dotm", "External")),
            "a template from elsewhere",
        ),
        (
            ooxml_of(relations=relation("image", "https://host/a.png", "External")),
            "found image 'https://host/a.png' in",
        ),
        (
            ooxml_of(relations=relation("image", "file://host/a.png", "External")),
            "reference: expected what the document",
        ),
        (ooxml_of(relations=relation("image", "\\\\host\\a.png")), "reference: expected parts of the document"),
        (ooxml_of(relations=relation("image", "http://host/a.png")), "reference: expected parts of the document"),
        (ooxml_of(relations=relation("frame", "https://host/f", "External")), "found a frame from elsewhere"),
        (ooxml_of(relations=relation("aFChunk", "a.html")), "found a foreign document inside"),
        (ooxml_of(relations=relation("video", "a.mp4", "External")), "found media that play"),
        (ooxml_of(relations=relation("hyperlink", "file:///c:/x.exe", "External")), "'file:///c:/x.exe' in word/_rels"),
        (ooxml_of(relations=relation("hyperlink", "ms-msdt:/id", "External")), "reference: expected what the document"),
        (
            ooxml_of(relations=relation("hyperlink", "\\\\host\\share", "External")),
            "reference: expected what the document",
        ),
        (ooxml_of(parts={"customUI/customUI.xml": "<customUI/>"}), "found a changed ribbon (customUI)"),
        (ooxml_of(body="<w:p><w:altChunk r:id='r1'/></w:p>"), "found a foreign document inside"),
        (
            ooxml_of(body='<w:instrText>DDEAUTO c:\\\\cmd.exe "/k calc"</w:instrText>'),
            "field: expected fields that fetch",
        ),
        (
            ooxml_of(body="<w:fldChar/><w:instrText>DD</w:instrText><w:t>x</w:t><w:instrText>E cmd</w:instrText>"),
            "found DDE in 'word/document.xml'",
        ),
        (
            ooxml_of(body="<w:fldSimple w:instr=' dde cmd '/>"),
            "field: expected fields that fetch nothing, found ' dde cmd '",
        ),
        (ooxml_of(body='<w:instrText>INCLUDEPICTURE "http://h/a"</w:instrText>'), "found INCLUDEPICTURE in"),
        (ooxml_of(body="<w:instrText>QUOTE 68 68 69 65</w:instrText>"), "found QUOTE 68 68 in"),
        (ooxml_of(body="<a:hlinkClick action='ppaction://program'/>"), "found action='ppaction://program'"),
        (ooxml_of(body="<a:sp macro='[0]!run'/>"), "found macro='[0]!run'"),
        (
            ooxml_of(parts={"word/a.xml": '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'}),
            "xml: expected no document type in",
        ),
        (ooxml_of(parts={"word/a.xml": "<a>"}), "xml: expected well-formed XML in 'word/a.xml', found no element"),
        (ooxml_of(parts={"word/a.xml": "<?xml version='1.0' encoding='UTF-16'?><a/>"}), "xml: expected"),
        (ooxml_of(parts={"word/a.exe": b"MZ"}), "part: expected parts that [Content_Types].xml gives a type, found"),
        (ooxml_of("xlsx"), "content type: expected one main part"),
        (zip_of({"a": b"b"}), "part: expected [Content_Types].xml, which every Office document has, found none"),
        (b"PK\3\4" + bytes(99), "zip: expected a ZIP archive that ends with its end record"),
    ],
)
def test_what_acts_fetches_or_is_hidden_in_a_text_is_refused(scan: Scan, document: bytes, refusal: str) -> None:
    assert refusal in _only(scan(document))


def test_a_document_with_macros_under_another_ending_is_refused(scan: Scan) -> None:
    with zipfile.ZipFile(io.BytesIO(ooxml_of())) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    macro = b"application/vnd.ms-word.document.macroEnabled.main+xml"
    main = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    parts["[Content_Types].xml"] = parts["[Content_Types].xml"].replace(main, macro)
    found = _only(scan(zip_of(parts)))
    assert (
        "content type: expected one main part, application/vnd.openxmlformats-officedocument.wordprocessingml" in found
    )
    assert macro.decode() in found


@pytest.mark.parametrize(
    "formula",
    [
        "cmd|'/c calc'!A0",
        '=DDE("cmd";"/c";"x")',
        'WEBSERVICE("http://h")',
        'SUM(1)+CALL ("a")',
        "REGISTER.ID(1)",
        'RTD("a",,1)',
        "'excel'|'a'!b",
    ],
)
def test_formulas_that_start_programs_or_fetch_are_refused(scan: Scan, formula: str) -> None:
    escaped = formula.replace('"', "&quot;")
    for body in (f"<f>{escaped}</f>", f"<formula1>{escaped}</formula1>", f"<definedName>{escaped}</definedName>"):
        assert "formula: expected formulas that only compute, found" in _only(scan(ooxml_of("xlsx", body), "a.xlsx"))
    cell = f'<table:cell table:formula="{escaped}"/>'
    assert "formula: expected formulas that only compute, found" in _only(scan(odf_of("ods", cell), "a.ods"))


@pytest.mark.parametrize("formula", ["A1|B1", "IF(A1>2,&quot;x|y&quot;,0)", "Sheet1!A1", "[1]Sheet1!A1", "RECALL(1)"])
def test_formulas_that_compute_are_clean(scan: Scan, formula: str) -> None:
    assert scan(ooxml_of("xlsx", f"<f>{formula}</f><f>Sheet1!A1</f>"), "a.xlsx") == []


def test_a_workbook_inside_is_held_to_the_same_rules_and_nesting_ends(scan: Scan) -> None:
    types = (
        '<Default Extension="xlsx" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"/>'
    )
    bad = ooxml_of("xlsx", "<f>cmd|'/c calc'!A0</f>")
    outer = ooxml_of("pptx", types=types, parts={"ppt/embeddings/a.xlsx": bad})
    assert "in 'xl/workbook.xml' in 'ppt/embeddings/a.xlsx'" in _only(scan(outer, "a.pptx"))
    inside = ooxml_of("xlsx")
    for _ in range(3):
        inside = ooxml_of("xlsx", types=types, parts={"xl/embeddings/a.xlsx": inside})
    assert "part: expected at most 2 documents inside one another" in _only(scan(inside, "a.xlsx"))


@pytest.mark.parametrize(
    ("document", "refusal"),
    [
        (
            odf_of(parts={"Basic/Standard/Module1.xml": "<a/>"}),
            "part: expected text, styles, pictures and charts, found",
        ),
        (odf_of(parts={"Scripts/python/a.py": "import os"}), "found 'Scripts/python/a.py'"),
        (odf_of(parts={"Configurations2/accelerator/current.xml": "<a/>"}), "found 'Configurations2/accelerator"),
        (odf_of(parts={"Object 1": _vba()}), "found 'Object 1'"),
        (odf_of(parts={"Pictures/a.png": b"MZ"}), "picture: expected png in 'Pictures/a.png'"),
        (odf_of(parts={"Pictures/a.svg": b"<svg><script/></svg>"}), "found <script> in 'Pictures/a.svg'"),
        (odf_of(body="<office:scripts><office:script/></office:scripts>"), "found a script"),
        (
            odf_of(body="<script:event-listener xlink:href='vnd.sun.star.script:a'/>"),
            "found a script that an event starts",
        ),
        (odf_of(body="<text:dde-connection-decl/>"), "found a link to a program"),
        (odf_of(body="<office:dde-source/>"), "found a link to a program"),
        (odf_of(body="<draw:object-ole/>"), "found an embedded object (OLE)"),
        (odf_of(body="<draw:plugin/>"), "found a program that plays"),
        (odf_of(body="<text:section-source/>"), "found text from elsewhere"),
        (
            odf_of(body="<draw:image xlink:href='http://host/a.png'/>"),
            "reference: expected what the document holds, found",
        ),
        (odf_of(body="<draw:image xlink:href='../../a.png'/>"), "found '../../a.png' in <draw:image> of 'content.xml'"),
        (odf_of(body="<draw:image xlink:href='file:///a.png'/>"), "found 'file:///a.png' in <draw:image>"),
        (odf_of(body="<text:a xlink:href='vnd.sun.star.script:a'/>"), "found 'vnd.sun.star.script:a' in <text:a>"),
        (
            odf_of(listed="<m:encryption-data/>"),
            "encryption: expected a document that can be read, found an encrypted one",
        ),
        (odf_of("ods"), "content type: expected application/vnd.oasis.opendocument.text for a name ending in .odt"),
        (zip_of({"a": b"b"}), "content type: expected mimetype first in the archive, plain, found 'a'"),
        (
            zip_of({"mimetype": "application/vnd.oasis.opendocument.text"}),
            "part: expected META-INF/manifest.xml and content",
        ),
    ],
)
def test_what_acts_fetches_or_is_hidden_in_an_opendocument_is_refused(
    scan: Scan, document: bytes, refusal: str
) -> None:
    assert refusal in _only(scan(document, "a.odt"))


def test_a_part_that_the_manifest_does_not_list_is_refused(scan: Scan) -> None:
    with zipfile.ZipFile(io.BytesIO(odf_of())) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    found = _only(scan(zip_of({**parts, "Pictures/a.png": picture("PNG")}), "a.odt"))
    assert found == "part: expected parts that the manifest lists, found 'Pictures/a.png'"


def test_a_bomb_inside_a_document_is_refused_before_it_is_unpacked(scan: Scan) -> None:
    limits = ScanLimits(expands_freely_bytes=1 << 20, max_expansion=10)
    bomb = ooxml_of(parts={"word/a.xml": b"<a>" + b" " * (40 << 20) + b"</a>"})
    assert "bytes once unpacked" in _only(scan(bomb, limits=limits))


def test_a_document_with_damage_anywhere_is_answered(scan: Scan) -> None:
    chance = random.Random(5)  # noqa: S311  damage, not secrets
    for name, data in (("a.docx", ooxml_of()), ("a.odt", odf_of())):
        for _ in range(200):
            damaged = bytearray(data)
            for _ in range(chance.randint(1, 6)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            scan(bytes(damaged[: chance.choice([len(data), chance.randrange(1, len(data))])]), name)
