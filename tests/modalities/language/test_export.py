"""GGUF: the same tokens and the same answers as the weights that it was written from, or no file at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGUFReader

from casemate.errors import BadInput, RunFailed
from casemate.modalities.language import architecture, export, gguf_file, parity
from casemate.modalities.language.vocabulary import learned, of_folder
from tests.modalities.language.sets import text

FRENCH = "L’usager d'Évry dépose sa demande n° 42 à la préfecture ; « c'est complet », dit-on. " + text(3)


def model(folder: Path, kind: str = "llama", *, chat: bool = True, tied: bool = True, spread: float = 0.25) -> Path:
    """A model folder with random weights large enough that order and place of every one of them matters."""
    folder.mkdir()
    vocabulary = learned([text(n) for n in range(20)], 384, chat=chat)
    config: dict[str, Any] = architecture.from_scratch(
        vocabulary=vocabulary.size,
        layers=2,
        width=64,
        heads=4,
        kv_heads=2,
        feed_forward=96,
        context=128,
        end=vocabulary.end,
    )
    config |= {"model_type": kind, "architectures": [architecture.CLASSES[kind]], "tie_word_embeddings": tied}
    network = architecture.build(architecture.checked(config), seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * spread)
    tensors = {name: t for name, t in network.state_dict().items() if not (tied and name == "lm_head.weight")}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(architecture.to_bytes(tensors, torch.float32))
    for name, content in vocabulary.files().items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(("kind", "tied"), [("llama", True), ("mistral", False), ("qwen2", True)])
def test_llama_cpp_answers_as_the_weights_do(tmp_path: Path, kind: str, *, tied: bool) -> None:
    found = export.export_gguf(model(tmp_path / "m", kind, tied=tied), "f16", [FRENCH])
    assert found.divergence_max < 1e-2
    assert found.loss_apart < 1e-2
    assert found.first_alike > 0.9
    assert found.places == 48


def test_a_vocabulary_that_composes_accents_as_qwen2_does_is_exported(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", "qwen2")
    raw = json.loads((folder / "tokenizer.json").read_bytes()) | {"normalizer": {"type": "NFC"}}
    (folder / "tokenizer.json").write_text(json.dumps(raw))
    assert export.export_gguf(folder, "f16", [FRENCH + " e\u0301te\u0301"]).first_alike > 0.9


def test_quantised_files_are_smaller_and_within_their_limits(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", spread=0.05)
    sizes, apart = [], []
    for kind in ("f16", "q8_0", "q4_0"):
        apart.append(export.export_gguf(folder, kind, [FRENCH]).divergence_mean)
        sizes.append((folder / "model.gguf").stat().st_size)
    assert sizes[0] > sizes[1] > sizes[2]
    assert apart[0] < 1e-3
    assert apart[1] < 1e-2
    assert {p.name for p in folder.iterdir()} == {
        "config.json", "model.gguf", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip


def test_the_file_is_the_same_every_time_and_carries_the_template(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", spread=0.05)
    export.export_gguf(folder, "q8_0", [FRENCH])
    before = (folder / "model.gguf").read_bytes()
    export.export_gguf(folder, "q8_0", [FRENCH])
    assert (folder / "model.gguf").read_bytes() == before
    fields = GGUFReader(folder / "model.gguf").fields
    assert "<|im_start|>" in fields["tokenizer.chat_template"].contents()
    assert fields["tokenizer.ggml.pre"].contents() == "qwen2"


def test_a_file_that_answers_otherwise_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model(tmp_path / "m")
    monkeypatch.setattr(gguf_file, "_turned", lambda _key, tensor, _config: tensor.float().numpy())
    with pytest.raises(
        RunFailed, match=r"model.gguf \(f16\): expected PyTorch's answers within 0.001 nats .*, found Parity"
    ):
        export.export_gguf(folder, "f16", [FRENCH])
    assert not list(folder.glob("*.gguf*"))
    assert not list(folder.glob(".*"))


def test_a_file_that_splits_text_otherwise_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model(tmp_path / "m")
    monkeypatch.setattr(parity.Vocabulary, "pre_tokenizer", "gpt-2")
    with pytest.raises(RunFailed, match=r"tokens of .*: expected \[.*\], found \["):
        export.export_gguf(folder, "f16", [FRENCH])
    assert not (folder / "model.gguf").exists()


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    with pytest.raises(BadInput, match=r"type of GGUF: expected f16 or q8_0 or q4_0, found 'q4_k_m'"):
        export.export_gguf(folder, "q4_k_m")
    config = architecture.read_config(folder)
    vocabulary = of_folder(folder, config)
    with pytest.raises(BadInput, match=r"tensor backdoor: expected one that llama.cpp knows, found no name for it"):
        gguf_file.write_gguf(tmp_path / "x", "f16", config, {"backdoor": torch.zeros(2)}, vocabulary, name="x")
    (tmp_path / "y").write_bytes(b"GGUF and nothing else")
    with (
        pytest.raises(RunFailed, match=r"y: expected a file that llama.cpp loads"),
        parity.served(tmp_path / "y", context=32),
    ):
        pass
