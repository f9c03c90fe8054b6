"""What a run starts from: the records it learns from and those held out, the vocabulary, and the first weights.

Rules. A run has one objective, and its data sets are of that kind. First weights are random ones with a vocabulary
made from the training part of the data, or another model's among the inputs, with its own. Nothing is taken from
anywhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from casemate.compute.plan import Plan
from casemate.errors import BadInput
from casemate.learning.inputs import inputs
from casemate.modalities.language import architecture, data, packing
from casemate.modalities.language.corpus import LanguageDataset
from casemate.modalities.language.divide import held_out
from casemate.modalities.language.packing import Blocks
from casemate.modalities.language.schedule import TrainingPlan
from casemate.modalities.language.vocabulary import Vocabulary, learned, of_folder

LORA_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Start:
    """Everything that is fixed before the first step."""

    datasets: Mapping[str, LanguageDataset]
    prints: Mapping[str, Mapping[str, Any]]
    taught: Blocks
    held: Blocks | None
    vocabulary: Vocabulary
    config: Mapping[str, Any]
    older: Path | None
    dtype: torch.dtype
    settings: TrainingPlan
    seed: int

    @property
    def origin(self) -> str:
        """Where the first weights came from."""
        return "random weights" if self.older is None else f"model {self.older.name}"

    def network(self) -> nn.Module:
        """The network with its first weights; with LoRA, only what is beside the linear layers learns."""
        if self.older is None:
            return architecture.build(self.config, seed=self.seed)
        network, _ = architecture.load(self.older, self.config)
        if self.settings.tune == "full":
            return network
        with architecture.offline():
            from peft import LoraConfig, get_peft_model

            facts = self.settings
            lora = LoraConfig(
                r=facts.lora_rank, lora_alpha=facts.lora_alpha, lora_dropout=facts.lora_dropout,
                target_modules=list(LORA_LAYERS), task_type="CAUSAL_LM",
            )  # fmt: skip
            torch.manual_seed(self.seed)
            adapted: nn.Module = get_peft_model(network, lora)
        return adapted


def start(plan: Plan, settings: TrainingPlan, workdir: Path) -> Start:
    """Read the inputs of a run and prepare what it learns from."""
    given = inputs(plan.inputs, settings.start)
    datasets = {name: data.load_labels(workdir / "inputs" / name) for name in given.datasets}
    _require_kind(datasets, settings)
    prints = {f"{s}/{record}": p for s, dataset in datasets.items() for record, p in data.fingerprints(dataset).items()}
    held = held_out(prints, settings.validation_share)
    older = None if given.older is None else workdir / "inputs" / given.older
    config, vocabulary = _vocabulary(datasets, held, settings, older)
    if settings.gguf != "none":
        _ = vocabulary.pre_tokenizer  # one that llama.cpp cannot have is refused now, and not after the last step
    taught, kept = _packed(datasets, held, vocabulary, settings)
    dtype = torch.float32 if older is None else next(iter(architecture.read_weights(older).values())).dtype
    return Start(datasets, prints, taught, kept, vocabulary, config, older, dtype, settings, plan.seed)


def _require_kind(datasets: Mapping[str, LanguageDataset], settings: TrainingPlan) -> None:
    for name, dataset in datasets.items():
        if dataset.kind != settings.objective:
            expected = f"{settings.objective}, as the recipe's objective"
            raise BadInput(f"data set {name}", expected=expected, found=dataset.kind)


def _vocabulary(
    datasets: Mapping[str, LanguageDataset], held: frozenset[str], settings: TrainingPlan, older: Path | None
) -> tuple[Mapping[str, Any], Vocabulary]:
    if older is not None:
        config = architecture.read_config(older)
        if settings.context > config["max_position_embeddings"]:
            expected = f"at most the base model's {config['max_position_embeddings']}"
            raise BadInput("parameter context", expected=expected, found=settings.context)
        vocabulary = of_folder(older, config)
        if settings.objective == "chat" and not vocabulary.template:
            raise BadInput(f"input {older.name}", expected="a base model with a chat template", found="none")
        return config, vocabulary
    texts = [text for name, d in datasets.items() for key, text in d.contents() if f"{name}/{key}" not in held]
    vocabulary = learned(texts, settings.vocabulary, chat=settings.objective == "chat")
    config = architecture.from_scratch(
        vocabulary=vocabulary.size, layers=settings.layers, width=settings.width, heads=settings.heads,
        kv_heads=settings.kv_heads, feed_forward=settings.feed_forward, context=settings.context, end=vocabulary.end,
    )  # fmt: skip
    return config, vocabulary


def _packed(
    datasets: Mapping[str, LanguageDataset], held: frozenset[str], vocabulary: Vocabulary, settings: TrainingPlan
) -> tuple[Blocks, Blocks | None]:
    sides: list[Blocks | None] = []
    for wanted in (False, True):
        texts = [t for s, d in datasets.items() for t in d.texts if (f"{s}/{t.id}" in held) is wanted]
        chats = [c for s, d in datasets.items() for c in d.conversations if (f"{s}/{c.id}" in held) is wanted]
        if wanted and not held:
            sides.append(None)
        elif settings.objective == "chat":
            sides.append(packing.pack_conversations(chats, vocabulary, settings.context))
        else:
            sides.append(packing.pack_texts(texts, vocabulary, settings.context))
    taught, kept = sides
    if taught is None:
        raise RuntimeError("the training part is never None")
    return taught, kept
