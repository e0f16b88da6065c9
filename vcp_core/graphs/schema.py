"""The words of torch.export's schema: how it names types, operations and values.

Source: torch/_export/serde/schema.py, major version 8 (torch 2.6 to 2.14).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vcp_core.catalog.errors import GraphError
from vcp_core.catalog.names import printable
from vcp_core.graphs.program import Argument

VERSION = 8
DTYPE_NAMES: Mapping[int, str] = {  # ScalarType
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    12: "bool",
    13: "bfloat16",
}
MEMORY_FORMAT_NAMES: Mapping[int, str] = {  # MemoryFormat
    1: "contiguous_format",
    2: "channels_last",
    3: "channels_last_3d",
    4: "preserve_format",
}
STRIDED = 7  # Layout


def operation_of(node: Mapping[str, Any]) -> str:
    """The name of a node's operation in our table.

    >>> operation_of({"target": "torch.ops.aten.conv3d.default"}), operation_of({"target": "_operator.mul"})
    ('aten.conv3d.default', 'size.mul')
    """
    target = str(node["target"])
    if target.startswith("_operator."):
        return f"size.{target.removeprefix('_operator.')}"
    name = target.removeprefix("torch.ops.")
    return target if name.startswith("size.") else name  # a library may call itself "size"


def results_of(node: Mapping[str, Any]) -> list[str | None]:
    """The names of the values that a node gives. A list of tensors counts as its items.

    Raises:
        GraphError: If a value is neither a tensor nor a size.

    >>> results_of({"outputs": [{"as_tensor": {"name": "values"}}, {"as_none": True}]})
    ['values', None]
    """
    names: list[str | None] = []
    for output in node["outputs"]:
        ((form, value),) = output.items()
        if form == "as_tensors":
            names += [str(one["name"]) for one in value]
        elif form in ("as_sym_int", "as_sym_bool"):
            names.append(str(value["as_name"]))
        elif form in ("as_tensor", "as_none"):
            names.append(str(value["name"]) if form == "as_tensor" else None)
        else:
            raise GraphError(
                f"{printable(operation_of(node))[:100]} in it gives a result of the form "
                f"{printable(form)[:40]}, which is not run.",
                reason="results",
            )
    return names


def names_in(inputs: Any) -> set[str]:
    """All names of values in a node's arguments.

    >>> names_in([{"name": "size", "arg": {"as_sym_ints": [{"as_name": "s"}, {"as_int": 2}]}}])
    {'s'}
    """
    found: set[str] = set()
    waiting = [one["arg"] for one in inputs]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            waiting += one.values()
            found.update(one[key] for key in ("name", "as_name") if isinstance(one.get(key), str))
    return found


def plain(form: str, value: Any) -> Argument:
    """A number, a text or a truth value, of the type that its form says.

    Raises:
        ValueError: If it is of another type.

    >>> plain("as_float", 2), plain("as_float", "-Infinity")
    (2.0, -inf)
    """
    if form == "as_float" and value in ("Infinity", "-Infinity"):
        return float(value)
    kinds = {"as_int": (int,), "as_bool": (bool,), "as_string": (str,), "as_float": (float, int)}
    # Not isinstance: a bool is an int in Python.
    if type(value) not in kinds[form]:
        raise ValueError("an argument is not of its type")
    found: Argument = float(value) if form == "as_float" else value
    return found
