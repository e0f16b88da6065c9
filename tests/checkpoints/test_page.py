"""docs/checkpoints.md says what is said of each file."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.pages import END
from bench.wrapped import WRAPPINGS, weights
from bench.wrappings import BEGIN, PAGE, read, row, table
from tests.checkpoints.test_read import save
from vcp_core.catalog.errors import CheckpointError
from vcp_core.checkpoints import ingest

pytestmark = pytest.mark.slow


@pytest.mark.product
def test_the_page_has_the_table_that_the_command_prints() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0] == table(), "run: python -m bench.wrappings --write"


def test_a_file_that_is_not_refused_gives_the_weights_that_went_into_it(tmp_path: Path) -> None:
    path = save(
        {"state_dict": {f"module.{key}": value for key, value in weights().items()}}, tmp_path / "a.pt"
    )
    assert read(path, apart=False).network == "state_dict.module."


@pytest.mark.parametrize(
    "name",
    [
        "Lightning's WeightAveraging",
        "without its outer folder",
        "TorchScript, not frozen",
        "frozen TorchScript",
    ],
)
def test_the_sandbox_says_the_same_as_its_child_does_in_this_process(name: str, tmp_path: Path) -> None:
    (wrapping,) = (one for one in WRAPPINGS if one.name == name)
    line = row(wrapping, tmp_path)
    path = tmp_path / wrapping.file_name
    if "| refused |" in line:
        with pytest.raises(CheckpointError) as caught:
            ingest(path, tmp_path / "out.safetensors")
        assert str(caught.value).removeprefix(f"{path}: ") in line
        return
    here = read(path, apart=False).read_as(variant=None, input_spec=None)
    assert ingest(path, tmp_path / "out.safetensors") == here
    assert (tmp_path / "out.safetensors").read_bytes() == (tmp_path / "canonical.safetensors").read_bytes()
