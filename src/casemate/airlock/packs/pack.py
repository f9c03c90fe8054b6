"""A starter pack's list: which files, out of which wheels, with which digests, under which licence, from whom.

Rules. TOML, strict: an unknown key, a path with "..", a format that the airlock does not know, or one wheel with two
digests is an error. Everything in the pack is a file of the list, its LICENSE too; nothing else may be in its folder.
The digest is trusted because the officer signed the list, not because of who carried the bytes. `opaque` is a format
for what no scanner reads: the digest alone vouches, only endings of a short list may have it, and never what begins
like a program, a pickle or an archive (`casemate.airlock.packs.content`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from pydantic import Field

from casemate.airlock import formats
from casemate.errors import BadInput, BadSignature, NotFound
from casemate.signing.canonical import Door, dump
from casemate.signing.envelope import Envelope
from casemate.signing.keys import PublicKey
from casemate.signing.signer import Signer
from casemate.signing.verify import verify
from casemate.store.digest import Digest
from casemate.store.manifest import Manifest, ManifestFile, check_path

FORMAT = "casemate-pack/1"
PACK_TYPE = "application/vnd.casemate.pack+toml"
LIST_FILE = "pack.json"
LICENCE_FILE = "LICENSE"
OPAQUE = "opaque"
# What the model does, and so how it is judged; lists that were signed before there were tasks have none.
Task = Literal["chat", "embeddings", "language-id", "ocr", "speech", "voice-activity"]
OPAQUE_ENDINGS = frozenset({"bin", "model"})  # CTranslate2 weights; a SentencePiece vocabulary
_MAX_CHARACTERS = 1_000_000
_MAX_FILE_BYTES = 64 << 30


@dataclass(frozen=True)
class Words:
    """One sentence in both languages."""

    en: str
    fr: str


@dataclass(frozen=True, order=True)
class Wheel:
    """One wheel of a registry, and the digest that its bytes must have."""

    package: str
    version: str
    filename: str
    digest: Digest


@dataclass(frozen=True)
class Source:
    """A file inside a wheel."""

    wheel: Wheel
    inside: str


@dataclass(frozen=True)
class PackFile:
    """One file of a pack: its sources one after the other, unpacked if so said; or a licence shipped with Casemate."""

    path: str
    size: int
    digest: Digest
    format: str
    sources: tuple[Source, ...]
    unpack: Literal["xz"] | None
    licence_text: str | None


@dataclass(frozen=True)
class Pack:
    """A whole list; `digest` is that of its text."""

    name: str
    kind: str
    modality: str
    task: str
    licence: str
    upstream: str
    url: str
    title: Words
    note: Words | None
    files: tuple[PackFile, ...]
    digest: Digest
    text: str

    @property
    def wheels(self) -> tuple[Wheel, ...]:
        """The wheels to fetch, each once, in the order of the list."""
        return tuple(dict.fromkeys(source.wheel for file in self.files for source in file.sources))

    @property
    def size(self) -> int:
        """The bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def manifest(self) -> Manifest:
        """What the pack's folder holds, whole."""
        text = self.to_json()
        listed = ManifestFile(LIST_FILE, len(text), Digest.of_bytes(text))
        return Manifest((listed, *(ManifestFile(file.path, file.size, file.digest) for file in self.files)))

    @property
    def opaque(self) -> tuple[str, ...]:
        """The paths for which the digest alone vouches: no scanner knows their format."""
        return tuple(file.path for file in self.files if file.format == OPAQUE)

    def to_json(self) -> bytes:
        """The list as it lies in the pack's folder: canonical JSON, and the digest of the text that was signed."""
        return dump({**tomllib.loads(self.text), "list": str(self.digest)})


def read(text: str, *, source: str = "pack list") -> Pack:
    """The pack that a list describes; BadInput naming `source` and the field for anything unknown or ill-formed."""
    if len(text) > _MAX_CHARACTERS:
        raise BadInput(source, expected=f"at most {_MAX_CHARACTERS} characters", found=len(text))
    try:
        raw = _PackToml.enter(tomllib.loads(text), source)
    except tomllib.TOMLDecodeError as why:
        raise BadInput(source, expected="TOML", found=why) from why
    files = tuple(_read_file(file, source) for file in raw.files)
    _check_paths(files, source)
    _check_wheels([s.wheel for file in files for s in file.sources], source)
    note = Words(raw.note.en, raw.note.fr) if raw.note else None
    return Pack(
        raw.name, raw.kind, raw.modality, raw.task or "", raw.licence, raw.origin.upstream, raw.origin.url,
        Words(raw.title.en, raw.title.fr), note, files, Digest.of_bytes(text.encode()), text,
    )  # fmt: skip


def packs() -> tuple[Pack, ...]:
    """The packs that come with Casemate, by name."""
    return tuple(shipped(name) for name in _names())


def shipped(name: str) -> Pack:
    """One of the packs that come with Casemate."""
    if name not in _names():
        raise NotFound(f"pack {name}", expected=f"one of {', '.join(_names())}", found="none of that name")
    text = resources.files(__package__).joinpath("lists", f"{name}.toml").read_text(encoding="utf-8")
    return read(text, source=f"{name}.toml")


def licence_bytes(name: str) -> bytes:
    """A licence's text that comes with Casemate, for upstreams whose wheels leave it out."""
    return resources.files(__package__).joinpath("licences", f"{name}.txt").read_bytes()


def sign_pack(text: str, pen: Signer) -> bytes:
    """The envelope in which the officer vouches for a list; BadInput if the text is not one."""
    read(text)
    return pen.sign_bytes(PACK_TYPE, text.encode()).to_json()


def load_pack(text: bytes, envelope_bytes: bytes, officer: PublicKey) -> Pack:
    """The pack whose list the officer signed; BadSignature if these are not the bytes."""
    envelope = Envelope.from_json(envelope_bytes, thing="pack list's signature")
    verify(envelope, [officer], payload_type=PACK_TYPE, thing="pack list")
    if envelope.payload != text:
        raise BadSignature("pack list", expected="the bytes that the officer signed", found="other bytes")
    return read(text.decode())


def _names() -> list[str]:
    files = resources.files(__package__).joinpath("lists").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def _licences() -> list[str]:
    files = resources.files(__package__).joinpath("licences").iterdir()
    return sorted(file.name.removesuffix(".txt") for file in files)


def _read_file(raw: _FileToml, source: str) -> PackFile:
    thing = f"{source} file {raw.path}"
    check_path(raw.path, thing)
    if bool(raw.sources) == (raw.licence_text is not None):
        raise BadInput(thing, expected="from or licence_text", found="both" if raw.sources else "neither")
    if raw.licence_text is not None and raw.licence_text not in _licences():
        raise BadInput(f"{thing} licence_text", expected=" or ".join(_licences()), found=raw.licence_text)
    _check_format(raw.path, raw.format, thing)
    sources = tuple(_read_source(s, thing) for s in raw.sources)
    return PackFile(raw.path, raw.size, Digest(raw.sha256), raw.format, sources, raw.unpack, raw.licence_text)


def _check_format(path: str, name: str, thing: str) -> None:
    end = formats.ending(path)
    if name == OPAQUE:
        if end not in OPAQUE_ENDINGS:
            expected = f"a name that ends in {' or '.join(sorted(OPAQUE_ENDINGS))} for opaque bytes"
            raise BadInput(thing, expected=expected, found=end or "no ending")
    elif name not in formats.MODEL:
        raise BadInput(f"{thing} format", expected=f"{OPAQUE} or {formats.names_allowed(formats.MODEL)}", found=name)
    elif not formats.agrees(name, path):
        raise BadInput(thing, expected=f"a name that a {name} file may have", found=end or "no ending")


def _read_source(raw: _SourceToml, thing: str) -> Source:
    check_path(raw.inside, f"{thing} inside")
    parts = raw.wheel.removesuffix(".whl").split("-")
    named = (re.sub(r"[-_.]+", "-", parts[0]).lower(), parts[1] if len(parts) > 1 else "")
    if len(parts) not in {5, 6} or named != (raw.package, raw.version):
        raise BadInput(f"{thing} wheel", expected=f"a wheel of {raw.package} {raw.version}", found=raw.wheel)
    return Source(Wheel(raw.package, raw.version, raw.wheel, Digest(raw.sha256)), raw.inside)


def _check_paths(files: tuple[PackFile, ...], source: str) -> None:
    paths = [file.path for file in files]
    if LIST_FILE in paths:
        raise BadInput(source, expected=f"no file {LIST_FILE} (the list itself lies there)", found="one")
    if LICENCE_FILE not in paths:
        raise BadInput(source, expected=f"a file {LICENCE_FILE}", found="none")
    try:
        Manifest(tuple(ManifestFile(file.path, file.size, file.digest) for file in files))
    except BadInput as why:
        raise BadInput(f"{source} files", expected=why.expected, found=why.found) from why


def _check_wheels(wheels: Iterable[Wheel], source: str) -> None:
    digests: dict[str, Digest] = {}
    for wheel in wheels:
        if digests.setdefault(wheel.filename, wheel.digest) != wheel.digest:
            raise BadInput(f"{source} wheel {wheel.filename}", expected="one digest", found="two")


_SHA256 = r"^[0-9a-f]{64}\z"
_LINE = r"^[^\x00-\x1f\x7f]{1,1000}\z"


class _TextToml(Door):
    en: str = Field(pattern=_LINE)
    fr: str = Field(pattern=_LINE)


class _OriginToml(Door):
    upstream: str = Field(pattern=_LINE)
    url: str = Field(pattern=r"^https://[\x21-\x7e]{1,1000}\z")


class _SourceToml(Door):
    package: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\z", max_length=128)
    version: str = Field(pattern=r"^[a-z0-9.+!]{1,64}\z")
    wheel: str = Field(pattern=r"^[A-Za-z0-9_.+!-]{1,250}\.whl\z")
    sha256: str = Field(pattern=_SHA256)
    inside: str


class _FileToml(Door):
    path: str
    size: int = Field(ge=1, le=_MAX_FILE_BYTES)
    sha256: str = Field(pattern=_SHA256)
    format: str
    sources: list[_SourceToml] = Field(default=[], alias="from", max_length=1000)
    unpack: Literal["xz"] | None = None
    licence_text: str | None = None


class _PackToml(Door):
    format: Literal["casemate-pack/1"]
    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\z", max_length=64)
    kind: Literal["model"]
    modality: Literal["imagery", "language", "speech"]
    task: Task | None = None
    licence: str = Field(pattern=r"^[A-Za-z0-9.+() -]{1,128}\z")
    title: _TextToml
    origin: _OriginToml
    note: _TextToml | None = None
    files: list[_FileToml] = Field(min_length=1, max_length=1000)
