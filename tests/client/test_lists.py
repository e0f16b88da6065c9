"""`vcpbench models`, `checkpoints`, `evaluations`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
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


@pytest.mark.parametrize("model", ["mine", "team/net v2"])
def test_every_command_takes_the_first_characters_of_an_id_and_the_latest_of_a_model(
    run: Run, hands: Hands, client: Client, tmp_path: Path, model: str
) -> None:
    first, second = (
        client.upload(write_model(tmp_path / "model.pt", range(right)), model, step=right).id
        for right in (70, 40)
    )
    for checkpoint in (first[:8], f"{model}@latest"):
        assert run("evaluate", checkpoint, *ON_GESTURES).returncode == 0
    newer, older = client.evaluations(model=model)
    assert (older.checkpoint.id, newer.checkpoint.id) == (first, second)
    for word, meant in ((older.id[:8], older), (f"{model}@latest", newer)):
        assert json.loads(run("status", word, "--json").stdout)["id"] == meant.id
        assert run("results", word, "--json").stdout == client.results_json(meant.id)
        assert run("cancel", word).returncode == 2  # it is done
    compared = run("compare", older.id[:8], f"{model}@latest")
    assert f"first={older.id}&second={newer.id}" in compared.stderr
    listed = json.loads(run("evaluations", "--checkpoint", first[:8], "--json").stdout)
    assert [one["id"] for one in listed] == [older.id]
    rules = ("--against", older.id[:8], "--max-drop", "recognition.top1=0")
    judged = run("gate", "model.pt", "-m", model, *ON_GESTURES, *rules, "--json", "-")
    assert (judged.returncode, json.loads(judged.stdout)["baseline"]["id"]) == (1, older.id)
    cut = run("status", older.id[:3])
    assert (cut.returncode, "4 or more" in cut.stderr) == (2, True)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((), id="new-server"),
        pytest.param(("--sort", "-cloze.temporal", "--metric", "cloze.temporal"), id="metric"),
        pytest.param(("--model", "nobodys", "--latest"), id="filtered"),
        pytest.param(("--format", "markdown"), id="markdown"),
    ],
)
def test_an_empty_board_is_no_error_and_says_what_to_do(run: Run, words: tuple[str, ...]) -> None:
    found = run("leaderboard", *words)
    assert found.returncode == 0, found.stderr
    assert "Ask for one:\n  vcpbench evaluate FILE --model NAME --dataset playground-136" in found.stderr
    as_json = run("leaderboard", *words, "--json")
    assert (as_json.returncode, json.loads(as_json.stdout)["rows"]) == (0, [])
