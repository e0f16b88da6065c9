"""Install the wheels of a folder as a user would, and use them: `python deploy/try_wheels.py dist`.

Each environment is new. It has its own HOME and working folder and no PYTHONPATH, so that no file of the
checkout is found. Dependencies come from the index that pip is configured for, at the versions of
constraints.txt. Parts:

client   the client alone: its size, packages that it must not install, CPU time of starting it
whole    vcpbench[embedded,train]: `pip check`, the sample, `vcpbench demo --exit`; several minutes
resolve  let pip find wheels of all dependencies for every Python of RESOLVED, without installing them
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributions import ROOT, wheels

RESOLVED = ("3.11", "3.12", "3.13")
REPEATS = 9
LEFT_OUT = ("torch", "numpy", "pydantic", "fastapi", "vcp_core")  # the client must not install these
ROOTS_DATA = "/var/lib/vcpbench/"  # of a demo that root runs: PostgreSQL's account cannot read root's HOME
CONSTRAINTS = ("-c", str(ROOT / "constraints.txt"))


class Environment:
    """A virtual environment in a folder, with a HOME and a working folder for its programs."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "venv/bin"
        self.home, self.work = folder / "home", folder / "work"
        self.home.mkdir()
        self.work.mkdir()
        venv.create(folder / "venv", with_pip=True)
        kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        self.variables = {
            **kept,
            "HOME": str(self.home),
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
        }

    def run(self, program: str, *words: str) -> str:
        """Run a program of the environment, and return its standard output.

        Raises:
            SystemExit: If the program fails. The message holds its output.
        """
        run = subprocess.run(  # noqa: S603 - commands of this page
            [str(self.bin / program), *words],
            cwd=self.work,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if run.returncode:
            raise SystemExit(f"{run.stdout}\n{program} {' '.join(words)} exited with {run.returncode}.")
        return run.stdout

    def install(self, *what: str) -> None:
        """Install by pip, at the versions of constraints.txt."""
        self.run("python", "-m", "pip", "install", "--quiet", *CONSTRAINTS, *what)

    def size(self) -> int:
        """Bytes of all files in the environment, including pip and setuptools."""
        return sum(path.stat().st_size for path in self.bin.parent.rglob("*") if path.is_file())


@contextmanager
def environment() -> Iterator[Environment]:
    """A new environment, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="vcpbench-wheels-") as folder:
        # If root starts the demo, PostgreSQL's account runs programs of this environment.
        Path(folder).chmod(0o755)
        yield Environment(Path(folder))


def try_client(found: dict[str, Path]) -> None:
    """Install and start the client alone."""
    with environment() as env:
        before = env.size()
        env.install(str(found["vcpbench_client"]))
        print(f"client: {(env.size() - before) / 1e6:.0f} MB installed")
        code = f"from importlib.util import find_spec; print([n for n in {LEFT_OUT} if find_spec(n)])"
        there = env.run("python", "-P", "-c", code).strip()
        if there != "[]":
            raise SystemExit(f"The client's environment holds {there}.")
        print(f"client: without {', '.join(LEFT_OUT)}")
        if "--against" not in env.run("vcpbench", "gate", "--help"):
            raise SystemExit("`vcpbench gate --help` does not show --against.")
        for words in (
            ("vcpbench", "--help"),
            ("python", "-c", "import vcpbench_client"),
            ("python", "-c", "pass"),
        ):
            took_ms = 1000 * cpu_s(env, *words)
            print(f"client: {took_ms:.0f} ms of CPU for {' '.join(words)}, the best of {REPEATS}")


def cpu_s(env: Environment, *words: str) -> float:
    """The least CPU time of a program, in seconds. A busy machine changes it less than wall time."""
    times = []
    for _ in range(REPEATS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        env.run(*words)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(times)


def try_whole(found: dict[str, Path]) -> None:
    """Install everything, and run the demo."""
    with environment() as env:
        begun = time.monotonic()
        env.install(str(found["vcpbench_client"]), f"{found['vcpbench']}[embedded,train]")
        print(f"whole: installed in {time.monotonic() - begun:.0f} s, {env.size() / 1e6:.0f} MB")
        print(f"whole: {env.run('python', '-m', 'pip', 'check').strip()}")
        env.run("vcpbench", "sample", "--out", "sample.safetensors")
        env.run("vcpbench", "inspect", "sample.safetensors")
        begun = time.monotonic()
        home = env.home / "demo"
        try:
            said = env.run("vcpbench", "demo", "--exit", "--home", str(home))
        finally:
            clear(home)
        if "r3d_tiny-vcp" not in said:
            raise SystemExit(f"{said}\nThe demo shows no row of the sample.")
        print(f"whole: vcpbench demo --exit ended with 0 after {time.monotonic() - begun:.0f} s")


def clear(home: Path) -> None:
    """Remove the data of a demo that root ran, because these data lie outside of HOME."""
    if (home / "state.json").is_file():
        data = json.loads((home / "state.json").read_text(encoding="utf-8"))["data"]
        if data.startswith(ROOTS_DATA):
            shutil.rmtree(data)


def try_resolve(found: dict[str, Path]) -> None:
    """Let pip resolve the dependencies for every Python of `RESOLVED`."""
    with environment() as env:
        # Upgrade: the pip of Python 3.11 downloads all that it resolves, and so CUDA three times.
        env.run("python", "-m", "pip", "install", "--quiet", "--upgrade", "pip")
        for python in RESOLVED:
            report = env.work / "report.json"
            env.run(
                *(
                    "python",
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    *CONSTRAINTS,
                    "--dry-run",
                    "--report",
                    str(report),
                ),
                *("--python-version", python, "--only-binary", ":all:", "--target", str(env.work / "target")),
                *(str(found["vcpbench_client"]), f"{found['vcpbench']}[embedded,train]"),
            )
            chosen = json.loads(report.read_text(encoding="utf-8"))["install"]
            print(f"resolve: Python {python}: {len(chosen)} wheels are there; none was run")


PARTS = {"client": try_client, "resolve": try_resolve, "whole": try_whole}


def main() -> None:
    """Try the parts that the command line names, or all parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where `make dist` put the wheels")
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help="client, resolve or whole; all of them if left out"
    )
    asked = parser.parse_args()
    for unknown in set(asked.parts) - PARTS.keys():
        parser.error(f"there is no part {unknown}; choose from {', '.join(PARTS)}")
    found = wheels(asked.folder.resolve())
    for name in asked.parts or PARTS:
        PARTS[name](found)


if __name__ == "__main__":
    main()
