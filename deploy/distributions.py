"""Compare the contents of the wheels with the files that git tracks: `python deploy/distributions.py dist`.

An editable install reads the checkout. So if a wheel lacks a template, a migration or a sample, only users
who install the wheel notice.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from configparser import ConfigParser
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"vcpbench": ROOT, "vcpbench_client": ROOT / "client"}  # where each distribution is built


def project(distribution: str) -> dict[str, object]:
    """The table `project` of a distribution's pyproject.toml."""
    text = (FOLDERS[distribution] / "pyproject.toml").read_text(encoding="utf-8")
    found: dict[str, object] = tomllib.loads(text)["project"]
    return found


def packages(distribution: str) -> set[str]:
    """Names of the top-level packages of a distribution, from the import rules in pyproject.toml."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    return {name for name in rules["root_packages"] if (FOLDERS[distribution] / name).is_dir()}


def tracked(folder: Path) -> list[str]:
    """Files under a folder that git tracks and that exist, relative to the folder."""
    run = subprocess.run(["git", "ls-files", "-z"], cwd=folder, capture_output=True, text=True, check=True)  # noqa: S607
    return [name for name in run.stdout.split("\0") if name and (folder / name).is_file()]


def wheels(folder: Path) -> dict[str, Path]:
    """The one wheel of each distribution in a folder.

    Raises:
        SystemExit: If a distribution has no wheel there, or several.
    """
    found = {}
    for distribution in FOLDERS:
        matching = sorted(folder.glob(f"{distribution}-*.whl"))
        if len(matching) != 1:
            raise SystemExit(f"{folder} holds {len(matching)} wheels of {distribution}. Run `make dist`.")
        found[distribution] = matching[0]
    return found


def entry_points(wheel: Path) -> dict[str, dict[str, str]]:
    """Entry points of a wheel: group, name, and `module:attribute`."""
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
        parser = ConfigParser(delimiters=("=",))
        parser.read_string(archive.read(name).decode())
    return {group: dict(parser[group]) for group in parser.sections()}


def problems(distribution: str, wheel: Path) -> list[str]:
    """Faults in the contents of a wheel, one line for each. The list is empty if there are none.

    A wheel holds the compiled form of a C source, and not the source.
    """
    with ZipFile(wheel) as archive:
        held = set(archive.namelist())
    inside = {name for name in held if ".dist-info/" not in name}
    ours = packages(distribution)
    wanted = {name for name in tracked(FOLDERS[distribution]) if name.partition("/")[0] in ours}
    sources = {name for name in wanted if name.endswith(".c")}
    wanted = (wanted - sources) | {name.removesuffix(".c") + ".abi3.so" for name in sources}
    found = [f"{wheel.name} lacks {name}" for name in sorted(wanted - inside)]
    found += [f"{wheel.name} holds {name}, which git does not track" for name in sorted(inside - wanted)]
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in held):
        found.append(f"{wheel.name} has no licence")
    for group in entry_points(wheel).values():
        for name, target in group.items():
            module = target.partition(":")[0].replace(".", "/")
            if not {f"{module}.py", f"{module}/__init__.py"} & inside:
                found.append(f"{wheel.name}: the entry point {name} leads to {target}, which the wheel lacks")
    return found


def main(folder: Path) -> None:
    """Check both wheels of a folder, and exit with 1 if one has a fault."""
    found = []
    for distribution, wheel in wheels(folder).items():
        found += problems(distribution, wheel)
        with ZipFile(wheel) as archive:
            print(f"{wheel.name}: {len(archive.namelist())} files, {wheel.stat().st_size / 1e6:.1f} MB")
    if found:
        raise SystemExit("\n".join(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
