"""Folders of Hugging Face: their weights are found, and their preprocessor's file becomes an input spec."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from vcpbench_client import Client
from vcpbench_client.errors import FileError, NotACheckpoint
from vcpbench_client.folders import Source, source_of

from tests.client.conftest import Run
from vcp_core.catalog.inputs import InputSpec
from vcp_core.samples import sample_path

IN = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
COLOURS = "mean=0.485/0.456/0.406,std=0.229/0.224/0.225"
PREPROCESSORS: dict[str, tuple[dict[str, Any], str]] = {
    "VideoMAE": (  # as Hugging Face writes it for MCG-NJU/videomae-base
        {
            "crop_size": {"height": 224, "width": 224},
            "do_center_crop": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_processor_type": "VideoMAEImageProcessor",
            "resample": 2,
            "rescale_factor": 0.00392156862745098,
            "size": {"shortest_edge": 224},
            **IN,
        },
        f"resize=224x299,crop=224,{COLOURS}",
    ),
    "V-JEPA 2": (
        {
            "crop_size": {"height": 256, "width": 256},
            "size": {"shortest_edge": 292},
            "do_center_crop": True,
            **IN,
        },
        f"resize=292x389,crop=256,{COLOURS}",
    ),
    "ViViT": (  # its factor is 1/127.5, and 1 is taken away before the mean
        {
            "crop_size": {"height": 224, "width": 224},
            "size": {"shortest_edge": 256},
            "rescale_factor": 1 / 127.5,
            "offset": True,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
        },
        "resize=256x341,crop=224,mean=0.75,std=0.25",
    ),
    "sizes as numbers": (
        {"size": 256, "crop_size": 224, "num_frames": 16, **IN},
        f"frames=16,resize=256x341,crop=224,{COLOURS}",
    ),
    "frames that are squeezed": (
        {
            "size": {"height": 112, "width": 112},
            "do_center_crop": False,
            "image_mean": 0.45,
            "image_std": 0.225,
        },
        "resize=112x112,crop=112,mean=0.45,std=0.225",
    ),
    "pixel values up to 255": (
        {"do_rescale": False, "image_mean": [114.75] * 3, "image_std": [57.375] * 3},
        "mean=0.45,std=0.225",
    ),
    "nothing is normalised": ({"do_normalize": False, **IN}, "mean=0,std=1"),
    "what no input spec can say": (
        {
            "num_frames": 13,
            "crop_size": {"height": 224, "width": 320},
            "image_mean": [5, 5, 5],
            "image_std": "x",
        },
        "",
    ),
    "crops larger than frames": ({"size": 200, "crop_size": 224, **IN}, f"crop=224,{COLOURS}"),
}


def hugging_face(
    folder: Path, said: dict[str, Any] | None = None, name: str = "preprocessor_config.json"
) -> Path:
    """A folder with the sample's weights."""
    folder.mkdir()
    shutil.copy(sample_path(), folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    if said is not None:
        (folder / name).write_text(json.dumps(said))
    return folder


@pytest.mark.parametrize("name", PREPROCESSORS)
def test_a_preprocessor_becomes_an_input_spec(tmp_path: Path, name: str) -> None:
    said, spec = PREPROCESSORS[name]
    source = source_of(hugging_face(tmp_path / "a", said))
    assert (source.input_spec(None) or "") == spec
    if spec:
        assert str(InputSpec.parse(spec)) == spec
        assert (
            source.taken()
            == f"From preprocessor_config.json: --input-spec {spec}. Your own --input-spec wins."
        )


def test_a_word_of_the_user_wins() -> None:
    source = Source(path=Path("x"), words={"crop": "224", "mean": "0.5"}, origin="preprocessor_config.json")
    assert source.input_spec(" mean=0.45, stride=2") == "crop=224,mean=0.45,stride=2"
    assert Source(path=Path("x")).input_spec("stride=2") == "stride=2"
    assert Source(path=Path("x")).taken() is None


def test_the_file_for_videos_comes_before_the_one_for_images(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path / "a", {"crop_size": 224, "size": 224})
    (folder / "video_preprocessor_config.json").write_text(json.dumps({"crop_size": 112, "size": 128}))
    assert source_of(folder).input_spec(None) == "resize=128x171,crop=112"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("model.safetensors", "pytorch_model.bin"), "model.safetensors"),
        (("pytorch_model.bin", "config.json"), "pytorch_model.bin"),
        (("encoder.safetensors", "notes.txt"), "encoder.safetensors"),
        (
            ("model.safetensors.index.json", "model-00001-of-00002.safetensors"),
            "model.safetensors.index.json",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_the_weights_of_a_folder_are_found(tmp_path: Path, names: tuple[str, ...], found: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert source_of(tmp_path).path == tmp_path / found


@pytest.mark.parametrize(
    "names", [(), ("a.safetensors", "b.safetensors"), ("x.distcp",)], ids=["no", "two", "other"]
)
def test_a_folder_without_one_file_of_weights_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(NotACheckpoint, match="Pass the file of weights in it"):
        source_of(tmp_path)


def test_a_preprocessor_that_is_no_json_is_named(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path / "a", {})
    (folder / "preprocessor_config.json").write_text("{")
    with pytest.raises(FileError, match=r"preprocessor_config\.json is no JSON"):
        source_of(folder)


def test_the_server_gets_the_words_of_the_folder_and_of_the_user(
    run: Run, client: Client, tmp_path: Path
) -> None:
    hugging_face(tmp_path / "a", {"crop_size": 56, "size": 64, "image_mean": 0.4, "image_std": 0.2})
    found = run("upload", "a", "-m", "mine", "--input-spec", "mean=0.45", "--no-wait")
    assert found.returncode == 0, found.stderr
    assert (
        "From preprocessor_config.json: --input-spec resize=64x85,crop=56,mean=0.4,std=0.2." in found.stderr
    )
    (checkpoint,) = client.checkpoints()
    assert checkpoint.input_spec == "resize=64x85,crop=56,mean=0.45,std=0.2"


@pytest.mark.slow
@pytest.mark.parametrize("command", ["inspect"])
def test_a_folder_is_read_here_as_it_is_on_a_server(run: Run, tmp_path: Path, command: str) -> None:
    hugging_face(tmp_path / "a", {"crop_size": 56, "size": 64, "image_mean": 0.4, "image_std": 0.2})
    found = run(command, "a", "--input-spec", "stride=2", "--json")
    assert found.returncode == 0, found.stderr
    assert (
        json.loads(found.stdout)["input_spec"] == "frames=16,stride=2,resize=64x85,crop=56,mean=0.4,std=0.2"
    )
    assert "From preprocessor_config.json" in found.stderr
