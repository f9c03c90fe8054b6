"""Embedders told by their files: the same arithmetic as the libraries that trained them, one text at a time."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from casemate.errors import BadInput
from casemate.modalities.language.embedders import open_model
from casemate.modalities.language.embedders.encoder import LAYER_NAMES

HIDDEN, INNER, HEADS, LAYERS, POSITIONS = 32, 64, 4, 2, 16
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "le", "navire", "port", "grue", "quai", "est"]
CHANCE = np.random.default_rng(0)
CONFIG = {
    "model_type": "bert", "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
    "intermediate_size": INNER, "max_position_embeddings": POSITIONS, "layer_norm_eps": 1e-12, "hidden_act": "gelu",
    "vocab_size": len(WORDS), "type_vocab_size": 2,
}  # fmt: skip


def some(*shape: int) -> np.ndarray:
    return (CHANCE.standard_normal(shape) * 0.3).astype(np.float32)


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    names = {
        "attention.self.query": (HIDDEN, HIDDEN), "attention.self.key": (HIDDEN, HIDDEN),
        "attention.self.value": (HIDDEN, HIDDEN), "attention.output.dense": (HIDDEN, HIDDEN),
        "intermediate.dense": (INNER, HIDDEN), "output.dense": (HIDDEN, INNER),
    }  # fmt: skip
    weights = {
        "embeddings.word_embeddings.weight": some(len(WORDS), HIDDEN),
        "embeddings.position_embeddings.weight": some(POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": some(2, HIDDEN),
        "embeddings.LayerNorm.weight": 1 + some(HIDDEN), "embeddings.LayerNorm.bias": some(HIDDEN),
    }  # fmt: skip
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}."
        for name, shape in names.items():
            weights |= {f"{prefix}{name}.weight": some(*shape), f"{prefix}{name}.bias": some(shape[0])}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            weights |= {f"{prefix}{name}.weight": 1 + some(HIDDEN), f"{prefix}{name}.bias": some(HIDDEN)}
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    tokenizer = Tokenizer(models.WordPiece({w: n for n, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_bert_is_that_of_transformers(bert: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    reference = BertModel(BertConfig(**{k: v for k, v in CONFIG.items() if k != "model_type"}), add_pooling_layer=False)
    reference.load_state_dict(load_file(bert / "model.safetensors"), strict=False)
    ids = [2, *(WORDS.index(w) for w in "le navire est au port".replace(" au", "").split()), 3]
    with torch.no_grad():
        mean = reference.eval()(torch.tensor([ids])).last_hidden_state[0].mean(dim=0).numpy()
    got = open_model(bert).embed(["Le navire est port"], query=False)[0]
    assert np.allclose(got, mean / np.linalg.norm(mean), atol=1e-5)


def test_a_text_has_the_same_vector_whatever_else_is_embedded_with_it(bert: Path) -> None:
    embedder = open_model(bert, name="d" * 64)
    texts = ["le navire", "la grue est au port", "", "quai " * 40]
    together = embedder.embed(texts, query=False)
    assert (embedder.name, together.dtype, together.shape) == ("d" * 64, np.float32, (4, embedder.dim))
    for text, row in zip(texts, together, strict=True):
        assert np.array_equal(embedder.embed([text], query=False)[0], row)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert embedder.embed([], query=True).shape == (0, HIDDEN)


def test_another_pooling_is_refused(bert: Path) -> None:
    (bert / "1_Pooling").mkdir()
    (bert / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    with pytest.raises(BadInput) as no:
        open_model(bert)
    assert str(no.value) == (f"embedder {bert.name}: expected the mean over tokens as pooling, found another pooling")


def test_another_architecture_is_refused(bert: Path) -> None:
    (bert / "config.json").write_text(json.dumps({**CONFIG, "model_type": "gpt2"}))
    with pytest.raises(BadInput) as no:
        open_model(bert)
    assert str(no.value) == f"embedder {bert.name}: expected a BERT encoder with GELU, found gpt2"


def test_files_of_no_embedder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").touch()
    with pytest.raises(BadInput) as no:
        open_model(tmp_path)
    assert str(no.value) == (
        f"embedder {tmp_path.name}: expected the files of one (weights.npz + sp.model; model.safetensors + "
        "tokenizer.json + config.json; e5-small-q4.bin), found model.gguf"
    )


# ── the packed file ──────────────────────────────────────────────────────────────────────────────────────────────────
PIECES = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁query:", -2.0), ("▁passage:", -2.0),
          ("▁navire", -3.0), ("▁port", -3.0), ("s", -4.0)]  # fmt: skip


def packed_file() -> bytes:
    """A small model in the layout of E5S1, with blocks whose scale is 1/64."""
    spelled = [piece.encode() for piece, _ in PIECES]
    offsets = np.cumsum([0, *map(len, spelled)]).astype("<u4").tobytes()
    scores = np.array([score for _, score in PIECES], "<f4").tobytes()
    normal = struct.pack("<IBI", ord("N"), 1, ord("n"))
    head = b"E5S1" + struct.pack("<I7ifi", 1, HIDDEN, 1, HEADS, INNER, len(PIECES), POSITIONS, 1, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, sum(map(len, spelled))) + offsets + scores + b"".join(spelled)
    head += struct.pack("<iI", 1, len(normal)) + normal
    tensors = {"emb.word": blocks(len(PIECES), HIDDEN), "emb.pos": some(POSITIONS, HIDDEN).tobytes(),
               "emb.type": some(HIDDEN).tobytes(), "emb.ln.w": np.ones(HIDDEN, "<f4").tobytes(),
               "emb.ln.b": np.zeros(HIDDEN, "<f4").tobytes()}  # fmt: skip
    sizes = {"fi": (INNER, HIDDEN), "fo": (HIDDEN, INNER)}
    for name in LAYER_NAMES:
        owner, _, end = name.partition(".")
        rows, columns = sizes.get(owner, (HIDDEN, HIDDEN))
        plain = end == "b" or owner.endswith("ln")
        tensors[f"l0.{name}"] = some(rows).tobytes() if plain else blocks(rows, columns)
    directory = 4 + sum(2 + len(name) + 1 + 4 + 16 for name in tensors)
    at, listed, data = len(head) + directory, struct.pack("<i", len(tensors)), b""
    for name, content in tensors.items():
        listed += (
            struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", 0, 0, at + len(data), len(content))
        )
        data += content
    return head + listed + data


def blocks(rows: int, columns: int) -> bytes:
    made = np.zeros(rows * columns // 32, [("scale", "<f2"), ("nibbles", "u1", 16)])
    made["scale"] = 1 / 64
    made["nibbles"] = CHANCE.integers(0, 256, made["nibbles"].shape)
    return made.tobytes()


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    (tmp_path / "e5-small-q4.bin").write_bytes(packed_file())
    return tmp_path


def test_the_packed_file_is_read_and_tells_a_query_from_a_passage(packed: Path) -> None:
    embedder = open_model(packed)
    rows = embedder.embed(["Navires port", "navires port"], query=False)
    assert rows.shape == (2, HIDDEN)
    assert np.array_equal(rows[0], rows[1])  # N becomes n, as the file's own normalisation says
    assert not np.array_equal(embedder.embed(["navires port"], query=True)[0], rows[1])


def test_a_block_is_a_scale_and_thirty_two_nibbles_around_eight() -> None:
    from casemate.modalities.language.embedders.packed_e5 import _BLOCK, _unpacked

    one = np.zeros((1, 1), _BLOCK)
    one["scale"] = 0.5
    one["nibbles"] = [0xF0 + 8] + [0x88] * 15
    expected = np.zeros(32, np.float32)
    expected[16] = 3.5  # the high nibble of the first byte
    assert np.array_equal(_unpacked(one)[0], expected)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.999])
def test_a_packed_file_that_was_cut_is_refused(packed: Path, share: float) -> None:
    file = packed / "e5-small-q4.bin"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BadInput, match=f"embedder {packed.name}: expected "):
        open_model(packed)


def test_a_file_of_another_kind_is_refused(packed: Path) -> None:
    file = packed / "e5-small-q4.bin"
    file.write_bytes(b"GGUF" + file.read_bytes()[4:])
    with pytest.raises(BadInput) as no:
        open_model(packed)
    assert str(no.value) == f"embedder {packed.name}: expected the magic E5S1, found another"


# ── the sentence encoder ─────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def sentence(tmp_path: Path) -> Path:
    sentencepiece = pytest.importorskip("sentencepiece")
    text = tmp_path / "text.txt"
    text.write_text("\n".join(["le navire entre au port", "la grue est sur le quai", "le quai du port"] * 5))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(tmp_path / "sp"), vocab_size=20, minloglevel=2
    )
    text.unlink()
    wide = 8 + 3 * 4
    arrays: dict[str, np.ndarray] = {f"q{n + 1}": CHANCE.integers(0, 255, (3, 8)).astype(np.uint8) for n in range(17)}
    arrays |= {"scale": np.full(17, 0.01, np.float32), "lo": np.full(17, -1.0, np.float32), "eps": np.float32(1e-6)}
    for n in (2, 3, 5):
        arrays |= {f"proj{n}": some(8, 4), f"proj_b{n}": some(4), f"ln_g{n}": 1 + some(4), f"ln_b{n}": some(4)}
        arrays |= {f"w1_{n}": some(4 * n, 4), f"b1_{n}": some(4), f"w2_{n}": some(4 * n, 4), f"b2_{n}": some(4)}
    arrays |= {"ln_g": 1 + some(wide), "ln_b": some(wide), "cnn_W": some(wide, 6), "cnn_b": some(6), "d0": some(6, 6),
               "d1": some(6, 6), "d2": some(6, 6), "d3": some(6, 6), "p1": some(6, 6), "p3": some(6, 6)}  # fmt: skip
    np.savez(tmp_path / "weights.npz", **arrays)
    return tmp_path


def test_the_sentence_encoder_reads_its_arrays_and_is_moved_by_the_order_of_words(sentence: Path) -> None:
    embedder = open_model(sentence)
    rows = embedder.embed(["le navire", "navire le", "le navire"], query=True)
    assert (embedder.dim, rows.shape) == (6, (3, 6))
    assert np.array_equal(rows[0], rows[2])
    assert not np.allclose(rows[0], rows[1])


def test_arrays_of_another_model_are_refused(sentence: Path) -> None:
    np.savez(sentence / "weights.npz", q1=np.zeros((1, 8), np.uint8))
    with pytest.raises(BadInput) as no:
        open_model(sentence)
    assert str(no.value).startswith(
        f"embedder {sentence.name}: expected the arrays of the sentence encoder, found no eps, lo, p3, q10"
    )
