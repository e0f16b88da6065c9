"""KEDA's objects, checked by hand: no package holds their schema.

The fields and their meaning are those of KEDA's documentation of ScaledObject, TriggerAuthentication and the
trigger `metrics-api` (2.15).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from records.models import JobKind
from records.repositories import jobs
from service.health import QUEUES
from tests.deploy import charted
from tests.deploy.charted import NAMESPACE, RELEASE
from tests.served import Served
from tests.service.finished import ready_checkpoint

FIELDS: dict[str, type] = {
    "scaleTargetRef": dict,
    "pollingInterval": int,
    "cooldownPeriod": int,
    "minReplicaCount": int,
    "maxReplicaCount": int,
    "advanced": dict,
    "triggers": list,
}
OF_TRIGGER = {"url", "valueLocation", "targetValue", "authMode"}


def scaled() -> dict[str, charted.Manifest]:
    return charted.kind(charted.of("gpu"), "ScaledObject")


def look_up(path: str, document: dict[str, Any]) -> tuple[str, int]:
    """Name of the queue that a path such as `queues.1.waiting` leads to, and the number there."""
    found = re.fullmatch(r"queues\.(\d)\.(waiting|running)", path)
    assert found, path
    queue = document["queues"][int(found[1])]
    return queue["name"], queue[found[2]]


def test_without_keda_there_is_none_of_its_objects() -> None:
    for name in ("small", "external", "all"):
        assert not [one for one in charted.of(name) if one["apiVersion"].startswith("keda.sh/")]


def test_gpu_workers_come_from_none_and_go_to_none() -> None:
    gpu = scaled()[f"{RELEASE}-worker-gpu"]["spec"]
    assert (gpu["minReplicaCount"], gpu["maxReplicaCount"]) == (0, 8)
    cpu = scaled()[f"{RELEASE}-worker-cpu"]["spec"]
    assert cpu["minReplicaCount"] == 1


def test_the_objects_have_the_fields_that_keda_knows() -> None:
    assert set(scaled()) == {f"{RELEASE}-worker-cpu", f"{RELEASE}-worker-gpu"}
    for name, one in scaled().items():
        assert one["apiVersion"] == "keda.sh/v1alpha1"
        spec = one["spec"]
        assert {field: type(value) for field, value in spec.items()} == FIELDS, name
        assert spec["minReplicaCount"] < spec["maxReplicaCount"]
        for trigger in spec["triggers"]:
            assert set(trigger) == {"type", "metadata", "authenticationRef"}
            assert trigger["type"] == "metrics-api"
            assert set(trigger["metadata"]) == OF_TRIGGER
            assert all(isinstance(value, str) for value in trigger["metadata"].values()), (
                "KEDA takes text only"
            )
            assert float(trigger["metadata"]["targetValue"]) > 0


def test_what_keda_scales_exists_and_does_not_say_how_many_pods_it_wants() -> None:
    deployments = charted.kind(charted.of("gpu"), "Deployment")
    for one in scaled().values():
        assert "replicas" not in deployments[one["spec"]["scaleTargetRef"]["name"]]["spec"]
    assert deployments[f"{RELEASE}-service"]["spec"]["replicas"] == 2
    assert charted.kind(charted.of("small"), "Deployment")[f"{RELEASE}-worker-cpu"]["spec"]["replicas"] == 1


def test_keda_finds_the_token_by_reference() -> None:
    (authentication,) = charted.kind(charted.of("gpu"), "TriggerAuthentication").values()
    assert authentication["spec"] == {
        "secretTargetRef": [{"parameter": "token", "name": "vcpbench-metrics", "key": "token"}]
    }
    for one in scaled().values():
        for trigger in one["spec"]["triggers"]:
            assert trigger["authenticationRef"] == {"name": authentication["metadata"]["name"]}
            assert trigger["metadata"]["authMode"] == "bearer"


def test_keda_reads_the_jobs_of_each_queue_of_a_running_service(api: Served) -> None:
    with api.database.session() as session:
        checkpoint = ready_checkpoint(session)
        jobs.enqueue(session, JobKind.CALIBRATE, team=None, checkpoint_id=checkpoint.id)
    read: dict[str, dict[tuple[str, str], int]] = {}
    service = charted.kind(charted.of("gpu"), "Service")[RELEASE]
    for name, one in scaled().items():
        for trigger in one["spec"]["triggers"]:
            address = urlsplit(trigger["metadata"]["url"])
            assert address.hostname == f"{RELEASE}.{NAMESPACE}.svc", "KEDA runs in another namespace"
            assert address.port == service["spec"]["ports"][0]["port"]
            answer = api.client.get(address.path)
            assert answer.status_code == 200
            path = trigger["metadata"]["valueLocation"]
            queue, number = look_up(path, answer.json())
            read.setdefault(name, {})[queue, path.rpartition(".")[2]] = number
    assert read == {
        f"{RELEASE}-worker-cpu": {("cpu", "waiting"): 0, ("cpu", "running"): 0},
        f"{RELEASE}-worker-gpu": {("gpu", "waiting"): 1, ("gpu", "running"): 0},
    }


@pytest.mark.parametrize("queues", ["gpu,cpu", "cpu"])
def test_a_worker_is_scaled_by_each_queue_that_it_takes(queues: str) -> None:
    values = {"workers": {"gpu-on-cpu": {"queues": queues, "keda": {"enabled": True}}}}
    (one,) = charted.kind(charted.render(values), "ScaledObject").values()
    located = [trigger["metadata"]["valueLocation"] for trigger in one["spec"]["triggers"]]
    assert {QUEUES[int(path.split(".")[1])] for path in located} == set(queues.split(","))
    assert len(located) == 2 * len(queues.split(","))
