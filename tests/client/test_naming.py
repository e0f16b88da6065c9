"""Names from the client and the command line."""

from __future__ import annotations

import json

import pytest
from vcpbench_client import Client
from vcpbench_client.errors import Conflict, NotFound

from tests.client.conftest import Run
from tests.served import Served
from tests.service.finished import ready_checkpoint


@pytest.fixture
def checkpoint(api: Served) -> str:
    with api.database.session() as session:
        return str(ready_checkpoint(session, "mine", step=3).id)


def test_the_client_renames_tags_and_points_aliases(client: Client, checkpoint: str) -> None:
    assert client.rename("mine", "ours").former_names == ("mine",)
    assert client.tag("mine", add=["a", "b"]).tags == ("a", "b")
    assert client.tag("ours", remove=["b"]).tags == ("a",)
    (model,) = client.models(tag="a")
    assert (model.name, model.tags, model.former_names) == ("ours", ("a",), ("mine",))
    assert client.set_alias("@champion", client.checkpoint(checkpoint)).model == "ours"
    assert [one.checkpoint for one in client.aliases()] == [checkpoint]
    assert client.checkpoint("@champion").id == checkpoint
    client.remove_alias("champion")
    assert [move.checkpoint for move in client.alias_history("champion").moves] == [None, checkpoint]
    with pytest.raises(NotFound, match="no alias @champion"):
        client.checkpoint("@champion")
    client.rename("ours", "mine")
    with pytest.raises(Conflict, match="Leave one of the two out"):
        client.tag("mine", add=["a"], remove=["a"])


def test_the_client_and_commands_make_a_model_private(run: Run, client: Client, checkpoint: str) -> None:
    assert client.set_private("mine").private is True
    assert [one.private for one in client.models()] == [True]
    assert client.checkpoint(checkpoint).private is True
    assert "mine (private)" in run("models").stdout
    assert run("public", "mine").stdout.splitlines() == ["default/mine", "tags: none"]
    assert run("private", "mine").stdout.splitlines()[0] == "default/mine, private"
    assert json.loads(run("public", "mine", "--json").stdout)["private"] is False


def test_commands_rename_tag_and_point_aliases(run: Run, checkpoint: str) -> None:
    assert run("rename", "mine", "ours").stdout.splitlines() == [
        "default/ours", "former names: mine", "tags: none",
    ]  # fmt: skip
    assert json.loads(run("tag", "add", "ours", "x", "y", "--json").stdout)["tags"] == ["x", "y"]
    assert "tags: y" in run("tag", "remove", "mine", "x").stdout
    assert "ours" in run("models", "--tag", "y").stdout
    assert f"checkpoint {checkpoint}" in run("alias", "set", "champion", "ours@latest").stdout
    listed = run("alias", "list").stdout
    assert "@champion" in listed
    assert checkpoint in listed
    assert run("alias", "remove", "@champion").stdout == "@champion is removed\n"
    assert "removed" in run("alias", "history", "champion").stdout
    assert "There are none" in run("alias", "list").stderr
    refused = run("alias", "remove", "champion", "--json")
    assert (refused.returncode, json.loads(refused.stdout)["error"]["type"]) == (2, "NotFound")
