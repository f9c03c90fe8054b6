"""Only a release that holds, whose every byte verifies, is loaded; anything else is refused and says what it is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from casemate.errors import (
    BadSignature,
    CasemateError,
    DigestMismatch,
    GateClosed,
    NotAllowed,
    NotFound,
    NotTrusted,
    Refused,
    Revoked,
)
from casemate.gates.approval import Approval, approval_statement
from casemate.gates.release_check import release_statement
from casemate.signing.envelope import Envelope
from casemate.store import open_store
from casemate.store.digest import Digest
from tests.gates.conftest import NOW, pen_of
from tests.serving.conftest import Shop, approvals_of


def refused(kind: type[CasemateError], act: Callable[[], object]) -> str:
    with pytest.raises(kind) as refusal:
        act()
    return str(refusal.value)


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def rewritten(file: Path, data: bytes) -> None:
    """Put other bytes under a file's name, as somebody with the disk in hand could."""
    file.chmod(0o600)
    file.unlink()
    file.write_bytes(data)


# ── what holds ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_release_that_holds_is_laid_out_as_it_was_signed(shop: Shop) -> None:
    loaded = shop.load()
    assert loaded.release == shop.released.release
    assert loaded.digest == shop.released.digest
    assert loaded.model_dir.parent == shop.shelf
    for file in shop.manifest.files:
        assert Digest.of_file(loaded.model_dir / file.path) == file.digest
    assert loaded.calibration is not None
    assert Digest.of_file(loaded.calibration) == shop.case.calibration


def test_a_release_loads_again_from_what_is_laid_out(shop: Shop) -> None:
    assert shop.load() == shop.load(now=NOW + timedelta(days=300))


def test_a_store_that_keeps_no_files_serves_as_well(shop: Shop) -> None:
    memory = open_store("memory")
    for digest in shop.store.digests():
        with shop.store.open(digest) as stream:
            memory.put(stream)
    assert (shop.load(store=memory).model_dir / "model.onnx").is_file()


# ── bytes ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", ["model.json", "model.onnx"])
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_one_byte_changed_in_the_models_folder_is_refused_by_name(shop: Shop, name: str, where: float) -> None:
    file = shop.load().model_dir / name
    data = file.read_bytes()
    rewritten(file, flipped(data, round(where * (len(data) - 1))))
    digest = next(f.digest for f in shop.manifest.files if f.path == name)
    message = refused(DigestMismatch, shop.load)
    assert message.startswith(f"model file {name}: expected {digest} ({len(data)} bytes), found sha256:")


@pytest.mark.parametrize("name", ["model.json", "model.onnx"])
def test_one_byte_changed_in_the_store_is_refused_by_name(shop: Shop, name: str) -> None:
    digest = next(f.digest for f in shop.manifest.files if f.path == name)
    path = shop.store.path(digest)  # type: ignore[attr-defined]
    rewritten(path, flipped(path.read_bytes(), 3))
    assert refused(DigestMismatch, shop.load).startswith(f"{name}: expected {digest}, found sha256:")
    assert not list(shop.shelf.glob("[0-9a-f]*"))


def test_a_file_added_or_missing_in_the_models_folder_is_refused_by_name(shop: Shop) -> None:
    folder = shop.load().model_dir
    (folder / "model-int8.onnx").write_bytes(b"other")
    assert refused(DigestMismatch, shop.load) == (
        f"model file model-int8.onnx: expected no such file, found {Digest.of_bytes(b'other')} (5 bytes)"
    )
    (folder / "model-int8.onnx").unlink()
    (folder / "model.json").unlink()
    assert refused(DigestMismatch, shop.load).endswith("found no such file")


def test_a_link_in_the_models_folder_is_refused(shop: Shop, tmp_path: Path) -> None:
    file = shop.load().model_dir / "model.onnx"
    (tmp_path / "elsewhere").write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    assert "a symbolic link" in refused(Refused, shop.load)


def test_one_byte_changed_in_the_calibration_is_refused_by_name(shop: Shop) -> None:
    file = shop.load().calibration
    assert file is not None
    rewritten(file, flipped(file.read_bytes(), 30))
    message = refused(DigestMismatch, shop.load)
    assert message.startswith(f"{file.name}: expected {shop.case.calibration}, found sha256:")


def test_a_model_that_is_not_in_the_store_is_not_found(shop: Shop) -> None:
    shop.store.delete(shop.manifest.digest)
    assert refused(NotFound, shop.load).startswith(f"object {shop.manifest.digest}: expected ")


# ── statements ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_any_one_byte_changed_in_the_release_is_refused_by_name(shop: Shop) -> None:
    data = shop.released.envelope.to_json()
    for place in range(0, len(data), 211):
        message = refused(CasemateError, lambda at=place: shop.load(release=flipped(data, at)))  # type: ignore[misc]
        assert message.startswith("release")
    assert not shop.shelf.exists()


@pytest.mark.parametrize("which", [0, 1])
def test_any_one_byte_changed_in_an_approval_is_refused_by_name(shop: Shop, which: int) -> None:
    data = [approval.to_json() for approval in shop.approvals]
    for place in range(0, len(data[which]), 307):
        changed = [flipped(d, place) if n == which else d for n, d in enumerate(data)]
        message = refused(CasemateError, lambda given=changed: shop.load(approvals=given))  # type: ignore[misc]
        assert "approval" in message
    assert not shop.shelf.exists()


def test_a_release_without_its_signatures_is_refused(shop: Shop) -> None:
    bare = replace(shop.released.envelope, signatures=())
    message = refused(BadSignature, lambda: shop.load(release=bare.to_json()))
    assert message == "release signatures: expected an ecdsa-p384 signature, found no signature"
    for dropped, kind in ((0, "ecdsa-p384"), (1, "ml-dsa-65")):
        kept = shop.released.envelope.signatures[1 - dropped]
        one = replace(shop.released.envelope, signatures=(kept,))
        message = refused(BadSignature, lambda given=one: shop.load(release=given.to_json()))  # type: ignore[misc]
        assert message.startswith(f"release signatures: expected an {kind} signature, found ")


def test_an_approval_without_its_signatures_is_refused(shop: Shop) -> None:
    bare = replace(shop.approvals[0], signatures=())
    given = [bare.to_json(), shop.approvals[1].to_json()]
    assert "approval" in refused(NotTrusted, lambda: shop.load(approvals=given))


def test_a_release_signed_by_an_approver_is_refused(shop: Shop) -> None:
    forged = pen_of("bob").sign(release_statement(shop.released.release))
    assert refused(BadSignature, lambda: shop.load(release=forged.to_json())) == (
        "release by bob: expected a key with role site or officer, found approver"
    )


def test_a_key_that_the_site_does_not_trust_releases_nothing(shop: Shop) -> None:
    forged = pen_of("mallory").sign(release_statement(shop.released.release))
    message = refused(BadSignature, lambda: shop.load(release=forged.to_json()))
    assert message.startswith("release signer: expected a trusted key, found key ")


def test_a_release_of_another_site_is_refused(shop: Shop) -> None:
    assert refused(NotAllowed, lambda: shop.load(site="lighthouse")) == (
        "release plane finder: expected site harbour, found lighthouse"
    )


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_expired_release_is_refused(shop: Shop) -> None:
    end = shop.released.release.expires
    shop.load(now=end)
    assert refused(Revoked, lambda: shop.load(now=end + timedelta(seconds=1))) == (
        "release plane finder: expected a time until 2031-06-01T12:00:00Z, found 2031-06-01T12:00:01Z: expired"
    )


@pytest.mark.parametrize("back", [timedelta(hours=1), timedelta(days=100)])
def test_a_clock_turned_back_before_the_release_loads_nothing(shop: Shop, back: timedelta) -> None:
    message = refused(Revoked, lambda: shop.load(now=NOW - back))
    assert message.startswith("release plane finder: expected a time from 2030-06-01T12:00:00Z, found ")
    assert message.endswith(": not yet valid")


def test_a_time_without_its_zone_is_refused(shop: Shop) -> None:
    naive = datetime(2030, 6, 2, 12, 0)  # noqa: DTZ001  that is what is refused
    assert "a time with its zone" in refused(Refused, lambda: shop.load(now=naive))


def test_a_revoked_release_is_refused_with_its_reason(shop: Shop) -> None:
    message = refused(Revoked, lambda: shop.load(revocations=[shop.revoked("takes hangars for aeroplanes")]))
    assert message.startswith(
        "release plane finder: expected a release in force, found revoked by olivia on 2030-06-01"
    )
    assert message.endswith("takes hangars for aeroplanes")


def test_a_revocation_with_a_byte_changed_is_not_ignored(shop: Shop) -> None:
    data = shop.revoked("takes hangars for aeroplanes")
    for place in range(0, len(data), 499):
        given = flipped(data, place)
        message = refused(CasemateError, lambda one=given: shop.load(revocations=[one]))  # type: ignore[misc]
        assert "revo" in message


def test_a_revoked_release_is_refused_even_when_it_was_loaded_before(shop: Shop) -> None:
    shop.load()
    with pytest.raises(Revoked):
        shop.load(revocations=[shop.revoked("withdrawn")])


# ── approvals ────────────────────────────────────────────────────────────────────────────────────────────────────────
def let_out_anyway(shop: Shop, approvals: tuple[Envelope, ...]) -> bytes:
    """A release that a careless site signed over approvals that do not suffice."""
    listed = tuple(Digest(approval.hex) for approval in approvals)
    return pen_of("harbour").sign(release_statement(replace(shop.released.release, approvals=listed))).to_json()


def forged(shop: Shop, name: str) -> Envelope:
    """An approval that this person signed without asking `approve`."""
    approval = Approval(shop.case.seen(), shop.case.author, "approve", "mine", name, "approver", NOW)
    return pen_of(name).sign(approval_statement(approval))


@pytest.mark.parametrize(
    ("names", "kind", "expected"),
    [
        (("anne", "bob"), NotAllowed, "approval by anne: expected somebody other than the author, found the author"),
        (("bob", "bob"), NotAllowed, "approvals: expected different people, found bob twice"),
        (("bob",), GateClosed, "approvals: expected 2 by different people as approver, found 1 (bob)"),
        ((), GateClosed, "approvals: expected 2 by different people as approver, found 0"),
        (("bob", "dave"), BadSignature, "approval by dave: expected a key with role approver, found author"),
    ],
)
def test_approvals_that_do_not_suffice_are_refused_though_the_site_signed(
    shop: Shop, names: tuple[str, ...], kind: type[CasemateError], expected: str
) -> None:
    approvals = tuple(forged(shop, name) for name in names)
    data = let_out_anyway(shop, approvals)
    given = [approval.to_json() for approval in approvals]
    assert refused(kind, lambda: shop.load(release=data, approvals=given)) == expected


def test_an_approval_of_another_model_does_not_count(shop: Shop) -> None:
    other = replace(shop.case, dossier=Digest.of_bytes(b"another dossier"))
    approvals = (*approvals_of(other, shop.trust, ("bob",)), shop.approvals[1])
    given = [approval.to_json() for approval in approvals]
    message = refused(BadSignature, lambda: shop.load(release=let_out_anyway(shop, approvals), approvals=given))
    assert message == f"approval by bob: dossier: expected {shop.case.dossier}, found {other.dossier}"


def test_approvals_other_than_those_listed_are_refused(shop: Shop) -> None:
    first = shop.approvals[0].to_json()
    message = refused(BadSignature, lambda: shop.load(approvals=[first]))
    assert message == f"release plane finder: expected approval {Digest(shop.approvals[1].hex)}, found none such"


def test_serving_carries_no_heavy_library_and_nothing_that_signs() -> None:
    code = "import sys, json, casemate.serving; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout))
    assert not loaded & {"torch", "rasterio", "onnxruntime", "casemate.signing.sign", "casemate.modalities.imagery"}
