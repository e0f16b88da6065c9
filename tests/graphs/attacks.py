"""Hostile and unfit archives, by name: how each is made, the error that refuses it, and words of its message.

Archives with code in them make a folder, the canary, if the code runs.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.graphs.archives import CONFIG, CONSTANTS, MODEL, Parts, parts, pickled, sound, tensor
from vcp_core.catalog.errors import (
    CheckpointError,
    DamagedCheckpoint,
    GraphError,
    GraphTooLarge,
    NonFiniteWeights,
    NotACheckpoint,
    UnknownOperation,
    UnsafeCheckpoint,
)

CENTRAL, END = b"PK\x01\x02", b"PK\x05\x06"  # signatures of zip records
ATEN = "torch.ops.aten"


@dataclass(frozen=True)
class Attack:
    """One archive.

    Attributes:
        make: Gives its bytes, from the path of the canary.
        error: The class of the error.
        words: Words of its message: the stated reason.
    """

    make: Callable[[str], bytes]
    error: type[CheckpointError]
    words: str


def changed(change: Callable[[Parts], object]) -> Callable[[str], bytes]:
    """Change the parts of a sound archive."""

    def make(canary: str) -> bytes:
        made = parts()
        change(made)
        return made.pack()

    return make


def with_code(change: Callable[[Parts, str], object]) -> Callable[[str], bytes]:
    """Change the parts of a sound archive, with the path of the canary."""

    def make(canary: str) -> bytes:
        made = parts()
        change(made, canary)
        return made.pack()

    return make


def directory(data: bytes) -> int:
    """Where the directory of an archive of Python's zipfile begins. Sample inputs are an archive, too."""
    (begin,) = struct.unpack_from("<I", data, data.rindex(END) + 16)
    return int(begin)


def patched(at: int, value: bytes, *, in_directory: bool = False) -> Callable[[str], bytes]:
    """Overwrite bytes of the first header of an archive, in front of its entry or in the directory."""

    def make(canary: str) -> bytes:
        data = bytearray(parts().pack())
        begin = directory(data) if in_directory else 0
        data[begin + at : begin + at + len(value)] = value
        return bytes(data)

    return make


def code(canary: str) -> str:
    return f"__import__('os').mkdir({canary!r})"


def _set(holder: Any, key: Any, value: Any) -> None:
    holder[key] = value


def _pickled_weight(made: Parts, canary: str) -> None:
    made.weight()["use_pickle"] = True
    made.entries["data/weights/" + made.weight()["path_name"]] = pickled(canary)


def _pickled_constant(made: Parts, canary: str) -> None:
    made.entries["data/constants/tensor_0"] = pickled(canary)
    described = {"path_name": "tensor_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    made.entries[CONSTANTS] = json.dumps({"config": {"c": described}}).encode()
    spec = {"tensor_constant": {"arg": {"name": "c"}, "tensor_constant_name": "c"}}
    made.module["signature"]["input_specs"].insert(0, spec)
    made.append(f"{ATEN}.add.Tensor", self=tensor("linear"), other=tensor("c"))


def _custom_object(made: Parts, canary: str) -> None:
    made.entries["data/constants/custom_obj_0"] = pickled(canary)
    spec = {"custom_obj": {"arg": {"name": "o", "class_fqn": "os.system"}, "custom_obj_name": "o"}}
    made.module["signature"]["input_specs"].insert(0, spec)


def _expression_of_a_weight(made: Parts, canary: str) -> None:
    made.weight()["tensor_meta"]["sizes"][0] = {"as_expr": {"expr_str": code(canary), "hint": None}}


def _expression_as_size(made: Parts, canary: str) -> None:
    sizes = [{"as_expr": {"expr_str": code(canary)}}]
    made.append(f"{ATEN}.expand.default", self=tensor("linear"), size={"as_sym_ints": sizes})


def _overlapping(canary: str) -> bytes:
    """Two entries of the directory share the bytes of one."""
    data = bytearray(parts().pack())
    first = directory(data)
    second = data.index(CENTRAL, first + 1)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    return bytes(data)


def _count_lies(canary: str) -> bytes:
    data = bytearray(parts().pack())
    end = data.rindex(END)
    (count,) = struct.unpack_from("<H", data, end + 10)
    struct.pack_into("<2H", data, end + 8, count + 1, count + 1)
    return bytes(data)


def _renamed(old: bytes, new: bytes) -> Callable[[str], bytes]:
    assert len(old) == len(new)
    return lambda canary: parts().pack().replace(old, new)


def _document(text: bytes) -> Callable[[str], bytes]:
    """An archive whose description of the network is this text."""

    def make(canary: str) -> bytes:
        made = parts()
        packed = made.pack()
        return repacked(packed, {MODEL: text})

    return make


def repacked(data: bytes, entries: dict[str, bytes | None]) -> bytes:
    """Replace entries of a packed archive, add new ones, and leave out those that are None."""
    held = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(held, "w") as new:
        names = {name.partition("/")[2]: old.read(name) for name in old.namelist()}
        for name, value in (names | entries).items():
            if value is not None:
                new.writestr(f"net/{name}", value)
    return held.getvalue()


def _entries(**entries: bytes | None) -> Callable[[str], bytes]:
    return lambda canary: repacked(parts().pack(), entries)


def _broken_sum(canary: str) -> bytes:
    made = parts()
    raw = made.entries["data/weights/weight_3"]
    data = made.pack()
    at = data.index(raw)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _nan(made: Parts) -> None:
    path = f"data/weights/{made.weight()['path_name']}"
    made.entries[path] = struct.pack("<f", float("nan")) + made.entries[path][4:]


def _shared_by_many(made: Parts) -> None:
    """One stored kernel that 3,000 weights repeat 16 times each: 48,000 times in all."""
    stored = made.weight("conv.weight")
    stored_size = 4 * 81
    described = json.loads(json.dumps(stored))
    described["tensor_meta"]["sizes"] = [{"as_int": 16 * stored_size}, {"as_int": 1}]
    described["tensor_meta"]["strides"] = [{"as_int": 0}, {"as_int": 1}]
    specs, names = made.module["signature"]["input_specs"], []
    for number in range(3_000):
        made.config["config"][f"w{number}"] = described
        specs.insert(0, {"parameter": {"arg": {"name": f"w{number}"}, "parameter_name": f"w{number}"}})
        names.append({"name": f"w{number}"})
    made.append(f"{ATEN}.cat.default", tensors={"as_tensors": names})


def _ten_million_nodes(canary: str) -> bytes:
    nodes = b",".join([b"{}"] * 10_000_000)
    return _document(b'{"graph_module":{"graph":{"nodes":[' + nodes + b"]}}}")(canary)


def _many_nodes(made: Parts) -> None:
    for number in range(20_001):
        made.append(f"{ATEN}.relu.default", result=f"r{number}", self=tensor("linear"))


def _sizes(made: Parts, operations: list[tuple[str, Any]]) -> None:
    """Compute sizes from the number of clips, and expand the result to the last one."""
    made.nodes.insert(
        0,
        {
            "target": f"{ATEN}.sym_size.int",
            "inputs": [
                {"name": "self", "arg": tensor("x"), "kind": 1},
                {"name": "dim", "arg": {"as_int": 0}, "kind": 1},
            ],
            "outputs": [{"as_sym_int": {"as_name": "s0"}}],
            "metadata": {},
        },
    )
    for number, (name, other) in enumerate(operations):
        known = {"as_sym_int": {"as_name": f"s{number}"}}
        made.nodes.insert(
            number + 1,
            {
                "target": f"_operator.{name}",
                "inputs": [
                    {"name": "a", "arg": known, "kind": 1},
                    {"name": "b", "arg": known if other is None else other, "kind": 1},
                ],
                "outputs": [{"as_sym_int": {"as_name": f"s{number + 1}"}}],
                "metadata": {},
            },
        )
    last = {"as_sym_ints": [{"as_name": f"s{len(operations)}"}, {"as_int": 6}]}
    made.append(f"{ATEN}.expand.default", self=tensor("linear"), size=last)


def _flag(base: str, name: str, value: Any) -> Callable[[Parts], None]:
    def change(made: Parts) -> None:
        argument = made.argument(base, name)
        argument.clear()
        argument.update(value)

    return change


def _op(target: str, **arguments: Any) -> Callable[[str], bytes]:
    return changed(lambda made: made.append(target, self=tensor("linear"), **arguments))


def _terabytes(made: Parts) -> None:
    size = {"as_ints": [-1, 6, 10**12]}
    made.append(f"{ATEN}.unsqueeze.default", result="u", self=tensor("linear"), dim={"as_int": 2})
    made.append(f"{ATEN}.expand.default", result="e", self=tensor("u"), size=size)
    made.append(f"{ATEN}.mean.dim", self=tensor("e"), dim={"as_ints": [2]})


def _many_pieces(made: Parts) -> None:
    made.append(f"{ATEN}.unsqueeze.default", result="u", self=tensor("linear"), dim={"as_int": 2})
    made.append(f"{ATEN}.expand.default", result="e", self=tensor("u"), size={"as_ints": [-1, 6, 10**8]})
    made.append(f"{ATEN}.unbind.int", self=tensor("e"), dim={"as_int": 2})


def _on_a_view_of_a_weight(made: Parts) -> None:
    made.append(f"{ATEN}.t.default", result="turned", output=False, self=tensor("p_fc_weight"))
    made.append(
        f"{ATEN}.mul_.Tensor", result="same", output=False, self=tensor("turned"), other={"as_float": 1.01}
    )


def _two_inputs(made: Parts) -> None:
    made.module["signature"]["input_specs"].append({"user_input": {"arg": tensor("x2")}})


def _output_form(form: str, children: int = 1, *, nested: bool = False) -> Callable[[Parts], None]:
    leaf: dict[str, Any] = {"type": None, "context": None, "children_spec": []}
    child = {"type": "builtins.tuple", "context": "null", "children_spec": [leaf]} if nested else leaf
    spec = json.dumps([1, {"type": form, "context": '["a"]', "children_spec": [child] * children}])
    return lambda made: _set(made.module["module_call_graph"][0]["signature"], "out_spec", spec)


def _mutation(made: Parts) -> None:
    said = {"arg": {"name": "linear"}, "buffer_name": "norm.running_mean"}
    made.module["signature"]["output_specs"].insert(0, {"buffer_mutation": said})


def _clip_size(at: int, value: Any) -> Callable[[Parts], None]:
    return lambda made: _set(made.module["graph"]["tensor_values"]["x"]["sizes"], at, value)


FLOAT, INT, TRUE = {"as_float": 1.0}, {"as_int": 1}, {"as_bool": True}
OPS = "torch.ops"

ATTACKS: dict[str, Attack] = {
    # Code that a trusting reader runs.
    "a weight that is a pickle": Attack(with_code(_pickled_weight), UnsafeCheckpoint, "is a pickle"),
    "a constant that is a pickle": Attack(with_code(_pickled_constant), UnsafeCheckpoint, "is a pickle"),
    "a custom object": Attack(with_code(_custom_object), GraphError, "Custom objects"),
    "an expression as a weight's size": Attack(
        with_code(_expression_of_a_weight), GraphError, "is an expression"
    ),
    "an expression as a size": Attack(with_code(_expression_as_size), DamagedCheckpoint, "makes no sense"),
    "a function of the standard library": Attack(
        with_code(lambda made, canary: made.append("os.mkdir", path={"as_string": canary})),
        UnknownOperation,
        "os.mkdir is a custom operation",
    ),
    "an attribute of an operation": Attack(
        _op("torch.ops.aten.relu.default.__class__.__init__"), UnknownOperation, "is not in the table"
    ),
    "a custom operation": Attack(_op(f"{OPS}.mylib.evil.default"), UnknownOperation, "mylib.evil"),
    "a loader of libraries": Attack(_op(f"{OPS}.load_library"), UnknownOperation, "custom operation"),
    "compiled code": Attack(
        _entries(**{"data/aotinductor/model/x.so": b"\x7fELF"}), GraphError, "compiled code"
    ),
    "control flow": Attack(_op(f"{OPS}.higher_order.cond"), UnknownOperation, "higher-order"),
    "a graph as an argument": Attack(
        _op(f"{ATEN}.relu.default", graph={"as_graph": {"name": "g", "graph": {}}}),
        GraphError,
        "graph inside",
    ),
    "an operator as an argument": Attack(
        _op(f"{ATEN}.relu.default", f={"as_operator": "os.system"}), GraphError, "as_operator"
    ),
    # Zip archives that lie.
    "two entries of one name": Attack(
        _renamed(b"data/weights/weight_1", b"data/weights/weight_0"), DamagedCheckpoint, "have one name"
    ),
    "overlapping entries": Attack(_overlapping, DamagedCheckpoint, "overlaps|contradicts"),
    "a compressed entry": Attack(
        lambda canary: parts().pack(compression=zipfile.ZIP_DEFLATED), DamagedCheckpoint, "is compressed"
    ),
    "another name in an entry's own header": Attack(
        patched(34, b"X"), DamagedCheckpoint, "own header contradicts"
    ),
    "another size in an entry's own header": Attack(
        patched(22, b"\x01\x00\x00\x00"), DamagedCheckpoint, "own header contradicts"
    ),
    "an encrypted entry": Attack(patched(8, b"\x01\x00", in_directory=True), DamagedCheckpoint, "encrypted"),
    "a directory that counts one more": Attack(_count_lies, DamagedCheckpoint, "shorter than it says"),
    "bytes before the archive": Attack(
        lambda canary: b"#!/bin/sh\n" + sound(), DamagedCheckpoint, "does not end where|are apart"
    ),
    "bytes behind the archive": Attack(lambda canary: sound() + b"x", DamagedCheckpoint, "bytes follow it"),
    "half an archive": Attack(
        lambda canary: sound()[: len(sound()) // 2], DamagedCheckpoint, "its end is missing"
    ),
    "a name that leads outside": Attack(
        _renamed(b"net/archive_format", b"net/../../etc/pass"), DamagedCheckpoint, "leads outside"
    ),
    "a name with a backslash": Attack(
        _renamed(b"net/archive_format", b"net\\archive_format"[:18]), DamagedCheckpoint, "leads outside"
    ),
    "an entry that no export has": Attack(
        _entries(**{"code/run.py": b"print()"}), GraphError, "is not one of torch.export.save"
    ),
    "a wrong checksum": Attack(_broken_sum, DamagedCheckpoint, "checksum"),
    # JSON that costs much, or says two things.
    "ten million nodes": Attack(_ten_million_nodes, GraphTooLarge, "items"),
    "twenty thousand nodes": Attack(changed(_many_nodes), GraphTooLarge, "20,006 operations"),
    "deep brackets": Attack(_document(b"[" * 10**6 + b"]" * 10**6), GraphTooLarge, "32 levels"),
    "very many digits": Attack(_document(b"[" + b"9" * 10**7 + b"]"), GraphTooLarge, "20 digits"),
    "one key twice": Attack(_document(b'{"a": 1, "a": 2}'), DamagedCheckpoint, "is not JSON"),
    "half a document": Attack(_document(b'{"a": [1'), DamagedCheckpoint, "is not JSON"),
    "a list instead of a model": Attack(_document(b"[]"), DamagedCheckpoint, "makes no sense"),
    # Weights that lie.
    "a weight with a path outside": Attack(
        changed(lambda made: _set(made.weight(), "path_name", "../../../../etc/passwd")),
        UnsafeCheckpoint,
        "leads outside",
    ),
    "a weight that is missing": Attack(
        changed(lambda made: made.config["config"].pop("fc.weight")), GraphError, "fc.weight is missing"
    ),
    "a weight without its bytes": Attack(
        changed(lambda made: made.entries.pop(f"data/weights/{made.weight()['path_name']}")),
        DamagedCheckpoint,
        "bytes of the weight fc.weight are missing",
    ),
    "a weight larger than its bytes": Attack(
        changed(lambda made: _set(made.weight()["tensor_meta"]["sizes"], 0, {"as_int": 7})),
        DamagedCheckpoint,
        "needs more bytes than it has",
    ),
    "strides past the end": Attack(
        changed(lambda made: _set(made.weight()["tensor_meta"]["strides"], 0, {"as_int": 1 << 60})),
        DamagedCheckpoint,
        "needs more bytes than it has",
    ),
    "an offset before the beginning": Attack(
        changed(lambda made: _set(made.weight()["tensor_meta"], "storage_offset", {"as_int": -4})),
        GraphError,
        "below zero",
    ),
    "a weight that repeats one number": Attack(
        changed(
            lambda made: made.weight()["tensor_meta"].update(
                sizes=[{"as_int": 10**6}] * 2, strides=[{"as_int": 0}] * 2
            )
        ),
        GraphError,
        "at most 16 times",
    ),
    "thousands of weights in the same bytes": Attack(
        changed(_shared_by_many), GraphError, "may be used at most 16 times"
    ),
    "a weight of 8-bit floats": Attack(
        changed(lambda made: _set(made.weight()["tensor_meta"], "dtype", 29)), GraphError, "8-bit floats"
    ),
    "a weight that is not a number": Attack(changed(_nan), NonFiniteWeights, "fc.weight"),
    "another byte order": Attack(_entries(byteorder=b"big"), GraphError, "little-endian"),
    # Operations that are not run.
    "train mode": Attack(
        changed(_flag("batch_norm", "training", TRUE)), GraphError, r"train mode.*model\.eval\(\)"
    ),
    "a batch norm without statistics": Attack(
        changed(_flag("batch_norm", "running_mean", {"as_none": True})), GraphError, "no running statistics"
    ),
    "a buffer that changes": Attack(changed(_mutation), GraphError, "changes its own buffers"),
    "dropout in train mode": Attack(
        changed(
            lambda made: made.append(f"{ATEN}.dropout.default", input=tensor("linear"), p=FLOAT, train=TRUE)
        ),
        GraphError,
        "train mode",
    ),
    "dropout that does not say its mode": Attack(
        changed(
            lambda made: made.append(
                f"{ATEN}.native_dropout.default", input=tensor("linear"), p=FLOAT, train={"as_none": True}
            )
        ),
        GraphError,
        "train mode",
    ),
    "random numbers": Attack(_op(f"{ATEN}.rand_like.default"), UnknownOperation, "draws at random"),
    "memory that nobody wrote": Attack(
        _op(f"{ATEN}.empty_like.default"), UnknownOperation, "reads memory that nobody wrote"
    ),
    "memory by strides": Attack(_op(f"{ATEN}.as_strided.default"), UnknownOperation, "by strides"),
    "a shape by numbers": Attack(_op(f"{ATEN}.nonzero.default"), UnknownOperation, "depends on the numbers"),
    "a change of a weight in place": Attack(
        changed(
            lambda made: made.append(
                f"{ATEN}.mul_.Tensor", output=False, self=tensor("p_fc_weight"), other=FLOAT
            )
        ),
        GraphError,
        "changes a weight in place",
    ),
    "a change of a view of a weight in place": Attack(
        changed(_on_a_view_of_a_weight), GraphError, "changes a weight in place"
    ),
    "a change of the clips in place": Attack(
        changed(lambda made: made.append(f"{ATEN}.sub_.Tensor", output=False, self=tensor("x"), other=FLOAT)),
        GraphError,
        "changes the clips in place",
    ),
    "an argument that does not exist": Attack(
        _op(f"{ATEN}.relu.default", out=TRUE), GraphError, "no argument"
    ),
    "an argument of another type": Attack(
        changed(_flag("mean", "dim", {"as_string": "2"})), GraphError, r"takes List\[int\] as dim"
    ),
    "a result that is read before it is made": Attack(
        changed(lambda made: made.nodes.reverse()), DamagedCheckpoint, "makes no sense"
    ),
    # What the file cannot say to us.
    "a static batch": Attack(
        changed(_clip_size(0, {"as_int": 2})), GraphError, "batches of 2 clips only.*dynamic_shapes"
    ),
    "a free number of frames": Attack(
        changed(_clip_size(2, {"as_expr": {"expr_str": "s1"}})), GraphError, "with fixed T, H and W"
    ),
    "clips of very many pixels": Attack(
        changed(_clip_size(3, {"as_int": 1 << 63})), GraphTooLarge, "no side may be above"
    ),
    "a weight without elements": Attack(
        changed(lambda made: made.weight()["tensor_meta"].update(sizes=[{"as_int": 0}, {"as_int": 1 << 61}])),
        GraphError,
        "has no elements",
    ),
    "grey clips": Attack(changed(_clip_size(1, {"as_int": 1})), GraphError, "1 channels"),
    "clips of half precision": Attack(
        changed(lambda made: _set(made.module["graph"]["tensor_values"]["x"], "dtype", 6)),
        GraphError,
        r"model\.float\(\)",
    ),
    "two inputs": Attack(changed(_two_inputs), GraphError, "takes 2 inputs"),
    "a dictionary as output": Attack(
        changed(_output_form("builtins.dict")), GraphError, "builtins.dict.*order of stages"
    ),
    "a nested output": Attack(
        changed(_output_form("builtins.tuple", nested=True)), GraphError, "its output is nested"
    ),
    "an older torch": Attack(
        changed(lambda made: _set(made.model, "torch_version", "2.8.0")), GraphError, "2.9 or later"
    ),
    "the archive of torch 2.8": Attack(
        _entries(**{CONFIG: None, CONSTANTS: None, "data/weights/model.pt": b"PK"}), GraphError, "before 2.9"
    ),
    "the archive of torch 2.4": Attack(
        _entries(**{MODEL: None, "serialized_exported_program.json": b"{}"}), GraphError, "before 2.9"
    ),
    "another schema": Attack(
        changed(lambda made: _set(made.model["schema_version"], "major", 9)), GraphError, "of version 9"
    ),
    "a schema without bounds": Attack(
        _document(b'{"torch_version": "2.13", "schema_version": {"major": 1e999}}'),
        DamagedCheckpoint,
        "makes no sense",
    ),
    "another zip archive": Attack(
        _entries(archive_format=None, **{MODEL: None}), NotACheckpoint, "not a program of torch.export"
    ),
}

# These are read, and refused by the run without numbers.
SURVEYED: dict[str, Attack] = {
    "expand to terabytes": Attack(changed(_terabytes), GraphTooLarge, "bytes of one result"),
    "a hundred million pieces": Attack(changed(_many_pieces), GraphError, "number of pieces"),
    "a choice by a mask": Attack(
        changed(
            lambda made: [
                made.append(f"{ATEN}.gt.Scalar", result="m", self=tensor("linear"), other=INT),
                made.append(
                    f"{ATEN}.index.Tensor",
                    self=tensor("linear"),
                    indices={"as_optional_tensors": [tensor("m")]},
                ),
            ]
        ),
        GraphError,
        "picks by a mask",
    ),
    "a size that squares itself": Attack(
        changed(lambda made: _sizes(made, [("mul", None)] * 200)), GraphError, "is no size"
    ),
    "a size over nothing": Attack(
        changed(lambda made: _sizes(made, [("floordiv", {"as_int": 0})])), GraphError, "is no size"
    ),
    "shapes that do not fit": Attack(
        changed(lambda made: made.append(f"{ATEN}.mm.default", self=tensor("linear"), mat2=tensor("linear"))),
        GraphError,
        "cannot run on 2 clips",
    ),
    "tokens as output": Attack(
        _op(f"{ATEN}.unsqueeze.default", dim={"as_int": 1}), GraphError, r"shape \(B, 1, 6\)"
    ),
    "an average over clips": Attack(
        _op(f"{ATEN}.mean.dim", dim={"as_ints": [0]}, keepdim=TRUE), GraphError, "for each clip"
    ),
}
