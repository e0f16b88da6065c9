"""Compares networks with the same networks as graphs (.pt2), on this machine's CPU, in one run.

python -m bench.graphs                        r3d_18: reading, the run without numbers, and forward passes
python -m bench.graphs --backbones r3d s3d    other networks
python -m bench.graphs --sample playground-64 the scores of the sample, as a family and as a graph
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from vcp_core.backbones import Backbone, build
from vcp_core.backbones.folding import folded
from vcp_core.catalog.inputs import input_of
from vcp_core.checkpoints import ingest, load_checkpoint
from vcp_core.evaluation.evaluate import evaluate
from vcp_core.features.extraction import inference
from vcp_core.graphs import build_graph, load_meta_kernels, read_graph, survey, write_canonical
from vcp_core.graphs.operations import operations
from vcp_core.samples import sample_path

CPU = torch.device("cpu")


class Stages(nn.Module):
    """A backbone whose forward pass gives all stages, as somebody would export it."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.net = backbone

    def forward(self, x_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """Every stage's map."""
        return tuple(self.net.forward_stages(x_BCTHW))


def main() -> None:
    """Print times of reading, and the ratio of forward passes: medians over rounds, which take turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["r3d_18"])
    parser.add_argument("--batch", type=int, default=2, help="clips of a batch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sample", metavar="DATASET", help="score the sample on it, and do no more")
    parser.add_argument("--protocol", default="quick-v1", help="of --sample")
    arguments = parser.parse_args()
    if arguments.sample:
        compare_scores(arguments.sample, arguments.protocol)
        return
    print(f"{torch.get_num_threads()} threads, {len(operations())} operations in the table")
    load_meta_kernels()
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.backbones:
            path = Path(folder, f"{name}.pt2")
            network = build(name, seed=0)
            export(network, path, declares=True)
            torch.save(network.state_dict(), path.with_suffix(".pt"))
            compare_ingest(path.with_suffix(".pt"), path)
            compare(network, path, arguments.batch, arguments.rounds)


def export(network: Backbone, path: Path, *, declares: bool = False) -> None:
    """Export a backbone with all its stages, and with a free number of clips.

    Args:
        network: The backbone.
        path: The .pt2 file.
        declares: Whether the file says its input and the names of its stages, as that of `vcpbench export`.
    """
    clips_BCTHW = torch.zeros(2, *network.spec.clip_shape)
    words = dict(word.split("=") for word in input_of(network.spec).split(","))
    said = {"version": 1, "input": words, "stages": network.spec.stages}
    with warnings.catch_warnings(action="ignore"):
        program = torch.export.export(
            Stages(network).eval(), (clips_BCTHW,), dynamic_shapes=({0: torch.export.Dim("clips", min=1)},)
        )
        torch.export.save(
            program, path, extra_files={"vcpbench.json": json.dumps(said)} if declares else None
        )


def compare_scores(dataset: str, protocol: str) -> None:
    """Score the sample and its control as a family and as a graph, and print each score that differs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sample.pt2")
        export(load_checkpoint(sample_path())[0], path, declares=True)
        family, graph = (evaluate(one, dataset, protocol, device="cpu") for one in (sample_path(), path))
    pairs = [
        (first, second)
        for ours, theirs in zip(family.benchmarks, graph.benchmarks, strict=True)
        for first, second in zip(ours.scores, theirs.scores, strict=True)
    ]
    differing = [
        f"{first.metric}: {first.value} and {second.value}, control {first.control} and {second.control}"
        for first, second in pairs
        if first != second
    ]
    print(
        f"{dataset}, {protocol}: {len(pairs)} scores, each with interval, control, lift and pixels; "
        f"{len(differing)} differ between {family.provenance.backbone} and {graph.provenance.backbone}"
    )
    print(*differing, sep="\n")


def compare_ingest(weights: Path, exported: Path) -> None:
    """Print how long the sandbox takes for the weights of a network, and for the same network as a graph."""
    for what, path in (("weights", weights), ("graph", exported)):
        begun = time.perf_counter()
        ingest(path, path.with_name("canonical.safetensors"))
        print(f"{weights.stem}: the sandbox takes {time.perf_counter() - begun:.2f} s for the {what}")


def compare(network: Backbone, path: Path, batch: int, rounds: int) -> None:
    """Print one network's numbers."""
    name = network.spec.name
    begun, used = time.perf_counter(), time.process_time()
    contents = read_graph(path)
    read_s, read_cpu_s = time.perf_counter() - begun, time.process_time() - used
    begun = time.perf_counter()
    found = survey(contents.program)
    surveyed_s = time.perf_counter() - begun
    begun = time.perf_counter()
    write_canonical(path.with_suffix(".safetensors"), contents.program, contents.weights)
    written_s = time.perf_counter() - begun
    print(
        f"{name}: {path.stat().st_size / 1e6:.0f} MB, {len(contents.program.nodes)} operations, "
        f"{found.multiply_adds / 1e9:.2f} billion multiply-adds, {found.peak_bytes / 2**20:.0f} MiB a clip "
        f"at most\n{name}: read in {read_s:.2f} s ({read_cpu_s:.2f} s of a core), run without numbers in "
        f"{surveyed_s:.2f} s, canonical file written in {written_s:.2f} s"
    )
    graph = build_graph(contents.program, contents.weights)
    clips_BCTHW = torch.rand(batch, *network.spec.clip_shape, generator=torch.Generator().manual_seed(0))
    pairs = {"as it is": (network, graph), "folded": (folded(network), graph.folded())}
    for layout in (torch.contiguous_format, torch.channels_last_3d):
        for form, (family, ours) in pairs.items():
            both = [one.to(memory_format=layout) for one in (family, ours)]  # type: ignore[call-overload]
            times = _times(both, clips_BCTHW.contiguous(memory_format=layout), rounds)
            family_ms, graph_ms = (1000 * statistics.median(column) / batch for column in times)
            ratio = statistics.median(b / a for a, b in zip(*times, strict=True))
            print(
                f"{name}: {form}, {str(layout).removeprefix('torch.')}: the family's own {family_ms:.1f} ms "
                f"a clip, the graph {graph_ms:.1f}, {ratio:.3f} times"
            )


def _times(networks: list[Backbone], clips_BCTHW: Tensor, rounds: int) -> list[list[float]]:
    times: list[list[float]] = [[] for _ in networks]
    with inference(CPU, "fp32"):
        for network in networks:  # what a first pass makes is kept
            network.stages(clips_BCTHW)
        for _ in range(rounds):
            for network, took in zip(networks, times, strict=True):
                begun = time.perf_counter()
                network.stages(clips_BCTHW)
                took.append(time.perf_counter() - begun)
    return times


if __name__ == "__main__":
    main()
