from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from casemate.errors import BadInput, RunFailed
from casemate.modalities.imagery import export, weights
from casemate.modalities.imagery.graph import DISTANCES, INPUT, LOGITS
from tests.modalities.imagery.debug_model import debug_model


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def picture(height: int = 96, width: int = 128) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose norms are not those of a fresh network, so that folding them matters."""
    folder = debug_model(tmp_path_factory.mktemp("models") / "model")
    tensors = weights.from_bytes((folder / weights.SAFETENSORS).read_bytes(), name="x")
    generator = torch.Generator().manual_seed(1)
    for name, tensor in tensors.items():
        if name.endswith(("running_var", "scale")):
            tensor.uniform_(0.5, 2.0, generator=generator)
        elif name.endswith(("running_mean", "bias")) and "logits" not in name and "logs" not in name:
            tensor.normal_(0, 0.3, generator=generator)
    (folder / weights.SAFETENSORS).write_bytes(weights.to_bytes(tensors))
    export.export_onnx(folder)
    return folder


@pytest.mark.parametrize("size", [(1, 32, 32), (3, 64, 96), (1, 224, 160)])
def test_onnx_answers_as_pytorch_does_for_any_batch_height_and_width(model_dir: Path, size: tuple[int, ...]) -> None:
    batch, height, width = size
    image = np.random.default_rng(1).integers(0, 256, (batch, 3, height, width), dtype=np.uint8)
    detector, _ = weights.load_network(model_dir)
    with torch.inference_mode():
        ours = detector(torch.from_numpy(image))
    theirs = session(model_dir / "model.onnx").run([LOGITS, DISTANCES], {INPUT: image})
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.numpy(), other, atol=2e-4)


def test_the_same_weights_give_the_same_bytes(model_dir: Path) -> None:
    before = (model_dir / "model.onnx").read_bytes()
    export.export_onnx(model_dir)
    assert (model_dir / "model.onnx").read_bytes() == before


def test_a_graph_that_answers_differently_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = debug_model(tmp_path / "model")
    (folder / "model.onnx").unlink()
    monkeypatch.setattr(export, "FP32_TOLERANCE", -1.0)
    with pytest.raises(RunFailed, match=r"model.onnx: expected PyTorch's answers within -1, found Parity\("):
        export.export_onnx(folder)
    assert not (folder / "model.onnx").exists()


def test_int8_is_smaller_and_says_how_far_it_moved(model_dir: Path) -> None:
    moved = export.quantize(model_dir, [picture(), picture(64, 64)])
    assert 0 < moved.score_max < 0.5
    assert moved.score_mean <= moved.score_max
    image = np.ascontiguousarray(picture().transpose(2, 0, 1)[None])
    logits, logs = session(model_dir / "model-int8.onnx").run([LOGITS, DISTANCES], {INPUT: image})
    assert logits.shape[2:] == logs.shape[2:] == (24, 32)
    assert {p.name for p in model_dir.iterdir()} == {
        "model.json", "model.safetensors", "model.onnx", "model-int8.onnx", "MODEL_CARD.md",
    }, "nothing temporary is left"  # fmt: skip


def test_int8_without_images_is_refused(model_dir: Path) -> None:
    with pytest.raises(BadInput, match="calibration images: expected at least one, found none"):
        export.quantize(model_dir, [])


def test_int8_from_an_image_too_small_is_refused(model_dir: Path) -> None:
    with pytest.raises(BadInput, match="calibration image: expected at least 32 pixels a side, found 20 x 64"):
        export.quantize(model_dir, [picture(64, 20)])


def test_parity_tells_equal_answers_from_different_ones() -> None:
    config = {"taxonomy": {"name": "t", "nodes": [{"name": "object"}, {"name": "car", "parent": "object"}]}}
    logits, logs = np.zeros((1, 2, 4, 4), np.float32), np.zeros((1, 4, 4, 4), np.float32)
    assert export.parity((logits, logs), (logits, logs), config) == export.Parity(0.0, 0.0, 0.0)
    moved = export.parity((logits, logs), (logits + 9, logs + 1), config)
    assert moved.score_max > 0.4
    assert moved.edge_cells_max == pytest.approx(np.e - 1, rel=1e-5)


def test_weights_that_do_not_fit_name_the_tensor(tmp_path: Path) -> None:
    folder = debug_model(tmp_path / "model")
    tensors = weights.from_bytes((folder / weights.SAFETENSORS).read_bytes(), name="x")
    tensors["backbone.stem.bias"] = tensors["backbone.stem.bias"][:3]
    (folder / weights.SAFETENSORS).write_bytes(weights.to_bytes(tensors))
    with pytest.raises(BadInput, match=re.escape("model.safetensors backbone.stem.bias: expected (8,), found (3,)")):
        weights.load_network(folder)
    del tensors["backbone.stem.bias"]
    (folder / weights.SAFETENSORS).write_bytes(weights.to_bytes(tensors))
    with pytest.raises(BadInput, match=re.escape("backbone.stem.bias: expected (8,), found nothing")):
        weights.load_network(folder)


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    folder = debug_model(tmp_path / "model")
    whole = (folder / weights.SAFETENSORS).read_bytes()
    (folder / weights.SAFETENSORS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"model.safetensors: expected a safetensors file, found"):
        weights.load_network(folder)


def test_a_description_of_another_format_is_refused(tmp_path: Path) -> None:
    folder = debug_model(tmp_path / "model")
    facts = json.loads((folder / "model.json").read_text()) | {"format": "other/9"}
    (folder / "model.json").write_text(json.dumps(facts))
    with pytest.raises(BadInput, match=r"model.json format: expected casemate-detector/1, found other/9"):
        weights.read_config(folder)


def test_half_precision_halves_the_file_and_widens_again() -> None:
    tensors = {"a": torch.linspace(-1, 1, 1000), "n": torch.tensor(3)}
    whole, half = weights.to_bytes(tensors), weights.to_bytes(tensors, half=True)
    assert len(half) < 0.6 * len(whole)
    back = weights.from_bytes(half, name="x")
    assert back["a"].dtype == torch.float32
    torch.testing.assert_close(back["a"], tensors["a"], atol=1e-3, rtol=0)
    assert int(back["n"]) == 3
