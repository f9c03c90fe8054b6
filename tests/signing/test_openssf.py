from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from casemate.errors import BadInput, BadSignature, DigestMismatch
from casemate.signing.openssf import listing_statement, sign_listing, verify_listing
from casemate.signing.sign import Pen

Pens = Callable[[str], Pen]
CASES = [("v0.3.1", True), ("v1.0.0", True), ("v1.0.1", False), ("v1.1.0", False)]


def listing(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "a model 'with' spaces"
    (folder / "nested").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights" * 100)
    (folder / "nested" / "é.json").write_text("{}")
    (folder / "nested.json").write_text("{}")
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs")
    return folder


def run_tool(folder: Path, signature: Path, public_pem: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    argv += ["--signature", str(signature), "--public_key", str(public_pem)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)


def test_the_public_tool_verifies_our_signature_and_refuses_a_changed_file(
    model: Path, tmp_path: Path, pens: Pens
) -> None:
    pytest.importorskip("model_signing", reason="the public tool is not installed")
    pem = tmp_path / "site.pem"
    pem.write_bytes(pens("harbour").public.p384_pem())
    signature = model / "model.sig"
    signature.write_bytes(sign_listing(model.name, listing(model), pens("harbour")))
    good = run_tool(model, signature, pem)
    assert (good.returncode, good.stdout.strip()) == (0, "Verification succeeded"), good.stderr
    (model / "model.safetensors").write_bytes(b"w3ights" * 100)
    bad = run_tool(model, signature, pem)
    assert bad.returncode != 0
    assert "Hash mismatch for" in bad.stderr
    assert "model.safetensors" in bad.stderr


def test_our_own_check_agrees(model: Path, pens: Pens) -> None:
    site = pens("harbour")
    signature = sign_listing(model.name, listing(model), site)
    (model / "model.sig").write_bytes(signature)
    files = listing(model)
    verify_listing(signature, files, site.public.p384_pem())
    with pytest.raises(DigestMismatch) as missing:
        verify_listing(signature, {p: d for p, d in files.items() if p != "nested.json"}, site.public.p384_pem())
    expected = files["nested.json"]
    assert str(missing.value) == f"model signature file nested.json: expected {expected}, found no such file"
    with pytest.raises(DigestMismatch) as added:
        verify_listing(signature, {**files, "evil.py": "0" * 64}, site.public.p384_pem())
    assert str(added.value) == f"model signature file evil.py: expected no such file, found {'0' * 64}"
    with pytest.raises(BadSignature, match="model signature key: expected"):
        verify_listing(signature, files, pens("eve").public.p384_pem())


def test_a_payload_that_was_not_signed_is_refused(model: Path, pens: Pens) -> None:
    site = pens("harbour")
    bundle = json.loads(sign_listing(model.name, listing(model), site))
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b"nested.json", b"nasted.json")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(BadSignature, match="found one that does not verify"):
        verify_listing(json.dumps(bundle).encode(), listing(model), site.public.p384_pem())


def test_what_is_not_a_signature_is_refused(pens: Pens) -> None:
    pem = pens("harbour").public.p384_pem()
    for data, message in (
        (b"", "model signature: expected JSON"),
        (b"[]", "model signature: expected a JSON object, found list"),
        (b"{}", "model signature mediaType: expected a value, found none"),
    ):
        with pytest.raises(BadInput) as refusal:
            verify_listing(data, {}, pem)
        assert str(refusal.value).startswith(message)


def test_the_text_of_the_statement_is_as_agreed(golden: Callable[[str, str], None]) -> None:
    files = {"model.sig": "ff" * 32, "b/c.json": "bb" * 32, "a.safetensors": "aa" * 32, ".git/HEAD": "ee" * 32}
    golden("signing/openssf-statement.json", listing_statement("detector", files).to_json().decode())


@pytest.mark.real_data
@pytest.mark.parametrize(("version", "single_file"), CASES)
def test_signatures_of_every_released_version_of_the_tool_verify(
    real_data: Callable[[str], Path], version: str, single_file: bool
) -> None:
    tests = real_data("reference_model_signing") / "scripts" / "tests"
    folder = tests / f"{version}-elliptic-key"
    text = (tests / "keys" / "certificate" / "signing-key-pub.pem").read_text()
    pem = text[text.index("-----BEGIN") :].encode()
    files = {path: digest for path, digest in listing(folder).items() if path not in {"ignore-me", "model.sig"}}
    if single_file:
        files = {".": files["signme-1"]}
    signature = (folder / "model.sig").read_bytes()
    verify_listing(signature, files, pem)
    name = "." if single_file else "signme-1"
    with pytest.raises(DigestMismatch) as refusal:
        verify_listing(signature, {**files, name: "0" * 64}, pem)
    assert str(refusal.value) == f"model signature file {name}: expected {files[name]}, found {'0' * 64}"
