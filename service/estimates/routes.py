"""`/v1/estimates`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from service.auth import Reader
from service.deps import Router, SessionDep, SettingsDep, StorageDep
from service.estimates import service
from service.estimates.schemas import EstimateOut
from service.problems import responses
from vcp_core.catalog.defaults import DEFAULT_PROTOCOL

router = Router(prefix="/estimates", tags=["evaluations"])


@router.get("", responses=responses(404, 409), summary="Estimate an evaluation")
def estimate(
    reader: Reader,
    session: SessionDep,
    storage: StorageDep,
    settings: SettingsDep,
    dataset: Annotated[str, Query(description="Name of the dataset.", examples=["playground-136"])],
    backbone: Annotated[str, Query(description="The architecture, with its own input.", examples=["r3d"])],
    protocol: Annotated[str, Query(description="Name or hash of the protocol.")] = DEFAULT_PROTOCOL,
) -> EstimateOut:
    """Clips, time, disk and memory of an evaluation before it is asked for.

    The time is a range, from the last evaluations of this backbone on these workers, of those that you see.
    Without such an evaluation it is null. Random weights and pixels that are measured already take no time.
    """
    return service.estimate(session, storage, settings, dataset, protocol, backbone, reader)
