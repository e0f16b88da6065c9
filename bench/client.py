"""Measures the client's size and the time of `vcpbench --help`, in a fresh environment.

python -m bench.client
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLIENT = Path(__file__).parents[1] / "client"
REPEATS = 9


def main() -> None:
    """Print megabytes and milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        run([sys.executable, "-m", "venv", folder])
        pip = [f"{folder}/bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        (packages,) = Path(folder, "lib").glob("python*/site-packages")
        before = set(packages.rglob("*"))
        run([*pip, "install", str(CLIENT)])
        added = [path for path in packages.rglob("*") if path not in before and path.is_file()]
        print(f"installed  {sum(path.stat().st_size for path in added) / 1e6:.1f} MB")
        command = [f"{folder}/bin/vcpbench", "--help"]
        print(
            f"--help     {1000 * min(seconds(command) for _ in range(REPEATS)):.0f} ms, the best of {REPEATS}"
        )


def run(command: list[str]) -> None:
    """Run a command without showing its output."""
    subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 - commands of this page


def seconds(command: list[str]) -> float:
    """Wall time of a whole process."""
    begun = time.perf_counter()
    run(command)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
