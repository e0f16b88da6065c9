"""Deletions and sizes from the client and the command line."""

from __future__ import annotations

import json

import pytest
from vcpbench_client import Client
from vcpbench_client.errors import ApiError, Gone, NotFound

from tests import stored
from tests.client.conftest import Run
from tests.client.line import Line
from tests.served import Served
from tests.service.kit import declare, noise
from tests.stored import World


@pytest.fixture
def world(api: Served) -> World:
    return stored.make(api.database, api.app.state.storage)


def test_the_client_says_what_would_go_and_deletes(client: Client, world: World) -> None:
    first, _, third = map(str, world.evaluations)
    would = client.delete_evaluation(first, dry_run=True)
    assert (would.dry_run, would.name) == (True, "vision/ours on gestures under quick-v1")
    assert client.evaluation(first).id == first
    did = client.delete_evaluation(first)
    assert (did.goes, did.stays) == (would.goes, would.stays)
    with pytest.raises(Gone, match="was deleted on 20"):
        client.evaluation(first)
    (ended,) = [one for one in client.alias_history("champion", team="vision").moves]
    assert ended.deleted_at is None
    assert client.delete_checkpoint("vision/ours@latest").id == str(world.ours)
    assert client.alias_history("champion", team="vision").moves[0].deleted_at is not None
    assert client.delete_model("audio/twin").kind == "model"
    with pytest.raises(NotFound):
        client.delete_model("audio/twin")
    client._transport.once("DELETE", "/datasets/gestures")
    (retired,) = client.retired_datasets()
    assert retired.num_evaluations == 1
    assert client.delete_dataset(retired.id).name == "gestures"
    with pytest.raises(Gone):
        client.evaluation(third)


def test_a_deletion_is_sent_once_and_a_dry_run_until_it_is_answered(
    far: Client, line: Line, world: World
) -> None:
    wanted = str(world.evaluations[0])
    line.faults.append((503, ""))
    assert far.delete_evaluation(wanted, dry_run=True).dry_run
    line.faults.append((503, ""))
    line.cut()
    with pytest.raises(ApiError, match="answers 503"):
        far.delete_evaluation(wanted)
    assert far.evaluation(wanted).id == wanted


def test_the_model_that_was_shown_is_deleted_and_none_that_is_called_like_its_long_name(
    run: Run, api: Served, client: Client
) -> None:
    for number, name in enumerate(("r3d", "default/r3d")):
        declare(api.client, noise(10, number), name)
    assert "model default/r3d (" in run("delete", "model", "r3d", "--dry-run").stdout
    assert run("delete", "model", "r3d", "--yes").returncode == 0
    assert [one.name for one in client.models()] == ["default/r3d"]


def test_commands_ask_before_they_delete(run: Run, world: World) -> None:
    wanted = str(world.ours)
    shown = run("delete", "checkpoint", wanted, "--dry-run")
    assert f"The checkpoint vision/ours ({wanted}) would go, with:" in shown.stdout
    assert "1 aliases: @champion" in shown.stdout
    assert "Others use these, too, so they stay:" in shown.stdout
    refused = run("delete", "checkpoint", wanted)
    assert refused.returncode == 2
    assert "To confirm, add --yes" in refused.stderr
    assert json.loads(run("delete", "checkpoint", wanted, "--dry-run", "--json").stdout)["dry_run"] is True
    assert "is deleted, with:" in run("delete", "checkpoint", wanted, "--yes").stdout
    gone = run("delete", "checkpoint", wanted, "--yes")
    assert (gone.returncode, "was deleted on" in gone.stderr) == (2, True)
    assert run("delete", "evaluation", str(world.evaluations[2]), "--yes").returncode == 0
    deleted = json.loads(run("delete", "model", "vision/other", "--yes", "--json").stdout)
    assert (deleted["kind"], deleted["dry_run"]) == ("model", False)
    assert "There are none" in run("delete", "dataset").stderr
    assert "deleted 20" in run("alias", "history", "champion", "--team", "vision").stdout


def test_sizes_are_printed_by_kind_and_team(run: Run, world: World) -> None:
    table = run("admin", "sizes")
    assert "features" in table.stdout
    assert "shared" in table.stdout
    assert "The next sweep would free" in table.stderr
    found = json.loads(run("admin", "sizes", "--json").stdout)
    assert found["count"] == sum(one["count"] for one in found["sizes"])
