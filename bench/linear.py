"""Measures how time and memory of `vcpbench local` grow with the number of videos.

python -m bench.linear                                     200, 400 and 800 videos, r3d_tiny, quick-v1
python -m bench.linear --videos 40 60 --start 20           a try
python -m bench.linear --protocol standard-v1 --folder DIR keep the videos in DIR for the next run
python -m bench.linear --json                              the numbers for programs

All sets have ten classes and the same distribution of lengths. Each run is a process of its own with an
empty cache, without controls, and indexes its videos. The time of a run with few videos (`--start`) is taken
off the others, with its videos: loading torch takes as long for one video as for a thousand. The exponent is
the slope of log time over log videos.

Exits with 1 if the exponent is not within 0.95 to 1.05, or the peak of memory with the most videos is over
1.1 times the peak with the fewest. Run it with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from bench.rehearsal.manifest import like_ucf101
from bench.rehearsal.videos import Wanted, write
from vcp_core.backbones import build

NUM_CLASSES, CYCLE = 10, 100  # video i has the length of video i - 100, so every hundred has as many frames
TEST_EVERY = 3  # every third video of a class is a test video
LEAST_START = 2 * NUM_CLASSES
VCPBENCH = "import sys; from vcpbench_client.start import main; sys.exit(main())"  # of this tree
EXPONENTS, MOST_MEMORY = (0.95, 1.05), 1.1


@dataclass(frozen=True, kw_only=True)
class Run:
    """One evaluation.

    Attributes:
        seconds: Of the whole command.
        peak_mib: Peak memory of the command, or of its sandbox if that was larger.
    """

    seconds: float
    peak_mib: int


def make(folder: Path, num_videos: int) -> None:
    """Make the videos of the largest set. Files that are there are kept."""
    frames = [video.num_frames for video in like_ucf101(0.1).videos[:CYCLE]]
    write(
        Wanted(path=folder / _path(i), rule=i % NUM_CLASSES, look=i, num_frames=frames[i % CYCLE])
        for i in range(num_videos)
    )


def _path(number: int) -> str:
    return f"Class{number % NUM_CLASSES:02d}/v{number:05d}.avi"


def evaluate(folder: Path, num_videos: int, backbone: str, protocol: str) -> Run:
    """Run `vcpbench local` on the first videos of the folder."""
    with tempfile.TemporaryDirectory() as made:
        table, checkpoint = Path(made) / "videos.csv", Path(made) / "model.pt"
        with table.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["path", "label", "split"])
            for number in range(num_videos):
                test = number // NUM_CLASSES % TEST_EVERY == 0
                rows.writerow([_path(number), number % NUM_CLASSES, "test" if test else "train"])
        torch.save(build(backbone, seed=0).state_dict(), checkpoint)
        command = [sys.executable, "-c", VCPBENCH, "local", str(checkpoint), "--dataset", str(folder)]
        command += ["--csv", str(table), "--protocol", protocol, "--no-controls", "--device", "cpu"]
        environment = {**os.environ, "VCPBENCH_CACHE": str(Path(made) / "cache")}
        with (Path(made) / "said").open("w+b") as said:
            begun = time.perf_counter()
            process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)  # noqa: S603 - ours
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - begun
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said.seek(0)
                raise SystemExit(f"{num_videos} videos: {said.read().decode(errors='replace')}")
    return Run(seconds=seconds, peak_mib=usage.ru_maxrss >> 10)


def exponent(start: tuple[int, Run], runs: Mapping[int, Run]) -> float:
    """The slope of log time over log videos, start-up taken off.

    >>> start = 10, Run(seconds=6, peak_mib=0)
    >>> runs = {num: Run(seconds=5 + num / 10, peak_mib=0) for num in (20, 40, 80)}
    >>> round(exponent(start, runs), 6)
    1.0
    """
    few, started = start
    videos = np.log([num - few for num in runs])
    seconds = np.log([max(1e-9, run.seconds - started.seconds) for run in runs.values()])
    return float(np.polyfit(videos, seconds, 1)[0])


def missed(start: tuple[int, Run], runs: Mapping[int, Run]) -> list[str]:
    """The limits that are missed, in words."""
    said, found = [], exponent(start, runs)
    if not EXPONENTS[0] <= found <= EXPONENTS[1]:
        said.append(f"exponent of time: {found:.3f}; {EXPONENTS[0]} to {EXPONENTS[1]}")
    fewest, most = min(runs), max(runs)
    ratio = runs[most].peak_mib / runs[fewest].peak_mib
    if ratio > MOST_MEMORY:
        said.append(
            f"peak memory with {most:,} videos: {ratio:.2f} times that with {fewest:,}; at most {MOST_MEMORY}"
        )
    return said


def table(start: tuple[int, Run], runs: Mapping[int, Run]) -> str:
    """The lines for people."""
    lines = [f"{'videos':>7}{'seconds':>10}{'without start':>15}{'peak MiB':>10}"]
    for num_videos, run in (start, *runs.items()):
        rest = run.seconds - start[1].seconds
        lines.append(f"{num_videos:>7,}{run.seconds:>10.1f}{rest:>15.1f}{run.peak_mib:>10,}")
    return "\n".join([*lines, f"exponent {exponent(start, runs):.3f}"])


def measure(folder: Path, nums_videos: Sequence[int], backbone: str, protocol: str) -> dict[int, Run]:
    """Make the videos, and evaluate each set."""
    make(folder, max(nums_videos))
    return {num: evaluate(folder, num, backbone, protocol) for num in nums_videos}


def main() -> int:
    """Print a line for each number of videos."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--videos", nargs="+", type=int, default=[200, 400, 800])
    parser.add_argument("--start", type=int, default=50, help="videos of the run that is taken off")
    parser.add_argument("--backbone", default="r3d_tiny")
    parser.add_argument("--protocol", default="quick-v1")
    parser.add_argument("--folder", type=Path, help="make the videos here, and keep them")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.start < LEAST_START:
        parser.error(f"--start: give {LEAST_START} or more, so that each class has a video on each side")
    if len(arguments.videos) < 2 or min(arguments.videos) <= arguments.start:
        parser.error("--videos: give two numbers or more, all larger than --start")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).absolute()
        nums = [arguments.start, *sorted(arguments.videos)]
        runs = measure(folder, nums, arguments.backbone, arguments.protocol)
    start = arguments.start, runs.pop(arguments.start)
    said = missed(start, runs)
    if arguments.json:
        by_size = {num: asdict(run) for num, run in (start, *runs.items())}
        print(json.dumps({"runs": by_size, "exponent": exponent(start, runs), "missed": said}, indent=2))
    else:
        print("\n".join([table(start, runs), *said]))
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
