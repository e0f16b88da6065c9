"""Measures the scores of the sample checkpoint, beside random weights and pixels.

python -m bench.sample                             prints the table: playground-344, quick-v1
python -m bench.sample --write                     puts it into the sample's page and README.md
python -m bench.sample --seed 1 --checkpoint FILE  measures on other videos, to choose the sample
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch

from bench import pages
from vcp_core import evaluate, load_protocol, random_weights
from vcp_core.catalog.paths import cache_dir
from vcp_core.datasets import playground
from vcp_core.results.types import Results, Score
from vcp_core.samples import sample_path

ROOT = Path(__file__).parents[1]
PAGES = (sample_path().with_name("README.md"), ROOT / "README.md")
BEGIN = "<!-- python -m bench.sample -->\n"
DATASET = "playground-344"
PROTOCOL = "quick-v1"
METRICS = {
    "cloze.accuracy": "cloze accuracy",
    "cloze.spatial": "spatial",
    "cloze.temporal": "temporal",
    "recognition.top1": "recognition top-1, linear",
    "retrieval.top1": "retrieval top-1",
}


def row(name: str, score: Score, controls: Iterable[Score]) -> str:
    """The row of one metric: sample, controls and lift with intervals, then pixels and chance."""
    lift = "" if score.lift is None else f"{score.lift:+.1f} [{score.lift_low:+.1f}, {score.lift_high:+.1f}]"
    pixels = "" if score.pixels is None else f"{score.pixels:.1f}"
    chance = "" if score.chance is None else f"{score.chance:.1f}"
    cells = (name, f"**{_shown(score)}**", "; ".join(map(_shown, controls)), lift, pixels, chance)
    return f"| {' | '.join(cells)} |"


def _shown(score: Score) -> str:
    return f"{score.value:.1f} [{score.low:.1f}, {score.high:.1f}]"


def table(sample: Results, controls: list[Results]) -> str:
    """The table, in percent with 95 % intervals."""
    lines = [
        "| percent | sample | random weights | lift | pixels | chance |",
        "|---|---|---|---|---|---|",
    ]
    for metric, name in METRICS.items():
        lines.append(row(name, sample.score(metric), [one.score(metric) for one in controls]))
    return "\n".join(lines) + "\n"


def measure(checkpoint: Path, seed: int) -> str:
    """Evaluate the checkpoint, and each control as a checkpoint, so that its scores have intervals, too."""
    folder = cache_dir() / f"playground-{seed}" if seed else None
    dataset, protocol = playground.load(DATASET, folder=folder, seed=seed), load_protocol(PROTOCOL)
    sample, controls = evaluate(checkpoint, dataset, protocol), []
    for start in protocol.control.seeds:
        network = random_weights("r3d_tiny", start, dataset, protocol)
        with tempfile.NamedTemporaryFile(suffix=".pt") as file:
            torch.save(network.state_dict(), file.name)
            controls.append(evaluate(file.name, dataset, protocol, controls=False))
    return table(sample, controls)


def main() -> None:
    """Print the table, or write it into its pages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write the table into the pages that show it")
    parser.add_argument(
        "--checkpoint", type=Path, default=sample_path(), help="a network other than the sample"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the playground; the sample's is 0")
    wanted = parser.parse_args()
    if wanted.write and (wanted.seed or wanted.checkpoint != sample_path()):
        parser.error("--write needs the sample and seed 0. Leave out --seed and --checkpoint.")
    found = measure(wanted.checkpoint, wanted.seed)
    for page in PAGES if wanted.write else ():
        pages.write(found, page, BEGIN)
    print(found, end="")


if __name__ == "__main__":
    main()
