"""Measures the parts of the time of `vcpbench inspect`: medians of five runs, on one thread.

python -m bench.inspect
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from vcp_core.backbones import build

RUNS = 5
KEYS = "from vcp_core.backbones import BACKBONES, key_shapes; [key_shapes(name) for name in BACKBONES]"


def seconds(*command: str) -> float:
    """Median wall time of a command."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    times = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        subprocess.run(  # noqa: S603 - our own programs
            command, check=True, env=environment, stdout=subprocess.DEVNULL
        )
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    vcpbench = str(Path(sys.executable).with_name("vcpbench"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.pt"
        torch.save(build("r3d_tiny").state_dict(), file)
        parts = {
            "`vcpbench --version`: Python and the command line": (vcpbench, "--version"),
            "`import torch`, with Python's end": (sys.executable, "-I", "-c", "import torch"),
            "`import torch`, ended at once": (sys.executable, "-I", "-c", "import torch, os; os._exit(0)"),
            "the same, and the keys of all backbones": (
                sys.executable,
                "-c",
                f"{KEYS}; import os; os._exit(0)",
            ),
            "`vcpbench inspect` of r3d_tiny": (vcpbench, "inspect", str(file)),
        }
        for what, command in parts.items():
            print(f"| {what} | {seconds(*command):.2f} |", flush=True)


if __name__ == "__main__":
    main()
