"""The wheels that `make dist` builds: they hold what git tracks, and their entry points lead somewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

from deploy import distributions
from deploy.distributions import FOLDERS, ROOT
from tests.pages import links

BOTH = pytest.mark.parametrize("distribution", list(FOLDERS))


def project(distribution: str) -> dict[str, object]:
    return distributions.project(distribution)


def run_hook(hook: str, source: Path, out: Path) -> Path:
    """Build in a folder by setuptools, as `python -m build` does, and return the one file that was made."""
    out.mkdir()
    code = f"import sys; from setuptools import build_meta; build_meta.{hook}(sys.argv[1])"
    run = subprocess.run([sys.executable, "-c", code, str(out)], cwd=source, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both wheels: each from its source distribution, and that from a copy of the files that git tracks."""
    found = {}
    for distribution, folder in FOLDERS.items():
        temp = tmp_path_factory.mktemp(distribution)
        for name in distributions.tracked(folder):
            (temp / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / name, temp / "tree" / name)
        with tarfile.open(run_hook("build_sdist", temp / "tree", temp / "sdist")) as archive:
            archive.extractall(temp / "unpacked", filter="data")
        (unpacked,) = (temp / "unpacked").iterdir()
        found[distribution] = run_hook("build_wheel", unpacked, temp / "wheel")
    return found


@pytest.mark.long
@BOTH
def test_a_wheel_holds_what_git_tracks_in_its_packages_and_nothing_else(
    wheels: dict[str, Path], distribution: str
) -> None:
    assert distributions.problems(distribution, wheels[distribution]) == []


@pytest.mark.long
@pytest.mark.parametrize("lost", ["service/web/templates/base.html", "migrations/versions/__init__.py"])
def test_a_wheel_without_a_template_or_a_migration_is_refused(
    wheels: dict[str, Path], tmp_path: Path, lost: str
) -> None:
    damaged = tmp_path / wheels["vcpbench"].name
    with ZipFile(wheels["vcpbench"]) as whole, ZipFile(damaged, "w") as rest:
        for name in whole.namelist():
            if name != lost:
                rest.writestr(name, whole.read(name))
    assert distributions.problems("vcpbench", damaged) == [f"{damaged.name} lacks {lost}"]


@pytest.mark.long
def test_every_entry_point_of_the_wheels_can_be_loaded_from_them(
    wheels: dict[str, Path], tmp_path: Path
) -> None:
    site = tmp_path / "site"
    for wheel in wheels.values():
        with ZipFile(wheel) as archive:
            archive.extractall(site)
    code = """
import inspect, json, sys
from importlib.metadata import distributions
from pathlib import Path

loaded = {}
for distribution in distributions(path=[sys.argv[1]]):
    for entry in distribution.entry_points:
        entry.load()
        loaded[entry.name] = str(Path(sys.modules[entry.module].__file__).resolve())
print(json.dumps(loaded))
"""
    run = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", code, str(site)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    loaded = json.loads(run.stdout)
    assert {path for path in loaded.values() if not path.startswith(f"{site.resolve()}/")} == set()
    declared = {
        name
        for distribution in FOLDERS
        for name in (
            *project(distribution).get("scripts", {}),
            *project(distribution).get("entry-points", {}).get("vcpbench.commands", {}),
        )
    }
    assert loaded.keys() == declared


@pytest.mark.long
@BOTH
def test_a_wheel_carries_its_licences_and_a_page(wheels: dict[str, Path], distribution: str) -> None:
    with ZipFile(wheels[distribution]) as archive:
        held = archive.namelist()
        (name,) = (name for name in held if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
    licences = {
        str(path.relative_to(FOLDERS[distribution]))
        for pattern in project(distribution)["license-files"]
        for path in FOLDERS[distribution].glob(pattern)
    }
    assert licences
    assert {name.partition("/licenses/")[2] for name in held if "/licenses/" in name} == licences
    page = FOLDERS[distribution] / str(project(distribution)["readme"])
    assert metadata.endswith(page.read_text(encoding="utf-8"))
    assert "Description-Content-Type: text/markdown" in metadata


@BOTH
def test_the_page_of_a_distribution_links_to_no_file_of_the_tree(distribution: str) -> None:
    page = FOLDERS[distribution] / str(project(distribution)["readme"])
    assert links(page.read_text(encoding="utf-8")) == []


@BOTH
def test_classifiers_name_only_the_python_that_tests_run_on(distribution: str) -> None:
    versions = {
        line.rpartition(" ")[2]
        for line in project(distribution)["classifiers"]
        if line.startswith("Programming Language :: Python :: 3.")
    }
    assert versions == {str(project(distribution)["requires-python"]).removeprefix(">=")}
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in versions


def test_both_distributions_have_one_version_and_one_licence() -> None:
    whole, client = (project(distribution) for distribution in FOLDERS)
    assert whole["version"] == client["version"]
    assert whole["license"] == client["license"]
    assert (ROOT / "LICENSE").read_bytes() == (ROOT / "client/LICENSE").read_bytes()


def test_every_package_of_the_import_rules_belongs_to_one_distribution() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    split = [name for distribution in FOLDERS for name in distributions.packages(distribution)]
    assert sorted(split) == sorted(rules["root_packages"])
