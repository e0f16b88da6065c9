"""Compares decoding beside the network with decoding in turns with it, on this machine's CPU, in one run.

python -m bench.reading                    32 rehearsal videos, r3d_tiny
python -m bench.reading --backbones r3d    another network
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from bench.rehearsal.videos import make
from vcp_core.backbones import build
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.datasets import load_dataset
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.features.extraction import extract
from vcp_core.features.reading import Counters, Reading, cores


def main() -> None:
    """Print the wall time of each way: the median over rounds, in which the ways take turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["r3d_tiny"])
    parser.add_argument("--classes", type=int, default=4, help="of the corpus, with eight videos each")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    ways = {
        "beside, 2 threads": Reading(threads=2, videos=4, in_turns=False),
        "beside, 1 thread": Reading(threads=1, videos=4, in_turns=False),
        "in turns": Reading.on(cores(), network_threads=cores()),
    }
    print(f"{cores()} cores, {torch.get_num_threads()} threads of the network")
    with tempfile.TemporaryDirectory() as made:
        make(Path(made), arguments.classes)
        dataset = load_dataset(made)
        for name in arguments.backbones:
            network = build(name, seed=0)
            plan = EvaluationPlan(dataset=dataset, protocol=PROTOCOLS["standard-v1"], spec=network.spec)
            took: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
            for _ in range(arguments.rounds):
                for way, reading in ways.items():
                    counters, begun = Counters(), time.perf_counter()
                    device = torch.device("cpu")
                    for _ in extract(
                        network, dataset, plan.shards, device=device, reading=reading, counters=counters
                    ):
                        pass
                    took[way].append((time.perf_counter() - begun, counters.forward_s))
            for way, times in took.items():
                total_s, forward_s = (statistics.median(column) for column in zip(*times, strict=True))
                print(f"{name:<10}{way:<20}{total_s:6.1f} s, of which {forward_s:.1f} s in the network")


if __name__ == "__main__":
    main()
