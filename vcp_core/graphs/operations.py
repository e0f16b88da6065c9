"""What the table's operations are in torch: functions, with the names and types of their arguments.

torch's own schema of each operation says what arguments it takes, and which of them it writes to.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from vcp_core.catalog.errors import GraphError
from vcp_core.graphs.table import ATEN, SIZES, UNSAID_VIEWS

MOST_SIZE = 1 << 62  # a larger number is no size

_DTYPES = "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool"
_FORMATS = "contiguous_format channels_last channels_last_3d preserve_format"
DTYPES: Mapping[str, torch.dtype] = {name: getattr(torch, name) for name in _DTYPES.split()}
MEMORY_FORMATS: Mapping[str, torch.memory_format] = {name: getattr(torch, name) for name in _FORMATS.split()}
WORDS: Mapping[str, Mapping[str, Any]] = {"dtype": DTYPES, "memory_format": MEMORY_FORMATS}
# The run says these, and not the file.
OF_THE_RUN = frozenset({"device", "layout", "pin_memory", "non_blocking", "cudnn_enabled", "cudnn_enable"})


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One argument of an operation, as torch's schema describes it.

    Attributes:
        name: Its name.
        kind: Its type without "Optional[...]", such as "Tensor", "List[int]" or "ScalarType".
        optional: Whether it may be None.
        required: Whether it has no default.
        default: Its default.
        keyword: Whether it is passed by its name.
        aliased: Whether the result may share its memory.
    """

    name: str
    kind: str
    optional: bool
    required: bool
    default: Any
    keyword: bool
    aliased: bool


@dataclass(frozen=True, kw_only=True)
class Operation:
    """An operation of the table.

    Attributes:
        name: Its name: "aten.conv3d.default", or "size.mul".
        call: The function.
        parameters: Its arguments by name, in their order.
        writes: The argument that it changes in place, if any.
        num_results: How many values it gives; None if its arguments decide.
        gives_size: Whether its result is a size, and not a tensor.
    """

    name: str
    call: Callable[..., Any]
    parameters: Mapping[str, Parameter]
    writes: str | None = None
    num_results: int | None = 1
    gives_size: bool = False


@functools.cache
def operations() -> Mapping[str, Operation]:
    """The table by name.

    >>> len(operations()) > 200, operations()["aten.relu_.default"].writes
    (True, 'self')
    """
    found = [_aten(name) for name in ATEN]
    found += [_size(name) for name in SIZES]
    number = {"self": _parameter("self", "Tensor"), "dim": _parameter("dim", "int")}
    found.append(
        Operation(name="aten.sym_size.int", call=_size_of, parameters=number, gives_size=True),
    )
    return {one.name: one for one in found}


def _aten(name: str) -> Operation:
    base, _, overload = name.partition(".")
    # The names are literals of the table. No name of a file comes here.
    call = getattr(getattr(torch.ops.aten, base), overload)
    schema = call._schema
    parameters = {}
    writes = None
    for one in schema.arguments:
        kind = str(one.real_type)
        optional = kind.startswith("Optional[")
        if one.alias_info is not None and one.alias_info.is_write:
            writes = one.name
        parameters[one.name] = Parameter(
            name=one.name,
            kind=kind[len("Optional[") : -1] if optional else kind,
            optional=optional,
            required=not one.has_default_value(),
            default=one.default_value,
            keyword=one.kwarg_only,
            aliased=one.alias_info is not None or name in UNSAID_VIEWS,
        )
    returns = [str(one.type) for one in schema.returns]
    return Operation(
        name=f"aten.{name}",
        call=call,
        parameters=parameters,
        writes=writes,
        num_results=None if returns == ["List[Tensor]"] else len(returns),
    )


def _size(name: str) -> Operation:
    names = ("a",) if name == "neg" else ("a", "b")
    function = getattr(operator, name)  # a literal of the table, too

    def call(*numbers: int) -> int:
        try:
            found = function(*numbers)
        except ZeroDivisionError:
            found = MOST_SIZE
        if not -MOST_SIZE < found < MOST_SIZE:
            raise GraphError(
                f"a size in it is no size: {name} of {', '.join(map(str, numbers))}. Export it again.",
                reason="size",
            )
        return int(found)

    parameters = {one: _parameter(one, "int") for one in names}
    return Operation(name=f"size.{name}", call=call, parameters=parameters, gives_size=True)


def _size_of(tensor: torch.Tensor, dim: int) -> int:
    return tensor.shape[dim]


def _parameter(name: str, kind: str) -> Parameter:
    return Parameter(
        name=name, kind=kind, optional=False, required=True, default=None, keyword=False, aliased=False
    )
