"""How fast documents, pages, texts and sound are inspected: the table of `inspection.py`, with makers of these formats.

    python bench/inspection_documents.py [MiB a format] [format …]

Texts, pages and documents are read twice: by the scanner of their format, and for personal data (8 MiB of text
a file, in pieces spread over it). FLAC and MP3 are one frame repeated; Ogg is Opus, which is not decoded; Vorbis is
measured on real recordings where a folder of them is given as --vorbis=FOLDER.
"""

from __future__ import annotations

import base64
import io
import struct
import sys
import tempfile
import time
import wave
import zipfile
from pathlib import Path

import inspection
from inspection import CHANCE, noise

_WORDS = [
    "le",
    "la",
    "un",
    "une",
    "de",
    "des",
    "navire",
    "avion",
    "port",
    "piste",
    "quai",
    "grue",
    "vu",
    "deux",
    "trois",
    "nord",
    "sud",
    "près",
    "loin",
    "hier",
    "image",
    "zone",
]


def _prose(size: int) -> str:
    words = CHANCE.integers(0, len(_WORDS), size // 4)
    lines = [" ".join(_WORDS[w] for w in words[i : i + 14]) for i in range(0, len(words), 14)]
    return "\n".join(lines)[:size]


def text(file: Path, size: int) -> None:
    file.write_text(_prose(size))


def csv(file: Path, size: int) -> None:
    rows = CHANCE.random((size // 40, 4))
    file.write_text("a,b,c,d\n" + "\n".join(",".join(f"{x:.6f}" for x in row) for row in rows))


def html(file: Path, size: int) -> None:
    picture = io.BytesIO()
    from PIL import Image

    Image.frombytes("RGB", (512, 512), noise(3 << 18)).save(picture, "PNG")
    shown = f'<img alt="" src="data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}">'
    cells = "".join(f"<tr><td class='n'>{line}</td><td>1</td></tr>\n" for line in _prose(size // 20).split("\n"))
    part = f"<h2>Part</h2>{shown}<table>{cells}</table>"
    file.write_text("<!doctype html><html><head><title>t</title></head><body>" + part * max(1, size // len(part)))


def pdf(file: Path, size: int) -> None:
    import pypdf
    from pypdf.generic import NameObject, StreamObject

    writer, pages = pypdf.PdfWriter(), max(1, size // 200_000)
    for _ in range(pages):
        page = writer.add_blank_page(595, 842)
        content, picture = StreamObject(), StreamObject()
        lines = _prose(3000).split("\n")
        content.set_data(("BT /F1 9 Tf 40 800 Td " + " ".join(f"({x}) Tj 0 -10 Td" for x in lines) + " ET").encode())
        page[NameObject("/Contents")] = writer._add_object(content.flate_encode())  # noqa: SLF001
        picture.set_data(noise(195_000))
        writer._add_object(picture.flate_encode())  # noqa: SLF001
    writer.write(file)


def docx(file: Path, size: int) -> None:
    office = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    relations = "application/vnd.openxmlformats-package.relationships+xml"
    kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    body = "".join(f"<w:p><w:r><w:t>{line}</w:t></w:r></w:p>" for line in _prose(size).split("\n"))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        types = (
            f'<Default Extension="rels" ContentType="{relations}"/><Default Extension="png" ContentType="image/png"/>'
        )
        main = f'<Override PartName="/word/document.xml" ContentType="{office}"/>'
        archive.writestr("[Content_Types].xml", f'<Types xmlns="t">{types}{main}</Types>')
        archive.writestr("_rels/.rels", f'<R xmlns="r"><Relationship Type="{kinds}" Target="word/document.xml"/></R>')
        archive.writestr("word/document.xml", f'<w:document xmlns:w="w"><w:body>{body}</w:body></w:document>')
        png = b"\x89PNG\r\n\x1a\n" + bytes(size // 2)  # only its first bytes are looked at in a document
        archive.writestr("word/media/a.png", png, zipfile.ZIP_STORED)


def wav(file: Path, size: int) -> None:
    with wave.open(str(file), "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(noise(size // 2 * 2))


def flac(file: Path, size: int) -> None:
    from casemate.airlock.sound.flac import _crc8, _crc16

    count = 4096
    header = b"\xff\xf8\x70\x08\x00" + struct.pack(">H", count - 1)
    frame = header + bytes([_crc8(header)]) + b"\x02" + noise(2 * count)
    frame += struct.pack(">H", _crc16(frame))
    frames = max(1, size // len(frame))
    info = struct.pack(">2H", count, count) + bytes(3) + len(frame).to_bytes(3)
    info += (16_000 << 44 | 15 << 36 | frames * count).to_bytes(8) + bytes(16)
    file.write_bytes(b"fLaC\x80\0\0\x22" + info + frame * frames)


def ogg(file: Path, size: int) -> None:
    from casemate.airlock.sound.ogg import _crc

    def page(number: int, packets: list[bytes], flags: int, granule: int) -> bytes:
        lengths = b"".join(b"\xff" * (len(p) // 255) + bytes([len(p) % 255]) for p in packets)
        head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, 7, number, 0, len(lengths))
        whole = head + lengths + b"".join(packets)
        return whole[:22] + struct.pack("<I", _crc(whole)) + whole[26:]

    out = [page(0, [b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 312, 48_000, 0, 0)], 2, 0)]
    out.append(page(1, [b"OpusTags" + bytes(8)], 0, 0))
    pages = max(1, size // 4200)
    packets = [[b"\xf8" + noise(79)] * 50 for _ in range(pages)]
    out += [page(i + 2, p, 4 if i == pages - 1 else 0, (i + 1) * 48_000) for i, p in enumerate(packets)]
    file.write_bytes(b"".join(out))


def mp3(file: Path, size: int) -> None:
    frame = b"\xff\xfb\x90\xc0" + bytes(413)
    file.write_bytes(frame * max(12, size // len(frame)))


MAKERS: dict[str, inspection.Make] = {
    "text": text, "csv": csv, "html": html, "pdf": pdf, "ooxml": docx, "wav": wav, "flac": flac, "ogg": ogg, "mp3": mp3,
}  # fmt: skip
_ENDINGS = {"text": "txt", "csv": "csv", "ooxml": "docx", "ogg": "opus"}


def _measure(name: str, files: list[Path], folder: Path, quarantine: Path) -> str:
    total = sum(file.stat().st_size for file in files)
    inspection.reference_s(files)  # warms the cache
    plain = min(inspection.reference_s(files) for _ in range(3))
    seconds = min(inspection.inspected_s(folder, quarantine, name) for _ in range(2))
    told, read = inspection.rate(total, seconds), inspection.rate(total, plain)
    return f"| {name} | {total / 1e6:.0f} | {told:.1f} | {read:.0f} | {seconds / plain:.1f} |"


def main() -> None:
    vorbis = [argument.partition("=")[2] for argument in sys.argv if argument.startswith("--vorbis=")]
    words = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    size = int(words[0]) << 20 if words else 64 << 20
    print("| format | MB | inspected, MB/s | read and SHA-256, MB/s | time against reading |")
    print("|---|---|---|---|---|")
    for name in words[1:] or MAKERS:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "arrived"
            folder.mkdir()
            files = [folder / f"{i}.{_ENDINGS.get(name, name)}" for i in range(4)]
            for file in files:
                MAKERS[name](file, size // len(files))
            print(_measure(name, files, folder, Path(place) / "quarantine"), flush=True)
    if vorbis:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "arrived"
            folder.mkdir()
            for i, found in enumerate(sorted(Path(vorbis[0]).rglob("*.ogg"))):
                (folder / f"{i}.ogg").write_bytes(found.read_bytes())
            files = sorted(folder.iterdir())
            print(_measure("ogg", files, folder, Path(place) / "quarantine").replace("| ogg |", "| ogg (Vorbis) |"))


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(f"{time.perf_counter() - started:.0f} s in all", file=sys.stderr)
