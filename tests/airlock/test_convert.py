"""Weights come out of checkpoints, and nothing else does; nothing in a checkpoint runs."""

from __future__ import annotations

import json
import os
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, load_file

from casemate.airlock import ScanLimits
from casemate.airlock.convert import convert
from casemate.airlock.convert_child import as_safetensors, check_size, plain_weights
from casemate.errors import BadInput, NameTaken

PLAIN = "expected a PyTorch checkpoint of plain weights, found "


def weights() -> dict[str, torch.Tensor]:
    chance = torch.Generator().manual_seed(3)
    tied = torch.randn(3, 4, generator=chance)
    return {
        "tied.a": tied,
        "tied.b": tied,
        "turned": torch.randn(4, 6, generator=chance).t(),
        "half": torch.randn(5, generator=chance).bfloat16(),
        "odd": torch.tensor([True, False, True]),
        "count": torch.tensor(7),
        "none": torch.empty(0, 3),
        "complex": torch.randn(2, 2, dtype=torch.complex64, generator=chance).conj(),
    }


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name].resolve_conj(), other[name]) for name in one)


def left_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_training_checkpoint_becomes_its_weights_and_what_is_left_out_is_told(tmp_path: Path, zipped: bool) -> None:
    torch.save(
        {"state_dict": OrderedDict(weights()), "epoch": 3, "optimizer": {"lr": 0.1}},
        tmp_path / "m.pt",
        _use_new_zipfile_serialization=zipped,
    )
    converted = convert(tmp_path / "m.pt", tmp_path / "m.safetensors")
    assert same(weights(), load_file(tmp_path / "m.safetensors"))
    assert {(t.name, t.dtype, t.shape) for t in converted.tensors} >= {("turned", "F32", (6, 4)), ("count", "I64", ())}
    assert converted.left_out == ("epoch", "optimizer")
    assert left_in(tmp_path) == ["m.pt", "m.safetensors"]
    with pytest.raises(NameTaken, match="expected a new file, found one that exists"):
        convert(tmp_path / "m.pt", tmp_path / "m.safetensors")


def test_a_pickle_that_calls_is_refused_and_has_called_nothing(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    program = f"cposix\nsystem\n(S'touch {canary}'\ntR.".encode()
    # The same file does run where somebody loads it: os.system is what it names, and the shell is there.
    assert os.access("/bin/sh", os.X_OK)
    (tmp_path / "evil.pt").write_bytes(program)
    with pytest.raises(BadInput) as why:
        convert(tmp_path / "evil.pt", tmp_path / "m.safetensors")
    assert str(why.value) == f"evil.pt: {PLAIN}a pickle that names posix.system, which is not part of plain weights"
    assert left_in(tmp_path) == ["evil.pt"]


def test_a_few_bytes_that_stand_for_very_many_are_refused() -> None:
    with pytest.raises(
        ValueError, match="16000000000 bytes of weights, more than the 1048576 that such a file may hold"
    ):
        check_size({"w": torch.zeros(1).expand(10**9, 4)}, 1 << 20)


@pytest.mark.real_data
def test_a_malicious_checkpoint_of_the_reference_set_does_not_convert(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    file = real_data("reference_picklescan") / "tests" / "data" / "pytorch_magic_bypass.pt"
    with pytest.raises(BadInput) as why:
        convert(file, tmp_path / "m.safetensors")
    assert f"{file.name}: {PLAIN}a pickle that names eval" in str(why.value)
    assert "weights_only" not in str(why.value)
    assert left_in(tmp_path) == []


def test_names_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"expected a name ending in \.safetensors, found \.bin"):
        convert(tmp_path / "m.pt", tmp_path / "m.bin")
    with pytest.raises(BadInput, match="found no such file"):
        convert(tmp_path / "m.pt", tmp_path / "m.safetensors")


def test_a_child_that_lies_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes out of the child is read like whatever arrives: a child taken over cannot pass on what it likes."""
    from casemate.airlock import convert as parent

    def lies(_file: Path, partial: Path, _limits: ScanLimits) -> tuple[str, ...]:
        partial.write_bytes(struct.pack("<Q", 2) + b"{}" + b"payload")
        return ()

    monkeypatch.setattr(parent, "_receive", lies)
    (tmp_path / "m.pt").write_bytes(b"x")
    with pytest.raises(BadInput, match=r"m\.pt: expected 0 bytes of tensors, as the header says, found 7"):
        convert(tmp_path / "m.pt", tmp_path / "m.safetensors")
    assert left_in(tmp_path) == ["m.pt"]


def test_what_a_dead_conversion_left_is_swept_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from casemate.airlock import convert as parent

    monkeypatch.setattr(parent, "_receive", lambda _file, partial, _limits: (partial.write_bytes(b"x"), ())[1])
    (tmp_path / ".convert-00.lock").touch()
    (tmp_path / ".convert-00").mkdir()
    (tmp_path / ".convert-00" / "weights").write_bytes(b"half")
    (tmp_path / "m.pt").write_bytes(b"no checkpoint")
    with pytest.raises(BadInput, match="expected a header's length in 8 bytes, found 1 bytes"):
        convert(tmp_path / "m.pt", tmp_path / "m.safetensors")
    assert left_in(tmp_path) == ["m.pt"]


# ── What the child makes of what PyTorch read ────────────────────────────────────────────────────────────────────────
def test_tensors_are_found_at_any_depth_and_named_by_their_path() -> None:
    tensors, left_out = plain_weights({"a": {"b": [torch.zeros(1), 5]}, "c": torch.ones(2), "d": "text"})
    assert list(tensors) == ["a.b.0", "c"]
    assert left_out == ["a.b.1", "d"]
    assert list(plain_weights(torch.ones(2))[0]) == ["the whole"]


@pytest.mark.parametrize(
    ("loaded", "message"),
    [
        ({"a.b": torch.ones(1), "a": {"b": torch.ones(1)}}, "two tensors named 'a.b'"),
        ({"a": 1}, "0 tensors"),
        ({"a": torch.ones(2, 2).to_sparse()}, "a tensor that is sparse, quantised or empty of numbers"),
        ({"a": torch.empty(2, device="meta")}, "a tensor that is sparse, quantised or empty of numbers"),
    ],
)
def test_what_is_no_plain_set_of_tensors_is_refused(loaded: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plain_weights(loaded)


def test_nesting_has_an_end() -> None:
    loaded: Any = torch.ones(1)
    for _ in range(20):
        loaded = [loaded]
    with pytest.raises(ValueError, match="nested more than 16 deep"):
        plain_weights(loaded)


def test_what_is_written_is_what_the_reference_library_reads() -> None:
    data = b"".join(bytes(piece) for piece in as_safetensors(weights()))
    assert same(weights(), load(data))
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    assert all(header[name]["data_offsets"][0] % weights()[name].element_size() == 0 for name in weights())
    with pytest.raises(ValueError, match=r"tensor 'w' of torch\.complex128, which safetensors does not have"):
        b"".join(as_safetensors({"w": torch.zeros(1, dtype=torch.complex128)}))
