"""Documents of every kind, made in memory: French, with a heading, a paragraph, a table and a marking."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from tests.airlock.samples.mails import eml, msg

HEADING = "Consignes de sécurité du port"
WORDS = "Les navires à quai déclarent leur cargaison à la capitainerie avant dix-huit heures. M. Éric Noël la vérifie."
ROWS = (("Quai", "Navire"), ("Nord", "Étoile"), ("Sud", "Marée"))
TABLE = "Quai | Navire\nNord | Étoile\nSud | Marée"


def pdf(
    pages: int = 1, *, words: str = WORDS, table: bool = True, heading: str = HEADING, columns: bool = False
) -> bytes:
    from reportlab.lib import colors
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import (
        BaseDocTemplate,
        Frame,
        PageBreak,
        PageTemplate,
        Paragraph,
        SimpleDocTemplate,
        Table,
        TableStyle,
    )  # fmt: skip

    out, styles = io.BytesIO(), getSampleStyleSheet()
    story: list[object] = []
    for page in range(pages):
        story += [Paragraph(f"{heading} {page + 1}", styles["Heading1"]), Paragraph(words, styles["Normal"])]
        if table:
            story.append(Table(ROWS, style=TableStyle([("GRID", (0, 0), (-1, -1), 1, colors.black)])))
        if page + 1 < pages:
            story.append(PageBreak())
    if columns:
        frames = [Frame(50, 50, 240, 740), Frame(310, 50, 240, 740)]
        document = BaseDocTemplate(out)
        document.addPageTemplates([PageTemplate(frames=frames)])
    else:
        document = SimpleDocTemplate(out)
    document.build(story)
    return out.getvalue()


def encrypted_pdf() -> bytes:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf())))
    writer.encrypt("secret")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def picture(lines: Sequence[str] = (HEADING, WORDS[:60]), *, size: tuple[int, int] = (1200, 400)) -> Image.Image:
    spec = importlib.util.find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    font = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    image = Image.new("RGB", size, "white")
    for number, line in enumerate(lines):
        ImageDraw.Draw(image).text((60, 60 + 60 * number), line, "black", ImageFont.truetype(str(font), 32))
    return image


def png() -> bytes:
    out = io.BytesIO()
    picture().save(out, "PNG")
    return out.getvalue()


def scan() -> bytes:
    out = io.BytesIO()
    picture().save(out, "PDF", resolution=150)
    return out.getvalue()


def docx() -> bytes:
    import docx as library

    document = library.Document()
    document.core_properties.title = "Consignes"
    document.sections[0].header.paragraphs[0].text = "DIFFUSION RESTREINTE"
    document.add_heading(HEADING, 1)
    document.add_paragraph(WORDS)
    table = document.add_table(len(ROWS), 2)
    for row, cells in zip(table.rows, ROWS, strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def pptx() -> bytes:
    import pptx as library
    from pptx.util import Inches

    deck = library.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = HEADING
    slide.shapes.add_textbox(Inches(1), Inches(2), Inches(5), Inches(1)).text_frame.text = WORDS
    table = slide.shapes.add_table(len(ROWS), 2, Inches(1), Inches(4), Inches(4), Inches(1)).table
    for row, cells in enumerate(ROWS):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    out = io.BytesIO()
    deck.save(out)
    return out.getvalue()


def xlsx() -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = HEADING
    for row in (*ROWS, (WORDS, 12.0)):
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


_OFFICE = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"'
)


def odf(kind: str) -> bytes:
    rows = "".join(
        f"<table:table-row>{''.join(f'<table:table-cell><text:p>{c}</text:p></table:table-cell>' for c in row)}"
        "</table:table-row>"
        for row in ROWS
    )
    table = f'<table:table table:name="{HEADING}">{rows}</table:table>'
    body = f'<text:h text:outline-level="1">{HEADING}</text:h><text:p>{WORDS}</text:p>{table}'
    if kind == "presentation":
        body = f"<draw:page><draw:frame><draw:text-box>{body}</draw:text-box></draw:frame></draw:page>"
    if kind == "spreadsheet":
        said = f"<table:table-row><table:table-cell><text:p>{WORDS}</text:p></table:table-cell></table:table-row>"
        body = table.replace("</table:table>", f"{said}</table:table>")
    return odf_with(body, kind)


def odf_with(body: str, kind: str = "spreadsheet", *, around: str = "") -> bytes:
    """An OpenDocument file of any content, with what stands around its pages."""
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {_OFFICE}><office:body><office:{kind}>'
        f"{body}</office:{kind}></office:body></office:document-content>"
    )
    styles = (
        f'<office:document-styles {_OFFICE} xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0">'
        f"<office:master-styles><style:master-page>{around}</style:master-page></office:master-styles>"
        "</office:document-styles>"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        archive.writestr("content.xml", content)
        archive.writestr("styles.xml", styles)
    return out.getvalue()


def docx_around(words: str, watermark: str) -> bytes:
    """A Word document with words above its even pages, and a watermark."""
    import docx as library
    from lxml import etree

    document = library.Document()
    document.settings.odd_and_even_pages_header_footer = True
    document.sections[0].even_page_header.paragraphs[0].text = words
    drawn = etree.Element("{urn:schemas-microsoft-com:vml}textpath", string=watermark)
    document.sections[0].header.paragraphs[0]._p.append(drawn)
    document.add_paragraph(WORDS)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def pptx_behind(words: str) -> bytes:
    """A presentation whose master has words on it."""
    import pptx as library
    from pptx.util import Inches

    deck = library.Presentation()
    deck.slide_master.shapes._spTree.append(_box_of(deck, words, Inches(1)))
    for _ in range(2):
        deck.slides.add_slide(deck.slide_layouts[6])
    out = io.BytesIO()
    deck.save(out)
    return out.getvalue()


def _box_of(deck: object, words: str, side: int) -> object:
    slide = deck.slides.add_slide(deck.slide_layouts[6])  # type: ignore[attr-defined]
    box = slide.shapes.add_textbox(side, side, side, side)
    box.text_frame.text = words
    return box._element


def xlsx_around(header: str) -> bytes:
    """A workbook with a header, as its codes have it."""
    import openpyxl

    book = openpyxl.Workbook()
    book.active.oddHeader.center.text = header
    book.active.append([WORDS])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def html() -> bytes:
    rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in ROWS)
    return (
        f"<!doctype html><html><head><meta charset=utf-8><title>Consignes</title><style>p{{}}</style></head><body>"
        f"<h1>{HEADING}</h1><p>{WORDS}</p><table>{rows}</table><script>none()</script></body></html>"
    ).encode()


def markdown() -> bytes:
    rows = [f"| {' | '.join(row)} |" for row in ROWS]
    return "\n".join([f"# {HEADING}", "", WORDS, "", rows[0], "|---|---|", *rows[1:], ""]).encode()


KINDS: dict[str, Callable[[], bytes]] = {
    "a.pdf": pdf, "a.docx": docx, "a.pptx": pptx, "a.xlsx": xlsx, "a.odt": lambda: odf("text"),
    "a.ods": lambda: odf("spreadsheet"), "a.odp": lambda: odf("presentation"), "a.html": html, "a.md": markdown,
    "a.csv": lambda: "\n".join([f"{HEADING};{WORDS}", *(";".join(row) for row in ROWS)]).encode(),
    "a.txt": f"{HEADING}\n\n{WORDS}\n\n{TABLE}\n".encode,
    "a.eml": lambda: eml(body=f"{HEADING}\n\n{WORDS}\n\n{TABLE}\n"),
    "a.msg": lambda: msg(body=f"{HEADING}\n\n{WORDS}\n\n{TABLE}\n"),
}  # fmt: skip
