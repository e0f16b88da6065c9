"""`/v1/metrics`: what Prometheus collects. Requests are counted here; the rest is in the database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import iter_route_contexts
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, Histogram, generate_latest

from records.repositories import sizes, workers
from service.auth import Reader
from service.deps import SessionDep
from service.health import status
from service.job_metrics import JobMetrics, show_live

router = APIRouter(tags=["operation"])
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)
_CONVERTOR = re.compile(r":\w+}")
UNKNOWN = "unknown"  # one label for all addresses that no route has: anybody can invent addresses


class Metrics:
    """The counts of one process of the service.

    Attributes:
        registry: Holds the counts.
        jobs: Counts how jobs end.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._addresses: dict[
            int, str
        ] = {}  # by the `id` of a route, with the prefixes of the routers around them
        self._requests = Histogram(
            "vcpbench_request_seconds",
            "Time from the head of a request to the head of its response; for an upload, with its bytes",
            ["method", "route", "status"],
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.jobs = JobMetrics(self.registry)

    def route(self, scope: Mapping[str, Any]) -> tuple[str, str]:
        """Method and route of a request. The route is no address, which may hold ids."""
        if not self._addresses:
            contexts = iter_route_contexts(scope["app"].routes)
            self._addresses = {id(one.original_route): _CONVERTOR.sub("}", str(one.path)) for one in contexts}
        route = self._addresses.get(id(scope.get("route")), UNKNOWN)
        return (scope["method"], route) if route != UNKNOWN else (UNKNOWN, UNKNOWN)

    def took(self, scope: Mapping[str, Any], status_code: int, seconds: float) -> None:
        """Count a request under its route."""
        method, route = self.route(scope)
        self._requests.labels(method, route, f"{status_code // 100}xx").observe(seconds)


@router.get(
    "/metrics",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    response_class=Response,
    summary="Show metrics for Prometheus",
)
def metrics(request: Request, session: SessionDep, reader: Reader) -> Response:
    """Requests by route, jobs by queue and kind, and workers, as Prometheus reads them.

    An administrator also reads the sizes of the store. They grow by the exact size of each private upload.
    """
    registry = CollectorRegistry()
    jobs = Gauge("vcpbench_jobs", "Jobs that have not ended", ["queue", "state"], registry=registry)
    there = Gauge("vcpbench_workers", "Workers seen in the last 30 s", ["queue"], registry=registry)
    oldest = Gauge(
        "vcpbench_oldest_job_seconds",
        "Age of the oldest request with a waiting job, in seconds; 0 if no job waits",
        ["queue"],
        registry=registry,
    )
    if reader is not None and reader.admin:
        what = "Size of what rows name in the store"
        stored = Gauge("vcpbench_store_bytes", what, ["kind"], registry=registry)
        for size in sizes.every(session):
            stored.labels(size.kind.replace(" ", "_")).inc(size.size_bytes)
    found = status(session)
    ages_s = workers.oldest_waiting_s(session)
    for queue in found.queues:
        jobs.labels(queue.name, "waiting").set(queue.waiting)
        jobs.labels(queue.name, "running").set(queue.running)
        there.labels(queue.name).set(queue.workers)
        oldest.labels(queue.name).set(ages_s.get(queue.name, 0.0))
    show_live(session, registry)
    counted: Metrics = request.app.state.metrics
    counted.jobs.look(session)
    text = generate_latest(registry) + generate_latest(counted.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
