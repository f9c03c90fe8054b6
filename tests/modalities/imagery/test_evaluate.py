"""Evaluation from end to end, with a detector that answers to coloured squares: see colour_detector."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from casemate.compute.metrics import read_metrics
from casemate.compute.plan import Plan, Resources
from casemate.errors import BadInput
from casemate.modalities.imagery import calibrate
from casemate.modalities.imagery.boxes import Box, ImageryDataset, LabelledImage
from casemate.modalities.imagery.canonical import save_labels
from casemate.modalities.imagery.duplicates import fingerprints
from casemate.modalities.imagery.evaluate import run
from casemate.modalities.imagery.examine import draw_images, view_window
from casemate.modalities.imagery.taxonomy import Node, Taxonomy
from casemate.store.digest import Digest
from tests.modalities.imagery.colour_detector import TAXONOMY, colour_detector, write_colours

MODEL, DATA, APART = (Digest(letter * 64) for letter in "abc")
QUICK: dict[str, Any] = {"robustness": [], "pictures": False, "resamples": 20}


@dataclass(frozen=True)
class Evaluated:
    """A work folder after its run, and the scores in it."""

    workdir: Path
    scores: dict[str, Any]

    def value(self, name: str) -> Any:
        return self.scores["metrics"][name]["value"]


def evaluated(workdir: Path, parameters: dict[str, Any], *, model: Path | None = None) -> Evaluated:
    """Run over the data set that lies in `workdir`/inputs."""
    inputs = {"model": MODEL, "dataset": DATA}
    if (workdir / "inputs" / "calibration").is_dir():
        inputs["calibration"] = APART
    if model is None:
        colour_detector(workdir / "inputs" / "model")
    else:
        shutil.copytree(model, workdir / "inputs" / "model")
    run(Plan("evaluate", "imagery", "test", inputs, parameters, "1.2.3", 7, Resources()), workdir)
    return Evaluated(workdir, json.loads((workdir / "outputs" / "scores.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """An evaluation with everything in it."""
    workdir = tmp_path_factory.mktemp("whole")
    write_colours(workdir / "inputs" / "dataset", images=16, difficult=0.05)
    return evaluated(workdir, {"robustness": ["rotation_90", "half_resolution"], "samples": 2, "resamples": 40})


def test_the_scores_name_what_they_are_of(whole: Evaluated) -> None:
    scores = whole.scores
    assert scores["format"] == "casemate-scores/1"
    assert scores["dataset"]["digest"] == str(DATA)
    assert scores["dataset"]["images"] == 16
    assert scores["model"] == {"digest": str(MODEL)}
    assert (scores["code_version"], scores["seed"]) == ("1.2.3", 7)
    assert scores["settings"]["score_min"] == 0.02


def test_every_figure_has_its_interval_round_it(whole: Evaluated) -> None:
    names = {"ap", "ap50", "ap75", "ap_small", "ar100", "recall", "precision", "f1", "ece", "ap50.car", "ap50.airplane",
             "ap50.level.detection", "ap50.level.recognition", "ap50.level.identification"}  # fmt: skip
    assert names <= set(whole.scores["metrics"])
    for name, figure in whole.scores["metrics"].items():
        if figure["low"] is not None:
            assert figure["low"] <= figure["value"] <= figure["high"], name
    assert whole.value("ap_large") is None


def test_what_the_detector_sees_well_scores_well(whole: Evaluated) -> None:
    assert whole.value("ap50") > 0.8
    assert whole.value("recall") > 0.7
    assert whole.value("ap50.level.detection") > 0.8


def test_the_mean_over_classes_is_that_of_the_labels(whole: Evaluated) -> None:
    scope = whole.scores["scope"]
    assert scope["averaged"] == ["airplane", "helicopter", "car"]
    mean = np.mean([whole.value(f"ap50.{name}") for name in scope["averaged"]])
    assert whole.value("ap50") == pytest.approx(mean, abs=1e-5)


def test_a_quarter_turn_costs_nothing_and_half_resolution_costs_all(whole: Evaluated) -> None:
    robustness = whole.scores["robustness"]
    assert set(robustness) == {"unchanged", "rotation_90", "half_resolution"}
    assert robustness["unchanged"]["ap50"]["value"] == whole.value("ap50")
    assert robustness["rotation_90"]["drop"]["value"] == pytest.approx(0, abs=0.01)
    assert robustness["half_resolution"]["drop"]["value"] == pytest.approx(whole.value("ap50"), abs=0.05)


def test_every_box_is_in_the_confusion_once(whole: Evaluated) -> None:
    table = whole.scores["confusion"]
    counts = np.array(table["counts"])
    assert table["true"][-1] == "(nothing)"
    assert table["answered"][-1] == "(missed)"
    boxes = whole.scores["dataset"]["boxes"] - whole.scores["dataset"]["difficult"]
    assert counts[:-1].sum() == boxes
    assert (counts >= 0).all()


def test_every_picture_is_there_with_a_caption_in_both_languages(whole: Evaluated) -> None:
    pictures = whole.scores["pictures"]
    assert [p["path"] for p in pictures] == [
        "pictures/precision-recall.png", "pictures/reliability.png", "pictures/classes-and-sizes.png",
        "pictures/robustness.png", "pictures/confusion.png", "pictures/mistakes.png",
        "pictures/samples/1.png", "pictures/samples/2.png",
    ]  # fmt: skip
    for picture in pictures:
        with Image.open(whole.workdir / "outputs" / picture["path"]) as image:
            assert min(image.size) > 200
            assert len(image.convert("L").getcolors()) > 10
        assert picture["caption_en"] != picture["caption_fr"]
    drawn = sorted(p.relative_to(whole.workdir / "outputs").as_posix() for p in whole.workdir.rglob("*.png")
                   if "outputs" in p.parts)  # fmt: skip
    assert drawn == sorted(p["path"] for p in pictures)


def test_french_captions_write_figures_the_french_way(whole: Evaluated) -> None:
    french = whole.scores["pictures"][0]["caption_fr"]
    assert "IoU 0,5" in french
    assert " à " in french
    assert not re.search(r"\d\.\d", french)


def test_the_run_reports_every_step_and_ends_with_the_figures(whole: Evaluated) -> None:
    metrics = read_metrics(whole.workdir)
    assert [m.step for m in metrics] == list(range(1, metrics[-1].total_steps + 1))
    assert metrics[-1].values["ap50"] == whole.value("ap50")


def test_calibration_is_an_object_of_its_own_that_names_its_model(whole: Evaluated) -> None:
    found = calibrate.from_json((whole.workdir / "outputs" / "calibration.json").read_bytes())
    assert (found.model, found.dataset) == (str(MODEL), str(DATA))
    assert found.calibration.measured == frozenset(TAXONOMY.names)
    levels = whole.scores["calibration"]["levels"]
    assert {level: facts["threshold"] for level, facts in levels.items()} == found.thresholds
    assert levels["detection"]["ece_after"] == pytest.approx(whole.value("ece"), abs=1e-5)
    assert levels["detection"]["ece_before"] == pytest.approx(whole.value("ece_raw"), abs=1e-5)


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_the_model_is_not_touched(tmp_path: Path) -> None:
    model = colour_detector(tmp_path / "model")
    before = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in model.iterdir()}
    write_colours(tmp_path / "work" / "inputs" / "dataset", images=3)
    done = evaluated(tmp_path / "work", QUICK, model=model)
    assert {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (done.workdir / "inputs" / "model").iterdir()
    } == before


def test_the_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_colours(tmp_path / name / "inputs" / "dataset", images=3)
        evaluated(tmp_path / name, {"robustness": ["noise"], "pictures": False, "resamples": 20})
    for file in ("scores.json", "calibration.json"):
        assert (tmp_path / "one/outputs" / file).read_bytes() == (tmp_path / "two/outputs" / file).read_bytes(), file


# ── what cannot be judged ────────────────────────────────────────────────────────────────────────────────────────────
def test_what_is_never_labelled_is_no_false_alarm(tmp_path: Path) -> None:
    write_colours(tmp_path / "inputs" / "dataset", images=8, labels=("airplane",), clutter=0)
    scores = evaluated(tmp_path, QUICK)
    assert scores.value("precision") == 1.0
    assert scores.value("ap50.object") == pytest.approx(scores.value("ap50.airplane"), abs=0.05)
    scope = scores.scores["scope"]
    assert scope["not_counted"] == ["helicopter", "vehicle", "car"]
    assert "never labelled throughout: helicopter, vehicle, car" in scope["note"]


def test_the_same_detections_are_false_alarms_where_the_set_labels_everything(tmp_path: Path) -> None:
    write_colours(tmp_path / "inputs" / "dataset", images=8, labels=("airplane",), exhaustive=("object",), clutter=0)
    assert evaluated(tmp_path, QUICK).value("precision") < 0.6


def test_labels_that_are_not_throughout_have_no_precision_and_the_scores_say_so(tmp_path: Path) -> None:
    write_colours(tmp_path / "inputs" / "dataset", images=8, labels=("airplane", "car"), exhaustive=("airplane",))
    scores = evaluated(tmp_path, QUICK)
    assert scores.scores["scope"]["averaged"] == ["airplane"]
    assert scores.scores["scope"]["labelled_but_not_throughout"] == ["car"]
    assert "ap50.car" not in scores.scores["metrics"]


def test_difficult_boxes_are_neither_missed_nor_found(tmp_path: Path) -> None:
    dataset = write_colours(tmp_path / "inputs" / "dataset", images=8, difficult=0.5, clutter=0)
    scores = evaluated(tmp_path, QUICK)
    counting = sum(not box.difficult for image in dataset.images for box in image.boxes)
    assert np.array(scores.scores["confusion"]["counts"])[:-1].sum() == counting
    assert scores.value("precision") == 1.0


def test_coarse_pixels_make_it_abstain(tmp_path: Path) -> None:
    write_colours(tmp_path / "inputs" / "dataset", images=8, gsd_m=2.0, clutter=0)
    scores = evaluated(tmp_path, QUICK)
    # At 2 m a pixel an airplane may still be told (3 m), a helicopter (1 m) and a car may not.
    table = scores.scores["confusion"]
    answered = dict(zip(table["answered"], np.sum(table["counts"], axis=0).tolist(), strict=True))
    assert answered["airplane"] > 0
    assert answered["helicopter"] == answered["car"] == 0
    assert scores.value("abstained.identification") > 0.4
    assert scores.value("recall") > 0.8


def test_a_model_that_finds_nothing_scores_zero_and_answers_nothing(tmp_path: Path) -> None:
    write_colours(tmp_path / "inputs" / "dataset", images=3)
    blind = colour_detector(tmp_path / "blind", sharpness=900.0)
    for image in (tmp_path / "inputs" / "dataset" / "images").iterdir():
        Image.fromarray(np.full((160, 160, 3), 110, np.uint8)).save(image)
    scores = evaluated(tmp_path, {"resamples": 20, "samples": 1, "robustness": ["blur"]}, model=blind)
    assert scores.value("ap50") == 0.0
    assert scores.value("recall") == 0.0
    assert scores.value("precision") is None
    assert scores.scores["calibration"]["not_answered"] == ["detection", "recognition", "identification"]


def test_one_image_has_figures_without_intervals(tmp_path: Path) -> None:
    write_colours(tmp_path / "inputs" / "dataset", images=1)
    scores = evaluated(tmp_path, QUICK)
    assert scores.value("ap50") is not None
    assert scores.scores["metrics"]["ap50"]["low"] is None
    assert scores.scores["intervals"]["note"] == "none: one image cannot be drawn in two ways"


# ── calibration on data of its own ───────────────────────────────────────────────────────────────────────────────────
def test_a_calibration_set_of_its_own_serves_all_that_is_scored(tmp_path: Path) -> None:
    write_colours(tmp_path / "inputs" / "dataset", images=8)
    write_colours(tmp_path / "inputs" / "calibration", images=12, seed=5)
    scores = evaluated(tmp_path, QUICK)
    found = calibrate.from_json((tmp_path / "outputs" / "calibration.json").read_bytes())
    assert found.dataset == str(APART)
    assert scores.scores["dataset"]["calibration_digest"] == str(APART)
    assert scores.scores["calibration"]["fitted_on"] == "a calibration set of its own"


def test_a_lower_target_of_precision_lowers_the_threshold(tmp_path: Path) -> None:
    found = []
    for name, asked in (("f1", {}), ("most", {"target_precision": {"detection": 0.5}})):
        write_colours(tmp_path / name / "inputs" / "dataset", images=12, clutter=9)
        evaluated(tmp_path / name, QUICK | asked)
        found.append(calibrate.from_json((tmp_path / name / "outputs" / "calibration.json").read_bytes()))
    f1, most = found
    assert most.thresholds["detection"] < f1.thresholds["detection"]
    assert most.rule["detection"] == "most found at a precision of at least 0.5"


# ── overlap with training ────────────────────────────────────────────────────────────────────────────────────────────
def test_overlap_is_told_where_the_plan_has_fingerprints_and_left_open_where_not(
    whole: Evaluated, tmp_path: Path
) -> None:
    assert whole.scores["overlap"] is None
    dataset = write_colours(tmp_path / "inputs" / "dataset", images=3, side_px=320)
    scores = evaluated(tmp_path, QUICK | {"training_fingerprints": fingerprints(dataset)})
    overlap = scores.scores["overlap"]
    assert overlap["near_duplicates"] == len(overlap["pairs"])
    assert {(p["first"], p["second"]) for p in overlap["pairs"]} >= {(i.path, i.path) for i in dataset.images}


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def refused(workdir: Path, message: str, parameters: dict[str, Any] | None = None, **inputs: Digest) -> None:
    plan = Plan(
        "evaluate",
        "imagery",
        "test",
        inputs or {"model": MODEL, "dataset": DATA},
        parameters or {},
        "1",
        0,
        Resources(),
    )
    with pytest.raises(BadInput, match=message):
        run(plan, workdir)
    assert not (workdir / "outputs").exists()


def test_a_plan_without_its_inputs_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "evaluation, inputs: expected model and dataset, found no dataset", model=MODEL)


@pytest.mark.parametrize("file", ["model.json", "model.onnx"])
def test_a_model_folder_that_lacks_a_file_is_refused(tmp_path: Path, file: str) -> None:
    model = colour_detector(tmp_path / "inputs" / "model")
    (model / file).unlink()
    other = "model.onnx" if file == "model.json" else "model.json"
    refused(tmp_path, f"model folder model: expected a file {file}, found {other}")


def test_a_model_that_is_none_is_refused(tmp_path: Path) -> None:
    model = colour_detector(tmp_path / "inputs" / "model")
    (model / "model.onnx").write_bytes(b"not an engine's graph")
    refused(tmp_path, "model.onnx: expected an ONNX model, found ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "model.json: expected JSON, found "),
        ("[]", "model.json, format: expected casemate-detector/1, found list"),
        (
            '{"format": "casemate-detector/9"}',
            "model.json, format: expected casemate-detector/1, found casemate-detector/9",
        ),
        (
            '{"format": "casemate-detector/1"}',
            "model.json: expected a taxonomy and strides, found no taxonomy and no str",
        ),
    ],
)
def test_a_description_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    model = colour_detector(tmp_path / "inputs" / "model")
    (model / "model.json").write_text(text)
    refused(tmp_path, message)


def test_labels_that_the_model_does_not_know_are_refused(tmp_path: Path) -> None:
    colour_detector(tmp_path / "inputs" / "model")
    other = Taxonomy("ships", (Node("object"), Node("vessel", "object")))
    folder = tmp_path / "inputs" / "dataset"
    write_colours(folder, images=1)
    image = LabelledImage("images/000.png", 160, 160, (Box(0, 0, 16, 16, "vessel"),))
    save_labels(ImageryDataset(folder, (image,), other, frozenset({"vessel"}), "ports"), folder)
    refused(tmp_path, r"data set ports: expected labels of the model's taxonomy \(object, aircraft, .*\), found vessel")


def test_a_set_without_a_box_that_counts_is_refused(tmp_path: Path) -> None:
    colour_detector(tmp_path / "inputs" / "model")
    write_colours(tmp_path / "inputs" / "dataset", images=2, difficult=1.0)
    refused(tmp_path, "expected at least one labelled box, found 2 images with 8 boxes, none that counts")


def test_a_set_that_labels_nothing_throughout_is_refused(tmp_path: Path) -> None:
    colour_detector(tmp_path / "inputs" / "model")
    write_colours(tmp_path / "inputs" / "dataset", images=2, exhaustive=())
    refused(tmp_path, "expected at least one class that is labelled throughout, .*, found none")


def test_a_set_without_boxes_of_what_it_labels_throughout_is_refused(tmp_path: Path) -> None:
    colour_detector(tmp_path / "inputs" / "model")
    write_colours(tmp_path / "inputs" / "dataset", images=2, labels=("airplane",), exhaustive=("car",))
    refused(tmp_path, r"expected boxes of a class that is labelled throughout \(car\), found airplane")


def test_an_image_of_another_size_than_its_labels_say_is_refused(tmp_path: Path) -> None:
    colour_detector(tmp_path / "inputs" / "model")
    write_colours(tmp_path / "inputs" / "dataset", images=1)
    Image.new("RGB", (100, 90)).save(tmp_path / "inputs" / "dataset" / "images" / "000.png")
    refused(tmp_path, "images/000.png: expected 160 × 160 px, as its labels say, found 100 × 90 px")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"scoremin": 1}, "evaluation: expected parameters among score_min, .*, found scoremin"),
        ({"score_min": 2}, "evaluation, score_min: expected a number from 0.001 to 0.9, found 2"),
        ({"resamples": 1.5}, "evaluation, resamples: expected a whole number from 0 to 10000, found 1.5"),
        ({"robustness": ["snow"]}, "evaluation, robustness: expected names among blur, .*, found snow"),
        ({"robustness": "blur"}, "evaluation, robustness: expected a list of names, found 'blur'"),
        ({"target_precision": {"size": 1}}, "evaluation, target_precision: expected figures for detection"),
        (
            {"target_precision": {"detection": 2}},
            "target_precision of detection: expected a number from 0 to 1, found 2",
        ),
        ({"pictures": 1}, "evaluation, pictures: expected true or false, found 1"),
        ({"training_fingerprints": 3}, "evaluation, training_fingerprints: expected fingerprints by image, found int"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(tmp_path: Path, parameters: dict[str, Any], message: str) -> None:
    refused(tmp_path, message, parameters)


# ── what is made worse ───────────────────────────────────────────────────────────────────────────────────────────────
def test_images_are_drawn_within_the_budget_and_at_least_one() -> None:
    images = [LabelledImage(f"{i}", 1000, 1000, (Box(0, 0, 9, 9, "car"),)) for i in range(10)]
    assert len(draw_images(images, budget_px=3.5e6, seed=0)) == 3
    assert len(draw_images(images, budget_px=1.0, seed=0)) == 1
    assert draw_images(images, budget_px=5e6, seed=1) == draw_images(images, budget_px=5e6, seed=1)
    assert draw_images([LabelledImage("empty", 10, 10)], budget_px=1e6, seed=0) == []


def test_of_a_large_image_the_part_round_the_middle_of_its_boxes_is_taken() -> None:
    boxes = tuple(Box(x, 5000, x + 10, 5010, "car") for x in (7000, 7100, 7200))
    assert view_window(LabelledImage("large", 8000, 9000, boxes)) == (5952, 3981, 8000, 6029)
    assert view_window(LabelledImage("small", 300, 200)) == (0, 0, 300, 200)
