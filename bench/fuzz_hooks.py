"""Changes requests of schemathesis (bench/fuzz.py) where the service has rules that no schema can say.

The service must accept what schemathesis means to be valid. So such a request sends the bytes that it
declares, its numbers ascend where they must, its crop fits into its frames, its baseline is among the
evaluations, and its webhook leads to a name of no private network. No request takes away the dataset that
others name, its previews, the first webhook, or the token of all requests, and none deletes for good.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import schemathesis

from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import InputError
from vcp_core.catalog.inputs import with_input

CONTENT = b"no checkpoint, but the bytes that were declared"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
DATASET = "fuzz"
# Files of ids in the folder where schemathesis runs.
EVALUATIONS = Path("evaluations.txt")  # the first two are done
OWN_TOKEN = Path("own_token.txt")  # of all requests
WEBHOOKS, DELIVERIES = Path("webhooks.txt"), Path("deliveries.txt")  # one delivery of each webhook
MODEL = "r3d_tiny-1000"  # that bench/fuzz.py uploads
DELETED_FOR_GOOD = tuple(
    f"DELETE /v1/{what}/" for what in ("checkpoints", "evaluations", "models", "retired-datasets")
)
LOG = b"step,loss\n100,1.6\n200,1.5\n"


@schemathesis.hook
def before_call(
    context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]
) -> None:
    """Change a request just before it is sent."""
    operation = f"{case.method} {case.operation.path}"
    body: Any = case.body
    if operation == "DELETE /v1/datasets/{name}" and case.path_parameters.get("name") == DATASET:
        case.path_parameters["name"] = "another"
    if operation == "DELETE /v1/tokens/{token_id}" and case.path_parameters.get("token_id") in _ids(
        OWN_TOKEN
    ):
        case.path_parameters["token_id"] = str(UUID(int=0))
    webhooks = _ids(WEBHOOKS)
    if (
        operation == "DELETE /v1/webhooks/{webhook_id}"
        and case.path_parameters.get("webhook_id") == webhooks[0]
    ):
        case.path_parameters["webhook_id"] = str(UUID(int=0))
    if case.method == "DELETE" and operation.startswith(DELETED_FOR_GOOD):
        case.query["dry_run"] = "true"  # the other requests need what it names
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    for declared in (body, case.query):
        if isinstance(declared, dict) and not _fits(declared.get("backbone"), declared.get("input_spec")):
            del declared["input_spec"]
    if case.path_parameters.get("dataset_id") in (None, "null") and "{dataset_id}" in operation:
        case.path_parameters["dataset_id"] = str(UUID(int=0))  # the answer that it is from has no id yet
    match operation, body:
        case "POST /v1/checkpoints", dict():
            body.update(size_bytes=len(CONTENT), sha256=SHA256)
        case "PATCH /v1/datasets/{name}", dict():
            body["shows_media"] = True  # otherwise each preview is answered 404 from then on
        case "POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", _:
            case.path_parameters.update(webhook_id=webhooks[0], delivery_id=_ids(DELIVERIES)[0])
        case "POST /v1/comparisons", {"evaluations": list()}:
            body["evaluations"] = _ids(EVALUATIONS)[:2]
            body["baseline"] = body["evaluations"][0]
        case "POST /v1/protocols", {"retrieval": {"ks": list() as depths}}:
            depths.sort()
        case "POST /v1/webhooks", dict():
            body["url"] = "https://ci.example/vcpbench"
        case "POST /v1/datasets", {"name": "fuzz"}:
            body["name"] = "another"
        case (("PUT /v1/logs" | "GET /v1/logs"), _):  # a name that is made up is answered 404
            case.query["model"] = MODEL
            if case.method == "PUT":
                case.body = LOG
        case "GET /v1/evaluations/{evaluation_id}/answers", _:
            if case.query.get("benchmark") != "cloze":
                case.query.pop("variant", None)
            if "against" not in case.query:
                case.query.pop("against_right", None)
        case "PUT /v1/checkpoints/upload", _:
            case.body = CONTENT
            if "sha256" in case.query:
                case.query["sha256"] = SHA256
        case "PUT /v1/checkpoints/{checkpoint_id}/content", _:
            case.body = CONTENT
            case.headers.pop("content-range", None)


def _ids(path: Path) -> list[str]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _fits(backbone: object, input_spec: object) -> bool:
    """Whether a backbone of the catalog takes the declared input."""
    if not (isinstance(backbone, str) and backbone in BACKBONES and isinstance(input_spec, str)):
        return True
    try:
        with_input(BACKBONES[backbone], input_spec)
    except InputError:
        return False
    return True
