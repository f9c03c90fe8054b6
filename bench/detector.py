"""The detector: what it finds on data it has not seen, how fast it runs, how long it takes to train.

    python bench/detector.py score MODEL_DIR DATA_DIR [--rename 0=airplane] [--only athens valencia]
    python bench/detector.py speed MODEL_DIR [--side 1024] [--threads 2]
    python bench/detector.py tune TRAIN_DIR VALID_DIR --workdir DIR [--rename 0=airplane] [--set steps=300]

`score` runs `model.onnx` by onnxruntime as every other caller does and scores it with pycocotools (AP at IoU 0.50, the
mean over 0.50 to 0.95, small and medium boxes), one class: the only label of the data. `speed` is the bare model on a
tensor already in memory, in megapixels of input a second, the median of the repetitions. `tune` runs the `fine_tune`
recipe through the worker, says how long it took, and scores it. MODEL_DIR `base` is the shipped model.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import casemate
from casemate.compute.plan import Plan, Resources
from casemate.modalities.imagery import data, model_folder, pixels, recipes, weights
from casemate.modalities.imagery.boxes import ImageryDataset
from casemate.modalities.imagery.infer import Detector, detect_image, open_detector
from casemate.store.folders import manifest_of

MOST = 300
SCORE_MIN = 0.02


def main(argv: list[str] | None = None) -> int:
    asked = _arguments().parse_args(argv)
    if asked.verb == "score":
        with _model(asked.model) as model_dir:
            facts = score(open_detector(model_dir, threads=asked.threads), _dataset(asked.data, asked))
    elif asked.verb == "speed":
        with _model(asked.model) as model_dir:
            facts = speed(model_dir, asked.side, asked.threads, asked.int8)
    else:
        facts = tune(asked)
    print(json.dumps(facts | {"load": os.getloadavg()[0], "cores": os.cpu_count()}))
    return 0


def _arguments() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = whole.add_subparsers(dest="verb", required=True)
    for name in ("score", "speed", "tune"):
        verb = verbs.add_parser(name)
        verb.add_argument("--threads", type=int, default=2)
        if name != "tune":
            verb.add_argument("model", type=Path)
        if name == "speed":
            verb.add_argument("--side", type=int, default=1024)
            verb.add_argument("--int8", action="store_true")
            continue
        if name == "tune":
            verb.add_argument("train", type=Path)
            verb.add_argument("--workdir", type=Path, required=True)
            verb.add_argument("--processes", type=int, default=1)
            verb.add_argument("--set", nargs="*", default=[], help="parameters of the recipe, name=value")
        verb.add_argument("data", type=Path)
        verb.add_argument("--rename", nargs="*", default=[], help="the set's words, word=node")
        verb.add_argument("--labels", type=Path, help="the one label file to read, where a folder has several")
        verb.add_argument("--only", nargs="*", help="names of the images to score, without suffix")
        verb.add_argument("--drop", nargs="*", help="names of the images not to train on")
    return whole


@contextlib.contextmanager
def _model(folder: Path) -> Any:
    """A model folder; `base` stands for the shipped weights, unpacked for the occasion."""
    if str(folder) != "base":
        yield folder
        return
    from casemate.modalities.imagery.network import Architecture, build
    from casemate.modalities.imagery.taxonomy import Taxonomy

    tensors, config = weights.shipped()
    nodes = Taxonomy.from_json(config["taxonomy"]).names
    detector = build(Architecture.from_json(config["architecture"]), len(nodes), seed=0)
    weights.fill(detector, tensors, name="base")
    with tempfile.TemporaryDirectory() as place:
        model_folder.write(Path(place), detector.eval(), config)
        yield Path(place)


def _dataset(folder: Path, asked: argparse.Namespace) -> ImageryDataset:
    rename = dict(pair.split("=", 1) for pair in asked.rename)
    read = data.read(folder, rename=rename, labels=asked.labels)
    kept = tuple(image for image in read.images if not asked.only or Path(image.path).stem in asked.only)
    return dataclasses.replace(read, images=kept)


def score(detector: Detector, dataset: ImageryDataset) -> dict[str, Any]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    (label,) = dataset.labels
    column, begun = detector.taxonomy.index(label), time.perf_counter()
    images: list[dict[str, Any]] = []
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number, image in enumerate(dataset.images):
        images.append({"id": number, "width": image.width, "height": image.height})
        for box in image.boxes:
            facts: dict[str, Any] = {
                "id": len(truth) + 1,
                "image_id": number,
                "category_id": 1,
                "iscrowd": int(box.difficult),
            }
            truth.append(facts | {"bbox": [box.x0, box.y0, box.width, box.height], "area": box.area})
        seen = detect_image(detector, pixels.read_window(dataset.path_of(image)), score_min=SCORE_MIN)
        for (x0, y0, x1, y1), value in zip(seen.boxes_xyxy_px.tolist(), seen.scores[:, column].tolist(), strict=True):
            facts = {"image_id": number, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
            found.append(facts | {"score": value})
    took_s = time.perf_counter() - begun
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {"images": images, "annotations": truth, "categories": [{"id": 1, "name": label}]}
        known.createIndex()
        figures = COCOeval(known, known.loadRes(found), "bbox")
        figures.params.maxDets = [1, 100, MOST]
        figures.evaluate()
        figures.accumulate()
    precision = figures.eval["precision"][:, :, 0, :, 2]
    parts = {"ap50": precision[0, :, 0], "ap": precision[:, :, 0], "ap75": precision[5, :, 0]}
    parts |= {"ap50_small": precision[0, :, 1], "ap50_medium": precision[0, :, 2]}
    means = {
        name: round(float(part[part > -1].mean()), 4) if (part > -1).any() else None for name, part in parts.items()
    }
    return {"images": len(images), "boxes": len(truth), "label": label, **means, "seconds": round(took_s, 1)}


def speed(model_dir: Path, side_px: int, threads: int, int8: bool) -> dict[str, Any]:
    detector = open_detector(model_dir, threads=threads, weights="model-int8.onnx" if int8 else "model.onnx")
    image = np.random.default_rng(0).integers(0, 256, (1, 3, side_px, side_px), dtype=np.uint8)
    feed = {detector.session.get_inputs()[0].name: image}
    detector.session.run(None, feed)
    times = []
    for _ in range(9):
        begun = time.perf_counter()
        detector.session.run(None, feed)
        times.append(time.perf_counter() - begun)
    rates = sorted(side_px * side_px / 1e6 / t for t in times)
    return {"mp_s": round(statistics.median(rates), 2), "mp_s_best": round(rates[-1], 2), "threads": threads}


def tune(asked: argparse.Namespace) -> dict[str, Any]:
    rename = dict(pair.split("=", 1) for pair in asked.rename)
    train = data.read(asked.train, rename=rename, labels=asked.labels)
    kept = tuple(image for image in train.images if Path(image.path).stem not in (asked.drop or ()))
    place = asked.workdir / "inputs" / "train"
    for image in kept:
        (place / image.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(train.path_of(image), place / image.path)
    data.save_labels(dataclasses.replace(train, images=kept), place)
    manifest = manifest_of(place)
    (place.parent / "train.manifest.json").write_bytes(manifest.to_json())
    changes = {name: json.loads(value) for name, value in (pair.split("=", 1) for pair in asked.set)}
    plan = Plan(
        verb="train",
        modality="imagery",
        recipe="fine_tune",
        inputs={"train": manifest.digest},
        parameters=recipes.fine_tune(**changes).to_parameters(),
        code_version=casemate.__version__,
        seed=0,
        resources=Resources(processes=asked.processes, threads=max(1, asked.threads // asked.processes)),
    )
    (asked.workdir / "plan.json").write_bytes(plan.to_json())
    several = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    several = [*several, f"--nproc-per-node={asked.processes}"] if asked.processes > 1 else []
    begun = time.perf_counter()
    subprocess.run([sys.executable, *several, "-m", "casemate.compute.worker", str(asked.workdir)], check=True)
    took_s = round(time.perf_counter() - begun, 1)
    outputs = open_detector(asked.workdir / "outputs", threads=asked.threads)
    return {"train_seconds": took_s, "steps": plan.parameters["steps"], **score(outputs, _dataset(asked.data, asked))}


if __name__ == "__main__":
    sys.exit(main())
