"""What is refused of a model of ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from casemate.airlock import ScanLimits
from casemate.airlock.inspect.onnx_graph import scan
from tests.airlock.samples.weights import graph, model, one_layer

RELU = ("Relu", ["x"], ["y"])
OWN = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]


def found(tmp_path: Path, data: bytes) -> str:
    file = tmp_path / "m.onnx"
    file.write_bytes(data)
    return "; ".join(f"expected {f.expected}, found {f.found}" for f in scan(file, "onnx", ScanLimits()) if not f.note)


def function(name: str, *nodes: onnx.NodeProto, domain: str = "own") -> onnx.FunctionProto:
    return helper.make_function(domain, name, ["x"], ["y"], list(nodes), OWN)


def call(name: str, x: str = "x", y: str = "y") -> onnx.NodeProto:
    return helper.make_node(name, [x], [y], domain="own")


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def test_layers_functions_inner_graphs_and_listed_operations_are_clean(tmp_path: Path) -> None:
    inner = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "then", [], [value("z")])
    flag = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True]))
    branches = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    microsoft = model(
        helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft"),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)],
    )
    outer = model(call("outer"), opset_imports=OWN, functions=[
        function("outer", call("inner", "x", "m"), call("inner", "m", "y")), function("inner", helper.make_node(*RELU)),
    ])  # fmt: skip
    for clean in (one_layer(), model(flag, branches), microsoft, outer):
        assert found(tmp_path, clean.SerializeToString()) == ""


def value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4])


def weighted(**facts: Any) -> bytes:
    tensor = onnx.numpy_helper.from_array(np.ones((4, 2), np.float32), "w")
    for name, given in facts.items():
        if isinstance(given, list):
            tensor.ClearField(name)
            getattr(tensor, name).extend(given)
        else:
            setattr(tensor, name, given)
    return bytes(model(helper.make_node("MatMul", ["x", "w"], ["y"]), weights=[tensor]).SerializeToString())


def test_weights_that_are_not_their_shape_are_refused(tmp_path: Path) -> None:
    message = "32 bytes in tensor 'w', type 1 of shape [4, 2], found 31"
    assert message in found(tmp_path, weighted(raw_data=bytes(31)))
    assert "8 numbers in tensor 'w', found none" in found(tmp_path, weighted(raw_data=b""))
    assert "one kind of data in tensor 'w', found raw_data and float_data" in found(
        tmp_path, weighted(float_data=[1.0])
    )
    assert "a known type of tensor 'w', found 99" in found(tmp_path, weighted(data_type=99))
    assert "a shape of tensor 'w', found [-4, 2]" in found(tmp_path, weighted(dims=[-4, 2]))


@pytest.mark.parametrize("where", ["weights.bin", "../../etc/passwd", "/etc/passwd"])
def test_weights_in_another_file_are_refused(tmp_path: Path, where: str) -> None:
    data = one_layer()
    tensor = data.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=where)
    message = f"expected weights inside the file, found tensor 'w' in another file, {where!a}"
    assert found(tmp_path, data.SerializeToString()) == message


def test_weights_in_another_file_are_found_in_attributes_of_functions_too(tmp_path: Path) -> None:
    hidden = helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0])
    hidden.external_data.add(key="location", value="../secret")
    node = helper.make_node("Constant", [], ["y"], value=hidden)
    data = model(call("f"), opset_imports=OWN, functions=[function("f", node)])
    assert "found tensor 't' in another file, '../secret'" in found(tmp_path, data.SerializeToString())


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("own", "Call"),
        ("ai.onnx.contrib", "PythonOp"),
        ("com.microsoft", "SampleOp"),
        ("", "NoSuch"),
        ("ai.onnx.ml", "X"),
    ],
)
def test_operations_that_are_not_listed_are_refused(tmp_path: Path, domain: str, name: str) -> None:
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(domain or "ai.onnx", 1)]
    data = model(helper.make_node(name, ["x"], ["y"], domain=domain), opset_imports=imports)
    expected = "operations of ai.onnx, ai.onnx.ml, the listed ones of com.microsoft, or defined in the file"
    assert f"expected {expected}, found {name!a} of {domain or 'ai.onnx'!a}" == found(
        tmp_path, data.SerializeToString()
    )


def test_functions_may_not_stand_in_for_the_standard_nor_call_themselves_nor_explode(tmp_path: Path) -> None:
    relu = helper.make_node(*RELU)
    for domain in ("", "ai.onnx", "com.microsoft"):
        data = model(relu, functions=[function("Relu", relu, domain=domain)])
        assert "expected functions in domains of their own, found 'Relu' in" in found(
            tmp_path, data.SerializeToString()
        )
    circle = model(call("a"), opset_imports=OWN, functions=[function("a", call("b")), function("b", call("a"))])
    message = "functions that call one another in no circle, found 'a' in one"
    assert message in found(tmp_path, circle.SerializeToString())
    layers = [function(f"f{i}", call(f"f{i + 1}", "x", "m"), call(f"f{i + 1}", "m", "y")) for i in range(40)]
    bomb = model(call("f0"), opset_imports=OWN, functions=[*layers, function("f40", relu)])
    assert "expected at most 1000000 operations once functions are unfolded, found" in found(
        tmp_path, bomb.SerializeToString()
    )
    twice = model(call("a"), opset_imports=OWN, functions=[function("a", relu), function("a", relu)])
    assert "expected each function once, found one twice" in found(tmp_path, twice.SerializeToString())


def test_what_the_schema_does_not_know_is_refused(tmp_path: Path) -> None:
    whole = one_layer().SerializeToString()
    assert "fields of ModelProto, found field 99" in found(tmp_path, whole + field(99, b"payload"))
    assert "graph once in ModelProto, found it twice" in found(tmp_path, whole + field(7, b""))
    assert "ir_version once in ModelProto, found it twice" in found(tmp_path, whole + b"\x08\x09")
    assert "ir_version of ModelProto as its schema says, found kind 2" in found(tmp_path, field(1, b"x"))
    assert "5 bytes at" in found(tmp_path, whole + b"\x32\x05abcd")
    assert "fields of ModelProto, found field 0" in found(tmp_path, whole + b"\0")
    assert "numbers of at most 10 bytes, found more" in found(tmp_path, b"\x08" + b"\xff" * 12)
    assert "UTF-8 in doc_string, found byte 0xff" in found(tmp_path, whole + field(6, b"\xff"))
    hidden = field(6, "a\u202e".encode())
    assert "no hidden characters in doc_string, found U+202E at character 1" in found(tmp_path, whole + hidden)


def test_deep_graphs_are_refused(tmp_path: Path) -> None:
    node = b""
    for _ in range(60):
        node = field(1, field(5, field(1, b"b") + field(6, node)))  # a graph in an attribute of a node of a graph
    assert "messages nested at most 64 deep, found more" in found(tmp_path, b"\x08\x09" + field(7, node))


def test_graphs_that_make_no_sense_and_training_are_refused(tmp_path: Path) -> None:
    broken = model(helper.make_node("Relu", ["nowhere"], ["y"]))
    assert "a graph that the checker of ONNX takes, found" in found(tmp_path, broken.SerializeToString())
    training = model(helper.make_node(*RELU))
    training.training_info.add().algorithm.CopyFrom(graph())
    assert "a model that only answers, found one with instructions for training" in found(
        tmp_path, training.SerializeToString()
    )


def test_templates_in_its_metadata_are_read(tmp_path: Path) -> None:
    data = one_layer()
    data.metadata_props.add(key="chat", value="{{ x.__class__ }}")
    assert "'__class__' in line 1 in metadata 'chat'" in found(tmp_path, data.SerializeToString())


def test_a_model_larger_than_protobuf_reads_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    with file.open("wb") as stream:
        stream.truncate(1 << 31)
    (finding,) = scan(file, "onnx", ScanLimits())
    assert (finding.expected.split(",")[0], finding.found) == ("at most 2147483647 bytes", "2147483648")


def test_weights_cost_no_memory(tmp_path: Path) -> None:
    """A GiB of weights, as a hole in a file, is read within a few MiB."""
    import tracemalloc

    numbers = 1 << 28
    tensor = field(8, b"w") + b"\x08" + varint(numbers) + b"\x10\x01"
    raw = varint(9 << 3 | 2) + varint(numbers * 4)
    y, x = value("y"), value("x")
    rest = field(1, helper.make_node(*RELU).SerializeToString()) + field(2, b"g")
    rest += field(11, x.SerializeToString()) + field(12, y.SerializeToString())
    size = len(tensor) + len(raw) + numbers * 4
    weights = varint(5 << 3 | 2) + varint(size) + tensor + raw
    head = b"\x08\x09" + field(8, b"\x10\x12") + varint(7 << 3 | 2)
    file = tmp_path / "m.onnx"
    with file.open("wb") as stream:
        stream.write(head + varint(len(rest) + len(weights) + numbers * 4) + rest + weights)
        stream.truncate(stream.tell() + numbers * 4)
    tracemalloc.start()
    try:
        assert scan(file, "onnx", ScanLimits()) == []
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
