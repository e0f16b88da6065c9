"""`vcpbench models`, `checkpoints`, `evaluations`."""

from __future__ import annotations

import json
from pathlib import Path

from vcpbench_client import Client

from tests.client.conftest import Run
from tests.client.hands import Hands, write_model

ON_GESTURES = ("-d", "gestures", "-p", "quick-v1")


def fill(client: Client, tmp_path: Path) -> list[str]:
    """Two checkpoints of "mine", of which the first is evaluated, and a rejected one of "other"."""
    ids = []
    for model, step, more in (("mine", 1, {}), ("mine", 2, {}), ("other", 3, {"reject": "no weights"})):
        path = write_model(tmp_path / "model.pt", range(10 * step), **more)
        ids.append(client.upload(path, model, step=step, run="first").id)
    client.wait(client.evaluate(ids[0], "gestures", "quick-v1"))
    return ids


def test_each_lists_as_a_table_and_as_json(run: Run, hands: Hands, client: Client, tmp_path: Path) -> None:
    first, second, third = fill(client, tmp_path)
    models = run("models").stdout.splitlines()
    assert [line.split()[0] for line in models] == ["model", "other", "mine"]
    assert models[2].split()[1:5] == ["default", "2", "1", second]
    as_json = json.loads(run("models", "min", "--json").stdout)
    assert [(one["name"], one["num_checkpoints"], one["newest"]["id"]) for one in as_json] == [
        ("mine", 2, second)
    ]
    checkpoints = run("checkpoints").stdout.splitlines()[1:]
    assert [line.split()[0] for line in checkpoints] == [third, second, first]
    assert "rejected" in checkpoints[0]
    assert [one["id"] for one in json.loads(run("checkpoints", "-m", "mine", "--json").stdout)] == [
        second,
        first,
    ]
    (evaluation,) = client.evaluations()
    _, line = run("evaluations", "--model", "mine", "--state", "done", *ON_GESTURES).stdout.splitlines()
    assert line.split()[:6] == [evaluation.id, "mine", "1", "gestures", "quick-v1", "done"]
    (found,) = json.loads(run("evaluations", "--checkpoint", first, "--json").stdout)
    assert found["scores"][0]["metric"].startswith("recognition.")


def test_a_list_says_that_there_is_more_and_that_there_is_nothing(
    run: Run, hands: Hands, client: Client, tmp_path: Path
) -> None:
    empty = run("evaluations")
    assert (empty.returncode, empty.stdout, empty.stderr) == (0, "", "There are none.\n")
    assert json.loads(run("models", "--json").stdout) == []
    fill(client, tmp_path)
    some = run("checkpoints", "--limit", "2")
    assert len(some.stdout.splitlines()) == 3
    assert some.stderr == "There are more than 2. Show more of them: --limit 4\n"
    assert run("checkpoints", "--limit", "3").stderr == ""
    assert len(json.loads(run("checkpoints", "--limit", "2", "--json").stdout)) == 2
