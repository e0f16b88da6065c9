"""Why a job failed, on its way from the child to its readers: with its fields, without operators' folders."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import update
from vcpbench_client import Client
from vcpbench_client.commands.common import error_facts
from vcpbench_client.errors import NotDone

from records import flow
from records.models import DatasetRow, DatasetState, Job, JobKind
from records.repositories import datasets, jobs
from tests.errors import EVERY, SECRET, SIGNS
from tests.served import Served
from tests.service.finished import ready_checkpoint
from tests.throwing import UNFORESEEN
from tests.videos import write_video
from vcp_core.catalog.errors import below
from vcp_core.catalog.names import printable
from vcp_core.catalog.protocols import PROTOCOLS
from worker import runner
from worker.job_loop import JobLoop

HTML = {"Accept": "text/html"}


def register(api: Served, name: str, source: str, *, last: bool = True, **options: str) -> UUID:
    """A dataset before an attempt to index it, and an evaluation of team "vision" that waits for it.

    Args:
        api: Of the installation.
        name: Of the dataset.
        source: Where it lies.
        last: Whether no attempt follows.
        options: Of its source.
    """
    with api.database.session() as session:
        row = DatasetRow(name=name, source={"name_or_path": source, **options}, state=DatasetState.INDEXING)
        session.add(row)
        session.flush()
        jobs.enqueue(session, JobKind.INDEX, team="ops", dataset_id=row.id)
        if last:
            before = {"crashes": jobs.MAX_CRASHES - 1, "outages": jobs.MAX_OUTAGES - 1}
            session.execute(update(Job).where(Job.dataset_id == row.id).values(before))
        protocol = datasets.keep_protocol(session, PROTOCOLS["quick-v1"])
        assert protocol is not None
        flow.lock(session)
        checkpoint = ready_checkpoint(session, model=name, team="vision")
        return flow.find_or_create(session, checkpoint, row, protocol.hash, team="vision")[0].id


def everything_told(api: Served, client: httpx.Client, name: str, evaluation: UUID) -> str:
    """All that a reader gets to see of a dataset and an evaluation that failed with it."""
    token = client.headers["Authorization"].removeprefix("Bearer ")
    paths = ("/v1/datasets", f"/v1/datasets/{name}", "/v1/evaluations", f"/v1/evaluations/{evaluation}")
    pages = (f"/evaluations/{evaluation}", f"/?dataset={name}&protocol=quick-v1", "/evaluations")
    answers = [client.get(path) for path in paths] + [client.get(page, headers=HTML) for page in pages]
    assert {answer.status_code for answer in answers} == {200}
    with Client(api.url, token) as own:
        found = own.evaluation(str(evaluation))
        failure = NotDone(found)
    return "\n".join(
        [*(answer.text for answer in answers), repr(found), str(failure), str(error_facts(failure))]
    )


def test_every_error_reaches_its_readers_with_its_fields(
    api: Served, job_loop: JobLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "COMMAND", (sys.executable, "-m", "tests.throwing"))
    asked = {name: register(api, name, "/videos") for name in EVERY}
    job_loop.run_until_idle()
    with api.client_of("vision") as team:
        for name, error in EVERY.items():
            show = below({Path("/videos"): name})
            for client, told in ((api.client, None), (team, show)):
                found = client.get(f"/v1/datasets/{name}").json()
                assert (found["state"], found["reason"]) == ("failed", error.text(told))
                path = error.path and (printable(str(error.path)) if told is None else told(error.path))
                assert found["cause"] == {"code": name, "path": path, "fields": error.fields}
                found = client.get(f"/v1/evaluations/{asked[name]}").json()
                assert found["reason"] == f"the dataset {name} cannot be used: {error.text(told)}"
                assert found["cause"] == {"code": name, "path": path, "fields": error.fields}
            said = everything_told(api, team, name, asked[name])
            assert [sign for sign in SIGNS if sign in said] == []


def no_classes(folder: Path) -> dict[str, str]:
    write_video(folder / "lonely.mp4", 9)
    return {"source": str(folder)}


def a_table_of_paths_elsewhere(folder: Path) -> dict[str, str]:
    write_video(folder / "a" / "x.mp4", 9)
    (folder / "videos.csv").write_text("path,label\n/mnt/lab7/Dr. Who/x.mp4,wave\n", encoding="utf-8")
    return {"source": str(folder)}


def a_table_of_files_that_are_not_there(folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True)
    (folder / "videos.csv").write_text("path,label\nx.mp4,wave\n", encoding="utf-8")
    return {"source": str(folder)}


def a_list_of_other_lines(folder: Path) -> dict[str, str]:
    (folder / "lists").mkdir(parents=True)
    for side in ("train", "test"):
        (folder / "lists" / f"{side}list01.txt").write_text("/mnt/lab7/Dr. Who\n", encoding="utf-8")
    return {"source": f"ucf101:{folder}", "lists": str(folder / "lists")}


def nothing(folder: Path) -> dict[str, str]:
    return {"source": str(folder)}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (no_classes, "vcpbench saw:\n  FOLDER/\n    lonely.mp4"),
        (a_table_of_paths_elsewhere, "videos.csv, line 2: a path lies outside the dataset's folder."),
        (a_table_of_files_that_are_not_there, "videos.csv, line 2: there is no file x.mp4 in gestures."),
        (a_list_of_other_lines, "gestures/lists/trainlist01.txt, line 1: … is not 'class/video.avi'."),
        (nothing, "There is no folder gestures (no such file or directory)."),
    ],
)
def test_an_operators_folder_reaches_no_team_and_the_operator_sees_it_whole(
    api: Served,
    job_loop: JobLoop,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], dict[str, str]],
    told: str,
) -> None:
    folder = tmp_path / SECRET / "set"
    evaluation = register(api, "gestures", **make(folder))
    job_loop.run_until_idle()
    with api.client_of("vision") as team, api.client_of("others") as others:
        for client in (team, others):
            assert told in client.get("/v1/datasets/gestures").json()["reason"]
            said = everything_told(api, client, "gestures", evaluation)
            assert [sign for sign in SIGNS if sign in said] == []
    reason = api.client.get("/v1/datasets/gestures").json()["reason"]
    shown = "/mnt/lab7/Dr. Who" if make is a_table_of_paths_elsewhere else printable(str(folder))
    assert shown in reason
    log = capsys.readouterr().out
    assert "job failed" in log
    assert shown in log.replace("\\\\", "\\").replace("\\'", "'")


def test_a_log_is_for_operators_for_a_library_may_print_any_path(
    api: Served, job_loop: JobLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "COMMAND", (sys.executable, "-m", "tests.throwing"))
    evaluation = register(api, UNFORESEEN, "/videos", last=False)
    job_loop.run_until_idle()
    with api.client_of("vision") as team:
        said = everything_told(api, team, UNFORESEEN, evaluation)
        assert "an unforeseen error of vcpbench (KeyError); operators see the end of its log" in said
        assert [sign for sign in (*SIGNS, "Traceback") if sign in said] == []
    page = api.client.get(f"/evaluations/{evaluation}", headers=HTML).text
    assert "Traceback" in page
    assert "lab7" in page
