"""What a package may load: `import vcp_core` is cheap, and the client knows neither torch nor us."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def modules_loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize(
    "statement",
    [
        "import vcp_core",
        "import vcp_core.catalog.backbones, vcp_core.catalog.protocols, vcp_core.catalog.benchmarks",
        "import vcp_core.datasets",
        "import vcp_core.statistics",
        "import vcp_core.evaluation.plan, vcp_core.evaluation.estimate, vcp_core.scoring.comparison",
        "import stack.commands.local, stack.commands.plan, stack.commands.inspect, stack.commands.dataset",
        "import vcpbench_client.cli",
        "import service.app",
        "import worker.app, worker.child",
        "import stack.commands.server, stack.engines",
    ],
)
def test_torch_is_loaded_only_by_what_computes(statement: str) -> None:
    assert "torch" not in modules_loaded_by(statement)


def test_what_help_loads_is_quick_to_load() -> None:
    program = Path(sys.executable).with_name("vcpbench")
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", program, "--help"], capture_output=True, text=True, check=True
    )
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in shown.stderr.splitlines()}
    assert "typer" in loaded
    assert not {"torch", "numpy", "pydantic", "sqlalchemy", "httpx"} & loaded


def test_every_public_name_of_the_library_is_there() -> None:
    import vcp_core
    import vcp_core.evaluation.evaluate  # whoever imports a module of ours must not hide a name of the face

    for name in vcp_core.__all__:
        assert callable(getattr(vcp_core, name))
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        vcp_core.evalute  # noqa: B018  (the access is what is tested)


def test_no_file_is_longer_than_600_lines() -> None:
    tracked = [
        path
        for folder in (
            "vcp_core",
            "records",
            "service",
            "worker",
            "stack",
            "migrations",
            "client",
            "tests",
            "bench",
        )
        for path in (ROOT / folder).rglob("*.py")
    ]
    long = {str(path): n for path in tracked if (n := path.read_text().count("\n")) > 600}
    assert not long
