"""The science of vcpbench: from video files and a checkpoint to three benchmarks' scores.

    import vcp_core

    backbone, report = vcp_core.load_checkpoint("model.pt")
    results = vcp_core.evaluate("model.pt", "playground-136", "quick-v1")
    results.score("cloze.temporal").value

`import vcp_core` is cheap: torch is loaded when something that needs it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vcp_core.backbones import build
    from vcp_core.catalog.errors import VcpbenchError
    from vcp_core.catalog.protocols import Protocol, load_protocol
    from vcp_core.catalog.reported import ReportedRow, reported_rows
    from vcp_core.checkpoints import CheckpointReport, load_checkpoint
    from vcp_core.comparison import compare, compare_many, unpaired
    from vcp_core.controls import random_weights
    from vcp_core.datasets import Dataset, load_dataset
    from vcp_core.diagnosis import diagnose
    from vcp_core.evaluation import evaluate
    from vcp_core.operations import apply_option
    from vcp_core.results import Results, Score
    from vcp_core.splits import SplitsMean, mean_of_splits

_HOME = {
    "CheckpointReport": "vcp_core.checkpoints",
    "Dataset": "vcp_core.datasets",
    "Protocol": "vcp_core.catalog.protocols",
    "ReportedRow": "vcp_core.catalog.reported",
    "Results": "vcp_core.results",
    "Score": "vcp_core.results",
    "SplitsMean": "vcp_core.splits",
    "VcpbenchError": "vcp_core.catalog.errors",
    "apply_option": "vcp_core.operations",
    "build": "vcp_core.backbones",
    "compare": "vcp_core.comparison",
    "compare_many": "vcp_core.comparison",
    "diagnose": "vcp_core.diagnosis",
    "evaluate": "vcp_core.evaluation",
    "load_checkpoint": "vcp_core.checkpoints",
    "load_dataset": "vcp_core.datasets",
    "load_protocol": "vcp_core.catalog.protocols",
    "mean_of_splits": "vcp_core.splits",
    "random_weights": "vcp_core.controls",
    "reported_rows": "vcp_core.catalog.reported",
    "unpaired": "vcp_core.comparison",
}

__all__ = [
    "CheckpointReport",
    "Dataset",
    "Protocol",
    "ReportedRow",
    "Results",
    "Score",
    "SplitsMean",
    "VcpbenchError",
    "apply_option",
    "build",
    "compare",
    "compare_many",
    "diagnose",
    "evaluate",
    "load_checkpoint",
    "load_dataset",
    "load_protocol",
    "mean_of_splits",
    "random_weights",
    "reported_rows",
    "unpaired",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module 'vcp_core' has no attribute {name!r}") from None
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
