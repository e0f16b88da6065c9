"""Ceilings: every number of a protocol has one, and it says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tests.pages import ROOT, table_between
from vcp_core.catalog import ceilings
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import ProtocolError
from vcp_core.catalog.protocols import PROTOCOLS, Protocol, load_protocol, protocol_from
from vcp_core.datasets.manifest import Dataset
from vcp_core.evaluation.plan import EvaluationPlan


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo, type[Any]]]:
    """Every number of a protocol, by its dotted name, with the type of its values."""
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]
        below = next((one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)), None)
        if below is not None:
            yield from fields(below, f"{prefix}{name}.")
        elif field.annotation in (int, float):
            yield f"{prefix}{name}", field, int
        elif str(field.annotation).startswith("tuple") and any(
            word in str(field.annotation) for word in ("int", "float")
        ):
            yield f"{prefix}{name}", field, tuple


def test_every_number_of_a_protocol_has_a_ceiling() -> None:
    found = {name: (field, kind) for name, field, kind in fields(Protocol)}
    assert len(found) > 20
    for name, (field, kind) in found.items():
        natural = any(hasattr(rule, "lt") or hasattr(rule, "le") for rule in field.metadata)
        assert natural != (name in ceilings.VALUES), name
        assert (kind is tuple) == (name in ceilings.ITEMS), name
    assert set(ceilings.VALUES) | set(ceilings.ITEMS) <= set(found)


def set_to(name: str, value: object) -> dict[str, Any]:
    """A protocol of one changed number."""
    group, _, number = name.rpartition(".")
    return {"name": "a", group: {number: value}} if group else {"name": "a", number: value}


@pytest.mark.parametrize("name", ceilings.VALUES)
def test_a_number_at_its_ceiling_is_taken_and_one_above_is_refused(name: str) -> None:
    most, listed = ceilings.VALUES[name].most, name in ceilings.ITEMS
    assert protocol_from(set_to(name, [most] if listed else most)).name == "a"
    with pytest.raises(ProtocolError) as error:
        protocol_from(set_to(name, [most + 1] if listed else most + 1))
    said = str(error.value)
    assert said.startswith(f"{name} = {most + 1:.0f} is above its ceiling of {most:.0f}: ")
    assert "Lower it. See docs/protocols.md." in said
    for endless in (float("inf"), 10**4000):
        with pytest.raises(ProtocolError) as error:
            protocol_from(set_to(name, [endless] if listed else endless))
        assert name in str(error.value)
        assert len(str(error.value)) < 300


@pytest.mark.parametrize("name", ceilings.ITEMS)
def test_a_list_at_its_ceiling_is_taken_and_a_longer_one_is_refused(name: str) -> None:
    most = int(ceilings.ITEMS[name].most)
    assert protocol_from(set_to(name, list(range(1, most + 1)))).name == "a"
    with pytest.raises(ProtocolError, match=f"{name} has {most + 1} items, above .* {most}: .*Name fewer"):
        protocol_from(set_to(name, list(range(1, most + 2))))


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        (
            {"control": {"seeds": list(range(10_000))}},
            "control.seeds has 10000 items, above its ceiling",
        ),
        ({"grid": {"num_clips": 10**9}}, "grid.num_clips = 1000000000 is above its ceiling of 1000"),
    ],
)
def test_the_protocols_of_an_attack_are_refused_but_can_be_read(numbers: dict[str, Any], says: str) -> None:
    with pytest.raises(ProtocolError) as error:
        protocol_from({"name": "attack", **numbers})
    assert says in str(error.value)
    stored = Protocol.model_validate({**PROTOCOLS["standard-v1"].model_dump(), "name": "attack", **numbers})
    assert Protocol.model_validate(stored.model_dump(mode="json")).hash == stored.hash
    dataset = Dataset(name="d", split_name="1", root=Path(), videos=())
    with pytest.raises(ProtocolError) as error:
        EvaluationPlan(dataset=dataset, protocol=stored, spec=BACKBONES["r3d"])
    assert says in str(error.value)


def test_all_excesses_of_a_file_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text("[knn]\nk = 5000\n[cloze]\nnum_tuples = 101\ngap = 20_000\n")
    with pytest.raises(ProtocolError) as error:
        load_protocol(path)
    assert all(name in str(error.value) for name in ("p.toml", "knn.k", "cloze.num_tuples", "cloze.gap"))


def test_the_page_has_every_ceiling_with_its_reason() -> None:
    page = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")
    shown = {number: (most, why) for number, most, why in table_between(page, "ceilings")}
    expected = {}
    for name, ceiling in ceilings.VALUES.items():
        most = "2^53 - 1" if ceiling.most == ceilings.MOST_SEED else f"{ceiling.most:,.0f}"
        each = ", each" if name in ceilings.ITEMS else ""
        expected[f"`{name}`{each}"] = (most, ceiling.why)
    for name, ceiling in ceilings.ITEMS.items():
        expected[f"`{name}`"] = (f"{ceiling.most:,.0f} items", ceiling.why)
    assert shown == expected
    assert f"at most {ceilings.PLAN_CLIPS:,} for each network" in page
    assert f"about {ceilings.PLAN_JOBS:,} shards" in page
    assert f"add {ceilings.PLAN_BYTES >> 30} GiB" in page


def test_ten_times_the_clips_of_standard_v1_are_no_excess() -> None:
    numbers = {"grid": {"num_clips": 100}, "cloze": {"num_tuples": 10}, "knn": {"k": 200}}
    assert protocol_from({"name": "ten", **numbers}).grid.num_clips == 100
