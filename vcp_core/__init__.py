"""The science of vcpbench: it turns video files and a checkpoint into the scores of three benchmarks.

    import vcp_core

    backbone, report = vcp_core.load_checkpoint("model.pt")
    results = vcp_core.evaluate("model.pt", "playground-136", "quick-v1")
    results.score("cloze.temporal").value

`import vcp_core` is cheap: torch is imported on the first use of a name that needs torch.

The packages, from the ground up. Each imports only from those above it in this list:

    catalog/      facts without torch: backbones, options, benchmarks, protocols, errors
    progress.py   the progress of long calls
    walls/        what the kernel refuses a process that reads foreign files
    statistics/   intervals and tests
    results/      the results of an evaluation, and sentences about them
    video/        from a file to frames and clips
    backbones/    the networks
    graphs/       any other network, from a .pt2 file
    datasets/     from a folder to labelled videos
    checkpoints/  from an untrusted file to weights
    features/     from clips to features
    probes/       classifiers and rankings on frozen features
    benchmarks/   cloze, recognition, retrieval
    previews/     pictures and short videos of what a network sees, for people
    scoring/      from predictions to scores and differences
    evaluation/   checkpoint, dataset and protocol -> results
    pretraining/  training: the proxy task, and finetuning
    samples/      a checkpoint that comes with the package
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
    from vcp_core.datasets import Dataset, load_dataset
    from vcp_core.evaluation.controls import random_weights
    from vcp_core.evaluation.evaluate import evaluate
    from vcp_core.evaluation.gallery import gallery
    from vcp_core.evaluation.measuring import estimate
    from vcp_core.results.diagnosis import diagnose
    from vcp_core.results.types import Results, Score
    from vcp_core.scoring.comparison import compare, compare_many, unpaired
    from vcp_core.scoring.splits import SplitsMean, mean_of_splits
    from vcp_core.video.operations import apply_option

_HOME = {
    "CheckpointReport": "vcp_core.checkpoints",
    "Dataset": "vcp_core.datasets",
    "Protocol": "vcp_core.catalog.protocols",
    "ReportedRow": "vcp_core.catalog.reported",
    "Results": "vcp_core.results.types",
    "Score": "vcp_core.results.types",
    "SplitsMean": "vcp_core.scoring.splits",
    "VcpbenchError": "vcp_core.catalog.errors",
    "apply_option": "vcp_core.video.operations",
    "build": "vcp_core.backbones",
    "compare": "vcp_core.scoring.comparison",
    "compare_many": "vcp_core.scoring.comparison",
    "diagnose": "vcp_core.results.diagnosis",
    "estimate": "vcp_core.evaluation.measuring",
    "evaluate": "vcp_core.evaluation.evaluate",
    "gallery": "vcp_core.evaluation.gallery",
    "load_checkpoint": "vcp_core.checkpoints",
    "load_dataset": "vcp_core.datasets",
    "load_protocol": "vcp_core.catalog.protocols",
    "mean_of_splits": "vcp_core.scoring.splits",
    "random_weights": "vcp_core.evaluation.controls",
    "reported_rows": "vcp_core.catalog.reported",
    "unpaired": "vcp_core.scoring.comparison",
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
    "estimate",
    "evaluate",
    "gallery",
    "load_checkpoint",
    "load_dataset",
    "load_protocol",
    "mean_of_splits",
    "random_weights",
    "reported_rows",
    "unpaired",
]


# Importing every name here would import torch. So a name is imported on its first use.
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
