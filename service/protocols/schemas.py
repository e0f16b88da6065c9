"""Protocols as clients see them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.forms import Text, Word
from vcp_core.catalog.ceilings import ITEMS, VALUES
from vcp_core.catalog.options import OPTION_NAMES
from vcp_core.catalog.protocols import Protocol
from vcp_core.catalog.versions import FRAMES_VERSION

EXAMPLE = {"name": "short-videos", "base": "quick-v1", "cloze": {"gap": 0, "remote_gap": 0}}
# What checks of `vcp_core.catalog.protocols` demand beyond types and bounds. No schema can say that
# `retrieval.ks` must ascend.
_DEMANDS: dict[str, dict[str, Any]] = {
    "frames": {"const": FRAMES_VERSION},
    "cloze.options": {
        "items": {"enum": list(OPTION_NAMES)},
        "minItems": 2,
        "uniqueItems": True,
        "contains": {"const": "original"},
    },
    "retrieval.ks": {"uniqueItems": True, "description": "Ascending."},
    "retrieval.features": {"uniqueItems": True, "contains": {"const": "pooled"}},
}


def _tell_numbers(schema: dict[str, Any]) -> None:
    """Write the numbers of a protocol into the description of what is taken.

    Each may be left out. Here numbers have ceilings. In answers they have none, because a stored protocol can
    be read whatever its numbers are.
    """
    whole = Protocol.model_json_schema()
    numbers = _numbers(whole, whole["$defs"], "")["properties"]
    schema["properties"] = {**numbers, **schema["properties"]}
    schema["additionalProperties"] = False
    schema["examples"] = [EXAMPLE]


def _numbers(schema: dict[str, Any], parts: dict[str, Any], name: str) -> dict[str, Any]:
    """Describe a number or a group of them in place, without defaults: they are those of `base`."""
    if "$ref" in schema:
        schema = parts[schema["$ref"].rpartition("/")[2]]
    found = {key: value for key, value in schema.items() if key not in ("default", "required", "$defs")}
    if "properties" in schema:
        prefix = f"{name}." if name else ""
        below = schema["properties"].items()
        found["properties"] = {key: _numbers(value, parts, prefix + key) for key, value in below}
    if "anyOf" in schema:
        found["anyOf"] = [_numbers(one, parts, name) for one in schema["anyOf"]]
    if name in VALUES:
        most = {"maximum": VALUES[name].most}
        found |= {"items": {**found["items"], **most}} if "items" in found else most
    if name in ITEMS:
        found["maxItems"] = ITEMS[name].most
    return {**found, **_DEMANDS.get(name, {})}


class ProtocolOut(BaseModel):
    """A protocol. People use its name; only the hash decides which results can be compared."""

    name: str = Field(examples=["quick-v1"])
    hash: str
    numbers: Protocol | dict[str, Any] = Field(description="As they were registered.")
    older: bool = Field(
        description="Whether another version made it, and this one cannot run it; its results can be read."
    )


class ProtocolPage(BaseModel):
    """Some of the protocols. Those of the catalog come first, the others by name."""

    items: list[ProtocolOut]
    total: int


class ProtocolIn(BaseModel):
    """A name, and what differs from `base`; the fields are those of `numbers` in the answer."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra=_tell_numbers,
    )

    name: Word
    base: Text = Field("standard-v1", description="A protocol of the catalog.")
