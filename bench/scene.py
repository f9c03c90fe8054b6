"""A large scene: megapixels a second against the bare model, peak memory, duplicates at seams, and SAHI beside it.

    python bench/scene.py MODEL_DIR [--tiles DIR] [--side 20000] [--compress JPEG ZSTD] [--sahi-side 4000] [--json]

Builds a COG of `--side` pixels square from real tiles, then, each in a process of its own: the bare model (the same
session, settings and window size) on tensors already in memory, `predict` over the scene, the bare model again. The
ratio is predict's megapixels of scene a second over the mean of both bare runs, so everything counts against it: the
scene's digest, reading and decoding, overlap, decoding answers, merging, GeoJSON and the picture. Bare figures are in
pixels of scene too (pixels that the model sees, over its scale squared). SAHI (`pip install sahi`; the same model, one
session on all cores) runs on the upper left part, in slices of its usual size and of ours, beside predict on that part.
Peak memory is the process's own (VmHWM), in MB of 1e6 bytes.
"Of windows" counts the overlap as work done; "of CPU time" compares
processor seconds, and so says something on a busy machine too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).resolve()
TILES = HERE.parents[2] / "shared" / "data" / "imagery_airport_planes" / "valid"
BLOCK_PX, GSD_M = 512, 0.5
BARE_MP = 60.0
SAME_IOU = 0.5
Boxes = npt.NDArray[np.float32]


# ── the scene ────────────────────────────────────────────────────────────────────────────────────────────────────────
def build(tiles: Path, side: int, compress: str, path: Path) -> Path:
    """A COG of `side` pixels square: real tiles in random order, each turned by a random quarter."""
    import rasterio
    import rasterio.shutil
    from rasterio.transform import from_origin

    pictures = _pictures(tiles)
    chance = np.random.default_rng(0)
    flat = path.with_suffix(".flat.tif")
    facts = {"width": side, "height": side, "count": 3, "dtype": "uint8", "photometric": "rgb", "BIGTIFF": "YES"}
    place = {"crs": "EPSG:32631", "transform": from_origin(450_000, 5_410_000, GSD_M, GSD_M)}
    with rasterio.open(
        flat, "w", driver="GTiff", tiled=True, blockxsize=BLOCK_PX, blockysize=BLOCK_PX, **facts, **place
    ) as scene:
        tile = pictures[0].shape[0]
        for top in range(0, side, tile):
            row = [np.rot90(pictures[chance.integers(len(pictures))], chance.integers(4)) for _ in range(0, side, tile)]
            band = np.concatenate(row, axis=1)[: side - top, :side]
            scene.write(band.transpose(2, 0, 1), window=((top, top + band.shape[0]), (0, side)))
    quality = {"QUALITY": "90"} if compress == "JPEG" else {}
    rasterio.shutil.copy(
        flat, path, driver="COG", compress=compress, blocksize=str(BLOCK_PX), BIGTIFF="IF_SAFER", **quality
    )
    flat.unlink()
    return path


def _pictures(tiles: Path) -> list[npt.NDArray[np.uint8]]:
    """The tiles as squares of one size."""
    from PIL import Image

    files = sorted(f for f in tiles.rglob("*") if f.suffix.lower() in {".jpg", ".jpeg", ".png", ".tif"})
    if not files:
        sys.exit(f"{tiles}: expected pictures, found none")
    opened = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    side = min(min(picture.shape[:2]) for picture in opened)
    return [picture[:side, :side] for picture in opened]


def crop(scene: Path, side: int, path: Path) -> Path:
    """The upper left part of a scene, as a scene of its own."""
    import rasterio
    from rasterio.windows import Window

    with rasterio.open(scene) as whole:
        part = whole.read(window=Window(0, 0, side, side))
        facts = {
            "width": side,
            "height": side,
            "count": 3,
            "dtype": "uint8",
            "crs": whole.crs,
            "transform": whole.transform,
        }
        with rasterio.open(
            path, "w", driver="GTiff", tiled=True, blockxsize=BLOCK_PX, blockysize=BLOCK_PX, **facts
        ) as out:
            out.write(part)
    return path


# ── what is measured, each in a process of its own ───────────────────────────────────────────────────────────────────
def measure_bare(model: Path, workers: int, window_px: int | None) -> dict[str, Any]:
    """The bare model on tensors already in memory, as many at a time as predict runs."""
    from casemate.modalities.imagery.engine import Engine
    from casemate.modalities.imagery.predict import side_px

    engine = Engine.open(model, workers=workers, score_min=0.05)
    scale = engine.detector.scale
    side = int((window_px or side_px(scale, workers)) * scale) // 32 * 32
    name = engine.detector.session.get_inputs()[0].name
    feeds = [{name: _noise(side, seed)} for seed in range(workers)]
    rounds = max(2, round(BARE_MP * scale**2 * 1e6 / side**2 / workers))

    def run(feed: dict[str, Any]) -> None:
        engine.detector.session.run(None, feed)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, feeds))
        begun, used = time.perf_counter(), time.process_time()
        list(pool.map(run, feeds * rounds))
        seconds, cpu_s = time.perf_counter() - begun, time.process_time() - used
    mp = rounds * workers * side**2 / scale**2 / 1e6
    speed = {"mp_s": mp / seconds, "mp_cpu_s": mp / cpu_s, "seconds": seconds}
    return {**speed, "seen_px": side, "scale": scale, "peak_mb": _peak_mb()}


def _noise(side: int, seed: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (1, 3, side, side)).astype(np.uint8)


def measure_predict(
    model: Path, scene: Path, workers: int, window_px: int | None, overlap_px: int, out: Path
) -> dict[str, Any]:
    """Predict over the scene, from nothing to both files."""
    from casemate.modalities import find
    from casemate.modalities.imagery.infer import input_scale, read_config
    from casemate.modalities.imagery.predict import side_px

    begun, used = time.perf_counter(), time.process_time()
    report = find("imagery").predict.predict(
        model,
        scene,
        out,
        marking="NP",
        release="bench",
        workers=workers,
        window_px=window_px,
        overlap_px=overlap_px,
        resume=False,
    )
    seconds, cpu_s = time.perf_counter() - begun, time.process_time() - used
    mp = report.size_px[0] * report.size_px[1] / 1e6
    facts = {"mp_s": mp / seconds, "mp_cpu_s": mp / cpu_s, "seconds": seconds, "peak_mb": _peak_mb()}
    found = {"windows": report.windows, "detections": report.detections, "megapixels": mp}
    return {
        **facts,
        **found,
        **_duplicates(report, window_px or side_px(input_scale(read_config(model)), workers), overlap_px),
    }


def _duplicates(report: Any, side: int, overlap_px: int) -> dict[str, Any]:
    """Pairs of answers that overlap by more than half: across a seam, and in all (within a window 0.6 is allowed)."""
    from casemate.modalities.imagery.windows import grid

    document = json.loads(report.geojson.read_text())
    boxes = np.array([f["properties"]["pixel_box"] for f in document["features"]], np.float32).reshape(-1, 4)
    cells = grid(*report.size_px, window_px=side, overlap_px=overlap_px)
    seams = [np.array([span.core_stop for span in spans]) for spans in (cells.columns, cells.rows)]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    owner = np.stack([np.searchsorted(seam, middle[:, i], side="right") for i, seam in enumerate(seams)], axis=1)
    pairs = overlapping(boxes)
    across = sum(bool((owner[a] != owner[b]).any()) for a, b in pairs)
    scene_px = cells.width * cells.height
    return {
        "seam_duplicates": across,
        "overlapping_pairs": len(pairs),
        "window_px": side,
        "overlap_px": overlap_px,
        "looked_at_twice": sum(window.area_px for window in cells) / scene_px - 1,
    }


def overlapping(boxes: Boxes) -> list[tuple[int, int]]:
    """Pairs of boxes whose intersection over union is above a half."""
    order = np.argsort(boxes[:, 0], kind="stable")
    pairs = []
    for place, i in enumerate(order):
        for j in order[place + 1 :]:
            if boxes[j, 0] >= boxes[i, 2]:
                break
            sides = np.minimum(boxes[i, 2:], boxes[j, 2:]) - np.maximum(boxes[i, :2], boxes[j, :2])
            shared = float(np.clip(sides, 0, None).prod())
            areas = float((boxes[i, 2:] - boxes[i, :2]).prod() + (boxes[j, 2:] - boxes[j, :2]).prod())
            if shared > SAME_IOU * (areas - shared):
                pairs.append((int(i), int(j)))
    return pairs


def measure_sahi(model: Path, scene: Path, slice_px: int, overlap: float) -> dict[str, Any]:
    """The same model, engine and threshold under SAHI, with its defaults for merging."""
    import rasterio
    from sahi.models.base import DetectionModel
    from sahi.predict import get_sliced_prediction
    from sahi.prediction import ObjectPrediction

    from casemate.modalities.imagery import infer

    class Ours(DetectionModel):
        def load_model(self) -> None:
            self.model = infer.open_detector(model)

        def perform_inference(self, image: npt.NDArray[np.uint8]) -> None:
            self._original_predictions = infer.run_window(self.model, image)

        def _create_object_prediction_list_from_original_predictions(
            self, shift_amount_list: Any = None, full_shape_list: Any = None
        ) -> None:
            found = self._original_predictions
            sure = found.scores[:, 0] >= self.confidence_threshold
            self._object_prediction_list_per_image = [
                [
                    ObjectPrediction(
                        bbox=box.tolist(),
                        category_id=0,
                        category_name="object",
                        score=float(score),
                        shift_amount=shift_amount_list[0],
                        full_shape=full_shape_list[0],
                    )
                    for box, score in zip(found.boxes_xyxy_px[sure], found.scores[sure, 0], strict=True)
                ]
            ]

    begun = time.perf_counter()
    with rasterio.open(scene) as raster:
        picture = np.ascontiguousarray(raster.read().transpose(1, 2, 0))
    detector = Ours(confidence_threshold=0.3, device="cpu")
    result = get_sliced_prediction(
        picture, detector, slice_height=slice_px, slice_width=slice_px, overlap_height_ratio=overlap,
        overlap_width_ratio=overlap, perform_standard_pred=False, verbose=0,
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    boxes = np.array([p.bbox.to_xyxy() for p in result.object_prediction_list], np.float32).reshape(-1, 4)
    facts = {"mp_s": picture.shape[0] * picture.shape[1] / seconds / 1e6, "seconds": seconds, "peak_mb": _peak_mb()}
    return {**facts, "slice_px": slice_px, "detections": len(boxes), "overlapping_pairs": len(overlapping(boxes))}


def _peak_mb() -> float:
    # VmHWM belongs to this program; getrusage's maximum also remembers the process that started it, before exec.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6


# ── one run ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def child(verb: str, **facts: Any) -> dict[str, Any]:
    """Run one measurement in a fresh process."""
    argv = [sys.executable, str(HERE), "--child", verb, json.dumps(facts)]
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def run_child(verb: str, facts: dict[str, Any]) -> dict[str, Any]:
    paths = {key: Path(value) for key, value in facts.items() if key in {"model", "scene", "out"}}
    verbs = {"bare": measure_bare, "predict": measure_predict, "sahi": measure_sahi}
    return verbs[verb](**{**facts, **paths})  # type: ignore[operator]


def run(model: str, options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Everything, in one run."""
    results: dict[str, Any] = {"side": options.side, "workers": options.workers, "scenes": [], "part": {}}
    same = {"model": model, "workers": options.workers, "window_px": options.window}
    scenes = [build(options.tiles, options.side, c, work / f"{c.lower()}.tif") for c in options.compress]
    for scene in scenes:
        before = child("bare", **same)
        predicted = child("predict", scene=str(scene), out=str(work / "out"), overlap_px=options.overlap, **same)
        after = child("bare", **same)
        bare = (before["mp_s"] + after["mp_s"]) / 2
        ratio = predicted["mp_s"] / bare
        facts = {"scene": scene.stem, "file_mb": scene.stat().st_size / 1e6, "bare_mp_s": bare, "ratio": ratio}
        facts["cpu_ratio"] = 2 * predicted["mp_cpu_s"] / (before["mp_cpu_s"] + after["mp_cpu_s"])
        looked = ratio * (1 + predicted["looked_at_twice"])
        bare_runs = [before, after]
        results["scenes"].append({**facts, "ratio_of_windows": looked, "bare_runs": bare_runs, "predict": predicted})
    if options.sahi_side:
        part = crop(scenes[0], min(options.sahi_side, options.side), work / "part.tif")
        ours = child("predict", scene=str(part), out=str(work / "part"), overlap_px=options.overlap, **same)
        slices = [(512, 0.2), (ours["window_px"], ours["overlap_px"] / ours["window_px"])]
        sahi = [child("sahi", model=model, scene=str(part), slice_px=px, overlap=share) for px, share in slices]
        results["part"] = {"side": min(options.sahi_side, options.side), "predict": ours, "sahi": sahi}
    return results


def table(results: dict[str, Any]) -> str:
    """The results as markdown."""
    lines = [
        f"Scene of {results['side']:,} × {results['side']:,} pixels, {results['workers']} window(s) at a time:",
        "",
        "| scene | file MB | bare MP/s | predict MP/s | ratio | of windows | CPU | peak MB | found | duplicates |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results["scenes"]:
        p = r["predict"]
        speeds = [f"{x:.2f}" for x in (r["bare_mp_s"], p["mp_s"])]
        ratios = [f"{r[key]:.3f}" for key in ("ratio", "ratio_of_windows", "cpu_ratio")]
        found = [f"{p[key]:.0f}" for key in ("peak_mb", "detections", "seam_duplicates")]
        lines.append("| " + " | ".join([f"{r['scene']} COG", f"{r['file_mb']:.0f}", *speeds, *ratios, *found]) + " |")
    if results["part"]:
        part = results["part"]
        rows = [("predict", part["predict"])]
        rows += [(f"SAHI, slices of {s['slice_px']} px", s) for s in part["sahi"]]
        lines += ["", f"On the upper left {part['side']:,} × {part['side']:,} pixels:", ""]
        lines += ["| | MP/s | peak MB | detections | pairs over IoU 0.5 |", "|---|---|---|---|---|"]
        lines += [
            f"| {name} | {r['mp_s']:.2f} | {r['peak_mb']:.0f} | {r['detections']} | {r['overlapping_pairs']} |"
            for name, r in rows
        ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model folder")
    parser.add_argument("--tiles", type=Path, default=TILES)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--compress", nargs="+", default=["JPEG", "ZSTD"])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--window", type=int, default=None)
    parser.add_argument("--overlap", type=int, default=64)
    parser.add_argument("--sahi-side", type=int, default=4_000, help="0 to leave SAHI out")
    parser.add_argument("--work", type=Path, default=None, help="where the scene is built (several GB)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        results = run(options.model, options, Path(folder))
    print(json.dumps(results, indent=1) if options.json else table(results))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(run_child(sys.argv[2], json.loads(sys.argv[3]))))
    else:
        main()
