"""What is wrong with a dataset's location is told before anybody looks for it."""

from __future__ import annotations

from typing import Any

import pytest

from vcp_core.catalog.datasets import DATASETS
from vcp_core.catalog.errors import DatasetError
from vcp_core.catalog.locations import LOCATIONS, Location

FORMS = "A location is one of: /FOLDER, ucf101:/FOLDER, hmdb51:/FOLDER, playground, playground-64, "


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"location": "videos"}, f"No dataset 'videos'. Known: hmdb51, playground, .* {FORMS}"),
        ({"location": "playgruond"}, "Did you mean 'playground'?"),
        ({"location": "kinetics:/data/k"}, f"No dataset 'kinetics'. .*{FORMS}"),
        ({"location": "http://host/videos"}, "No dataset 'http'"),
        ({"location": "C:\\videos"}, "No dataset 'C'"),
        ({"location": ""}, "No dataset ''"),
        ({"location": "data/videos"}, f"location 'data/videos' is not an absolute path, .*{FORMS}"),
        ({"location": "../videos"}, "is not an absolute path"),
        ({"location": "./videos:1"}, "is not an absolute path"),
        ({"location": "ucf101:UCF-101"}, "location 'UCF-101' is not an absolute path"),
        ({"location": "/a\x00b"}, "is not an absolute path"),
        ({"location": "ucf101"}, "ucf101 needs the folder of its videos. Write ucf101:/FOLDER."),
        ({"location": "hmdb51:"}, "Write hmdb51:/FOLDER."),
        ({"location": "playground-64:/x"}, "A worker makes playground-64, so it takes no folder."),
        ({"location": "ucf101:/x", "split": "4"}, "'ucf101:/x': No split '4'. Known: 1, 2, 3."),
        ({"location": "/x", "split": "train"}, "No split 'train'"),
        ({"location": "playground", "split": "2"}, "'playground' does not take split. Leave it out."),
        ({"location": "playground", "lists": "/x"}, "does not take lists"),
        ({"location": "hmdb51:/x", "suffixes": [".x"]}, "does not take suffixes"),
        ({"location": "ucf101:/x", "csv": "/x.csv", "test_groups": ["a"]}, "take csv or test_groups"),
        ({"location": "/x", "csv": "/x.csv", "lists": "/y"}, "'/x' does not take lists"),
        ({"location": "/x", "test_groups": ["P3"], "split": "2"}, "'/x' does not take split"),
        ({"location": "/x", "csv": "x.csv"}, "csv 'x.csv' is not an absolute path"),
        ({"location": "ucf101:/x", "lists": "lists"}, "lists 'lists' is not an absolute path"),
    ],
)
def test_a_location_that_no_machine_can_read_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        Location(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"location": "/data/gestures", "test_groups": ["P3"]},
        {"location": "/data/gestures", "csv": "/data/groups.csv", "test_groups": ["P3"]},
        {"location": "/data/a:b"},
        {"location": "~/videos"},
        {"location": "/data/UCF101", "split": "2", "lists": "/data/lists"},  # known as UCF101 by its lists
        {"location": "ucf101:/data/UCF101", "split": "3", "lists": "/data/lists"},
        {"location": "hmdb51:~/HMDB51"},
        *({"location": name} for name in DATASETS if DATASETS[name].built_in),
    ],
)
def test_every_form_that_the_library_reads_is_taken(given: dict[str, Any]) -> None:
    assert Location(**given).location == given["location"]


def test_every_dataset_of_the_catalog_has_its_form() -> None:
    for name in DATASETS:
        assert name in LOCATIONS
    folders = [Location(location=text).folder for text in ("/x", "ucf101:/y", "playground")]
    assert folders == ["/x", "/y", None]
