"""One byte changed anywhere in any file of a bundle is refused, and the file is named."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from casemate.airlock.bundle import check, read_head, rebuild, seal, verify_head
from casemate.errors import BadInput, BadSignature, CasemateError, DigestMismatch, InspectionRefused, NotFound
from casemate.signing import Envelope, Signature, Trust
from casemate.store import Digest
from casemate.store.memory import MemoryStore
from tests.airlock.bundle.conftest import (
    LABEL,
    NOW,
    carried,
    entry_of,
    lasting_folder,
    noise,
    pen_of,
    put,
    small_few,
    statement,
)

FORMS = ("folder", "tar", "volumes", "volume tars")
IN_PLACE = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@cache
def sealed(form: str) -> tuple[Path, ...]:
    """A bundle with every kind of file: members raw and packed, a delta, a statement, parts; as volumes where asked."""
    store, folder = MemoryStore(), lasting_folder()
    old = noise(1 << 20, "old")
    entry = entry_of(store, folder / "files", {**small_few(), "changed": old[:700_000] + b"!" + old[700_001:]})
    base = put(store, old)
    return seal(
        store,
        LABEL,
        [entry, carried(put(store, noise(90_000, "alone")), "single", id="s" * 32)],
        folder / "out",
        pen_of("harbour"),
        statements={"a.dsse.json": statement()},
        bases=lambda _, path, __: [base] if path == "changed" else [],
        volume_bytes=(120 << 10) if "volume" in form else None,
        as_tar="tar" in form,
    ).volumes


def files_of(volumes: tuple[Path, ...]) -> list[Path]:
    found = [file for volume in volumes for file in ([volume] if volume.is_file() else volume.rglob("*"))]
    return sorted(file for file in found if file.is_file())


@pytest.mark.parametrize("form", FORMS)
@IN_PLACE
@example(where=0.0, bit=0)
@example(where=0.999999, bit=7)
@example(where=0.984375, bit=0)  # the size of volumes, changed to one that shares the files out in the same way
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_changed_bit_anywhere_is_refused_and_its_file_named(
    form: str, trust: Trust, where: float, bit: int
) -> None:
    volumes = sealed(form)
    for file in files_of(volumes):
        with file.open("r+b") as stream:
            at = int(where * file.stat().st_size)
            stream.seek(at)
            before = stream.read(1)
            stream.seek(at)
            stream.write(bytes([before[0] ^ (1 << bit)]))
        try:
            with pytest.raises(CasemateError, match=re.escape(file.name)):
                check(volumes, trust, NOW)
        finally:
            with file.open("r+b") as stream:
                stream.seek(at)
                stream.write(before)


@pytest.mark.parametrize("form", FORMS)
def test_every_byte_of_the_small_files_and_of_a_part_is_covered(form: str, trust: Trust) -> None:
    volumes = sealed(form)
    check(volumes, trust, NOW)
    for file in files_of(volumes)[:3]:
        data = file.read_bytes()
        try:
            for at in range(0, len(data), max(1, len(data) // 41)):
                file.write_bytes(data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :])
                with pytest.raises(CasemateError, match=re.escape(file.name)):
                    check(volumes, trust, NOW)
        finally:
            file.write_bytes(data)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("more", [b"\0", b"x", bytes(512), bytes(10_240)])
def test_what_follows_the_end_is_refused(form: str, trust: Trust, more: bytes) -> None:
    volumes = sealed(form)
    for file in files_of(volumes):
        data = file.read_bytes()
        try:
            file.write_bytes(data + more)
            with pytest.raises(CasemateError, match=re.escape(file.name)):
                check(volumes, trust, NOW)
        finally:
            file.write_bytes(data)


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_gone_is_refused_and_named(form: str, trust: Trust, tmp_path: Path) -> None:
    volumes = sealed(form)
    if volumes[0].is_file():
        pytest.skip("an archive has no files to lose: see truncated volumes")
    for file in files_of(volumes):
        aside = file.rename(tmp_path / "aside")
        try:
            # Without its account a volume passes for a bundle, whose sums are others.
            named = "SHA256SUMS" if file.name == "volume.json" else re.escape(file.name)
            with pytest.raises(CasemateError, match=named):
                check(volumes, trust, NOW)
        finally:
            aside.rename(file)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(sealed("folder")[0], tmp_path / "bundle"))


@pytest.mark.parametrize("left", [0, 1])
def test_one_of_the_two_signatures_is_not_enough(bundle: Path, trust: Trust, left: int) -> None:
    file = bundle / "manifest.dsse.json"
    envelope = Envelope.from_json(file.read_bytes())
    file.write_bytes(replace(envelope, signatures=(envelope.signatures[left],)).to_json())
    with pytest.raises(BadSignature, match=r"manifest.dsse.json signatures: expected an .* signature"):
        check(bundle, trust, NOW)


def test_a_signature_by_a_key_of_ones_own_is_refused(bundle: Path, trust: Trust) -> None:
    file = bundle / "manifest.dsse.json"
    envelope = Envelope.from_json(file.read_bytes())
    file.write_bytes(pen_of("mallory").sign_bytes(envelope.payload_type, envelope.payload).to_json())
    with pytest.raises(BadSignature, match=r"manifest.dsse.json signer: expected a trusted key, found key"):
        check(bundle, trust, NOW)


def test_two_halves_of_different_signatures_are_refused(bundle: Path, trust: Trust) -> None:
    file = bundle / "manifest.dsse.json"
    envelope = Envelope.from_json(file.read_bytes())
    other = pen_of("harbour").sign_bytes(envelope.payload_type, envelope.payload + b"\n")
    mixed = (envelope.signatures[0], Signature(envelope.signatures[1].keyid, other.signatures[1].sig))
    file.write_bytes(replace(envelope, signatures=mixed).to_json())
    with pytest.raises(BadSignature, match=r"manifest.dsse.json ml-dsa-65 signature"):
        check(bundle, trust, NOW)


def test_envelopes_swapped_between_bundles_are_refused(bundle: Path, trust: Trust, tmp_path: Path) -> None:
    store = MemoryStore()
    other = seal(store, LABEL, [carried(put(store, b"other"), "single")], tmp_path / "other", pen_of("harbour")).folder
    ours, theirs = ((folder / "manifest.dsse.json").read_bytes() for folder in (bundle, other))
    (bundle / "manifest.dsse.json").write_bytes(theirs)
    (other / "manifest.dsse.json").write_bytes(ours)
    for folder in (bundle, other):
        with pytest.raises(BadSignature, match=r"manifest.json: expected what manifest.dsse.json names"):
            check(folder, trust, NOW)


@pytest.mark.parametrize(("who", "found"), [("anne", "found author"), ("mallory", "expected a trusted key")])
def test_only_a_site_or_an_officer_vouches_for_a_bundle(who: str, found: str, trust: Trust, tmp_path: Path) -> None:
    store = MemoryStore()
    entry = carried(put(store, b"x"), "single")
    for name in (who, "olivia"):
        folder = seal(store, LABEL, [entry], tmp_path / name, pen_of(name)).folder
        if name == "olivia":
            assert verify_head(read_head(folder), trust, NOW).name == "olivia"
            continue
        with pytest.raises(BadSignature, match=found):
            check(folder, trust, NOW)


@pytest.mark.parametrize("when", [datetime(2029, 12, 31, tzinfo=UTC), datetime(2031, 1, 2, tzinfo=UTC)])
def test_a_key_outside_its_window_is_refused(bundle: Path, trust: Trust, when: datetime) -> None:
    with pytest.raises(BadSignature, match=r"manifest.dsse.json by harbour: expected a key valid from"):
        check(bundle, trust, when)


def test_a_signer_that_lists_what_is_not_there_is_found_out(trust: Trust, tmp_path: Path) -> None:
    """A site whose list and parts do not fit one another has signed nonsense: the objects say so."""
    bundle = Path(shutil.copytree(sealed("folder")[0], tmp_path / "bundle"))
    listed = (bundle / "objects.jsonl").read_bytes().splitlines(keepends=True)
    for lines, complaint in (
        (listed[1:], "objects.jsonl"),
        ([*listed, listed[-1]], "expected a digest after"),
        (listed[::-1], "expected a digest after"),
        ([listed[0].replace(b'"size":', b'"size": '), *listed[1:]], "expected the canonical line"),
    ):
        resign(bundle, b"".join(lines))
        with pytest.raises((DigestMismatch, BadInput), match=complaint):
            check(bundle, trust, NOW)


def resign(bundle: Path, listed: bytes) -> None:
    """Sign a bundle again whose list was replaced."""
    from casemate.airlock.bundle.head import sign_manifest
    from casemate.airlock.bundle.volumes import own_files

    head = read_head(sealed("folder")[0])
    (bundle / "objects.jsonl").write_bytes(listed)
    facts = replace(head.manifest.listed, size=len(listed), digest=Digest.of_bytes(listed))
    manifest = replace(head.manifest, listed=facts)
    envelope = sign_manifest(manifest, pen_of("harbour"))
    new = replace(head, manifest=manifest, manifest_bytes=manifest.to_json(), envelope=envelope)
    for path, data in own_files(replace(new, envelope_bytes=envelope.to_json()), None):
        (bundle / path).write_bytes(data)


def test_other_spellings_of_an_archive_are_refused(trust: Trust, tmp_path: Path) -> None:
    """The same files in a tar of another make: what is in its headers is not covered, so it is not read."""
    folder = sealed("folder")[0]
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "other.tar", "w", format=form) as archive:
            for path in ("manifest.json", "manifest.dsse.json"):
                archive.add(folder / path, path)
        with pytest.raises(CasemateError, match=r"other.tar at byte 0: expected a tar header as bundles have them"):
            check(tmp_path / "other.tar", trust, NOW)


def test_an_archive_with_a_file_twice_or_in_another_order_is_refused(trust: Trust, tmp_path: Path) -> None:
    from casemate.airlock.bundle.ustar import END, header, padding

    with tarfile.open(sealed("tar")[0]) as archive:
        files = [(m.name, archive.extractfile(m).read()) for m in archive]  # type: ignore[union-attr]

    def written(chosen: list[tuple[str, bytes]]) -> Path:
        out = io.BytesIO()
        for name, data in chosen:
            out.write(header(name, len(data)) + data + padding(len(data)))
        file = tmp_path / "other.tar"
        file.write_bytes(out.getvalue() + END)
        return file

    check(written(files), trust, NOW)
    with pytest.raises(InspectionRefused, match=r"expected each file once, found manifest.json again"):
        check(written([*files, files[0]]), trust, NOW)
    with pytest.raises(InspectionRefused, match=r"other.tar: ../up: expected only what the manifest names"):
        check(written([*files, ("../up", b"")]), trust, NOW)
    with pytest.raises(DigestMismatch, match=r"other.tar: expected every file once, in order"):
        check(written([*files[:3], *files[3:][::-1]]), trust, NOW)
    with pytest.raises(BadInput, match=r"other.tar at byte 0: expected manifest.json, found manifest.dsse.json"):
        check(written([files[1], files[0], *files[2:]]), trust, NOW)
    with pytest.raises((DigestMismatch, NotFound), match=r"other.tar"):
        check(written(files[:-1]), trust, NOW)


def test_nothing_to_check_is_said(trust: Trust) -> None:
    with pytest.raises(BadInput, match="bundle: expected a folder, an archive or volumes, found none"):
        check([], trust, NOW)


def test_more_objects_than_the_manifest_counts_are_refused_before_they_are_rebuilt(
    trust: Trust, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(sealed("folder")[0], tmp_path / "bundle"))
    manifest = replace(read_head(bundle).manifest, count=2)
    with pytest.raises(DigestMismatch, match=r"objects.jsonl: object .*: expected at most 2 objects of \d+ bytes"):
        rebuild(bundle, replace(manifest, bases=()), MemoryStore(), tmp_path / "rebuilt")
