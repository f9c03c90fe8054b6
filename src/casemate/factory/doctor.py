"""What is installed, what is missing, and what could reach outside.

Rules. Looks and changes nothing, opens no connection, needs no key. A line that is `missing` makes the command fail;
one that is `note` is for the reader.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from casemate import __version__
from casemate.errors import CasemateError
from casemate.factory.site import read_settings
from casemate.modalities import find, names

_NEEDED = (
    "click", "cryptography", "cyclonedx-python-lib", "fastcdc", "jinja2", "matplotlib", "miniaudio", "numpy", "onnx",
    "onnxruntime", "picklescan", "pillow", "pyarrow", "pydantic", "pypdf", "raptorq", "rasterio", "rich", "safetensors",
    "scipy", "sqlalchemy", "torch", "yara-x", "zstandard",
)  # fmt: skip
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_LEAST_FREE_BYTES = 5 * 10**9


@dataclass(frozen=True)
class Check:
    """One thing looked at: `status` is ok, note or missing."""

    topic: str
    status: str
    detail: str


def examine(site: Path) -> list[Check]:
    """Every check, for the machine and for the site in `site` if there is one."""
    probes: tuple[Callable[[], Iterator[Check]], ...] = (_machine, _libraries, _accelerator, _learnable, _outside)
    return [check for probe in probes for check in probe()] + list(_site(site))


def _machine() -> Iterator[Check]:
    ok = sys.version_info >= (3, 11)
    yield Check("casemate", "ok", __version__)
    yield Check("python", "ok" if ok else "missing", f"{platform.python_version()} (needs 3.11 or later)")
    yield Check("processor", "ok", f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}")
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Check("memory", "ok" if memory_bytes > 4e9 else "note", f"{memory_bytes / 1e9:.0f} GB")


def _libraries() -> Iterator[Check]:
    for name in _NEEDED:
        try:
            yield Check(f"library {name}", "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Check(f"library {name}", "missing", "not installed")


def _accelerator() -> Iterator[Check]:
    devices = sorted(Path("/dev").glob("nvidia[0-9]*"))
    detail = f"{len(devices)} NVIDIA devices" if devices else "none: processor only"
    yield Check("accelerators", "ok" if devices else "note", detail)


def _learnable() -> Iterator[Check]:
    for name in names():
        recipes = ", ".join(find(name).module("recipes").names())
        yield Check(f"modality {name}", "ok", f"recipes: {recipes}")


def _outside() -> Iterator[Check]:
    yield Check("reaches outside", "ok", "nothing by itself: 'diode send' and 'pack build' do, when they are asked to")
    found = [name for name in _PROXIES if os.environ.get(name)]
    if found:
        yield Check("proxy variables", "note", f"{', '.join(found)}: set, and never used nor passed to runs")
    namespaces = shutil.which("unshare")
    yield Check(
        "network namespaces",
        "ok" if namespaces else "note",
        namespaces or "unshare is absent: 'make test' and 'make demo' run with the system's network",
    )


def _site(root: Path) -> Iterator[Check]:
    try:
        settings = read_settings(root)
    except CasemateError as why:
        yield Check("site", "note", str(why))
        return
    yield Check("site", "ok", f"{settings.name}, ceiling {settings.ceiling}, in {root.resolve()}")
    free_bytes = shutil.disk_usage(root).free
    status = "ok" if free_bytes > _LEAST_FREE_BYTES else "note"
    yield Check("room for objects", status, f"{free_bytes / 1e9:.0f} GB free")
