"""A dataset's location is checked when it is registered: its form always, its files where they are seen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from records.models import DatasetRow, Job
from records.settings import Settings
from service.datasets.files import check_files
from tests.served import Served, serve
from tests.service.kit import problem_of
from vcp_core.catalog.errors import DatasetError
from vcp_core.catalog.locations import Location

NOBODY = 65534  # the account of this number has no rights on any system


@pytest.fixture
def local(settings: Settings) -> Iterator[Served]:
    """A service on the workers' machine, as `vcpbench up` starts it."""
    with serve(settings.model_copy(update={"datasets_are_local": True})) as served:
        yield served


def register(api: Served, location: object, **more: Any) -> httpx.Response:
    return api.client.post("/v1/datasets", json={"name": "gestures", "location": str(location), **more})


def nothing_was_kept(api: Served) -> bool:
    with api.database.session() as session:
        return not any(session.scalar(select(func.count()).select_from(kind)) for kind in (DatasetRow, Job))


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("videos", "A location is one of: /FOLDER"),
        ("a/b", "not an absolute path"),
        ("ucf101:", "ucf101:/FOLDER"),
    ],
)
def test_a_location_of_no_form_is_refused_everywhere(api: Served, location: str, says: str) -> None:
    assert says in problem_of(register(api, location), 422)["detail"]
    assert nothing_was_kept(api)


def test_where_the_service_sees_the_folders_one_that_is_not_there_is_refused(
    local: Served, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").touch()
    for location, more, says in (
        (tmp_path / "gone", {}, f"The folder {tmp_path}/gone does not exist on this machine"),
        (f"ucf101:{tmp_path}/gone", {}, f"The folder {tmp_path}/gone does not exist"),
        (tmp_path / "file", {}, f"The folder {tmp_path}/file is no folder"),
        (tmp_path / "there", {"csv": f"{tmp_path}/gone.csv"}, f"The file {tmp_path}/gone.csv does not exist"),
        (tmp_path / "there", {"csv": f"{tmp_path}/there"}, "is no file"),
        (tmp_path / "there", {"lists": f"{tmp_path}/gone"}, f"The folder {tmp_path}/gone does not exist"),
        ("~nobody-of-this-name/videos", {}, "cannot be looked for"),
        (f"/{'x' * 300}", {}, "cannot be looked for"),
    ):
        assert says in problem_of(register(local, location, **more), 422)["detail"], location
    assert nothing_was_kept(local)
    assert register(local, tmp_path / "there").status_code == 202
    assert register(local, "playground").status_code == 202


def test_what_is_refused_leaves_the_dataset_that_has_the_name(local: Served, tmp_path: Path) -> None:
    first = register(local, tmp_path).json()
    problem_of(register(local, tmp_path / "gone"), 422)
    assert local.client.get("/v1/datasets/gestures").json()["id"] == first["id"]


def test_where_the_workers_are_elsewhere_they_look_for_themselves(api: Served, tmp_path: Path) -> None:
    assert register(api, tmp_path / "gone").status_code == 202


def test_a_folder_that_the_service_may_not_read_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "videos").mkdir(parents=True)
    closed.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:  # who reads everything: look as an account without rights
        os.seteuid(NOBODY)
    try:
        with pytest.raises(DatasetError, match="cannot be looked for: Permission denied"):
            check_files(Location(location=str(closed / "videos")))
    finally:
        if is_root:
            os.seteuid(0)
        closed.chmod(0o755)
