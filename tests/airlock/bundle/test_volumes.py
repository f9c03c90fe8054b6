from __future__ import annotations

import itertools
import shutil
from functools import cache
from pathlib import Path

import pytest

from casemate.airlock.bundle import Sealed, check, read_head, rebuild, receive, seal, split
from casemate.errors import BadInput, BadSignature, DigestMismatch, InspectionRefused, NotFound, NotTrusted
from casemate.signing import Trust
from casemate.store.memory import MemoryStore
from casemate.store.objects import ObjectStore
from casemate.store.posix import PosixStore
from tests.airlock.bundle.conftest import LABEL, NOW, entry_of, lasting_folder, noise, pen_of, statement

VOLUME_BYTES = 100_000


@cache
def _sealed_once(*, as_tar: bool) -> tuple[Path, ...]:
    return _seal(MemoryStore(), lasting_folder(), "volumes", as_tar=as_tar).volumes


@pytest.fixture(params=["folders", "tars"])
def volumes(request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
    made = _sealed_once(as_tar=request.param == "tars")
    shutil.copytree(made[0].parent, tmp_path / "volumes")
    return [tmp_path / "volumes" / volume.name for volume in made]


def _seal(store: ObjectStore, tmp_path: Path, name: str, *, as_tar: bool = False, seed: str = "") -> Sealed:
    files = {f"{n}.bin": noise(40_000, f"{seed}{n}") for n in range(5)} | {"big": noise(150_000, f"{seed}big")}
    return seal(
        store,
        LABEL,
        [entry_of(store, tmp_path / f"files {name}", files)],
        tmp_path / name,
        pen_of("harbour"),
        statements={"a.dsse.json": statement()},
        volume_bytes=VOLUME_BYTES,
        as_tar=as_tar,
    )


def _size(volume: Path) -> int:
    return sum(file.stat().st_size for file in ([volume] if volume.is_file() else volume.rglob("*")) if file.is_file())


def test_no_volume_is_larger_than_was_asked_for(volumes: list[Path]) -> None:
    assert len(volumes) >= 5
    assert all(_size(volume) <= VOLUME_BYTES for volume in volumes)
    assert {volume.name.removesuffix(".tar") for volume in volumes} == {
        f"volume-{n}-of-{len(volumes)}" for n in range(1, len(volumes) + 1)
    }


def test_volumes_arrive_in_any_order_one_by_one(
    volumes: list[Path], target: PosixStore, trust: Trust, tmp_path: Path
) -> None:
    head = read_head(volumes[2])
    order = [*volumes[3:], volumes[3], *volumes[:3]]
    for number, volume in enumerate(order):
        got = receive(volume, tmp_path / "area", head)
        left = {v.name.removesuffix(".tar") for v in set(volumes) - set(order[: number + 1])}
        assert set(got.missing_volumes) == left
        assert got.whole == (not left)
    assert check(got.folder, trust, NOW) == head.manifest
    rebuild(got.folder, head.manifest, target, tmp_path / "rebuilt")


def test_every_volume_brings_the_statements(volumes: list[Path]) -> None:
    heads = [read_head(volume) for volume in volumes]
    assert {head.statement("a.dsse.json") for head in heads} == {heads[0].statements["a.dsse.json"]}
    assert heads[0].statement("another.dsse.json") is None


def test_all_volumes_together_are_checked_in_any_order(volumes: list[Path], trust: Trust) -> None:
    for order in itertools.islice(itertools.permutations(volumes), 0, 100, 33):
        check(order, trust, NOW)


def test_a_missing_volume_is_seen_by_the_file_that_it_held(volumes: list[Path], trust: Trust) -> None:
    with pytest.raises(NotFound, match=r"objects.jsonl: expected a file in one of the volumes, found \d without it"):
        check(volumes[1:], trust, NOW)
    with pytest.raises(NotFound, match=r"parts/\d+.tar: expected a file in one of the volumes"):
        check(volumes[:-1], trust, NOW)


def test_a_volume_twice_is_refused_by_check(volumes: list[Path], trust: Trust) -> None:
    with pytest.raises(InspectionRefused, match=r"expected each file once, found it again"):
        check([*volumes, volumes[1]], trust, NOW)


def test_a_volume_of_another_bundle_is_refused(
    volumes: list[Path], store: PosixStore, trust: Trust, tmp_path: Path
) -> None:
    other = _seal(store, tmp_path, "other", as_tar=volumes[0].is_file(), seed="other").volumes
    with pytest.raises(
        DigestMismatch, match=r"manifest.json: expected that of bundle sha256:.*, found another bundle's"
    ):
        check([*volumes[:-1], other[-1]], trust, NOW)
    with pytest.raises(DigestMismatch, match=r"expected that of bundle"):
        receive(other[0], tmp_path / "area", read_head(volumes[0]))


@pytest.mark.parametrize("cut", [1, 511, 512, 1024, 5_000])
def test_a_truncated_volume_is_refused(volumes: list[Path], trust: Trust, cut: int) -> None:
    victim = volumes[1] if volumes[1].is_file() else next((volumes[1] / "parts").iterdir())
    victim.chmod(0o600)
    victim.write_bytes(victim.read_bytes()[:-cut])
    with pytest.raises(NotTrusted, match=victim.name):
        check(volumes, trust, NOW)
    with pytest.raises(NotTrusted, match=victim.name):
        receive(volumes[1], victim.parent.parent.parent / "area", read_head(volumes[0]))


def test_a_volume_that_calls_itself_another_is_refused(volumes: list[Path], trust: Trust) -> None:
    if volumes[0].is_file():
        pytest.skip("the account inside a tar is compared the same way")
    shutil.copyfile(volumes[0] / "volume.json", volumes[1] / "volume.json")
    with pytest.raises((DigestMismatch, InspectionRefused), match=r"volume-2-of-\d"):
        check(volumes, trust, NOW)


def test_a_volume_of_a_signature_that_does_not_hold_is_refused(volumes: list[Path]) -> None:
    empty = Trust(())
    with pytest.raises(BadSignature, match=r"manifest.dsse.json signer: expected a trusted key"):
        check(volumes, empty, NOW)


def test_an_existing_bundle_is_split_without_signing_again(sealed_small: Sealed, trust: Trust, tmp_path: Path) -> None:
    for as_tar in (False, True):
        into = tmp_path / f"split {as_tar}"
        laid = split(sealed_small.folder, into, 64 << 10, as_tar=as_tar)
        assert check(laid, trust, NOW) == sealed_small.manifest
        assert sorted(into.iterdir()) == sorted(laid)
        assert split(sealed_small.folder, into, 64 << 10, as_tar=as_tar) == laid
    check(sealed_small.folder, trust, NOW)


def test_volumes_that_are_too_small_say_how_large_they_must_be(
    sealed_small: Sealed, store: PosixStore, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=r"volumes: expected at least \d+ bytes, for .*, found 9000 bytes"):
        split(sealed_small.folder, tmp_path / "split", 9000)
    with pytest.raises(BadInput, match=r"volumes: expected at least 65536 bytes, found 60000 bytes"):
        seal(store, LABEL, [], tmp_path / "new", pen_of("harbour"), volume_bytes=60_000)
    assert not (tmp_path / "new").exists()
