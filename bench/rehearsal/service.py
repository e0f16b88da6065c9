"""Rehearses an evaluation at UCF101's size through the whole service, and prints what it cost.

python -m bench.rehearsal.service --part 0.005                       a try: 67 videos, minutes
python -m bench.rehearsal.service --part 0.1 --workers 2 --kill      1,332 videos; a worker is killed midway
python -m bench.rehearsal.service --part 0.1 --stop-and-resume       all processes end midway, and start again
python -m bench.rehearsal.service --extraction hash                  13,320 videos that do not exist
python -m bench.rehearsal.service --part 0.005 --json                the numbers for programs

It makes generated videos, and starts PostgreSQL, Valkey, the API and workers in a folder of its own. It
registers the videos, uploads random weights, and follows their evaluation. Then it prints time by part,
database time by job, peak memory by process, disk by kind, and rows and bytes of the database. With
`--extraction hash`, workers of the bench (bench/worker.py) make up manifest and features; everything else is
the product.

Exits with 1 if the evaluation fails, a job failed or ran twice to its end, clips are missing, or a limit
(`--most-...`) is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.installation import LOOK_S, BenchFailed, Installation
from bench.memory import Peaks
from bench.rehearsal import account
from bench.rehearsal.manifest import like_ucf101
from bench.rehearsal.videos import make_part
from vcp_core.catalog.protocols import PROTOCOLS

DATASET, FEWEST = "rehearsal", "rehearsal-fewest-controls"
MIDWAY = 0.5  # of the forwarded clips
LIMITS = {
    "most_minutes": ("minutes from the request to the end", "min"),
    "most_memory_mib": ("peak memory of the largest process", "MiB"),
    "most_database_ms": ("median database time of a shard", "ms"),
    "most_features_mib": ("features in the store", "MiB"),
    "most_retries": ("attempts that were lost or crashed", ""),
}
Found = dict[str, Any]


def rehearse(folder: Path, arguments: argparse.Namespace) -> Found:
    """Run the rehearsal, and return its numbers."""
    videos = (arguments.videos or folder / "videos").absolute()
    videos.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    num_videos = (
        make_part(videos, arguments.part)
        if arguments.extraction == "real"
        else len(like_ucf101(arguments.part).videos)
    )
    making_s = time.perf_counter() - begun
    installation = Installation(
        folder,
        arguments.workers,
        worker=["--extraction", arguments.extraction, "--part", str(arguments.part)],
    )
    try:
        with installation, Peaks(installation.processes) as peaks:
            seconds, evaluation_id = _evaluate(installation, videos, arguments)
            with installation.database.session() as session:
                jobs = account.jobs(session, evaluation_id)
                database = account.database(session)
    finally:
        if not arguments.folder:
            installation.remove()
    return {
        "videos": num_videos,
        "making_s": making_s,
        "request_to_end_s": seconds,
        "jobs": jobs,
        "database_time": account.by_job(installation.reports()),
        "memory_mib": peaks.mib,
        "disk": account.disk(folder / "objects", videos if arguments.extraction == "real" else None),
        "database": database,
    }


def _evaluate(installation: Installation, videos: Path, arguments: argparse.Namespace) -> tuple[float, str]:
    """Ask for an evaluation and follow it to its end. Return its seconds and its id."""
    installation.post("datasets", {"name": DATASET, "location": str(videos)})
    protocol = arguments.protocol
    if not arguments.controls:
        few = {"seeds": PROTOCOLS[protocol].control.seeds[:1], "pixels": False}
        installation.post("protocols", {"name": FEWEST, "base": protocol, "control": few})
        protocol = FEWEST
    begun = time.perf_counter()
    asked = installation.ask(arguments.backbone, 0, DATASET, protocol)
    disturbed = not (arguments.kill or arguments.stop_and_resume)
    while not (found := installation.look(asked.id)).ended:
        _say(found.state, found.progress.fraction if found.progress else None)
        clips = found.progress
        if not disturbed and clips and clips.clips_done > MIDWAY * clips.clips_total > 0:
            disturbed = True
            _disturb(installation, arguments)
        time.sleep(LOOK_S)
    if not disturbed:
        raise BenchFailed("the evaluation ended before anything could be killed; take a larger part")
    return time.perf_counter() - begun, asked.id


def _disturb(installation: Installation, arguments: argparse.Namespace) -> None:
    if arguments.kill:
        _say("killing worker-0")
        installation.kill_worker(0)
        installation.start_worker(0)
    if arguments.stop_and_resume:
        _say("stopping everything, and starting again")
        installation.stop()
        installation.start()


def _say(words: str, fraction: float | None = None) -> None:
    if sys.stderr.isatty():
        done = "" if fraction is None else f" {100 * fraction:.1f} %"
        print(f"\r\033[K{words}{done}", end="", file=sys.stderr, flush=True)


def missed(found: Found, arguments: argparse.Namespace) -> list[str]:
    """What is wrong with a rehearsal, and which limits it misses, in words."""
    lines = []
    for job in found["jobs"]:
        whose = "" if job["own"] else " of controls"
        if job["done"] != job["jobs"]:
            lines.append(
                f"{job['jobs'] - job['done']} of {job['jobs']} {job['kind']} jobs{whose} are not done"
            )
        if job["kind"] == "extract" and job["forwarded"] != job["clips"]:
            lines.append(f"{job['forwarded']:,} clips{whose} were forwarded instead of {job['clips']:,}")
    if arguments.kill and not any(job["losses"] for job in found["jobs"]):
        lines.append("a worker was killed between two jobs, so no job was lost; run it again")
    values = {
        "most_minutes": found["request_to_end_s"] / 60,
        "most_memory_mib": max(found["memory_mib"].values()),
        "most_database_ms": found["database_time"]["extract"]["median_ms"],
        "most_features_mib": found["disk"].get("store: features", 0) / 2**20,
        "most_retries": sum(job["retries"] for job in found["jobs"]),
    }
    for name, (what, unit) in LIMITS.items():
        limit = getattr(arguments, name)
        if limit is not None and values[name] > limit:
            unit = unit and f" {unit}"
            lines.append(f"{what}: {values[name]:,.1f}{unit}; at most {limit:,g}{unit}")
    return lines


def table(found: Found) -> str:
    """The lines for people."""
    lines = [
        f"{found['videos']:,} videos, made in {found['making_s']:.0f} s; "
        f"{found['request_to_end_s']:.0f} s from the request to the end",
        "",
        f"{'jobs':<26}{'number':>8}{'retries':>9}{'lost':>6}{'sum s':>10}{'wall s':>10}{'clips':>10}",
    ]
    for job in found["jobs"]:
        name = job["kind"] if job["own"] else f"{job['kind']}, controls"
        lines.append(
            f"{name:<26}{job['jobs']:>8,}{job['retries']:>9,}{job['losses']:>6,}{job['job_s']:>10.1f}"
            f"{job['wall_s']:>10.1f}{job['clips']:>10,}"
        )
    lines += [
        "",
        f"{'database time of':<26}{'attempts':>8}{'sessions':>9}{'median ms':>10}{'most ms':>10}"
        f"{'with Python':>13}",
    ]
    for kind, one in found["database_time"].items():
        lines.append(
            f"{kind:<26}{one['attempts']:>8,}{one['sessions']:>9.0f}{one['median_ms']:>10.1f}"
            f"{one['most_ms']:>10.1f}{one['session_ms']:>13.1f}"
        )
    lines += ["", f"{'peak memory of':<26}{'MiB':>8}"]
    lines += [f"{name:<26}{mib:>8,}" for name, mib in sorted(found["memory_mib"].items())]
    database = found["database"]
    lines += ["", f"{'disk':<26}{'MiB':>10}"]
    sizes = {**found["disk"], "database": database["bytes"]}
    lines += [f"{name:<26}{size / 2**20:>10,.1f}" for name, size in sizes.items()]
    num = database["evaluations"]
    lines += [
        "",
        f"{num} evaluations, controls included; PostgreSQL worked for {database['active_ms'] / 1000:.1f} s "
        f"in {database['commits']:,} transactions",
        f"{'table':<26}{'rows':>10}{'MiB':>9}{'rows each':>12}{'KiB each':>10}",
    ]
    for name, one in database["tables"].items():
        lines.append(
            f"{name:<26}{one['rows']:>10,}{one['bytes'] / 2**20:>9.1f}{one['rows'] / num:>12,.1f}"
            f"{one['bytes'] / 2**10 / num:>10,.1f}"
        )
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--part", type=float, default=1.0, help="of UCF101's 13,320 videos")
    parser.add_argument("--backbone", default="r3d_tiny")
    parser.add_argument("--protocol", default="standard-v1", choices=sorted(PROTOCOLS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--extraction", choices=["real", "hash"], default="real")
    parser.add_argument("--kill", action="store_true", help="kill a worker midway, and start it again")
    parser.add_argument("--stop-and-resume", action="store_true", help="end everything midway, and go on")
    parser.add_argument(
        "--controls",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="--no-controls: one seed and no pixels, the fewest that a protocol can have",
    )
    parser.add_argument("--folder", type=Path, help="keep everything here; a new one is deleted at the end")
    parser.add_argument("--videos", type=Path, help="make the videos here, and keep them")
    parser.add_argument("--json", action="store_true")
    for name, (what, unit) in LIMITS.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=float, metavar=unit or "N", help=f"limit: {what}")
    arguments = parser.parse_args()
    if arguments.folder and (arguments.folder / "reports").exists():
        parser.error(f"{arguments.folder} holds an earlier rehearsal. Choose a new folder.")
    return arguments


def main() -> int:
    """Print the tables, or JSON."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as temporary:
        try:
            found = rehearse((arguments.folder or Path(temporary)).absolute(), arguments)
        except BenchFailed as error:
            print(f"The rehearsal failed: {error}", file=sys.stderr)
            return 1
    lines = missed(found, arguments)
    if arguments.json:
        print(json.dumps({**found, "missed": lines}, indent=2))
    else:
        print("\n".join([table(found), *lines]))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
