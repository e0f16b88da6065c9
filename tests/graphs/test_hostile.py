"""Hostile and unfit archives: each is refused for the stated reason, and none of them runs anything."""

from __future__ import annotations

import json
import random
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.graphs.archives import Parts, parts, pickled, sound
from tests.graphs.attacks import ATTACKS, SURVEYED, Attack, code
from vcp_core.catalog.errors import VcpbenchError
from vcp_core.graphs import read_graph, survey

MOST_CPU_S = 10.0
MOST_CHARACTERS = 1_000  # of a message
LEAST = 30

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[str]:
    """The path of a folder that code in a file would make."""
    path = tmp_path / "canary"
    yield str(path)
    assert not path.exists(), "code of a file ran"


@pytest.fixture
def bounded() -> Iterator[None]:
    begun = resource.getrusage(resource.RUSAGE_SELF)
    yield
    ended = resource.getrusage(resource.RUSAGE_SELF)
    assert ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime < MOST_CPU_S


def refused(attack: Attack, path: Path, canary: str, *, surveyed: bool) -> VcpbenchError:
    path.write_bytes(attack.make(canary))
    program = read_graph(path).program if surveyed else None
    with pytest.raises(attack.error, match=f"(?s){attack.words}") as caught:
        survey(program) if program else read_graph(path)
    return caught.value


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_an_archive_is_refused_for_the_stated_reason_and_runs_nothing(
    tmp_path: Path, canary: str, bounded: None, name: str
) -> None:
    error = refused(ATTACKS[name], tmp_path / "a.pt2", canary, surveyed=False)
    assert len(str(error)) < MOST_CHARACTERS
    assert type(error).from_dict(error.as_dict()).text() == error.text()


@pytest.mark.slow
@pytest.mark.parametrize("name", SURVEYED)
def test_a_program_is_refused_by_the_run_without_numbers(
    tmp_path: Path, canary: str, bounded: None, name: str
) -> None:
    refused(SURVEYED[name], tmp_path / "a.pt2", canary, surveyed=True)


def test_there_are_more_than_thirty_hostile_archives() -> None:
    assert len(ATTACKS) + len(SURVEYED) >= LEAST


@pytest.mark.slow
def test_what_nothing_needs_is_not_opened(tmp_path: Path, canary: str) -> None:
    made: Parts = parts()
    made.entries["data/sample_inputs/model.pt"] = pickled(canary)
    sizes = made.module["graph"]["tensor_values"]["x"]["sizes"]
    sizes[0] = {"as_expr": {"expr_str": code(canary), "hint": None}}
    made.module["graph"]["sym_int_values"]["s"] = {"as_expr": {"expr_str": code(canary), "hint": None}}
    made.model["guards_code"] = [code(canary)]
    made.nodes[0]["metadata"]["stack_trace"] = 'File "/home/someone/secret/model.py", line 1'
    path = tmp_path / "a.pt2"
    path.write_bytes(made.pack())
    contents = read_graph(path)
    assert survey(contents.program).output_shapes == ((6,),)
    assert "secret" not in contents.program.to_json()


ODD = (None, True, -1, 0, 2**63, 1.5, "", "x", [], {}, [1], {"a": 1}, "linear", "Infinity", 1e308)
NUM_CHANGED = 300


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document: what holds it, and its key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield value, key
        yield from places(child)


@pytest.mark.slow
def test_an_archive_that_was_changed_at_random_is_read_or_refused_with_an_error_of_ours(
    tmp_path: Path,
) -> None:
    rng, path, refusals = random.Random(0), tmp_path / "a.pt2", 0
    for _ in range(NUM_CHANGED):
        made = parts()
        holder, key = rng.choice(list(places(rng.choice([made.module, made.nodes, made.config]))))
        holder[key] = rng.choice(ODD)
        path.write_bytes(made.pack())
        try:
            survey(read_graph(path).program)
        except VcpbenchError as error:
            json.dumps(error.as_dict())
            refusals += 1
    assert refusals > NUM_CHANGED / 4


@pytest.mark.slow
def test_an_archive_that_was_packed_again_is_the_same_program(tmp_path: Path) -> None:
    first, second = tmp_path / "a.pt2", tmp_path / "b.pt2"
    first.write_bytes(sound())
    second.write_bytes(parts().pack())
    assert read_graph(first).program == read_graph(second).program
