"""Random damage to models, arrays and tables: a scanner answers, it does not break."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.airlock import ScanLimits, scanners
from casemate.airlock.formats import FORMATS
from casemate.airlock.inspect import picklescan_opinion
from casemate.airlock.report import Finding
from tests.airlock.samples.weights import SAMPLES

NUMBERS = [
    b"\0",
    b"\xff",
    b"\x7f\xff\xff\xff",
    b"\xff" * 8,
    b"\0" * 8,
    b"-1",
    b"99999999999",
    b"\x80\x04",
    b'"',
    b"{",
    b"[",
]


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    for name in {FORMATS[sample].scanner for sample in SAMPLES}:
        scanners.find(name).versions()
    picklescan_opinion.versions()


def damaged(data: bytes, chance: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(out))
        how = chance.randrange(4)
        if how == 0:
            out[at] = chance.randrange(256)
        elif how == 1:
            piece = chance.choice(NUMBERS)
            out[at : at + chance.choice([0, len(piece)])] = piece
        elif how == 2:
            del out[at : at + chance.randint(1, 9)]
        else:
            other = chance.randrange(len(out))
            out[at:at] = out[other : other + chance.randint(1, 40)]
        out = out or bytearray(b"x")
    return bytes(out)


@pytest.mark.parametrize("sample", SAMPLES)
def test_damage_is_answered_and_breaks_nothing(sample: str, tmp_path: Path) -> None:
    chance = random.Random(sample)  # noqa: S311  damage, not secrets
    whole = SAMPLES[sample]()
    refused = 0
    for data in (damaged(whole, chance) for _ in range(400)):
        findings = scan(tmp_path, data, sample)
        assert all(isinstance(finding, Finding) for finding in findings)
        refused += any(not finding.note for finding in findings)
    assert refused > 200


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.binary(max_size=300))
def test_any_bytes_after_a_true_beginning_are_answered(sample: str, rest: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for keep in (8, 24, 64):
            scan(Path(folder), SAMPLES[sample]()[:keep] + rest, sample)


def scan(folder: Path, data: bytes, sample: str) -> list[Finding]:
    file = folder / f"damaged.{sample}"
    file.write_bytes(data)
    return list(_scans(file, sample))


def _scans(file: Path, sample: str) -> Iterator[Finding]:
    for name in (FORMATS[sample].scanner, "pickle_disguise", "picklescan_opinion"):
        yield from scanners.find(name).scan(file, sample, ScanLimits())
