"""Traces of a request, of its job and of the child process, as a collector gets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from records import tracing
from records.settings import SettingsError
from tests.patience import until
from tests.served import Served
from tests.service.finished import ready_dataset
from tests.service.kit import noise, one_shot
from tests.workers import WorkerProcess

ROOT = Path(__file__).resolve().parents[2]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"  # an example of W3C's text


class Collector(HTTPServer):
    """Takes spans by OTLP over HTTP, on a free port of this machine."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def named(self, name: str) -> list[dict[str, Any]]:
        return [span for span in self.spans if span["name"] == name]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            part = {one.key: one.value.string_value for one in resource.resource.attributes}["service.name"]
            for scope in resource.scope_spans:
                self.server.spans += [{"part": part, **_read(span)} for span in scope.spans]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _read(span: Any) -> dict[str, Any]:
    return {
        "name": span.name,
        "trace": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "begun": span.start_time_unix_nano,
        "ended": span.end_time_unix_nano,
        "events": len(span.events),
        "error": span.status.message,
        "about": {one.key: one.value.string_value or one.value.int_value for one in span.attributes},
    }


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector, whose address this process and its workers have."""
    with Collector() as found:
        Thread(target=found.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv(tracing.ENDPOINT, found.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")  # ms; the default is 5 s
        tracing.configure("service")
        yield found
        tracing.shut_down()
        found.shutdown()


@pytest.mark.long
def test_a_request_its_job_and_the_child_are_found_by_the_evaluation(
    api: Served, collector: Collector, start_worker: Callable[..., WorkerProcess]
) -> None:
    checkpoint = one_shot(api.client, noise(1000)).json()["id"]
    with api.database.session() as session:
        ready_dataset(session)
    body = {"checkpoint": checkpoint, "dataset": "gestures", "protocol": "quick-v1"}
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    asked = api.client.post("/v1/evaluations", json=body, headers=headers)
    evaluation = asked.json()["id"]

    request = until(lambda: collector.named("POST /v1/evaluations"))[0]
    assert (request["part"], request["trace"], request["parent"]) == ("vcpbench-service", TRACE, PARENT)
    assert request["about"]["vcpbench.evaluation"] == evaluation
    assert request["about"]["vcpbench.request"] == asked.headers["X-Request-ID"]
    assert request["about"]["http.response.status_code"] == 201

    worker = start_worker(VCPBENCH_LOG_FORMAT="json")
    job = until(lambda: collector.named("job ingest"), hopeless=worker.end, else_say=worker.log.read_text)[0]
    assert job["part"] == "vcpbench-worker"
    assert job["about"]["vcpbench.evaluation"] == evaluation
    assert job["about"]["vcpbench.end"] == "NotACheckpoint"
    (child,) = [span for span in collector.named("child") if span["trace"] == job["trace"]]
    (inside,) = collector.named("in child: ingest")
    assert (child["parent"], inside["parent"]) == (job["id"], child["id"])
    assert inside["trace"] == job["trace"]
    assert (
        job["begun"] <= child["begun"] <= inside["begun"] <= inside["ended"] <= child["ended"] <= job["ended"]
    )
    assert all(span["events"] == 0 for span in collector.spans), "the text of an error may hold paths"

    lines = [json.loads(line) for line in worker.log.read_text().splitlines()]
    (claimed,) = [line for line in lines if line["event"] == "job claimed"]
    assert claimed["evaluation"] == evaluation
    assert claimed["job"] == job["about"]["vcpbench.job"]


@pytest.mark.parametrize("given", ["", "00-short-01", f"00-{'0' * 32}-{PARENT}-01", "x" * 5000])
def test_a_caller_that_names_no_trace_gets_one(api: Served, collector: Collector, given: str) -> None:
    assert api.client.get("/v1/status", headers={"traceparent": given}).status_code == 200
    (span,) = until(lambda: collector.named("GET /v1/status"))
    assert span["parent"] == ""
    assert len(span["trace"]) == 32


def test_addresses_that_no_route_has_are_one_name(api: Served, collector: Collector) -> None:
    api.client.get("/v1/evaluation-of-somebody")
    (span,) = until(lambda: collector.named("unknown unknown"))
    assert "somebody" not in str(span)


def test_an_error_is_told_by_its_class_alone(collector: Collector) -> None:
    def fail() -> None:
        with tracing.span("work", secret=None):
            raise ValueError("/a/path")

    with pytest.raises(ValueError, match="/a/path"):
        fail()
    (span,) = until(lambda: collector.named("work"))
    assert (span["error"], span["events"], span["about"]) == ("ValueError", 0, {})


def test_a_collector_that_is_away_delays_nobody(api: Served, collector: Collector) -> None:
    collector.server_close()
    assert api.client.get("/v1/status").status_code == 200


def test_without_the_variable_no_exporter_is_imported() -> None:
    code = """
import sys
import service.__main__, worker.app
from records import tracing
tracing.configure("service")
with tracing.span("x", role="SERVER", traceparent="00-x"):
    tracing.annotate("y", z=1)
tracing.past("z", 1, 2)
print([name for name in sys.modules if name.startswith("opentelemetry.exporter")])
"""
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    assert run.stdout == "[]\n"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tracing.ENDPOINT, "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"pip install 'vcpbench\[tracing\]'"):
        tracing.configure("service")
