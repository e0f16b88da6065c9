"""Notes, links and views from the client and the command line."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select
from vcpbench_client import Client
from vcpbench_client.errors import ApiError, NotFound

from records.models import Comparison, Evaluation
from tests.client.conftest import Run
from tests.client.hands import Hands
from tests.client.line import Line
from tests.patience import until
from tests.served import Served
from tests.service.finished import ready_dataset
from tests.service.kit import in_thread
from tests.web import played


@pytest.fixture
def evaluation(api: Served) -> UUID:
    with api.database.session() as session:
        return played.finished(session, ready_dataset(session, "playground"), "mine", seed=1, skill=0.8).id


def test_the_client_writes_notes_makes_links_and_saves_views(client: Client, evaluation: UUID) -> None:
    note = client.write_note("mine@latest", "one\ntwo")
    assert (note.evaluation, note.text, note.by) == (str(evaluation), "one\ntwo", "test")
    assert client.change_note(note.id, "three").edited_by == "test"
    assert [one.text for one in client.notes("mine@latest")] == ["three"]
    assert client.delete_note(note.id).text == "three"
    assert client.notes("mine@latest") == ()
    link = client.share("mine@latest", days=2)
    assert link.url is not None
    assert httpx.get(link.url).status_code == 200
    assert [(one.id, one.state, one.url) for one in client.shares()] == [(link.id, "live", None)]
    assert client.revoke(link.id).state == "revoked"
    assert httpx.get(link.url).status_code == 404
    view = client.save_view("ours", "/?team=default")
    assert client.views() == (view,)
    assert client.delete_view(view.id) == view
    with pytest.raises(NotFound, match="no view"):
        client.delete_view(view.id)


def test_a_deletion_is_sent_once(far: Client, line: Line, evaluation: UUID, tmp_path: Path) -> None:
    note, view = far.write_note("mine@latest", "one"), far.save_view("ours", "/?team=default")
    (tmp_path / "log.csv").write_text("step,loss\n100,1.5\n")
    log = far.upload_log(tmp_path / "log.csv", "mine")
    far.set_alias("champion", "mine@latest")
    for delete in (
        lambda: far.delete_note(note.id),
        lambda: far.delete_view(view.id),
        lambda: far.delete_log(log.id),
        lambda: far.remove_alias("champion"),
    ):
        line.faults.append((503, ""))
        line.cut()
        with pytest.raises(ApiError, match="answers 503"):
            delete()
        assert not line.faults
    kept = (far.notes("mine@latest"), far.views(), far.training_logs("mine"), tuple(far.aliases()))
    assert [len(each) for each in kept] == [1, 1, 1, 1]


def test_commands_write_notes_and_make_links(run: Run, evaluation: UUID) -> None:
    written = json.loads(run("note", "add", "mine@latest", "hello", "--json").stdout)
    assert written["text"] == "hello"
    assert "    hello" in run("note", "list", str(evaluation)).stdout.splitlines()
    assert "    bye" in run("note", "change", written["id"], "bye").stdout.splitlines()
    removed = run("note", "remove", written["id"])
    assert ("    bye" in removed.stdout.splitlines(), "is deleted" in removed.stderr) == (True, True)
    assert "There are none" in run("note", "list", "mine@latest").stderr
    made = run("share", "create", "mine@latest", "--days", "3")
    assert httpx.get(made.stdout.strip()).status_code == 200
    (link,) = json.loads(run("share", "list", "--json").stdout)
    assert link["id"] in run("share", "list").stdout
    assert run("share", "revoke", link["id"]).stdout == f"{link['id']} is revoked\n"
    assert httpx.get(made.stdout.strip()).status_code == 404
    assert run("share", "create", "mine@latest", "--days", "366").returncode == 2


def test_a_link_to_a_comparison_is_made_once_it_is_compared_and_progress_is_shown(
    api: Served, run: Run, hands: Hands, evaluation: UUID
) -> None:
    with api.database.session() as session:
        dataset = session.get_one(Evaluation, evaluation).dataset
        played.finished(session, dataset, "other", seed=2, skill=0.6)
    hands.work.clear()
    made = in_thread(lambda: run("share", "create", "mine@latest", "--against", "other@latest"))

    def asked() -> bool:
        with api.database.session() as session:
            return session.scalars(select(Comparison.id)).first() is not None

    until(asked)
    hands.work.set()
    found = made()
    assert found.returncode == 0, found.stderr
    assert "comparing: 0 %" in found.stderr
    assert httpx.get(found.stdout.strip()).status_code == 200
    (link,) = json.loads(run("share", "list", "--json").stdout)
    assert link["evaluation"] == str(evaluation)
    assert link["against"] is not None


def test_commands_save_list_and_remove_views(run: Run, api: Served) -> None:
    assert "vcpbench view save NAME ADDRESS" in run("view", "list").stderr
    saved = run("view", "save", "our runs", f"{api.url}/?team=default&latest=true")
    assert saved.stdout == f"our runs: {api.url}/?team=default&latest=true\n"
    (view,) = json.loads(run("view", "list", "--json").stdout)
    assert (view["name"], view["address"]) == ("our runs", "/?team=default&latest=true")
    assert f"vcpbench view remove {view['id']}" in saved.stderr
    assert f"{api.url}/?team=default&latest=true" in run("view", "list").stdout
    removed = run("view", "remove", view["id"])
    assert removed.stdout == "our runs is removed\n"
    assert "vcpbench view save 'our runs' '/?team=default&latest=true'" in removed.stderr
    assert json.loads(run("view", "list", "--json").stdout) == []
    refused = run("view", "save", "mine", "https://example.org/")
    assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)
