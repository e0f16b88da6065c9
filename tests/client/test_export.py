"""`vcpbench export`: networks of a user become files that our strict reader takes, with the same numbers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import vcpbench_client
from safetensors.torch import save_file
from torch import Tensor, nn
from vcpbench_client.errors import ExportError, FileError
from vcpbench_client.exporting import table
from vcpbench_client.exporting.inputs import Input, colour_of, size_of
from vcpbench_client.exporting.making import Exported

from tests.client.mynet.model import NETWORK, ResNet, TwoPaths
from tests.forked import run_vcpbench
from tests.patience import DEADLINE_S
from vcp_core.catalog.errors import InputError
from vcp_core.catalog.inputs import InputSpec
from vcp_core.graphs import build_graph, read_graph
from vcp_core.graphs import table as ours

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CLIP: dict[str, int] = {"frames": 4, "crop": 32}

# torch.export imports modules that warn about each other when they are first imported.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def export(network: nn.Module, path: Path, **options: Any) -> Exported:
    return vcpbench_client.export(network, path, **{**CLIP, **options})


def resnet(seed: int = 0) -> ResNet:
    """A network whose batch norms have statistics of their own."""
    torch.manual_seed(seed)
    network = ResNet()
    with torch.no_grad():
        for _ in range(2):
            network(torch.rand(4, 3, 4, 32, 32))
    return network.eval()


def seen(network: nn.Module, stages: tuple[str, ...], clips: Tensor) -> list[Tensor]:
    """What the named modules give, copied at once: a later module may change it in place."""
    found: dict[str, Tensor] = {}
    for name in stages:
        network.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: found.update({name: output.clone()})
        )
    with torch.no_grad():
        whole = network(clips)
    if stages:
        return [found[name] for name in stages]
    return list(whole) if isinstance(whole, list | tuple) else [whole]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a user has it: a package of networks, and weights."""
    shutil.copytree(HERE / "mynet", tmp_path / "mynet", ignore=shutil.ignore_patterns("__pycache__"))
    torch.save(resnet().state_dict(), tmp_path / "model.pt")
    return tmp_path


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run_vcpbench("export", *words, cwd=folder, env={**os.environ, "COLUMNS": "200"})


SHAPES = ("--frames", "4", "--crop", "32", "--out", "model.pt2")
CUTS: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...]]] = {
    "a resnet, two stages": (resnet, ("layer1", "layer2")),
    "a resnet, the whole": (resnet, ()),
    "a resnet, before a change in place": (resnet, ("bn", "layer2")),
    "attention, the whole": (lambda: NETWORK, ()),
    "two paths, three stages": (TwoPaths, ("slow", "fast", "joined")),
    "two paths, a list of features": (TwoPaths, ()),
}


@pytest.mark.parametrize("name", CUTS)
def test_a_file_gives_the_outputs_of_the_stages_bit_by_bit(tmp_path: Path, name: str) -> None:
    build, stages = CUTS[name]
    network = build().eval()
    found = export(network, tmp_path / "a.pt2", stages=stages)
    assert found.difference == 0.0
    assert found.is_read
    contents = read_graph(tmp_path / "a.pt2")
    graph = build_graph(contents.program, contents.weights)
    clips = torch.rand(3, 3, 4, 32, 32, generator=torch.Generator().manual_seed(7))
    for batch in (1, 3):
        with torch.inference_mode():
            outputs = graph.forward_stages(clips[:batch])
        wanted = seen(network, stages, clips[:batch])
        assert [tuple(one.shape[1:]) for one in wanted] == list(found.stages.values())
        for output, one in zip(outputs, wanted, strict=True):
            assert torch.equal(output.reshape(one.shape), one)
    assert list(found.stages) == list(stages or [f"stage{n}" for n in range(1, len(wanted) + 1)])


def test_the_network_stays_as_it_is(tmp_path: Path) -> None:
    network = ResNet().train()
    network.layer1.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    export(network, tmp_path / "a.pt2", stages=["layer2"])
    assert [network.training, network.layer1.training, network.layer2.training] == [True, False, True]
    assert "forward" not in vars(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_what_follows_the_last_stage_is_neither_run_nor_in_the_program(tmp_path: Path) -> None:
    found = export(resnet(), tmp_path / "a.pt2", stages=["layer1"], crop=64)  # the head takes 32 alone
    names = {weight.name for weight in read_graph(tmp_path / "a.pt2").program.weights}
    assert found.num_weights == len(names)
    assert {name.partition(".")[0] for name in names} == {"stem", "bn", "layer1"}
    with pytest.raises(
        ExportError, match=r"The forward pass of clips \(2, 3, 4, 64, 64\) raised RuntimeError"
    ):
        export(resnet(), tmp_path / "b.pt2", stages=["layer1", "fc"], crop=64)


def test_the_file_says_its_input_and_its_stages(tmp_path: Path) -> None:
    found = export(
        resnet(),
        tmp_path / "a.pt2",
        stages=["layer2"],
        stride=2,
        resize=(40, 54),
        mean=0.45,
        std=(0.2, 0.25, 1),
    )
    with zipfile.ZipFile(tmp_path / "a.pt2") as held:
        said = json.loads(held.read("model/extra/vcpbench.json"))
    words = {
        "frames": "4",
        "stride": "2",
        "resize": "40x54",
        "crop": "32",
        "mean": "0.45",
        "std": "0.2/0.25/1",
    }
    assert said == {"version": 1, "input": words, "stages": ["layer2"]}
    assert found.notes == ()
    bare = export(resnet(), tmp_path / "b.pt2", stages=["layer2"])
    (note,) = bare.notes
    assert note.startswith("the file does not say stride, resize, mean, std, and a server refuses")


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        export(resnet(), tmp_path / f"{name}.pt2", stages=["layer2"])
    assert (tmp_path / "a.pt2").read_bytes() == (tmp_path / "b.pt2").read_bytes()


def test_half_precision_becomes_float32_and_is_said(tmp_path: Path) -> None:
    found = export(resnet().half(), tmp_path / "a.pt2", stages=["layer2"])
    assert "the weights were torch.float16, and are float32 in the file" in found.notes


def test_a_network_without_gradients_inside_is_no_operation_of_its_own(tmp_path: Path) -> None:
    class Frozen(ResNet):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                return super().forward(x)

    assert export(Frozen(), tmp_path / "a.pt2").is_read


def test_wrappers_of_training_are_left_out(tmp_path: Path) -> None:
    network = resnet()
    export(network, tmp_path / "a.pt2", stages=["layer2"])
    export(nn.DataParallel(network), tmp_path / "b.pt2", stages=["layer2"])
    assert (tmp_path / "a.pt2").read_bytes() == (tmp_path / "b.pt2").read_bytes()


# --- the command ---


def test_the_command_exports_and_says_what_it_did(folder: Path) -> None:
    found = command(
        folder, "mynet.model:resnet", "--weights", "model.pt", "--stages", "layer1,layer2", *SHAPES
    )
    assert found.returncode == 0, found.stderr
    assert "layer2: a map of 16 x 1 x 4 x 4" in found.stdout
    assert "bit by bit" in found.stdout
    assert "building" not in found.stdout  # what the user's code prints goes to standard error
    assert "! the file does not say stride, resize, mean, std, " in found.stderr
    assert "no --weights" not in found.stderr
    assert "vcpbench evaluate model.pt2 --model NAME" in found.stderr
    export(resnet(), folder / "again.pt2", stages=["layer1", "layer2"])
    assert (folder / "again.pt2").read_bytes() == (folder / "model.pt2").read_bytes()


def test_no_path_of_the_user_is_in_the_file(folder: Path) -> None:
    assert command(folder, "mynet.model:resnet", "--stages", "layer2", *SHAPES).returncode == 0
    secrets = [str(folder), folder.name, os.path.expanduser("~/"), "model.py", "site-packages", "ResNet"]
    with zipfile.ZipFile(folder / "model.pt2") as held:
        told = b"".join(held.read(name) for name in held.namelist() if "/data/weights/weight_" not in name)
    assert [one for one in secrets if one.encode() in told] == []
    assert b"stack_trace" not in told


def test_a_path_that_is_left_in_a_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    network = resnet()
    network.layer2.register_parameter(str(tmp_path).replace(".", "_"), nn.Parameter(torch.zeros(1)))
    with pytest.raises(ExportError, match="holds a path of this machine"):
        export(network, tmp_path / "a.pt2", stages=["layer2"])


def test_json_has_the_facts(folder: Path) -> None:
    words = ("mynet.model:ResNet", "--stages", "layer2", "--mean", "0.45", *SHAPES, "--json")
    facts = json.loads(command(folder, *words).stdout)
    assert facts["stages"] == {"layer2": [16, 1, 4, 4]}
    assert facts["input"] == {"frames": "4", "crop": "32", "mean": "0.45"}
    assert facts["notes"][0] == "no --weights: the weights are those that mynet.model:ResNet gives"
    assert (facts["path"], facts["difference"], facts["is_read"]) == ("model.pt2", 0.0, True)
    assert facts["size_bytes"] == (folder / "model.pt2").stat().st_size


@pytest.mark.parametrize("what", ["mynet.model:NETWORK", "mynet.model:TwoPaths", "mynet.model:resnet"])
def test_a_function_a_class_or_a_network_is_taken(folder: Path, what: str) -> None:
    assert command(folder, what, *SHAPES).returncode == 0


NAMES: dict[str, tuple[str, str]] = {
    "no colon": ("mynet.model.resnet", "names no function. Write package.module:function"),
    "no module": ("nonet.model:resnet", "There is no module 'nonet', neither in .* nor among"),
    "no function": ("mynet.model:resnett", "mynet.model has no 'resnett'. It has resnet"),
    "a function with arguments": ("mynet.model:with_arguments", r"needs arguments \(depth\)"),
    "a function that raises": ("mynet.model:broken", "mynet.model:broken raised ValueError: no such depth"),
    "no network": ("mynet.model:no_network", "gives a OrderedDict, and not a torch.nn.Module"),
    "no function but a number": ("mynet.model:CLASSES", "is a int, and not a function"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_name_is_said_with_what_to_do(folder: Path, name: str) -> None:
    target, words = NAMES[name]
    found = command(folder, target, *SHAPES, "--json")
    assert found.returncode == 2
    error = json.loads(found.stdout)["error"]
    assert error["type"] == "ExportError"
    assert re.search(words, error["message"]), error["message"]
    assert not (folder / "model.pt2").exists()
    assert sorted(one.name for one in folder.iterdir()) == ["model.pt", "mynet"]


def test_the_traceback_of_the_users_code_is_shown(folder: Path) -> None:
    found = command(folder, "mynet.model:broken", *SHAPES)
    assert 'raise ValueError("no such depth")' in found.stderr


# --- weights ---


def state(prefix: str = "") -> dict[str, Tensor]:
    return {f"{prefix}{key}": value for key, value in resnet(seed=5).state_dict().items()}


SAVED: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "a state dict": (lambda path: torch.save(state(), path), ()),
    "in state_dict, of DataParallel": (lambda path: torch.save({"state_dict": state("module.")}, path), ()),
    "in model, compiled": (lambda path: torch.save({"model": state("_orig_mod."), "epoch": 3}, path), ()),
    "safetensors": (lambda path: save_file(state(), path), ()),
    "behind a prefix": (
        lambda path: torch.save({"state_dict": state("model.") | {"loss.weight": torch.ones(1)}}, path),
        ("--prefix", "model."),
    ),
    "with another head": (
        lambda path: torch.save(state() | {"fc.weight": torch.ones(7, 256), "fc.extra": torch.ones(1)}, path),
        ("--ignore-keys", "fc."),
    ),
    "without counters": (
        lambda path: torch.save({k: v for k, v in state().items() if "num_batches" not in k}, path),
        (),
    ),
}


@pytest.mark.parametrize("name", SAVED)
def test_weights_are_loaded_however_they_were_saved(folder: Path, name: str) -> None:
    save, words = SAVED[name]
    save(folder / "weights")
    found = command(
        folder, "mynet.model:resnet", "--weights", "weights", "--stages", "layer2", *SHAPES, *words
    )
    assert found.returncode == 0, found.stderr
    export(resnet(seed=5), folder / "wanted.pt2", stages=["layer2"])
    ours, wanted = (read_graph(folder / name).weights for name in ("model.pt2", "wanted.pt2"))
    assert ours.keys() == wanted.keys()
    assert all(torch.equal(ours[key], wanted[key]) for key in wanted)


MISFITS: dict[str, tuple[Any, tuple[str, ...], str]] = {
    "missing and unknown": (
        {key.replace("bn.", "norm."): value for key, value in state().items()},
        (),
        r"4 of \d+ keys are missing: bn.weight, .*5 keys are not the network's: norm.weight",
    ),
    "another shape": (
        state() | {"fc.weight": torch.ones(7, 256)},
        (),
        r"fc.weight is \(7, 256\), not \(5, 256\).*--ignore-keys",
    ),
    "behind a prefix": (
        {"model": state("backbone.") | {"head.w": torch.ones(1)}},
        (),
        "pass --prefix backbone.",
    ),
    "no such prefix": (state(), ("--prefix", "net."), "no key begins with 'net.'"),
    "no tensors": ({"epoch": 3}, (), "no state dict that was found. Its keys are epoch"),
    "a stage's weight left out": (
        state(),
        ("--ignore-keys", "layer2."),
        "The stages read weights that --ignore-keys",
    ),
    "more than tensors": (ResNet(), (), "holds more than tensors, and is not opened"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_weights_that_do_not_fit_are_refused_with_every_reason(folder: Path, name: str) -> None:
    saved, words, said = MISFITS[name]
    torch.save(saved, folder / "weights.pt")
    found = command(
        folder,
        "mynet.model:resnet",
        "--weights",
        "weights.pt",
        "--stages",
        "layer2",
        *SHAPES,
        *words,
        "--json",
    )
    assert found.returncode == 2
    message = json.loads(found.stdout)["error"]["message"]
    assert re.search(said, message), message
    assert not (folder / "model.pt2").exists()


@pytest.mark.parametrize("content", [b"", b"notes", b"PK\x03\x04cut"], ids=["empty", "text", "cut off"])
def test_a_file_that_holds_no_weights_is_named(folder: Path, content: bytes) -> None:
    (folder / "weights.pt").write_bytes(content)
    found = command(folder, "mynet.model:resnet", "--weights", "weights.pt", *SHAPES)
    assert found.returncode == 2
    assert "weights.pt" in found.stderr
    assert "Traceback" not in found.stderr


# --- stages and refusals ---


class Calls(nn.Module):
    """A network that does something with a map."""

    def __init__(self, does: Callable[[Any, Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.conv, self.does = nn.Conv3d(3, 4, 3, 2, 1), does
        self.register_buffer("count", torch.zeros(1))
        self.parts = nn.ModuleList([nn.Conv3d(4, 4, 1)])

    def forward(self, x: Tensor) -> Any:
        return self.does(self, self.conv(x), x)


@torch.library.custom_op("vcpbench_export_tests::twice", mutates_args=())
def twice(x: Tensor) -> Tensor:
    return x * 2


@twice.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


class Stubborn(nn.Module):
    """Stays in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 4, 3)

    def train(self, mode: bool = True) -> Stubborn:
        return super().train(True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


def counting(network: Any, y: Tensor, x: Tensor) -> Tensor:
    network.count += 1
    return y


STAGES: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...], str]] = {
    "unknown": (ResNet, ("layr1",), "no module 'layr1'. It has .*layer1"),
    "a container": (
        lambda: Calls(lambda n, y, x: n.parts[0](y)),
        ("parts",),
        "does not run .* parts are parts.0",
    ),
    "runs twice": (ResNet, ("layer1.0.relu",), "The stage 'layer1.0.relu' runs 2 times"),
    "named twice": (ResNet, ("layer1", "layer1"), "A stage is named twice"),
    "no name": (ResNet, ("",), "names no stage. Names hold letters"),
    "a list": (
        lambda: nn.Sequential(TwoPaths(), Calls(lambda n, y, x: y)),
        ("0",),
        "gives a list, and a stage is one tensor. Name a module inside of it: 0.slow",
    ),
}


@pytest.mark.parametrize("name", STAGES)
def test_a_wrong_stage_is_said_with_what_to_do(tmp_path: Path, name: str) -> None:
    build, stages, words = STAGES[name]
    with pytest.raises(ExportError, match=words):
        export(build(), tmp_path / "a.pt2", stages=stages)


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "noise": (
        lambda: Calls(lambda n, y, x: y + torch.rand_like(y)),
        r"rand_like.default draws at random.*test_export",
    ),
    "dropout that stays on": (
        lambda: Calls(lambda n, y, x: nn.functional.dropout(y, 0.5)),
        "aten.dropout.default is in train mode",
    ),
    "a custom operation": (
        lambda: Calls(lambda n, y, x: twice(y)),
        "vcpbench_export_tests.twice.default is a custom",
    ),
    "a mask": (lambda: Calls(lambda n, y, x: y[y > 0].mean() + y), "numbers in a tensor|picks by a mask"),
    "a branch on numbers": (
        lambda: Calls(lambda n, y, x: y if y.mean() > 0 else -y),
        "depend on the numbers in a tensor",
    ),
    "a fixed batch": (
        lambda: Calls(lambda n, y, x: y + torch.ones(2, 1, 1, 1, 1)),
        "fixes the number of clips",
    ),
    "a buffer that changes": (lambda: Calls(counting), "changes"),
    "clips changed in place": (lambda: Calls(lambda n, y, x: y + x.mul_(2).mean()), "clips in place|changes"),
    "a dictionary": (lambda: Calls(lambda n, y, x: {"map": y}), "its output is a dict"),
    "a tuple in a tuple": (lambda: Calls(lambda n, y, x: (y, (y + 1,))), "its output is nested"),
    "numbers that are none": (lambda: Calls(lambda n, y, x: y / 0), "NaN or infinity"),
    "tokens": (lambda: Calls(lambda n, y, x: y.flatten(2)), r"stage1 has the shape \(B, 4, 512\)"),
    "one value for all clips": (
        lambda: Calls(lambda n, y, x: y.mean((0, 2, 3, 4))[None]),
        "number of clips alone",
    ),
    "clips that see each other": (
        lambda: Calls(lambda n, y, x: y - y.mean(0, keepdim=True)),
        "other clips of its batch",
    ),
    "clips as the output": (lambda: Calls(lambda n, y, x: (y, x)), "stage2 is an input or a weight"),
    "train mode": (Stubborn, "the network, conv stays in train mode"),
    "a norm without statistics": (
        lambda: nn.Sequential(nn.BatchNorm3d(3, track_running_stats=False)),
        "no running statistics",
    ),
    "autocast": (lambda: Calls(_in_autocast), "higher-order operation"),
}


def _in_autocast(network: Any, y: Tensor, x: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return (y @ y.transpose(-1, -2)).float()


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_server_would_refuse_is_refused_here_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    build, words = REFUSED[name]
    (tmp_path / "a.pt2").write_text("the file before")
    with pytest.raises(ExportError, match=words):
        export(build(), tmp_path / "a.pt2")
    assert (tmp_path / "a.pt2").read_text() == "the file before"
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt2"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="nowhere"):
        export(resnet(), tmp_path / "nowhere" / "a.pt2", stages=["layer2"])


# --- words and tables that the server has, too ---


def test_the_table_of_operations_is_the_servers_byte_by_byte() -> None:
    assert Path(table.__file__).read_bytes() == Path(ours.__file__).read_bytes()


WORDS: dict[str, dict[str, Any]] = {
    "frames": {"frames": 64},
    "too many frames": {"frames": 68},
    "frames of 6": {"frames": 6},
    "crop": {"crop": 320, "resize": (320, 640)},
    "crop of 33": {"crop": 33},
    "crop of 30": {"crop": 30},
    "stride": {"stride": 64},
    "stride of 0": {"stride": 0},
    "resize": {"resize": (32, 640)},
    "resize of 641": {"resize": (32, 641)},
    "mean": {"mean": (0.0, 0.5, 1.0)},
    "mean of 1.1": {"mean": (0.0, 0.5, 1.1)},
    "std": {"std": (0.001, 0.001, 0.001)},
    "std of 0": {"std": (0.0, 0.0, 0.0)},
}


@pytest.mark.parametrize("name", WORDS)
def test_an_input_is_valid_here_if_it_is_valid_there(name: str) -> None:
    given = {**CLIP, **WORDS[name]}
    spelt = {
        key: "/".join(map(str, value)) if isinstance(value, tuple) else value for key, value in given.items()
    }
    if "resize" in given:
        spelt["resize"] = "x".join(map(str, given["resize"]))
    text = ",".join(f"{word}={value}" for word, value in spelt.items())
    try:
        wanted = InputSpec.parse(text)
    except InputError:
        with pytest.raises(ExportError):
            Input(**given)
    else:
        assert InputSpec.parse(str(Input(**given))) == wanted


def test_sizes_and_colours_are_read_as_users_write_them() -> None:
    assert size_of("128x171") == (128, 171)
    assert colour_of("mean", "0.45") == colour_of("mean", 0.45) == (0.45, 0.45, 0.45)
    assert colour_of("std", "0.1/0.2/0.3") == colour_of("std", (0.1, 0.2, 0.3)) == (0.1, 0.2, 0.3)
    for wrong in ("128", "a x b", "1x2x3"):
        with pytest.raises(ExportError, match="HEIGHTxWIDTH"):
            size_of(wrong)
    with pytest.raises(ExportError, match="one number or three"):
        colour_of("mean", "0.1/0.2")


def test_without_torch_the_command_says_what_to_install(tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from vcpbench_client import start; start.main()"
    found = subprocess.run(
        [sys.executable, "-c", code, "export", "mynet:build", *SHAPES],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert found.returncode == 2
    assert "ExportError: Exporting needs torch 2.9 or later" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.long
def test_the_client_alone_exports_beside_a_torch_alone(folder: Path) -> None:
    """A new environment with torch and the client, and nothing else of ours."""
    python = folder / "venv" / "bin" / "python"
    pip = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    pinned = (*pip, "-c", str(ROOT / "constraints.txt"))
    for words in (
        (sys.executable, "-m", "venv", str(folder / "venv")),
        (*pinned, "torch"),
        (*pinned, str(ROOT / "client")),
    ):
        subprocess.run(words, check=True, timeout=DEADLINE_S, env={**os.environ, "PYTHONPATH": ""})
    found = subprocess.run(
        [python.with_name("vcpbench"), "export", "mynet.model:resnet", "--weights", "model.pt", "--stages",
         "layer1,layer2", *SHAPES],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "bit by bit" in found.stdout
    assert "its strict reader did not look at the file" in found.stdout
    export(resnet(), folder / "wanted.pt2", stages=["layer1", "layer2"])
    assert read_graph(folder / "model.pt2").program == read_graph(folder / "wanted.pt2").program
