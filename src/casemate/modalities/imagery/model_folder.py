"""What training leaves and everyone else reads: one folder with weights, graph, description and card.

Rules. `model.json` says all that is needed to run the model and nothing about any site; it is sorted, so equal models
have equal descriptions. Every file is whole or not there. The card is written from facts, in plain words, and says what
was not measured.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casemate.modalities.imagery import export
from casemate.modalities.imagery.taxonomy import Taxonomy
from casemate.modalities.imagery.weights import CONFIG, FORMAT, SAFETENSORS, to_bytes
from casemate.store.whole import write_whole

if TYPE_CHECKING:
    from casemate.modalities.imagery.network import Architecture, Detector

CARD = "MODEL_CARD.md"


def describe(
    architecture: "Architecture", taxonomy: Taxonomy, *, input_scale: float, training: Mapping[str, Any]
) -> dict[str, Any]:
    """The model.json of a network; `training` holds its data, recipe, seed and what it labels exhaustively."""
    from casemate.modalities.imagery.network import MEAN, MULTIPLE_PX, SPREAD, STRIDE_PX

    return {
        "format": FORMAT,
        "architecture": architecture.to_json(),
        "taxonomy": taxonomy.to_json(),
        "strides": [STRIDE_PX],
        "input": {
            "channels": "RGB",
            "dtype": "uint8",
            "layout": "NCHW",
            "multiple_px": MULTIPLE_PX,
            "scale": input_scale,
            "mean": MEAN,
            "spread": SPREAD,
        },
        "calibration": {},
        "training": dict(training),
    }


def write(
    folder: Path, detector: "Detector", config: Mapping[str, Any], *, images: export.Images = ()
) -> export.Parity:
    """Write the folder; the graph is checked against PyTorch on noise and on `images`, and the parity returned."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_whole(folder / CONFIG, (text + "\n").encode())
    write_whole(folder / SAFETENSORS, to_bytes(detector.state_dict()))
    write_whole(folder / CARD, card(config).encode())
    return export.export_onnx(folder, images)


def card(config: Mapping[str, Any]) -> str:
    """A model card: what it answers, what it learnt from, what is known of its limits."""
    taxonomy = Taxonomy.from_json(config["taxonomy"], source=CONFIG)
    training = config["training"]
    lines = ["# Model card", "", "A detector of objects in images seen from above.", "", "## Answers", ""]
    lines += [f"{'  ' * taxonomy.depth(name)}- {name}" for name in taxonomy.names]
    lines += ["", "## Learnt from", ""]
    for name, facts in sorted(training.get("data", {}).items()):
        labels = ", ".join(f"{count} {label}" for label, count in facts["labels"].items())
        lines.append(f"- {name} ({facts['digest']}): {facts['images']} images, {labels}; {_resolution(facts)}")
    start = training.get("start", "random")
    lines += ["", f"Started from: {start}. Recipe: {training.get('recipe', 'none')}, {training.get('steps', 0)} steps."]
    lines += ["", "## Limits", ""]
    lines += [
        f"- It sees pictures enlarged {config['input']['scale']:g} times, and answers every 4 pixels of what it sees.",
        "- Scores are not probabilities until a calibration was fitted on held-out data.",
        "- Only what is listed under Answers was ever taught; anything else may be missed or taken for one of them.",
        "- Figures of merit belong to an evaluation, and are not in this card.",
    ]
    return "\n".join(lines) + "\n"


def _resolution(facts: Mapping[str, Any]) -> str:
    low_high = facts.get("gsd_m")
    return "ground sampling distance unknown" if not low_high else f"{low_high[0]:g} to {low_high[1]:g} m a pixel"
