"""Which formats there are, how their bytes begin, and which names they may have.

Rules. A file's type is what its bytes say; its name must agree. What may come in is a set of types; every other type is
only known so that a refusal can say what was found. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from casemate.store import texts

HEAD_BYTES = 4096
UNKNOWN = "unknown binary"


@dataclass(frozen=True)
class Format:
    """A type that may be let in: the scanner that reads it and the endings that its names may have."""

    name: str
    scanner: str
    endings: frozenset[str]


FORMATS = {
    f.name: f
    for f in (
        Format("png", "image", frozenset({"png"})),
        Format("jpeg", "image", frozenset({"jpg", "jpeg"})),
        Format("tiff", "image", frozenset({"tif", "tiff"})),
        Format("webp", "image", frozenset({"webp"})),
        Format("json", "json_text", frozenset({"json", "sig"})),
        Format("json lines", "json_text", frozenset({"jsonl", "ndjson"})),
        Format("geojson", "json_text", frozenset({"geojson"})),
        Format("xml", "xml_text", frozenset({"xml"})),
        Format("csv", "csv_text", frozenset({"csv", "tsv"})),
        # "" is a name without an ending: README, LICENSE. The last four are world files: six numbers.
        Format(
            "text",
            "plain_text",
            frozenset(
                {
                    "",
                    "txt",
                    "md",
                    "markdown",
                    "names",
                    "data",
                    "yaml",
                    "yml",
                    "toml",
                    "srt",
                    "vtt",
                    "jinja",
                    "pem",
                    "tfw",
                    "jgw",
                    "pgw",
                    "wld",
                }
            ),
        ),
        Format("eml", "eml_message", frozenset({"eml"})),
        Format("msg", "outlook_message", frozenset({"msg"})),
        Format("html", "html_page", frozenset({"html", "htm"})),
        Format("safetensors", "safetensors_file", frozenset({"safetensors"})),
        Format("onnx", "onnx_graph", frozenset({"onnx"})),
        Format("gguf", "gguf_file", frozenset({"gguf"})),
        Format("npy", "numpy_array", frozenset({"npy"})),
        Format("npz", "numpy_array", frozenset({"npz"})),
        Format("parquet", "parquet_table", frozenset({"parquet"})),
        Format("wav", "audio", frozenset({"wav"})),
        Format("flac", "audio", frozenset({"flac"})),
        Format("ogg", "audio", frozenset({"ogg", "oga", "opus"})),
        Format("mp3", "audio", frozenset({"mp3"})),
        Format("pdf", "pdf_document", frozenset({"pdf"})),
        Format("ooxml", "office_document", frozenset({"docx", "xlsx", "pptx"})),
        Format("odf", "office_document", frozenset({"odt", "ods", "odp"})),
    )
}
# Unpacked, not scanned (`unpack`): what is inside is inspected instead. Allowed only where a caller lists them.
ARCHIVES = {
    f.name: f
    for f in (
        Format("zip", "unpack", frozenset({"zip"})),
        Format("tar", "unpack", frozenset({"tar"})),
        Format("gzip", "unpack", frozenset({"gz", "tgz"})),
        Format("bzip2", "unpack", frozenset({"bz2", "tbz", "tbz2"})),
        Format("xz", "unpack", frozenset({"xz", "txz"})),
        Format("zstd", "unpack", frozenset({"zst", "tzst"})),
    )
}
# Scanned, and what is attached to them taken out and inspected as files of their own; they are kept as they are.
MAILS = frozenset({"eml", "msg"})
# Not a type of its own: where a delivery may hold it, its texts may be in the encodings of `casemate.store.texts`.
OLDER_TEXTS = "text in older encodings"
# What each kind of delivery may hold: everything else is refused, however harmless.
_TEXTS = frozenset({"json", "geojson", "json lines", "xml", "csv", "text", "html"})
IMAGERY = frozenset({"png", "jpeg", "tiff", "webp", "json", "geojson", "xml", "csv", "text"})
SPEECH = frozenset({"wav", "flac", "ogg", "mp3", "json", "json lines", "csv", "text"})
DOCUMENTS = (
    frozenset({"pdf", "ooxml", "odf", "html", "png", "jpeg", "tiff", "parquet"}) | MAILS | _TEXTS | {OLDER_TEXTS}
)
MODEL = frozenset({"safetensors", "onnx", "gguf", "npy", "npz", "json", "json lines", "csv", "text", "png", "html"})

# Readers of images open these along with an image, by name, and would take data from them that nobody looked at.
SIDECARS = (".aux.xml", ".ovr", ".msk", ".vrt")

_MAGIC = (
    ("png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("jpeg", re.compile(rb"\xff\xd8\xff")),
    ("tiff", re.compile(rb"II[*+]\x00|MM\x00[*+]")),
    ("webp", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("GIF picture", re.compile(rb"GIF8[79]a")),
    ("BMP picture", re.compile(rb"BM....\x00\x00\x00\x00", re.DOTALL)),
    ("JPEG 2000 picture", re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51")),
    ("zip", re.compile(rb"PK(\x03\x04|\x05\x06|\x07\x08)")),
    ("gzip", re.compile(rb"\x1f\x8b\x08")),
    ("bzip2", re.compile(rb"BZh[1-9]1AY&SY")),
    ("xz", re.compile(rb"\xfd7zXZ\x00")),
    ("zstd", re.compile(rb"\x28\xb5\x2f\xfd")),
    ("7-Zip archive", re.compile(rb"7z\xbc\xaf\x27\x1c")),
    ("RAR archive", re.compile(rb"Rar!\x1a\x07")),
    ("tar", re.compile(rb".{257}ustar", re.DOTALL)),
    ("ar archive", re.compile(rb"!<arch>\n")),
    ("cpio archive", re.compile(rb"07070[127]|\xc7\x71|\x71\xc7")),
    ("ELF program", re.compile(rb"\x7fELF")),
    ("Windows program", re.compile(rb"MZ.{58}", re.DOTALL)),
    ("Mach-O program", re.compile(rb"[\xfe\xca-\xcf]\xfa\xed\xfe|\xfe\xed\xfa[\xce\xcf]")),
    ("Java class", re.compile(rb"\xca\xfe\xba\xbe")),
    ("WebAssembly program", re.compile(rb"\x00asm")),
    ("pickle", re.compile(rb"\x80[\x02-\x05][\x8c\x95}\]()cXqN]")),
    ("pdf", re.compile(rb"%PDF-")),
    ("gguf", re.compile(rb"GGUF")),
    ("npy", re.compile(rb"\x93NUMPY")),
    ("parquet", re.compile(rb"PAR1")),
    ("wav", re.compile(rb"RIFF....WAVE", re.DOTALL)),
    ("flac", re.compile(rb"fLaC")),
    ("ogg", re.compile(rb"OggS")),
    ("mp3", re.compile(rb"ID3[\x02-\x04]|\xff[\xfb\xfa\xf3\xf2]")),
    ("safetensors", re.compile(rb".{5}\x00{3}\{", re.DOTALL)),
    ("onnx", re.compile(rb"\x08[\x03-\x14][\x12\x1a\x22\x2a\x32\x3a\x42]")),
    ("Microsoft compound file", re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")),
    ("SQLite database", re.compile(rb"SQLite format 3\x00")),
    ("HDF5 or netCDF file", re.compile(rb"\x89HDF\r\n\x1a\n|CDF[\x01\x02\x05]")),
    ("script", re.compile(rb"#!\s*/")),
)
# GDAL takes a file for a virtual raster when this word stands anywhere near its beginning.
_VIRTUAL = re.compile(rb"<VRTDataset", re.IGNORECASE)
_MARKUP = (
    ("SVG picture", re.compile(rb"<svg[\s>]", re.IGNORECASE)),
    ("html", re.compile(rb"<html[\s>]|<!doctype\s+html|<script[\s>]", re.IGNORECASE)),
)
_XML = re.compile(rb"(\xef\xbb\xbf)?\s*<(\?xml|(?i:!DOCTYPE)|[A-Za-z_][\w.:-]*[\s/>])")
_HEADERS = re.compile(rb"[!-9;-~]+:[^\n]*\n")  # the first of a mail, RFC 5322
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def ending(path: str) -> str:
    """What stands after the last dot of a name, in lower case; nothing where there is no dot or only a leading one."""
    stem, dot, end = path.rpartition("/")[2].rpartition(".")
    return end.lower() if dot and stem else ""


def sniff(head: bytes, path: str) -> str:
    """The type that a file's first bytes say it is; a name only tells one kind of text from another."""
    for name, magic in _MAGIC:
        if magic.match(head):
            return _sniff_container(name, path)
    if _NOT_TEXT.search(head):
        narrow = texts.head_in_utf_8(head)
        return UNKNOWN if narrow is None or _NOT_TEXT.search(narrow) else sniff(narrow, path)
    end = ending(path)
    if not head and not any(end in FORMATS[name].endings for name in _TEXTS):
        return "empty file"
    if end == "eml" and _HEADERS.match(head):
        return "eml"
    markup = _sniff_markup(head) if end not in {"md", "markdown"} else None
    if _VIRTUAL.search(head):
        markup = "GDAL virtual raster, which points to other files"
    return markup or next((name for name in sorted(_TEXTS) if end in FORMATS[name].endings), "text")


def _sniff_container(name: str, path: str) -> str:
    """Which format that is a container underneath a name claims; the scanner of that format holds it to its word."""
    if name == "Microsoft compound file" and ending(path) == "msg":
        return "msg"
    if name != "zip":
        return name
    return next((name for name in ("npz", "ooxml", "odf") if ending(path) in FORMATS[name].endings), "zip")


def _sniff_markup(head: bytes) -> str | None:
    if not _XML.match(head):
        return None
    return next((name for name, markup in _MARKUP if markup.search(head)), "xml")


def agrees(type_name: str, path: str) -> bool:
    """Whether a file of this type may have this name."""
    return ending(path) in endings_of(type_name)


def endings_of(type_name: str) -> frozenset[str]:
    """The endings that names of this type may have: none where it is only known to be refused."""
    known = FORMATS.get(type_name) or ARCHIVES.get(type_name)
    return known.endings if known else frozenset()


def names_allowed(allowed: frozenset[str]) -> str:
    """What is allowed, for a message."""
    return ", ".join(sorted(allowed))
