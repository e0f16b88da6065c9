"""Training logs from the client and the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from vcpbench_client import Client
from vcpbench_client.errors import ApiError, FileError, NotFound

from tests.client.conftest import Run
from tests.client.line import Line
from tests.served import Served
from tests.service.finished import ready_checkpoint


@pytest.fixture
def csv(api: Served, tmp_path: Path) -> Path:
    with api.database.session() as session:
        ready_checkpoint(session, "mine", run="night", step=200)
    path = tmp_path / "log.csv"
    path.write_text("step,loss,accuracy\n100,1.5,\n200,1.25,40\n")
    return path


def test_the_client_uploads_reads_and_deletes_logs(client: Client, csv: Path) -> None:
    found = client.upload_log(csv, "mine", run="night")
    assert (found.run, found.num_rows, found.names, found.by) == ("night", 2, ("loss", "accuracy"), "test")
    whole = client.training_log(found.id)
    assert (whole.steps, whole.curves) == ((100, 200), {"loss": (1.5, 1.25), "accuracy": (None, 40.0)})
    assert client.training_logs("mine") == (found,)
    csv.write_text("step,loss\n100,high\n")
    with pytest.raises(ApiError, match="Line 2 of the log: loss is 'high'"):
        client.upload_log(csv, "mine", run="night")
    with pytest.raises(FileError, match="cannot be read"):
        client.upload_log(csv.parent / "nothing.csv", "mine")
    assert client.delete_log(found.id).id == found.id
    with pytest.raises(NotFound, match="No training log"):
        client.training_log(found.id)


def test_an_upload_is_retried_with_the_same_bytes(far: Client, line: Line, csv: Path) -> None:
    far.status()
    line.faults.extend([(503, ""), 0, (504, "Retry-After: 0\r\n")])
    line.cut()
    assert far.upload_log(csv, "mine", run="night").num_rows == 2
    assert not line.faults


def test_commands_upload_list_and_remove_logs(run: Run, csv: Path) -> None:
    made = run("log", "upload", str(csv), "--model", "mine", "--run", "night")
    assert "2 steps of loss, accuracy for run night of default/mine" in " ".join(made.stderr.split())
    assert made.stdout.strip() in run("log", "list", "--model", "mine").stdout
    (listed,) = json.loads(run("log", "list", "--model", "mine", "--json").stdout)
    assert listed["run"] == "night"
    assert run("log", "remove", listed["id"]).stdout == f"{listed['id']} is deleted\n"
    assert "There are none" in run("log", "list", "--model", "mine").stderr
    assert run("log", "upload", str(csv), "--model", "other").returncode == 2
