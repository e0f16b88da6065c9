"""The vcpbench client: `Client` in Python, `vcpbench` on the command line; no torch but for `export`.

>>> from vcpbench_client import Client
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, whose import alone would take milliseconds of every command's start
if TYPE_CHECKING:
    from typing import Any

    from vcpbench_client.answers import (
        Board,
        Checkpoint,
        Comparison,
        Dataset,
        Evaluation,
        Model,
        Protocol,
        Score,
    )
    from vcpbench_client.client import Client
    from vcpbench_client.comparing import AdjustedDifference, ComparedMany, Matrix, Pair, WithBaseline
    from vcpbench_client.errors import (
        ApiError,
        ClientError,
        ExportError,
        NotCompared,
        NotDone,
        Rejected,
        TimedOut,
        Unauthorised,
        Unreachable,
    )
    from vcpbench_client.exporting.making import Exported, export
    from vcpbench_client.given import Answers, GivenAnswer

__all__ = [
    "AdjustedDifference",
    "Answers",
    "ApiError",
    "Board",
    "Checkpoint",
    "Client",
    "ClientError",
    "ComparedMany",
    "Comparison",
    "Dataset",
    "Evaluation",
    "ExportError",
    "Exported",
    "GivenAnswer",
    "Matrix",
    "Model",
    "NotCompared",
    "NotDone",
    "Pair",
    "Protocol",
    "Rejected",
    "Score",
    "TimedOut",
    "Unauthorised",
    "Unreachable",
    "WithBaseline",
    "export",
]
_HOMES = (
    "vcpbench_client.client",
    "vcpbench_client.answers",
    "vcpbench_client.given",
    "vcpbench_client.comparing",
    "vcpbench_client.errors",
    "vcpbench_client.exporting.making",  # the last, because it loads torch
)


def __getattr__(name: str) -> Any:
    """Names of the public face are loaded when they are used: the command line starts without httpx."""
    if name in __all__:
        from importlib import import_module

        for home in _HOMES:
            if hasattr(import_module(home), name):
                return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
