"""`vcpbench answers`, and the switch of previews."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select
from vcpbench_client import Client
from vcpbench_client.errors import Forbidden, NotFound

from records.models import DatasetRow
from tests.client.conftest import Run
from tests.served import Served
from tests.service.finished import ready_dataset
from tests.web import played


@pytest.fixture
def two(api: Served) -> tuple[str, str]:
    """Evaluations of a worse and a better network, which answered the same videos."""
    with api.database.session() as session:
        dataset = ready_dataset(session, "clips")
        made = [played.finished(session, dataset, f"m{n}", seed=n, skill=0.4 * n) for n in (1, 2)]
        return str(made[0].id), str(made[1].id)


def test_answers_lists_what_filters_keep_and_where_the_videos_are(
    run: Run, api: Served, two: tuple[str, str]
) -> None:
    found = run("answers", "m1@latest", "--wrong", "--class", "spin", "--limit", "3")
    assert found.returncode == 0, found.stderr
    title, heading, *rows = found.stdout.splitlines()
    assert title.startswith("m1, recognition, linear: ")
    assert heading.split() == ["video", "group", "truth", "answer", "sure,", "%"]
    assert [(row.split()[0], row.split()[3]) for row in rows] == [("wrong", "spin")] * 3
    sure = [float(row.split()[5]) for row in rows]
    assert sure == sorted(sure, reverse=True)
    assert "Rows 1 to 3 of" in found.stderr
    page = found.stderr.splitlines()[-1]
    assert page.startswith(f"{api.url}/evaluations/{two[0]}/gallery?")
    assert "truth=spin&right=false" in page
    as_json = json.loads(run("answers", two[0][:8], "--wrong", "--class", "spin", "--json").stdout)
    assert f": {as_json['num_right']} right, {as_json['num_wrong']} wrong" in title
    assert {one["truth"] for one in as_json["items"]} == {"spin"}


def test_answers_of_another_evaluation_stand_beside(run: Run, two: tuple[str, str]) -> None:
    words = ("answers", "m1@latest", "--wrong", "--against", "m2@latest", "--other-right", "--limit", "500")
    found = run(*words)
    assert found.returncode == 0, found.stderr
    _, heading, *rows = found.stdout.splitlines()
    assert heading.rstrip().endswith("the other")
    assert rows
    assert all((row.split()[0], row.split()[-1]) == ("wrong", "right") for row in rows)
    assert all(row.split()[3] == row.split()[-2] for row in rows), "the other answers the truth"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(("--metric", "retrieval.top1"), "m1, retrieval, ", id="retrieval"),
        pytest.param(("--metric", "cloze.recall.rotation", "--wrong"), "m1, cloze, relational: ", id="cloze"),
        pytest.param(("--part", "knn"), "m1, recognition, knn: ", id="part"),
    ],
)
def test_a_metric_names_the_answers(
    run: Run, two: tuple[str, str], words: tuple[str, ...], says: str
) -> None:
    found = run("answers", "m1@latest", *words)
    assert (found.returncode, found.stdout.startswith(says)) == (0, True), found.stdout + found.stderr


def test_answers_that_no_filter_keeps_are_no_error(run: Run, two: tuple[str, str]) -> None:
    none = run("answers", "m1@latest", "--video", "no such video")
    assert (none.returncode, "There are none." in none.stderr) == (0, True)
    slip = run("answers", "m1@latest", "--class", "spinn")
    assert (slip.returncode, "spin" in slip.stderr) == (2, True)


def test_previews_are_switched_off_and_on(run: Run, client: Client, api: Served) -> None:
    with api.database.session() as session:
        ready_dataset(session, "clips")
    assert run("admin", "previews", "clips").stdout == "previews of clips: on\n"
    off = run("admin", "previews", "clips", "--off")
    assert off.stdout == "previews of clips: off\n"
    assert "To undo this: vcpbench admin previews clips --on" in off.stderr
    assert not client.dataset("clips").shows_media
    assert json.loads(run("admin", "previews", "clips", "--json").stdout)["shows_media"] is False
    on = run("admin", "previews", "clips", "--on")
    assert (on.stdout, "--off" in on.stderr) == ("previews of clips: on\n", True)
    with api.database.session() as session:
        assert session.scalars(select(DatasetRow.shows_media)).one()
    with pytest.raises(NotFound, match="Did you mean 'clips'"):
        client.set_previews("clip", shown=False)


def test_only_administrators_switch_previews(api: Served) -> None:
    with api.database.session() as session:
        ready_dataset(session, "clips")
    token = api.client_of("vision").headers["Authorization"].removeprefix("Bearer ")
    with Client(api.url, token) as member, pytest.raises(Forbidden):
        member.set_previews("clips", shown=False)
