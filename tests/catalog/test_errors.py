"""Errors: parts and fields, the text for each reader, and their way through JSON."""

from __future__ import annotations

import ast
import json
import pickle
from pathlib import Path

import pytest

from tests.errors import EVERY, FOLDER, SIGNS
from vcp_core.catalog.errors import (
    DamagedCheckpoint,
    DatasetError,
    Private,
    SeveralNetworks,
    StorageError,
    UnknownName,
    VcpbenchError,
    below,
    last_name,
)

ROOT = Path(__file__).resolve().parents[2]
# Code whose errors may be read by a team: it runs in a worker's job, or in the service.
TOLD = ("vcp_core", "worker", "records", "service")
PATH_NAMES = frozenset(
    {"path", "root", "folder", "place", "lists_dir", "scratch", "out", "file", "target", "source", "where_to"}
)


@pytest.mark.parametrize("name", EVERY)
def test_every_error_goes_through_json_whole(name: str) -> None:
    error = EVERY[name]
    found = VcpbenchError.from_dict(json.loads(json.dumps(error.as_dict())))
    assert type(found) is type(error)
    assert (str(found), found.path, found.fields) == (
        str(error),
        error.path,
        json.loads(json.dumps(error.fields)),
    )
    assert found.text(last_name) == error.text(last_name)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


@pytest.mark.parametrize("name", EVERY)
def test_no_error_tells_a_folder_to_who_is_no_operator(name: str) -> None:
    error = EVERY[name]
    for show in (last_name, below({Path("/videos"): "gestures"}), below({FOLDER: "gestures"})):
        said = error.text(show)
        assert [sign for sign in SIGNS if sign in said] == []
    if error.path is not None:
        assert str(FOLDER).replace("\udce9", r"\xe9") in str(error)


def test_a_path_is_shown_by_the_datasets_name_below_its_folder_and_elsewhere_by_its_last_name() -> None:
    error = DatasetError("see ", Path("/videos/sub/x.avi"), " and ", Path("/else/y.csv"), ".", path="/videos")
    assert str(error) == "/videos: see /videos/sub/x.avi and /else/y.csv."
    assert error.text(below({Path("/videos"): "gone"})) == "gone: see gone/sub/x.avi and y.csv."
    assert error.text(last_name) == "videos: see x.avi and y.csv."
    assert VcpbenchError(Path("/"), " is full").text(last_name) == "a folder is full"


def test_braces_and_quotes_in_words_stay_as_they_are() -> None:
    assert str(DatasetError("{path} {0} %s", path="/x")) == "/x: {path} {0} %s"


def test_fields_are_attributes() -> None:
    assert EVERY["UnknownName"].fields["name"] == "r3d18"
    unknown, several = EVERY["UnknownName"], EVERY["SeveralNetworks"]
    assert isinstance(unknown, UnknownName)
    assert isinstance(several, SeveralNetworks)
    assert (unknown.name, unknown.known, several.choices) == ("r3d18", ["c3d", "r3d_18"], ("a.", "b."))
    assert StorageError("x", full=True).full
    assert not StorageError("the disk is full of life").full


def test_an_error_of_a_class_that_is_not_known_here_keeps_its_code() -> None:
    values = {**VcpbenchError("away").as_dict(), "code": "FromAnotherVersion"}
    found = VcpbenchError.from_dict(values)
    assert (type(found), found.code, found.as_dict()) == (VcpbenchError, "FromAnotherVersion", values)


def test_an_error_is_named_renamed_and_put_between_words() -> None:
    error = DamagedCheckpoint("cut off.", path="/scratch/abc")
    assert str(error.about("mine.pt")) == "mine.pt: cut off."
    assert str(error.about(None)) == "cut off."
    inside = error.within("the checkpoint was rejected: ", end=[" Sorry."])
    assert (type(inside), str(inside)) == (
        DamagedCheckpoint,
        "the checkpoint was rejected: /scratch/abc: cut off. Sorry.",
    )
    assert inside.path == Path("/scratch/abc")


def test_a_long_error_is_cut_between_and_inside_its_words() -> None:
    error = VcpbenchError("a" * 10, Path("/x"), "b" * 10, Private("c"))
    assert str(error.shortened(5)) == "a" * 5
    assert str(error.shortened(13)) == "a" * 10 + "/x" + "bb"
    assert str(error.shortened(100)) == str(error)


def _is_place(node: ast.expr) -> bool:
    """Whether an expression is called as paths are."""
    if isinstance(node, ast.Attribute):
        return node.attr in PATH_NAMES
    return isinstance(node, ast.Name) and node.id in PATH_NAMES


def _formatted_paths(module: Path, kinds: set[str]) -> list[str]:
    """Where an error's words have a path formatted into them."""
    found = []
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds:
            values = [one.value for one in ast.walk(node) if isinstance(one, ast.FormattedValue)]
            found += [f"{module}:{one.lineno}" for one in values if _is_place(one)]
    return found


def test_no_error_has_a_path_formatted_into_its_words() -> None:
    modules = [module for folder in TOLD for module in (ROOT / folder).rglob("*.py")]
    assert len(modules) > 100
    assert [place for module in modules for place in _formatted_paths(module, set(EVERY))] == []


def test_a_formatted_path_is_noticed(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('raise DatasetError(f"{self.path}: {path.name} is gone")\nraise ValueError(f"{path}")')
    assert _formatted_paths(module, set(EVERY)) == [f"{module}:1"]
