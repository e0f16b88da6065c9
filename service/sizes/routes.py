"""`/v1/sizes`."""

from __future__ import annotations

from service.auth import AnyCaller
from service.deps import Router, SessionDep, SettingsDep
from service.sizes import service
from service.sizes.schemas import SizesOut

router = Router(tags=["operation"])


@router.get("/sizes", summary="Show sizes in the store")
def sizes(caller: AnyCaller, session: SessionDep, settings: SettingsDep) -> SizesOut:
    """What your team has in the store, by kind and dataset; an administrator sees all teams.

    A file that two teams uploaded counts for both. Features and previews can be made again. They are deleted
    after long disuse (`VCPBENCH_FEATURES_DAYS` and others).
    """
    return service.of(session, settings, caller)
