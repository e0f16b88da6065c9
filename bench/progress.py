"""Prints the progress of evaluations that a server reports: stage, share done, time left, reason to wait.

vcpbench up --home /tmp/walk --port 8177
VCPBENCH_URL=http://127.0.0.1:8177 VCPBENCH_TOKEN=$(cat /tmp/walk/token) python -m bench.progress

The evaluations run one after another:

1. the sample, before its videos and controls are made
2. other weights, after both are made
3. a file without weights, on videos that take a minute to make
4. weights that are submitted right after that file
5. weights that are submitted while the only worker makes videos for another evaluation

A line is printed whenever state or stage change, and every 5 s. At the end of each evaluation the errors of
the estimated times are printed.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch
from vcpbench_client import Client, Evaluation

from vcp_core import build
from vcp_core.samples import sample_path

LOOK_S, EVERY_S = 0.25, 5.0
QUICK, LONG = "playground-64", "playground-344"


def weights(folder: Path, seed: int) -> Path:
    """A checkpoint of random weights."""
    path = folder / f"seed-{seed}.pt"
    torch.save(build("r3d_tiny", seed=seed).state_dict(), path)
    return path


class Walk:
    """Follows evaluations, and prints their progress."""

    def __init__(self, client: Client) -> None:
        self.client, self.begun = client, time.monotonic()

    def ask(self, path: Path, model: str, dataset: str) -> Evaluation:
        """Upload a file and ask for its evaluation."""
        return self.client.evaluate(self.client.upload(path, model), dataset, "quick-v1")

    def follow(self, name: str, asked: Evaluation, *, until_s: float = float("inf")) -> Evaluation:
        """Print an evaluation's progress until it ends, or for `until_s`.

        Raises:
            AssertionError: If the share done ever falls.
        """
        shown_at, last, most, estimates = -EVERY_S, ("", ""), 0.0, list[tuple[float, float]]()
        begun = time.monotonic()
        while True:
            found, now = self.client.evaluation(asked.id), time.monotonic()
            fraction = (found.progress.fraction if found.progress else None) or 0.0
            assert fraction >= most or found.ended, f"{found.id} fell from {most} to {fraction}"
            most = fraction
            if found.progress and found.progress.remaining_s:
                estimates.append((now, found.progress.remaining_s))
            words = (found.state, (found.progress and found.progress.stage) or "")
            if words != last or now - shown_at >= EVERY_S:
                self._print(name, found, now)
                last, shown_at = words, now
            if found.ended or now - begun > until_s:
                wrong = [round(at + left_s - now, 1) for at, left_s in estimates]
                if found.ended and wrong:
                    print(f"{name:7} estimates were wrong by {min(wrong):+} to {max(wrong):+} s")
                return found
            time.sleep(LOOK_S)

    def _print(self, name: str, found: Evaluation, now: float) -> None:
        progress = found.progress
        share = f"{100 * (progress.fraction or 0):5.1f} %" if progress else ""
        left = f"{progress.remaining_s:.0f} s left" if progress and progress.remaining_s else ""
        stage = (progress.stage if progress else None) or ""
        why = found.reason or found.waiting_for or ""
        print(
            f"{now - self.begun:6.1f} {name:7} {found.state:8} {share:8} {stage:28} {left:10} {why}",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as temp, Client() as client:
        folder, walk = Path(temp), Walk(client)
        walk.follow("first", walk.ask(sample_path(), "sample", QUICK))
        walk.follow("second", walk.ask(weights(folder, 5), "second", QUICK))
        notes = folder / "bad.pt"
        notes.write_bytes(b"\x80\x02}q\x00.")  # an empty pickle: only the server can refuse it
        walk.follow("bad", walk.ask(notes, "bad", LONG))
        walk.follow("third", walk.ask(weights(folder, 6), "third", QUICK))
        long = walk.ask(sample_path(), "sample", LONG)
        walk.follow("long", long, until_s=4)
        behind = walk.ask(weights(folder, 7), "fourth", QUICK)
        walk.follow("behind", behind, until_s=6)
        client.cancel(long.id)
        walk.follow("behind", behind)


if __name__ == "__main__":
    main()
