"""The models of a folder: by path, one of each; opened by onnxruntime, here and in the process that reads documents."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from casemate.errors import BadInput
from casemate.modalities.language.documents import ocr
from tests.modalities.language.documents import makers
from tests.modalities.language.documents.conftest import ReadFiles
from tests.modalities.language.documents.ocr import toys


def test_models_are_named_by_path_and_must_be_one_of_each(tmp_path: Path) -> None:
    model = toys.folder(tmp_path / "pack")
    assert {part: file.name for part, file in ocr.model_paths(model).items()} == {
        "Det": "toy_det_a.onnx", "Rec": "toy_rec_a.onnx", "Cls": "toy_cls_a.onnx",
    }  # fmt: skip
    (model / "second_rec_b.onnx").write_bytes(b"x")
    with pytest.raises(BadInput, match=r"pack: expected one file \*_rec_\*\.onnx, found 2 files"):
        ocr.open_model(model)


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    model = toys.folder(tmp_path / "pack")
    (model / "toy_cls_a.onnx").write_bytes(b"not a network")
    with pytest.raises(BadInput, match=r"toy_cls_a\.onnx: expected a network in ONNX, found InvalidProtobuf"):
        ocr.open_model(model)


def test_signs_must_be_those_of_the_network(tmp_path: Path) -> None:
    model = toys.folder(tmp_path / "pack", signs="A\nB\nC")
    with pytest.raises(BadInput, match=r"pack: expected 5 likelihoods a step, .*, found 4"):
        ocr.open_model(model)


def test_a_page_is_read_through_the_runtime(tmp_path: Path) -> None:
    page = toys.page((100, 200, 300, 230), (360, 200, 700, 230), (100, 300, 500, 330))
    lines = ocr.open_model(toys.folder(tmp_path / "pack")).read(np.asarray(page))
    assert [line.text for line in lines] == ["A", "A", "A"]
    assert sorted(round(line.box[0], -2) for line in lines) == [100, 100, 300]


def test_a_picture_is_read_in_the_confined_process(
    tmp_path: Path, read: ReadFiles, passages: Callable[[], list[Any]]
) -> None:
    model = toys.folder(tmp_path / "pack")
    page = toys.page((100, 200, 700, 230), (100, 240, 700, 270)).rotate(-90, expand=True)
    file = tmp_path / "page.png"
    page.save(file)
    found = read({"page.png": file.read_bytes()}, model=model)
    assert [document.ocr for document in found.documents] == [1]
    (passage,) = passages()
    assert passage.text.split() == ["A", "A"]
    ((_, left, top, right, low),) = passage.boxes
    assert left < 735
    assert right > 795
    assert top < 110
    assert low > 690


def test_nothing_but_the_runtime_and_arrays_is_loaded_to_read_print(tmp_path: Path) -> None:
    script = (
        "import sys, numpy; from pathlib import Path; from casemate.modalities.language.documents import ocr;"
        "ocr.open_model(Path(sys.argv[1])).read(numpy.zeros((50, 50, 3), numpy.uint8));"
        "files = {n.partition('.')[0]: str(getattr(m, '__file__', '')) for n, m in sys.modules.items()};"
        "print(*(name for name, file in files.items() if 'site-packages' in file and name[0] != '_'))"
    )
    argv = [sys.executable, "-I", "-c", script, str(toys.folder(tmp_path / "pack"))]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) - {"charset_normalizer"} == {"numpy", "onnxruntime", "PIL", "scipy"}  # NumPy looks for the first


def test_a_real_model_reads_french_print() -> None:
    if not os.environ.get("CASEMATE_OCR_MODEL"):
        pytest.skip("no OCR model (CASEMATE_OCR_MODEL)")
    lines = ocr.open_model(Path(os.environ["CASEMATE_OCR_MODEL"])).read(np.asarray(makers.picture()))
    assert makers.HEADING in [line.text for line in lines]
