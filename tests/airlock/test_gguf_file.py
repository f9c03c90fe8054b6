"""What is refused of a GGUF file."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from casemate.airlock import ScanLimits
from casemate.airlock.inspect.gguf_file import scan
from tests.airlock.samples.weights import CHATML, gguf, text

ARCHITECTURE = {"general.architecture": "llama"}


def found(tmp_path: Path, data: bytes) -> str:
    file = tmp_path / "m.gguf"
    file.write_bytes(data)
    return "; ".join(f"expected {f.expected}, found {f.found}" for f in scan(file, "gguf", ScanLimits()) if not f.note)


def many(**settings: Any) -> dict[str, Any]:
    return ARCHITECTURE | {key.replace("__", "."): value for key, value in settings.items()}


def test_a_model_with_padding_between_and_after_its_tensors_is_clean(tmp_path: Path) -> None:
    tensors = [("b", (3,), 0, 64), ("a", (32,), 8, 0)]
    assert found(tmp_path, gguf(tensors=tensors, data=bytes(64 + 12 + 20))) == ""
    assert found(tmp_path, gguf(head=b"GGUF\x02\0\0\0")) == ""
    assert found(tmp_path, gguf(tensors=[], data=b"")) == ""  # a vocabulary alone


def test_alignment_is_the_files_own(tmp_path: Path) -> None:
    aligned = gguf(many(general__alignment=8), [("a", (1,), 24, 0), ("b", (1,), 24, 8)], bytes(9), alignment=8)
    assert found(tmp_path, aligned) == ""
    assert "found 6" in found(tmp_path, gguf(many(general__alignment=6)))
    assert "found 'x'" in found(tmp_path, gguf(many(general__alignment="x")))


REFUSED: list[tuple[bytes, str]] = [
    (b"GGUF\x03", "4 bytes for the version, found 1 up to the end of the file"),
    (gguf(head=b"GGUF\x01\0\0\0"), "version 2 or 3, little-endian, found 1"),
    (gguf(head=b"GGUF\0\0\0\x03"), "version 2 or 3, little-endian, found 50331648"),
    (
        b"GGUF\x03\0\0\0" + struct.pack("<QQ", 1 << 60, 0),
        "at most 1048576 for the number of tensors, found 1152921504606846976",
    ),
    (gguf(count=1 << 40), "at most 65536 for the number of settings, found 1099511627776"),
    (gguf({}), "a text for general.architecture, found none"),
    (gguf(b"".join([text("a"), struct.pack("<IB", 0, 1)] * 2), count=2), "each setting once, found 'a' twice"),
    (gguf(text("a\u202e") + struct.pack("<IB", 0, 1), count=1), "names of settings that can be read, found 'a\\u202e'"),
    (gguf(text("a") + struct.pack("<I", 77), count=1), "a type of value from 0 to 12 for 'a', found 77"),
    (gguf(text("a") + struct.pack("<IB", 7, 2), count=1), "0 or 1 for 'a', found 2"),
    (gguf(text("a") + struct.pack("<IIQ", 9, 9, 1), count=1), "numbers or texts in 'a', found type 9"),
    (gguf(text("a") + struct.pack("<IIQ", 9, 0, 1 << 40), count=1), "at most 16777216 for the length of 'a'"),
    (gguf(text("a") + struct.pack("<IIQ", 9, 10, 1 << 20), count=1), "8388608 bytes for 'a', found"),
    (gguf(text("a") + struct.pack("<IIQQ", 9, 8, 1, 1 << 40), count=1), "1 texts in 'a', of at most 67108864 bytes"),
    (gguf(text("a") + struct.pack("<IIQQ", 9, 8, 1 << 20, 0), count=1), "1048576 texts in 'a', of at most"),
    (gguf(struct.pack("<Q", 1 << 50), count=1), "at most 65535 for the length of the name of a setting"),
    (gguf(many(general__name=b"\xff")), "UTF-8 in 'general.name', found byte 0xff at 0"),
    (gguf(many(general__name="a\u2066b")), "settings without hidden characters, found U+2066 at character 1"),
    (gguf(tensors=[("w", (32,), 99, 0)]), "a known type of tensor 'w', found 99"),
    (gguf(tensors=[("w", (33,), 8, 0)]), "rows of whole blocks of 32 in tensor 'w', found [33]"),
    (gguf(tensors=[("w", (0,), 0, 0)]), "rows of whole blocks of 1 in tensor 'w', found [0]"),
    (gguf(tensors=[("w", (1, 1, 1, 1, 1), 0, 0)]), "1 to 4 dimensions of tensor 'w', found 5"),
    (gguf(tensors=[("w" * 65, (32,), 8, 0)]), "at most 64 for the length of the name of a tensor, found 65"),
    (gguf(tensors=[("w", (32,), 8, 0)] * 2), "each tensor once, found 2 of 1 names"),
    (gguf(tensors=[("w", (32,), 8, 8)], data=bytes(42)), "tensor 'w' at byte 0 of the data, found 8: it leaves a hole"),
    (
        gguf(tensors=[("a", (32,), 8, 0), ("b", (32,), 8, 32)], data=bytes(66)),
        "tensor 'b' at byte 64 of the data, found 32: it overlaps the one before",
    ),
    (
        gguf(tensors=[("a", (32,), 8, 0), ("b", (32,), 8, 96)], data=bytes(130)),
        "tensor 'b' at byte 64 of the data, found 96: it leaves a hole",
    ),
    (gguf(tensors=[("w", (1 << 62, 1 << 62), 24, 0)]), "bytes for tensor 'w', found"),
    (gguf(data=bytes(33)), "34 bytes for tensor 'w', found 33 up to the end of the file"),
    (gguf(data=bytes(34 + 32)), "found 32 bytes more"),
    (gguf(data=bytes(34) + b"x"), "zeros between tensors, found 78 before byte"),
    (
        gguf(tensors=[("a", (32,), 8, 0), ("b", (32,), 8, 64)], data=bytes(40) + b"PK\x03\x04" + bytes(54)),
        "zeros between tensors, found",
    ),
    (gguf(many(tokenizer__chat_template="{{ x.__class__ }}")), "'__class__' in line 1 in tokenizer.chat_template"),
    (gguf({**ARCHITECTURE, "tokenizer.chat_template.rag": "{% include 'x' %}"}), "Include in line 1"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message"), REFUSED)
def test_what_is_no_plain_model_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    assert message in found(tmp_path, data)


def test_what_its_template_says_to_the_model_is_told_and_refuses_nothing(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    template = "You are a helpful assistant of the harbour. " + CHATML
    file.write_bytes(gguf(many(tokenizer__chat_template=template)))
    (finding,) = scan(file, "gguf", ScanLimits())
    assert finding.note
    assert "it tells the model “You are a helpful assistant of the harbour.”" in finding.found


def test_every_cut_of_a_model_is_refused(tmp_path: Path) -> None:
    whole = gguf(many(tokenizer__chat_template=CHATML))
    accepts: Callable[[bytes], bool] = lambda data: found(tmp_path, data) == ""  # noqa: E731
    assert accepts(whole)
    assert [size for size in range(len(whole)) if accepts(whole[:size])] == []
