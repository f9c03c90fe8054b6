"""Vocabularies: made on the site from its own texts, or taken from a base model; byte-level BPE.

Rules. `tokenizer.json` is the one truth, read by the tokenizers library and by nothing else; `tokenizer_config.json`
adds names of special tokens and the chat template, and only these are read of it. A vocabulary made here splits as
Qwen2's does, so that llama.cpp splits the same. Text that contains the name of a special token is refused: it would
forge the end of a turn. Making one is the same for the same texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from casemate.errors import BadInput
from casemate.modalities.language.template import CHATML

TOKENIZER, SETTINGS, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"
END, TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LLAMA3 = _QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
_SPLITS = {_QWEN2: "qwen2", _LLAMA3: "llama-bpe"}
_LARGEST = 64 << 20


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer with the tokens that mean something: end of text, beginning (if any), filler, and a chat template."""

    tokenizer: Any
    text: str
    end: int
    begin: int | None
    template: str

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return int(self.tokenizer.get_vocab_size(with_added_tokens=True))

    @cached_property
    def special(self) -> dict[str, int]:
        """Special tokens by name."""
        decoder = sorted(self.tokenizer.get_added_tokens_decoder().items())
        return {token.content: number for number, token in decoder if token.special}

    @property
    def names(self) -> dict[str, str]:
        """What a chat template calls special tokens."""
        begin = "" if self.begin is None else self.tokenizer.id_to_token(self.begin)
        return {"bos_token": begin, "eos_token": self.tokenizer.id_to_token(self.end)}

    def encode(self, text: str) -> list[int]:
        """Tokens of a text, nothing added."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def document(self, text: str) -> list[int]:
        """Tokens of a document: its beginning where the model has one, its text, its end."""
        return [*([] if self.begin is None else [self.begin]), *self.encode(text), self.end]

    def composed(self, text: str) -> str:
        """A text with its accents composed, where this vocabulary composes them (NFC), else as it is."""
        return str(self.tokenizer.normalizer.normalize_str(text)) if self.tokenizer.normalizer else text

    def require_plain(self, text: str, where: str) -> None:
        """Refuse a text in which the name of a special token stands."""
        for name in self.special:
            if name in text:
                raise BadInput(where, expected="text without names of special tokens", found=name)

    @property
    def pre_tokenizer(self) -> str:
        """The name by which llama.cpp knows how this vocabulary splits text; BadInput where it knows none."""
        raw = json.loads(self.text)
        if raw.get("normalizer") not in ({"type": "NFC"}, None):
            expected = "no normaliser, or NFC: llama.cpp has none"
            raise BadInput(f"{TOKENIZER} normalizer", expected=expected, found=f"{raw['normalizer']!s:.80}")
        split = raw.get("pre_tokenizer") or {}
        parts = split.get("pretokenizers", [split]) if split.get("type") == "Sequence" else [split]
        for part in parts:
            if part.get("type") == "Split" and (name := _SPLITS.get(part.get("pattern", {}).get("Regex", ""))):
                return name
            if part.get("type") == "ByteLevel" and part.get("use_regex", True) and len(parts) == 1:
                return "gpt-2"
        kind = raw.get("model", {}).get("type")
        found = f"{kind} with {[part.get('type') for part in parts]}"
        raise BadInput(TOKENIZER, expected="byte-level BPE that splits as GPT-2, Qwen2 or Llama 3", found=found)

    def files(self) -> Mapping[str, bytes]:
        """What goes into a model folder."""
        names = {
            f"{kind}_token": name for kind, name in (("eos", self.names["eos_token"]), ("pad", self.names["eos_token"]))
        }
        begin = {"bos_token": self.names["bos_token"]} if self.begin is not None else {}
        settings = {
            **names,
            **begin,
            "add_bos_token": self.begin is not None,
            "tokenizer_class": "PreTrainedTokenizerFast",
        }
        if self.template:
            settings["chat_template"] = self.template
        text = json.dumps(settings, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        return {TOKENIZER: self.text.encode("utf-8"), SETTINGS: text.encode("utf-8")}


def learned(texts: Iterable[str], size: int, *, chat: bool) -> Vocabulary:
    """A vocabulary of at most `size` tokens, made from texts."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(_QWEN2), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    names = [AddedToken(name, special=True, normalized=False) for name in (END, TURN, END_OF_TURN)]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=names, initial_alphabet=alphabet, show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator(texts, trainer)
    end = tokenizer.get_vocab()[END_OF_TURN if chat else END]
    return Vocabulary(tokenizer, tokenizer.to_str(pretty=True) + "\n", end, None, CHATML if chat else "")


def of_folder(folder: Path, config: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary of a model folder; `config` is its checked config.json."""
    from tokenizers import Tokenizer

    text = _read(folder / TOKENIZER)
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as why:  # the library raises Exception itself
        raise BadInput(TOKENIZER, expected="a vocabulary of the tokenizers library", found=f"{why!s:.200}") from why
    tokenizer.no_padding()
    tokenizer.no_truncation()
    size = int(tokenizer.get_vocab_size(with_added_tokens=True))
    if size > config["vocab_size"]:
        raise BadInput(TOKENIZER, expected=f"at most vocab_size {config['vocab_size']} tokens", found=size)
    settings = _settings(folder / SETTINGS)
    end = _token(tokenizer, settings.get("eos_token"), config.get("eos_token_id"))
    if end is None:
        raise BadInput(f"{folder.name} end of text", expected="eos_token or eos_token_id", found="none")
    begin = _token(tokenizer, settings.get("bos_token"), config.get("bos_token_id"))
    adds = begin is not None and tokenizer.encode("a").ids[:1] == [begin]
    return Vocabulary(tokenizer, text, end, begin if adds else None, _template(folder, settings))


def _template(folder: Path, settings: Mapping[str, Any]) -> str:
    if (folder / TEMPLATE).is_file():
        return _read(folder / TEMPLATE)
    template = settings.get("chat_template", "")
    if not isinstance(template, str):
        raise BadInput(f"{SETTINGS} chat_template", expected="one template, a text", found=type(template).__name__)
    return template


def _settings(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        found = json.loads(_read(file))
    except ValueError as why:
        raise BadInput(file.name, expected="JSON", found=why) from why
    if not isinstance(found, dict):
        raise BadInput(file.name, expected="a JSON object", found=type(found).__name__)
    return found


def _token(tokenizer: Any, name: Any, number: Any) -> int | None:
    """A special token's number: by its name, else by the number in the configuration."""
    called = name.get("content") if isinstance(name, dict) else name
    if isinstance(called, str) and (found := tokenizer.token_to_id(called)) is not None:
        return int(found)
    first = number[0] if isinstance(number, list) and number else number
    return first if isinstance(first, int) and tokenizer.id_to_token(first) is not None else None


def _read(file: Path) -> str:
    if not file.is_file():
        raise BadInput(file.name, expected=f"a file in {file.parent.name}", found="none")
    if file.stat().st_size > _LARGEST:
        raise BadInput(file.name, expected=f"at most {_LARGEST} bytes", found=file.stat().st_size)
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as why:
        raise BadInput(file.name, expected="UTF-8", found=why) from why
