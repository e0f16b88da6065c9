"""Measures scores and cost of the pixel baseline, by the number of sub-clips that frames are averaged over.

python -m bench.pixels --dataset playground --protocol quick-v1
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from vcp_core import load_dataset, load_protocol
from vcp_core.backbones.pixels import Pixels
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.specs import pixels_like
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.features.bank import FeatureBank
from vcp_core.features.extraction import extract

METRICS = ("cloze.accuracy", "cloze.spatial", "cloze.temporal", "recognition.top1", "retrieval.top1")


def main() -> None:
    """Print a line for every number of parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="playground")
    parser.add_argument("--protocol", default="quick-v1")
    parser.add_argument("--parts", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    wanted = parser.parse_args()
    dataset, protocol = load_dataset(wanted.dataset), load_protocol(wanted.protocol)
    like = BACKBONES["r3d_tiny"]
    print(f"{'parts':>5} {'numbers':>7} {'probes':>8}  " + "  ".join(f"{name:>21}" for name in METRICS))
    for parts in wanted.parts:
        plan = replace(
            EvaluationPlan(dataset=dataset, protocol=protocol, spec=like), spec=pixels_like(like, parts=parts)
        )
        with tempfile.TemporaryDirectory() as folder:
            paths: list[Path] = []
            network = Pixels(like, parts=parts)
            for features in extract(network, dataset, plan.shards, device=torch.device("cpu")):
                paths.append(Path(folder) / f"{len(paths):06d}.safetensors")
                features.save(paths[-1])
            begun = time.perf_counter()
            predictions = plan.predict(FeatureBank(paths))
            taken_s = time.perf_counter() - begun
        results = plan.score(predictions, {})
        scores = {score.metric: score for result in results for score in result.scores}
        cells = [
            f"{scores[name].value:5.1f} [{scores[name].low:5.1f}, {scores[name].high:5.1f}]"
            for name in METRICS
        ]
        print(f"{parts:>5} {plan.spec.feature_dim:>7} {taken_s:6.1f} s  {'  '.join(cells):>21}", flush=True)


if __name__ == "__main__":
    main()
