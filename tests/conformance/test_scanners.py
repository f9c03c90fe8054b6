"""What every scanner found in the folder must do."""

from __future__ import annotations

import inspect as signatures
import random
import subprocess
import sys
from pathlib import Path

import pytest

from casemate.airlock import ScanLimits, admit, scanners
from casemate.airlock.formats import FORMATS
from casemate.airlock.inspect import inspect
from casemate.errors import NotFound
from tests.airlock.samples import write_all


@pytest.mark.parametrize("name", scanners.names())
def test_it_has_a_version_and_reads_with_one_signature(name: str) -> None:
    scanner = scanners.find(name)
    assert scanner.__doc__
    assert scanner.versions()[name]
    assert list(signatures.signature(scanner.scan).parameters) == ["file", "type_name", "limits"]
    named = {f.scanner for f in FORMATS.values()} | set(scanners.of_every_file())
    assert name in named, "a scanner that no format names, and that does not read every file, reads nothing"


@pytest.mark.parametrize("name", scanners.names())
def test_what_it_says_of_every_file_and_of_preparing_is_understood(name: str) -> None:
    scanner = scanners.find(name)
    assert (name in scanners.of_every_file()) == getattr(scanner, "READS_EVERY_FILE", False), "on a line of its own"
    prepare = getattr(scanner, "prepare", None)
    if prepare is not None:
        assert list(signatures.signature(prepare).parameters) == ["rules", "types"]


@pytest.mark.parametrize("name", scanners.names())
def test_to_import_it_loads_no_heavy_library(name: str) -> None:
    heavy = "{'numpy', 'onnx', 'picklescan', 'pyarrow', 'pypdf', 'rasterio', 'yara_x', 'miniaudio'}"
    script = f"import sys, casemate.airlock.inspect.{name}; print(sorted({heavy} & sys.modules.keys()))"
    said = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_every_format_names_a_scanner_that_is_there() -> None:
    assert {f.scanner for f in FORMATS.values()} | set(scanners.of_every_file()) == set(scanners.names())
    with pytest.raises(NotFound, match=r"scanner nobody: expected audio or .*, found no such file in inspect/"):
        scanners.find("nobody")


def test_a_clean_sample_of_every_format_is_clean(tmp_path: Path) -> None:
    with admit(write_all(tmp_path / "samples"), tmp_path / "quarantine") as admitted:
        report = inspect(admitted, allowed=frozenset(FORMATS), limits=ScanLimits(workers=1))
    assert [(f.path, f.findings) for f in report.refused] == []
    assert {f.type for f in report.files} == set(FORMATS)
    assert {name for f in report.files for name in f.scanners} == set(scanners.names()) == set(report.scanners)
    assert all(set(f.scanners[1:]) == set(scanners.of_every_file()) for f in report.files)


def test_damaged_samples_of_every_format_get_a_line_and_break_no_scanner(tmp_path: Path) -> None:
    chance = random.Random(11)  # noqa: S311  damage, not secrets
    folder = write_all(tmp_path / "samples")
    for sample in sorted(folder.iterdir()):
        data = sample.read_bytes()
        for i in range(40):
            damaged = bytearray(data)
            for _ in range(chance.randint(1, 8)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            kept = chance.choice([len(damaged), chance.randrange(1, len(damaged))])
            (folder / f"{i}{sample.name}").write_bytes(damaged[:kept])
        sample.unlink()
    with admit(folder, tmp_path / "quarantine") as admitted:
        report = inspect(admitted, allowed=frozenset(FORMATS), limits=ScanLimits(workers=2))
    assert sum(not f.inside for f in report.files) == 40 * len(FORMATS)
    broken = [(f.path, x.found) for f in report.refused for x in f.findings if x.rule == "scanner"]
    assert broken == []
    assert len(report.refused) > len(report.files) // 2
