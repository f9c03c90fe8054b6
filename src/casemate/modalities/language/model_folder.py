"""What training leaves and everyone else reads: one folder with weights, vocabulary, description and card.

Rules. The folder serves as it is: `model.safetensors`, `config.json` and `tokenizer.json` for what computes with
tensors, `model.gguf` for llama.cpp. `model.json` says what it is and what it learned from, and nothing about any
site; it is sorted, so equal models have equal descriptions. Every file is whole or not there. The card is written
from facts, in plain words, and says what was not measured.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from casemate.compute.plan import Plan
from casemate.modalities.language import architecture, export, learned
from casemate.modalities.language.data import facts as facts_of
from casemate.modalities.language.start import Start
from casemate.store.digest import Digest
from casemate.store.whole import write_whole

DESCRIPTION, CARD, FORMAT = "model.json", "MODEL_CARD.md", "casemate-language-model/1"
_WRITTEN = (
    "architectures", "attention_bias", "attention_dropout", "head_dim", "hidden_act", "hidden_size",
    "initializer_range", "intermediate_size", "max_position_embeddings", "mlp_bias", "model_type",
    "num_attention_heads", "num_hidden_layers", "num_key_value_heads", "rms_norm_eps", "rope_theta",
    "tie_word_embeddings", "vocab_size",
)  # fmt: skip
_PARITY_CHARACTERS = 4000


def write(
    folder: Path, plan: Plan, begun: Start, tensors: Mapping[str, Tensor], outcome: Mapping[str, Any]
) -> export.Parity | None:
    """Write the folder, and `model.gguf` where the plan asks for one; its parity with the weights is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in begun.vocabulary.files().items():
        write_whole(folder / name, data)
    stored = {torch_type: name for name, torch_type in architecture.STORED.items()}[begun.dtype]
    ends = {"eos_token_id": begun.vocabulary.end, "bos_token_id": begun.vocabulary.begin, "torch_dtype": stored}
    config = {name: begun.config[name] for name in _WRITTEN if name in begun.config} | ends
    write_whole(folder / architecture.CONFIG, _json(config))
    write_whole(folder / architecture.WEIGHTS, architecture.to_bytes(tensors, begun.dtype))
    learned.write(folder, begun.prints, begun.older)
    parity = None
    if begun.settings.gguf != "none":
        parity = export.export_gguf(folder, begun.settings.gguf, [_sample(begun)])
    description = describe(plan, begun, tensors, outcome, parity)
    write_whole(folder / DESCRIPTION, _json(description))
    write_whole(folder / CARD, card(description).encode("utf-8"))
    return parity


def describe(
    plan: Plan, begun: Start, tensors: Mapping[str, Tensor], outcome: Mapping[str, Any], parity: export.Parity | None
) -> dict[str, Any]:
    """The model.json; what stands under `entry` are facts for the catalog."""
    data = {}
    for name, dataset in begun.datasets.items():
        told = facts_of(dataset)
        counts = {key: told[key] for key in ("label_format", "documents", "conversations", "characters", "languages")}
        data[name] = {"digest": str(plan.inputs[name]), **counts}
    base = plan.inputs.get(begun.older.name) if begun.older else None
    vocabulary = begun.vocabulary.files()["tokenizer.json"]
    entry = {
        "task": "chat" if begun.vocabulary.template else "text",
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "tokenizer": str(Digest.of_bytes(vocabulary)),
        "base": str(base) if base else "",
    }
    held = begun.held
    training = {
        "data": data, "start": begun.origin, "recipe": plan.recipe, "plan": str(plan.digest), "seed": plan.seed,
        "code_version": plan.code_version, "objective": begun.settings.objective, "tune": begun.settings.tune,
        "steps": outcome["steps"], "blocks": len(begun.taught), "tokens": begun.taught.learned,
        "records": begun.taught.records, "beyond_context": begun.taught.cut, "left_out": begun.taught.left_out,
        "held_out_records": held.records if held else 0, "held_out_tokens": held.learned if held else 0,
    }  # fmt: skip
    if outcome.get("loss") is not None:
        training["validation_loss"] = round(float(outcome["loss"]), 6)
        training["validation_perplexity"] = round(math.exp(min(float(outcome["loss"]), 50.0)), 4)
    engines = {} if parity is None else {"model.gguf": parity.to_json()}
    return {
        "format": FORMAT, "entry": entry, "context": begun.settings.context, "engines": engines, "training": training,
    }  # fmt: skip


def card(description: Mapping[str, Any]) -> str:
    """A model card: what it is, what it learnt from, what is known of its limits."""
    entry, training = description["entry"], description["training"]
    lines = ["# Model card", "", f"A language model ({entry['task']}) of {entry['parameters']:,} parameters.", ""]
    lines += ["## Learnt from", ""]
    for name, facts in sorted(training["data"].items()):
        spoken = ", ".join(f"{code or 'unknown'} {count}" for code, count in facts["languages"].items())
        counted = f"{facts['documents']} documents, {facts['conversations']} conversations"
        lines.append(
            f"- {name} ({facts['digest']}): {counted}, {facts['characters']:,} characters; languages: {spoken}"
        )
    lines += ["", f"Started from: {training['start']}. Recipe: {training['recipe']}, {training['steps']} steps, of"]
    lines += [f"{training['tokens']:,} tokens in {training['blocks']} blocks. Learned: {training['tune']} weights."]
    if "validation_perplexity" in training:
        counted = f"{training['held_out_records']} records ({training['held_out_tokens']:,} tokens)"
        lines += ["", f"Perplexity {training['validation_perplexity']:g} on {counted} held out of training."]
    lines += ["", "## Limits", ""]
    if training["beyond_context"] or training["left_out"]:
        lines.append(
            f"- {training['beyond_context']} conversations were longer than the context of {description['context']} "
            f"tokens and were cut there; {training['left_out']} had no answer within it and were left out."
        )
    lines += [
        "- What it says may be wrong; it may repeat what it learned from word for word.",
        "- Perplexity tells how well it foresees text of the same kind, and nothing about truth or harm.",
        "- Figures of merit belong to an evaluation, and are not in this card.",
    ]
    return "\n".join(lines) + "\n"


def _sample(begun: Start) -> str:
    """Text to compare engines on: held out where there is any."""
    blocks = begun.held or begun.taught
    ids = [int(token) for token in blocks.tokens[0] if int(token) not in begun.vocabulary.special.values()]
    return str(begun.vocabulary.tokenizer.decode(ids))[:_PARITY_CHARACTERS]


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
