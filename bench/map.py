"""Time and memory of a map of the test videos, the sizes of its page, and how alike two maps are.

    python -m bench.map             maps of 1,000, 3,783 and 20,000 videos, in a process each
    python -m bench.map --alike     two checkpoints of the playground: how far each video lies from its place
                                    on the first map, and how many of its nearest videos stay near

Features are made up: 101 clumps in 512 dimensions. t-SNE takes as long for them as for a network's.
"""

from __future__ import annotations

import argparse
import copy
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from service.web import map as pages
from service.web import scatter
from service.web.map import Colour, Wanted
from vcp_core.backbones import build
from vcp_core.backbones.base import Backbone
from vcp_core.benchmarks.grid import video_means
from vcp_core.catalog.protocols import load_protocol
from vcp_core.checkpoints import load_checkpoint
from vcp_core.datasets import Dataset, load_dataset
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.evaluation.running import shard_features
from vcp_core.features.bank import FeatureBank
from vcp_core.features.extraction import ready
from vcp_core.features.reading import Counters
from vcp_core.features.shards import cut_shards
from vcp_core.samples import sample_path
from vcp_core.scoring.maps import VideoMap, positions, turned

SIZES = (1_000, 3_783, 20_000)  # videos; the second is the test side of UCF101's first split
NUM_CLASSES, NUM_DIMS = 101, 512
NEIGHBOURS = 10
NOISE = 0.1  # of the spread of a tensor's weights
Floats = npt.NDArray[np.floating]


def made_up(num_videos: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """Features in clumps, and the class of each video."""
    rng = np.random.default_rng(0)
    labels_N = np.arange(num_videos) % NUM_CLASSES
    clumps_KD = rng.normal(size=(NUM_CLASSES, NUM_DIMS)).astype(np.float32)
    return clumps_KD[labels_N] + rng.normal(size=(num_videos, NUM_DIMS)).astype(np.float32), labels_N


def measure(num_videos: int) -> None:
    """Print time and memory of one map, and the size of its document and of its page."""
    features_ND, labels_N = made_up(num_videos)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()  # of one thread; other work on the machine does not count
    placed_N2 = positions(features_ND)
    took = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = VideoMap(
        classes=tuple(f"class {number}" for number in range(NUM_CLASSES)),
        videos=tuple(f"class{label}/v_class{label}_g01_c{n:06d}.avi" for n, label in enumerate(labels_N)),
        groups=("g01",) * num_videos,
        labels=tuple(labels_N.tolist()),
        answers=tuple(labels_N.tolist()),
        right=tuple((labels_N % 3 > 0).tolist()),
        x=tuple(placed_N2[:, 0].tolist()),
        y=tuple(placed_N2[:, 1].tolist()),
        answered_by="recognition",
    )
    sizes = [len(scatter.inside(pages.layers(found, Wanted(colour=colour)))) for colour in Colour]
    print(
        f"{num_videos:,} videos: {took:.0f} s of one core, "
        f"{(peak - before) / 1024:.0f} MiB above {before / 1024:.0f} MiB, "
        f"JSON {len(found.model_dump_json()) / 1e3:.0f} kB, "
        f"SVG {min(sizes) / 1e3:.0f} to {max(sizes) / 1e3:.0f} kB",
        flush=True,
    )


def alike() -> None:
    """Print how far each video lies from its place on the first map, and how many of its nearest stay near.

    There is a line for each of three ways to make the second map.
    """
    dataset = load_dataset("playground-344")
    trained, _ = load_checkpoint(sample_path())
    first_ND = features_of(trained, dataset)
    first_N2 = positions(first_ND.copy()).astype(np.float64)
    others = {
        "the sample with noise on its weights": noisy(trained),
        "random weights": build("r3d_tiny", seed=0),
    }
    for name, network in others.items():
        print(f"the map of the sample, then that of {name}; {len(first_N2)} videos of playground-344:")
        compare(first_N2, features_of(network, dataset))


def noisy(network: Backbone) -> Backbone:
    """A copy with noise on each weight, as a checkpoint of another step differs from it."""
    found = copy.deepcopy(network)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in found.parameters():
            spread = weights.std() if weights.numel() > 1 else torch.tensor(0.0)
            weights.add_(NOISE * spread * torch.randn(weights.shape, generator=rng))
    return found


def compare(first_N2: Floats, second_ND: npt.NDArray[np.float32]) -> None:
    """Print a line for each way to make the second map."""
    own_N2 = positions(second_ND.copy()).astype(np.float64)
    ways = {
        "alone": own_N2,
        "alone, then turned": turned(own_N2, first_N2),
        "begun at the first": positions(second_ND.copy(), begin_N2=first_N2).astype(np.float64),
    }
    for name, placed_N2 in ways.items():
        apart = float(np.linalg.norm(centred(placed_N2) - centred(first_N2), axis=1).mean())
        print(
            f"  {name:20} a video is {apart:.2f} apart; "
            f"{100 * kept(second_ND, placed_N2):.0f} % of the {NEIGHBOURS} nearest are kept",
            flush=True,
        )


def features_of(network: Backbone, dataset: Dataset) -> npt.NDArray[np.float32]:
    """Features of the test videos, as retrieval has them."""
    spec, protocol = network.spec, load_protocol("quick-v1")
    plan = EvaluationPlan(dataset=dataset, protocol=protocol, spec=spec, benchmarks=("retrieval",))
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        cpu = torch.device("cpu")
        shards = cut_shards(dataset.side("test"), plan.clips)
        made = shard_features(plan, ready(network, cpu), shards, device=cpu, counters=Counters())
        for number, shard in enumerate(made):
            paths.append(Path(folder) / f"{number}.safetensors")
            shard.save(paths[-1])
        return video_means(FeatureBank(paths), dataset.side("test"), protocol, spec, stage=spec.stages[-1])


def centred(placed_N2: Floats) -> Floats:
    """Positions around zero, in units of their spread."""
    moved_N2 = placed_N2 - placed_N2.mean(axis=0)
    scaled: Floats = moved_N2 / np.sqrt((moved_N2**2).sum(axis=1).mean())
    return scaled


def kept(features_ND: Floats, placed_N2: Floats) -> float:
    """Share of the nearest videos by the features that are among the nearest on the map."""
    lengths_N1 = np.linalg.norm(features_ND, axis=1, keepdims=True)
    by_features, by_map = nearest(features_ND / lengths_N1), nearest(placed_N2)
    return float(
        np.mean([len(set(one) & set(other)) for one, other in zip(by_features, by_map, strict=True)])
        / NEIGHBOURS
    )


def nearest(rows_ND: Floats) -> list[list[int]]:
    """The nearest rows of each row, itself left out."""
    squares_N = (rows_ND**2).sum(axis=1)
    far_NN = squares_N[:, None] + squares_N - 2 * rows_ND @ rows_ND.T
    np.fill_diagonal(far_NN, np.inf)
    found: list[list[int]] = np.argsort(far_NN, axis=1, kind="stable")[:, :NEIGHBOURS].tolist()
    return found


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alike", action="store_true", help="how alike two maps are")
    parser.add_argument("--videos", type=int, help="one map of as many videos, in this process")
    asked = parser.parse_args()
    if asked.alike:
        alike()
    elif asked.videos:
        measure(asked.videos)
    else:
        for size in SIZES:
            subprocess.run([sys.executable, "-m", "bench.map", "--videos", str(size)], check=True)  # noqa: S603


if __name__ == "__main__":
    main()
