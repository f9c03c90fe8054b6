"""The models of a folder that the caller has verified, opened.

Rules. The three models are given by path; nothing is looked for, configured or fetched elsewhere. One processor thread
unless more are given: a page is one of many.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casemate.errors import BadInput
from casemate.modalities.language.documents.ocr.letters import Letters
from casemate.modalities.language.documents.ocr.page import Recogniser
from casemate.modalities.language.documents.ocr.regions import Detector, Network
from casemate.modalities.language.documents.ocr.strips import Turner

_PARTS = {"Det": "_det_", "Rec": "_rec_", "Cls": "_cls_"}
_SIGNS = "character"
_QUIET = 4


def open_model(model_dir: Path, *, threads: int = 1) -> Recogniser:
    """The models in a folder: one file each with `_det_`, `_rec_` and `_cls_` in its name, ending in .onnx."""
    sessions = {part: _session(path, threads) for part, path in model_paths(model_dir).items()}
    return Recogniser(
        Detector(_network(sessions["Det"])),
        Turner(_network(sessions["Cls"])),
        Letters(_network(sessions["Rec"]), _signs(model_dir.name, sessions["Rec"])),
    )


def model_paths(model_dir: Path) -> Mapping[str, Path]:
    """The file of each model of a folder; BadInput where one is missing, or there are two."""
    found = {}
    for part, mark in _PARTS.items():
        files = sorted(file for file in model_dir.glob("*.onnx") if mark in file.name.lower())
        if len(files) != 1:
            expected = f"one file *{mark}*.onnx"
            raise BadInput(f"OCR model {model_dir.name}", expected=expected, found=f"{len(files)} files")
        found[part] = files[0]
    return found


def _session(path: Path, threads: int) -> Any:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = _QUIET
    # Strips differ in width, and a memory pattern keeps an arena for each. Neither line changes an answer.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except (state.Fail, state.InvalidGraph, state.InvalidProtobuf, state.NoSuchFile, state.NotImplemented) as why:
        raise BadInput(path.name, expected="a network in ONNX", found=type(why).__name__) from why


def _network(session: Any) -> Network:
    (taken,), said = session.get_inputs(), session.get_outputs()[:1]

    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        (answer,) = session.run([said[0].name], {taken.name: batch})
        return np.asarray(answer, np.float32)

    return run


def _signs(name: str, session: Any) -> list[str]:
    """The signs of a reading network: none, those that it carries, and the space."""
    carried = session.get_modelmeta().custom_metadata_map.get(_SIGNS, "").splitlines()
    spoken = session.get_outputs()[0].shape[-1]
    if spoken != len(carried) + 2:
        expected = f"{len(carried) + 2} likelihoods a step, for the signs that it carries"
        raise BadInput(f"OCR model {name}", expected=expected, found=str(spoken))
    return ["", *carried, " "]
