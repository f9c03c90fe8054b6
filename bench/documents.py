"""Documents read: pages a second by type against named readers, and errors of recognition on scans made here.

    python bench/documents.py [--pages 60] [--ocr FOLDER] [--texts FOLDER] [--scans 6] [--long 0]

Documents are made here (reportlab, python-docx, …) of French text; each is read as `casemate docs import` reads it,
confined, into passages, and by a named library that only takes the text out, in the same run. Times are of processor
(ours with the start of a process and the loading of its libraries), so that a busy machine counts little.
Recognition: French pages are printed to pictures, then leaning by two degrees either way, then noisy and blurred, then
lying on their side; the character error rate is the edit distance over the length of what was printed, spaces made one.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from casemate.markings import Policy
from casemate.modalities.language.documents.limits import Limits
from casemate.modalities.language.documents.reading import read_folder
from casemate.modalities.language.documents.records import PASSAGES, passages_of
from casemate.modalities.language.documents.tongue import language_of

WORDS = (
    "Le règlement général sur la protection des données encadre le traitement des données personnelles. "
    "L'élève a reçu près de 12 500 € à Noël : où est passé l'œuvre d'Élodie ? « Ça m'étonne », répondit-elle. "
)
PAGE = 22  # paragraphs' sentences of a page


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--pages", type=int, default=60)
    options.add_argument("--ocr", type=Path)
    options.add_argument("--texts", type=Path)
    options.add_argument("--scans", type=int, default=6)
    options.add_argument("--long", type=int, default=0, help="pages of one long PDF")
    said = options.parse_args()
    language_of(WORDS)  # its model is loaded once a process
    types(said.pages)
    together(16)
    if said.long:
        long_pdf(said.long)
    if said.ocr:
        recognition(said.ocr, said.texts, said.scans)


def types(pages: int) -> None:
    print(f"pages a second of processor, {pages} pages a document (reference: text only, unconfined, loaded, same run)")
    for name, (data, reference, called) in made(pages).items():
        _, seconds, found = timed_read({name: data})
        reference(data)  # loads what it needs
        start = time.process_time()
        length = len(reference(data))
        theirs = max(time.process_time() - start, 1e-4)
        ours = found.documents[0].characters
        print(
            f"  {name:8} {pages / seconds:8.1f} p/s   {called:24} {pages / theirs:8.1f} p/s   "
            f"characters {ours} / {length}   start of a process included"
        )


def together(count: int) -> None:
    """One process reads the files of a set one after another: what each costs beside a file that is alone."""
    for kind, make in (("docx", docx), ("html", html)):
        files = {f"{pages:02d}.{kind}": make(pages) for pages in range(1, count + 1)}
        middle = f"{(count + 1) // 2:02d}.{kind}"
        alone, every = timed_read({middle: files[middle]})[1], timed_read(files)[1]
        print(
            f"  {kind}: alone {1000 * alone:.0f} ms, one of {count} in a set {1000 * every / count:.0f} ms (processor)"
        )


def timed_read(files: dict[str, bytes], model: Path | None = None) -> tuple[list[Any], float, Any]:
    with tempfile.TemporaryDirectory() as place:
        folder, into = Path(place, "in"), Path(place, "out")
        folder.mkdir()
        into.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        start = processor_s()
        found = read_folder(
            folder, digests, into, policy=Policy.shipped("fr"), model=model, limits=Limits(workers=1, page_s=300)
        )
        seconds = processor_s() - start
        if found.refused:
            raise SystemExit(found.refused)
        with (into / PASSAGES).open("rb") as lines:
            return list(passages_of(lines)), seconds, found


def processor_s() -> float:
    """Processor time of this process and of those that it started and that ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def made(pages: int) -> dict[str, tuple[bytes, Callable[[bytes], str], str]]:
    return {
        "a.pdf": (pdf(pages), by_pypdf, "pypdf"),
        "b.pdf": (pdf(pages, ruled=True), by_pdfplumber, "pdfplumber (with tables)"),
        "a.docx": (docx(pages), by_docx, "python-docx"),
        "a.pptx": (pptx(pages), by_pptx, "python-pptx"),
        "a.xlsx": (xlsx(pages), by_openpyxl, "openpyxl"),
        "a.html": (html(pages), by_lxml, "lxml text_content"),
        "a.txt": ((WORDS * PAGE + "\n\n").encode() * pages, bytes.decode, "decoding alone"),
        "a.md": (b"# T\n\n" + (WORDS * PAGE + "\n\n").encode() * pages, bytes.decode, "decoding alone"),
    }


def pdf(pages: int, *, ruled: bool = False) -> bytes:
    from reportlab.lib import colors
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Table, TableStyle

    out, styles, story = io.BytesIO(), getSampleStyleSheet(), list[Any]()
    for page in range(pages):
        story.append(Paragraph(f"Chapitre {page}", styles["Heading1"]))
        if ruled:
            rows = [[f"ligne {i}", f"valeur {i}", "été"] for i in range(12)]
            story.append(Table(rows, style=TableStyle([("GRID", (0, 0), (-1, -1), 1, colors.black)])))
        story += [Paragraph(WORDS * 4, styles["Normal"]) for _ in range(3 if ruled else 5)]
        story.append(PageBreak())
    SimpleDocTemplate(out).build(story)
    return out.getvalue()


def docx(pages: int) -> bytes:
    import docx as library

    document, out = library.Document(), io.BytesIO()
    for page in range(pages):
        document.add_heading(f"Chapitre {page}", 1)
        for _ in range(5):
            document.add_paragraph(WORDS * 4)
    document.save(out)
    return out.getvalue()


def pptx(pages: int) -> bytes:
    import pptx as library
    from pptx.util import Inches

    deck, out = library.Presentation(), io.BytesIO()
    for page in range(pages):
        slide = deck.slides.add_slide(deck.slide_layouts[5])
        slide.shapes.title.text = f"Chapitre {page}"
        slide.shapes.add_textbox(Inches(1), Inches(2), Inches(5), Inches(4)).text_frame.text = WORDS * 4
    deck.save(out)
    return out.getvalue()


def xlsx(pages: int) -> bytes:
    import openpyxl

    book, out = openpyxl.Workbook(), io.BytesIO()
    for _ in range(pages * 50):
        book.active.append(["quai nord", 12.5, "Étoile du matin", "2026-03-02", "observé"])
    book.save(out)
    return out.getvalue()


def html(pages: int) -> bytes:
    body = "".join(f"<h1>Chapitre {page}</h1>{f'<p>{WORDS * 4}</p>' * 5}" for page in range(pages))
    return f"<!doctype html><html><head><meta charset=utf-8><title>t</title></head><body>{body}</body></html>".encode()


def by_pypdf(data: bytes) -> str:
    import pypdf

    return "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(data)).pages)


def by_pdfplumber(data: bytes) -> str:
    import pdfplumber

    with pdfplumber.open(io.BytesIO(data)) as document:
        return "".join((page.extract_text() or "") + str(page.extract_tables()) for page in document.pages)


def by_docx(data: bytes) -> str:
    import docx as library

    return "".join(paragraph.text for paragraph in library.Document(io.BytesIO(data)).paragraphs)


def by_pptx(data: bytes) -> str:
    import pptx as library

    slides = library.Presentation(io.BytesIO(data)).slides
    return "".join(shape.text_frame.text for slide in slides for shape in slide.shapes if shape.has_text_frame)


def by_openpyxl(data: bytes) -> str:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    return "".join(str(cell) for sheet in book for row in sheet.iter_rows(values_only=True) for cell in row)


def by_lxml(data: bytes) -> str:
    from lxml import html as library

    return str(library.fromstring(data).text_content())


def long_pdf(pages: int) -> None:
    data = pdf(pages)
    _, seconds, found = timed_read({"long.pdf": data})
    peaks = [resource.getrusage(who).ru_maxrss // 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(
        f"one PDF of {found.documents[0].pages} pages, {len(data) >> 20} MiB: {seconds:.0f} s, "
        f"{found.documents[0].pages / seconds:.0f} p/s; most memory of the child {peaks[1]} MiB "
        f"(this process, which also made it: {peaks[0]} MiB)"
    )


def recognition(model: Path, texts: Path | None, scans: int) -> None:
    print(f"character error rate, {scans} French pages each (PP-OCR in a confined process, 200 dots an inch)")
    chance = random.Random(3)  # noqa: S311  noise, not secrets
    printed = [page for page, _ in zip(pages_of(texts), range(scans), strict=False)]
    for how in ("printed", "leaning +2", "leaning -2", "noisy", "turned"):
        errors = length = 0
        files = {f"{i:03d}.png": picture(text, how, chance) for i, text in enumerate(printed)}
        passages, seconds, found = timed_read(files, model)
        of = {document.id: int(document.path[:3]) for document in found.documents}
        read = [""] * len(printed)
        for passage in passages:
            read[of[passage.document]] += passage.text + "\n"
        for text, got in zip(printed, read, strict=True):
            wanted = " ".join(text.split())
            errors += distance(wanted, " ".join(got.split()))
            length += len(wanted)
        print(f"  {how:11} {100 * errors / length:6.2f} %   of {length} characters   {len(printed) / seconds:.2f} p/s")


def pages_of(texts: Path | None) -> Iterator[str]:
    """Texts of about a page, as lines of at most 80 characters."""
    import json
    import textwrap

    if texts is None:
        while True:
            yield "\n".join(textwrap.wrap(WORDS * 8, 80))
    for file in sorted(texts.rglob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            text = str(json.loads(line).get("text", ""))
            if len(text) > 1500:
                yield "\n".join(textwrap.wrap(" ".join(text.split())[:2400], 80)[:-1])


def picture(text: str, how: str, chance: random.Random) -> bytes:
    import importlib.util

    import numpy as np
    from PIL import Image, ImageDraw, ImageFilter, ImageFont

    spec = importlib.util.find_spec("matplotlib")
    folder = Path(str(spec.origin if spec else "")).parent / "mpl-data" / "fonts" / "ttf"
    font = ImageFont.truetype(str(folder / "DejaVuSerif.ttf"), 28)
    image = Image.new("L", (1654, 2339), 255)
    for number, line in enumerate(text.split("\n")):
        ImageDraw.Draw(image).text((150, 150 + 44 * number), line, 0, font)
    if how.startswith("leaning"):
        image = image.rotate(float(how.split()[1]), Image.Resampling.BICUBIC, fillcolor=255)
    if how == "turned":
        image = image.transpose(Image.Transpose.ROTATE_90)
    if how == "noisy":
        image = image.filter(ImageFilter.GaussianBlur(1.0))
        noise = np.random.default_rng(chance.randrange(1 << 30)).normal(0, 28, (image.height, image.width))
        image = Image.fromarray(np.clip(np.asarray(image) * 0.85 + 20 + noise, 0, 255).astype(np.uint8))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def distance(one: str, other: str) -> int:
    """Edits that make one text of the other."""
    import numpy as np

    before = np.arange(len(other) + 1)
    codes, steps = np.array([ord(c) for c in other]), np.arange(len(other) + 1)
    for i, letter in enumerate(one, 1):
        now = np.minimum(before[1:] + 1, before[:-1] + (codes != ord(letter)))
        whole = np.concatenate(([i], now))
        before = np.minimum.accumulate(whole - steps) + steps
    return int(before[-1])


if __name__ == "__main__":
    main()
