"""`/v1/datasets`."""

from __future__ import annotations

from fastapi import Response

from records import flow
from records.repositories import datasets, media
from service.auth import Admin, Reader
from service.datasets import service
from service.datasets.files import check_files
from service.datasets.schemas import DatasetChange, DatasetIn, DatasetOut, DatasetPage, shown
from service.deps import Limit, Offset, Router, SessionDep, SettingsDep
from service.problems import WITH_BODY, responses
from vcp_core.catalog.errors import UnknownName
from vcp_core.catalog.locations import Location

router = Router(prefix="/datasets", tags=["datasets"])


@router.get("", summary="List datasets")
def page(reader: Reader, session: SessionDep, limit: Limit = 50, offset: Offset = 0) -> DatasetPage:
    """Datasets by name, those that are built in and not used yet included."""
    found, total = service.page(session, limit=limit, offset=offset)
    items = [shown(row, reader) if row is not None else _available(name) for name, row in found]
    return DatasetPage(items=items, total=total)


@router.get("/{name}", responses=responses(404), summary="Show a dataset")
def show(name: str, reader: Reader, session: SessionDep) -> DatasetOut:
    """One dataset: its state, and what is in it."""
    row = datasets.named(session, name)
    if row is not None:
        return shown(row, reader)
    if name in service.known(session):
        return _available(name)
    raise UnknownName("dataset", name, service.known(session))


@router.post("", status_code=202, responses=responses(*WITH_BODY, 403, 409), summary="Register a dataset")
def register(
    body: DatasetIn, caller: Admin, session: SessionDep, settings: SettingsDep, response: Response
) -> DatasetOut:
    """Register videos that the workers can read; a worker then hashes them and counts their frames.

    If another dataset has the name, the new one takes it over, and the old one keeps its results. A location
    that no worker could read is refused. If the service sees the folders of the workers, a location that does
    not exist is refused, too.
    """
    location = Location(**body.model_dump(exclude={"name"}))
    if settings.datasets_are_local:
        check_files(location)
    source = body.model_dump(exclude={"name", "location"}, exclude_defaults=True)
    row = service.register(session, body.name, {"name_or_path": body.location, **source}, team=caller.team)
    response.headers["Location"] = f"/v1/datasets/{row.name}"
    return shown(row, caller)


@router.patch("/{name}", responses=responses(*WITH_BODY, 403, 404), summary="Change a dataset")
def change(name: str, body: DatasetChange, caller: Admin, session: SessionDep) -> DatasetOut:
    """Switch previews of a dataset's videos on or off (`shows_media`).

    This holds for all datasets of this name, and for those with equal videos. Switched off, all previews that
    were made are deleted. A browser may keep what it has seen for a day.
    """
    row = datasets.named(session, name)
    if row is None:
        raise UnknownName("dataset", name, datasets.names(session))
    flow.lock(session)  # a worker that ends a job locks rows in another order than the delete of previews
    media.show(session, row, body.shows_media)
    session.refresh(row)
    return shown(row, caller)


@router.delete("/{name}", status_code=204, responses=responses(403, 404), summary="Retire a dataset")
def retire(name: str, caller: Admin, session: SessionDep) -> None:
    """Take a dataset off the list. Its results stay, and its files are not changed."""
    if not service.retire(session, name):
        raise UnknownName("dataset", name, service.known(session))


def _available(name: str) -> DatasetOut:
    return DatasetOut(id=None, name=name, state="available")
