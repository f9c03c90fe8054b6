"""ONNX: a graph of known operations, with its weights inside.

Rules. The file is read field by field as the schema says, nothing unknown and nothing after the end; weights are
measured against their shapes and passed over, so that 2 GB of them cost no memory. Operations are those of the standard
or of the short list below, or functions that the file itself defines, which call one another in no circle and unfold to
a bounded graph. Nothing points out of the file. The checker of the library then reads the structure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

from casemate.airlock import templates
from casemate.airlock.limits import ScanLimits
from casemate.airlock.protobuf import NotMessageError, Skeleton
from casemate.airlock.report import Finding

_MAX_BYTES = (1 << 31) - 1  # what protobuf reads; larger models keep their weights in other files
_MAX_NODES = 1_000_000
_DATA = ("raw_data", "float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
_HEAVY = frozenset(f"TensorProto.{name}" for name in _DATA)
_STRING = 8
# How many bits a number of each type has (onnx.proto, TensorProto.DataType).
_BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
    17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2,
}  # fmt: skip
_STANDARD = frozenset({"", "ai.onnx.ml"})
_MICROSOFT = "com.microsoft"
# Operations of ONNX Runtime that optimised and quantised models use; none reads a file or calls code.
_MICROSOFT_OPERATIONS = frozenset(
    [
        "Attention", "BeamSearch", "BiasAdd", "BiasGelu", "BiasSoftmax", "BiasSplitGelu", "BifurcationDetector",
        "ComplexMul", "ComplexMulConj", "ConvTransposeWithDynamicPads", "CropAndResize",
        "DecoderAttention", "DecoderMaskedMultiHeadAttention", "DecoderMaskedSelfAttention", "DequantizeBFP",
        "DequantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "DynamicTimeWarping",
        "EmbedLayerNormalization", "ExpandDims", "FastGelu", "FusedConv", "FusedGemm", "FusedMatMul",
        "FusedMatMulActivation", "GatedRelativePositionBias", "GatherBlockQuantized", "GatherND", "Gelu", "GemmFloat8",
        "GemmFastGelu", "GreedySearch", "GridSample", "GroupNorm", "GroupQueryAttention", "Inverse", "Irfft",
        "LongformerAttention", "MatMulBnb4", "MatMulFpQ4", "MatMulInteger16", "MatMulIntegerToFloat",
        "MatMulNBits", "MaxpoolWithMask", "MoE", "MulInteger", "MultiHeadAttention", "NGramRepeatBlock", "NhwcConv",
        "NhwcFusedConv", "NhwcMaxPool", "PackedAttention", "PackedMultiHeadAttention", "PagedAttention", "Pad",
        "QAttention", "QEmbedLayerNormalization", "QGemm", "QLinearAdd", "QLinearAveragePool", "QLinearConcat",
        "QLinearConv", "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearMul", "QLinearReduceMean",
        "QLinearSigmoid", "QLinearSoftmax", "QLinearWhere", "QMoE", "QOrderedAttention", "QOrderedGelu",
        "QOrderedLayerNormalization", "QOrderedLongformerAttention", "QOrderedMatMul", "QuantizeBFP", "QuantizeLinear",
        "QuantizeWithOrder", "DequantizeWithOrder", "QuickGelu", "Range", "ReduceSumInteger", "RelativePositionBias",
        "RemovePadding", "RestorePadding", "Rfft", "RotaryEmbedding", "Sampling", "SkipGroupNorm",
        "SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "SparseAttention", "SparseToDenseMatMul",
        "Tokenizer", "TorchEmbedding", "TransposeMatMul", "Trilu", "UnfoldTensor", "Unique", "WhisperBeamSearch",
        "WordConvEmbedding",
    ]
)  # fmt: skip


class _NotGraphError(ValueError):
    """What is wrong with a model."""

    def __init__(self, expected: str, found: str) -> None:
        self.finding = Finding("onnx", expected, found)
        super().__init__(f"expected {expected}, found {found}")


def versions() -> dict[str, str]:
    """The scanner's version and its library's."""
    import onnx
    import onnx.checker
    import onnx.defs

    return {"onnx": onnx.__version__, "onnx_graph": "1"}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:  # noqa: ARG001  one signature for all
    """Whether it is a model, whole, of known operations."""
    import onnx
    from google.protobuf.message import DecodeError

    size = file.stat().st_size
    if size > _MAX_BYTES:
        return [Finding("onnx", f"at most {_MAX_BYTES} bytes, which ONNX can hold; safetensors holds more", str(size))]
    try:
        with file.open("rb", buffering=1 << 16) as stream:
            reader = Skeleton(stream, _HEAVY, _finish, max_nesting=limits.max_nesting)
            model = onnx.ModelProto.FromString(reader.read(onnx.ModelProto.DESCRIPTOR, size))
        _check_operations(model)
        _check_structure(model)
    except NotMessageError as why:
        return [Finding("onnx", why.expected, why.found)]
    except _NotGraphError as why:
        return [why.finding]
    except DecodeError as why:
        return [Finding("onnx", "a model of ONNX", str(why)[:200])]
    return [finding for entry in model.metadata_props for finding in _check_entry(entry)]


def _check_entry(entry: Any) -> list[Finding]:
    return templates.check(entry.value, f"metadata {entry.key[:60]!a}") if templates.looks_like_one(entry.value) else []


# ── Weights, while they are passed over ──────────────────────────────────────────────────────────────────────────────
def _finish(name: str, kept: bytes, passed: Mapping[str, int]) -> bytes:
    """Hold a tensor against what was passed over, and leave an empty one of its type in its place."""
    if name != "TensorProto":
        return kept
    import onnx

    tensor = onnx.TensorProto.FromString(kept)
    shown = f"tensor {tensor.name[:80]!a}"
    if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
        where = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        raise _NotGraphError("weights inside the file", f"{shown} in another file, {where[:120]!a}")
    if tensor.HasField("segment"):
        raise _NotGraphError("whole tensors", f"a segment of {shown}")
    _check_size(tensor, shown, passed)
    empty = onnx.TensorProto(dims=[0], data_type=tensor.data_type, name=tensor.name)
    return bytes(empty.SerializeToString())


def _check_size(tensor: Any, shown: str, passed: Mapping[str, int]) -> None:
    kind, dims = tensor.data_type, list(tensor.dims)
    if kind != _STRING and kind not in _BITS:
        raise _NotGraphError(f"a known type of {shown}", str(kind))
    if len(dims) > 64 or any(n < 0 for n in dims):
        raise _NotGraphError(f"a shape of {shown}", f"{dims}"[:80])
    given = [name for name in _DATA if passed.get(name)]
    if len(given) > 1 or (kind == _STRING and given not in ([], ["string_data"])):
        raise _NotGraphError(f"one kind of data in {shown}", " and ".join(given))
    numbers = prod(dims)
    if numbers and not given and kind != _STRING:
        raise _NotGraphError(f"{numbers} numbers in {shown}", "none")
    if given == ["raw_data"]:
        expected = (numbers * _BITS[kind] + 7) // 8
        if passed["raw_data"] != expected:
            raise _NotGraphError(f"{expected} bytes in {shown}, type {kind} of shape {dims}", str(passed["raw_data"]))


# ── Operations ───────────────────────────────────────────────────────────────────────────────────────────────────────
def _check_operations(model: Any) -> None:
    if len(model.training_info):
        raise _NotGraphError("a model that only answers", "one with instructions for training")
    functions = {(_domain(f.domain), f.name, f.overload): f for f in model.functions}
    if len(functions) != len(model.functions):
        raise _NotGraphError("each function once", "one twice")
    for domain, name, _ in functions:
        if domain in _STANDARD or domain == _MICROSOFT:
            raise _NotGraphError("functions in domains of their own", f"{name[:80]!a} in {domain or 'ai.onnx'!a}")
    known = {(domain, name) for domain, name, _ in functions}
    calls = {key: list(_nodes(function.node)) for key, function in functions.items()}
    main = list(_nodes(model.graph.node))
    for node in (node for nodes in (main, *calls.values()) for node in nodes):
        _check_operation(_domain(node.domain), node.op_type, known)
    _check_unfolded(main, calls)


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _nodes(nodes: Any) -> Iterator[Any]:
    """Every node, those of inner graphs too."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            waiting += attribute.g.node
            for graph in attribute.graphs:
                waiting += graph.node


def _check_operation(domain: str, name: str, known: set[tuple[str, str]]) -> None:
    import onnx

    if (domain, name) in known:
        return
    listed = (
        onnx.defs.has(name, domain) if domain in _STANDARD else domain == _MICROSOFT and name in _MICROSOFT_OPERATIONS
    )
    if not listed:
        expected = "operations of ai.onnx, ai.onnx.ml, the listed ones of com.microsoft, or defined in the file"
        raise _NotGraphError(expected, f"{name[:80]!a} of {domain[:80] or 'ai.onnx'!a}")


def _check_unfolded(main: list[Any], calls: dict[tuple[str, str, str], list[Any]]) -> None:
    """How many nodes there are once every function is put where it is called; no function calls itself."""
    sizes: dict[tuple[str, str, str], int] = {}

    def size(nodes: list[Any], above: tuple[tuple[str, str, str], ...]) -> int:
        total = len(nodes)
        for node in nodes:
            key = (_domain(node.domain), node.op_type, node.overload)
            if key in above or len(above) > 64:
                raise _NotGraphError("functions that call one another in no circle", f"{key[1][:80]!a} in one")
            if key in calls:
                if key not in sizes:
                    sizes[key] = size(calls[key], (*above, key))
                total += sizes[key]
        return total

    unfolded = size(main, ())
    if unfolded > _MAX_NODES:
        raise _NotGraphError(f"at most {_MAX_NODES} operations once functions are unfolded", str(unfolded))


def _check_structure(model: Any) -> None:
    import onnx

    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as why:
        raise _NotGraphError("a graph that the checker of ONNX takes", " ".join(str(why).split())[:300]) from why
