"""Compares networks with the same networks as graphs (.pt2), on this machine's CPU, in one run.

python -m bench.graphs                        r3d_18: reading, the run without numbers, and forward passes
python -m bench.graphs --backbones r3d s3d    other networks
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from vcp_core.backbones import Backbone, build
from vcp_core.backbones.folding import folded
from vcp_core.features.extraction import inference
from vcp_core.graphs import build_graph, load_meta_kernels, read_graph, survey, write_canonical
from vcp_core.graphs.operations import operations

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
    arguments = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, {len(operations())} operations in the table")
    load_meta_kernels()
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.backbones:
            path = Path(folder, f"{name}.pt2")
            network = build(name, seed=0)
            export(network, path)
            compare(network, path, arguments.batch, arguments.rounds)


def export(network: Backbone, path: Path) -> None:
    """Export a backbone with all its stages, and with a free number of clips."""
    clips_BCTHW = torch.zeros(2, *network.spec.clip_shape)
    with warnings.catch_warnings(action="ignore"):
        program = torch.export.export(
            Stages(network).eval(), (clips_BCTHW,), dynamic_shapes=({0: torch.export.Dim("clips", min=1)},)
        )
        torch.export.save(program, path)


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
