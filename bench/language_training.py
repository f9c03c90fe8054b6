"""A language model from nothing but French texts: how well it foresees pages it has not seen, and its files' parity.

    python bench/language_training.py DATA_DIR --workdir DIR [--processes 2] [--set steps=600]

DATA_DIR is a folder with docs.jsonl (text_fr_servicepublic: 535 pages of service-public.fr). The `small_french` recipe
runs through the worker; a tenth of the pages is held out, near-duplicates on the same side. Then, on the held-out pages
and token by token, in the same run: perplexity of the model as it came out, of the same network untrained, and of two
references counted on the very training tokens: unigrams (add one) and bigrams (interpolated). Bits a character
compare across vocabularies. Last, the GGUF files of each type, against PyTorch on held-out text.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import casemate
from casemate.compute import read_metrics
from casemate.compute.plan import Plan, Resources
from casemate.errors import RunFailed
from casemate.modalities.language import architecture, data, export, recipes
from casemate.modalities.language.packing import IGNORED, Blocks, attention
from casemate.modalities.language.schedule import TrainingPlan
from casemate.modalities.language.start import Start, start
from casemate.store.folders import manifest_of


def main(argv: list[str] | None = None) -> int:
    wanted = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    wanted.add_argument("data", type=Path)
    wanted.add_argument("--workdir", type=Path, required=True)
    wanted.add_argument("--processes", type=int, default=1)
    wanted.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    asked = wanted.parse_args(argv)
    changes = {name: json.loads(value) for name, value in (pair.split("=", 1) for pair in asked.set)}
    plan = prepare(asked.workdir, asked.data, asked.processes, changes)
    before = time.monotonic()
    worker = ["-m", "casemate.compute.worker", str(asked.workdir)]
    several = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--local-addr=127.0.0.1",
        f"--nproc-per-node={asked.processes}",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    argv_ = [sys.executable, *(several if asked.processes > 1 else []), *worker]
    subprocess.run(argv_, env=environment, check=True)
    seconds = time.monotonic() - before
    facts = judged(plan, asked.workdir)
    print(
        json.dumps({**facts, "train_s": round(seconds), "load": os.getloadavg()[0], "cores": os.cpu_count()}, indent=1)
    )
    return 0


def prepare(workdir: Path, source: Path, processes: int, changes: dict[str, Any]) -> Plan:
    """The data set and the plan in the work folder."""
    folder = workdir / "inputs" / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / "docs.jsonl", folder / "docs.jsonl")
    data.save_labels(data.read(folder), folder)
    manifest = manifest_of(folder)
    (workdir / "inputs" / "pages.manifest.json").write_bytes(manifest.to_json())
    parameters = recipes.small_french(**changes).to_parameters()
    resources = Resources(processes=processes, threads=1)
    plan = Plan(
        "train", "language", "small_french", {"pages": manifest.digest}, parameters, casemate.__version__, 0, resources
    )
    (workdir / "plan.json").write_bytes(plan.to_json())
    return plan


def judged(plan: Plan, workdir: Path) -> dict[str, Any]:
    """Perplexities on the held-out pages, and parity of the files."""
    torch.set_num_threads(1)
    begun = start(plan, TrainingPlan.from_parameters(plan.parameters), workdir)
    outputs = workdir / "outputs"
    description = json.loads((outputs / "model.json").read_bytes())
    held = begun.held
    assert held is not None
    network, _ = architecture.load(outputs, architecture.read_config(outputs))
    losses = {
        "model": loss_of(network, held),
        "untrained": loss_of(begun.network(), held),
        "unigram": unigram(begun.taught, held, begun.vocabulary.size),
        "bigram": bigram(begun.taught, held, begun.vocabulary.size),
    }
    bits = {name: round(loss * held.learned / characters(begun) / math.log(2), 3) for name, loss in losses.items()}
    figures = [(m.step, round(m.values["validation_perplexity"], 1)) for m in read_metrics(workdir)
               if "validation_perplexity" in m.values]  # fmt: skip
    return {
        "parameters": description["entry"]["parameters"], "vocabulary": begun.vocabulary.size,
        "taught_records": begun.taught.records, "held_out_records": held.records,
        "taught_tokens": begun.taught.learned, "held_out_tokens": held.learned,
        "perplexity": {name: round(math.exp(loss), 1) for name, loss in losses.items()},
        "bits_per_character": bits, "validation": figures,
        "gguf": {kind: parity(outputs, workdir, kind, begun) for kind in export.LIMITS},
    }  # fmt: skip


@torch.inference_mode()
def loss_of(network: torch.nn.Module, held: Blocks) -> float:
    """Mean loss of a network on blocks, in nats a token."""
    network.eval()
    total = 0.0
    for at in range(0, len(held), 8):
        rows = slice(at, at + 8)
        segments = torch.from_numpy(held.segments[rows].astype(np.int64))
        logits = network(
            input_ids=torch.from_numpy(held.tokens[rows].astype(np.int64)), attention_mask=attention(segments),
            position_ids=torch.from_numpy(held.positions[rows].astype(np.int64)), use_cache=False,
        ).logits  # fmt: skip
        labels = torch.from_numpy(held.labels[rows].astype(np.int64)).flatten()
        total += float(
            torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels, ignore_index=IGNORED, reduction="sum")
        )
    return total / held.learned


def unigram(taught: Blocks, held: Blocks, size: int) -> float:
    """Mean loss of the tokens' frequencies in training, one added to each."""
    there = held.labels[held.labels != IGNORED]
    return float(-np.log(_frequencies(taught, size)[there]).mean())


def bigram(taught: Blocks, held: Blocks, size: int, discount: float = 0.75) -> float:
    """Mean loss of pairs of tokens (absolute discounting, the rest shared out by unigrams)."""
    learned = taught.labels != IGNORED
    pairs = taught.tokens[learned].astype(np.int64) * size + taught.labels[learned]
    keys, counts = np.unique(pairs, return_counts=True)
    firsts = keys // size
    totals = np.bincount(firsts, weights=counts, minlength=size)
    kinds = np.bincount(firsts, minlength=size)
    asked = held.labels != IGNORED
    before, after = held.tokens[asked].astype(np.int64), held.labels[asked].astype(np.int64)
    place = np.minimum(np.searchsorted(keys, before * size + after), len(keys) - 1)
    seen = np.where(keys[place] == before * size + after, counts[place] - discount, 0.0)
    total = np.maximum(totals[before], 1)
    rest = np.where(totals[before] > 0, discount * kinds[before] / total, 1.0)
    return float(-np.log(seen / total + rest * _frequencies(taught, size)[after]).mean())


def _frequencies(taught: Blocks, size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    counts = np.bincount(taught.labels[taught.labels != IGNORED], minlength=size) + 1.0
    return np.asarray(counts / counts.sum())


def characters(begun: Start) -> int:
    """Characters of the held-out pages."""
    held = begun.held
    assert held is not None
    ids = held.tokens[held.segments >= 0]
    return len(begun.vocabulary.tokenizer.decode(ids.tolist(), skip_special_tokens=True))


def parity(outputs: Path, workdir: Path, kind: str, begun: Start) -> dict[str, Any]:
    """Size and parity of one type of file, on held-out text; a refusal is told as it came."""
    folder = workdir / f"gguf-{kind}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(outputs, folder)
    held = begun.held
    assert held is not None
    text = begun.vocabulary.tokenizer.decode(held.tokens[len(held) // 2].tolist())
    try:
        found = export.export_gguf(folder, kind, [text])
    except RunFailed as why:
        return {"refused": str(why)}
    sizes = {name: (folder / name).stat().st_size for name in ("model.gguf", "model.safetensors")}
    perplexities = {
        "perplexity": round(math.exp(found.loss), 3),
        "perplexity_there": round(math.exp(found.loss_there), 3),
    }
    return {
        **found.to_json(),
        **perplexities,
        "bytes": sizes["model.gguf"],
        "weights_bytes": sizes["model.safetensors"],
    }


if __name__ == "__main__":
    sys.exit(main())
