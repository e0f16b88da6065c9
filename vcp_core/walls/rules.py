"""The files that Python and torch read while they are imported."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

PACKAGE_FOLDERS = ("site-packages", "dist-packages")
LINKER = Path("/etc/ld.so.conf.d")
SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/gnu/store",
    "/etc/ld.so.cache",
    "/dev/null",
    "/dev/urandom",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
)


def python_files(packages: Iterable[str]) -> tuple[Path, ...]:
    """List the files and folders that imports read: the interpreter, packages and libraries.

    A folder of `sys.path` counts only if it holds nothing but packages. A checkout or the working folder does
    not count, because secrets can lie there. Of those, only the named packages' own folders can be read.

    Args:
        packages: Names of packages that must be found, wherever they lie. They are not imported.

    >>> any(str(path).endswith("vcp_core") for path in python_files(["vcp_core"]))
    True
    """
    standard = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    installed = [entry for entry in sys.path if Path(entry).name in PACKAGE_FOLDERS or os.path.isfile(entry)]
    libraries = [str(sysconfig.get_config_var("LIBDIR") or "")]
    libraries += [*os.environ.get("LD_LIBRARY_PATH", "").split(":"), *_configured()]
    found = [*SYSTEM, *standard, *installed, *libraries, *_folders_of(packages)]
    return tuple(Path(path) for path in dict.fromkeys(found) if os.path.isabs(path) and os.path.exists(path))


def _configured() -> list[str]:
    """List the folders that the machine's linker looks in besides the usual ones, such as CUDA's."""
    lines = [line for file in sorted(LINKER.glob("*.conf")) for line in file.read_text().splitlines()]
    return [line.strip() for line in lines]


def _folders_of(packages: Iterable[str]) -> list[str]:
    specs = [importlib.util.find_spec(name) for name in packages]
    return [folder for spec in specs if spec for folder in spec.submodule_search_locations or ()]
