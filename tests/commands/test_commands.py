"""The command line, run as users run it: in a process of its own."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

import vcp_core
from stack.commands.local import show
from tests.datasets_on_disk import write_messy
from tests.forked import VCPBENCH, run_vcpbench
from tests.patience import DEADLINE_S, until
from tests.videos import write_video
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.protocols import PROTOCOLS
from vcp_core.catalog.scores import Score
from vcp_core.datasets.manifest import Dataset
from vcp_core.evaluation.plan import EvaluationPlan
from vcp_core.results.types import BenchmarkResult

pytestmark = pytest.mark.slow

QUICKEST = 'base = "quick-v1"\n[grid]\nnum_clips = 1\n[control]\nseeds = [0]\ncalibration_clips = 4\n'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint, a small dataset and a protocol; also HOME of what runs in it."""
    folder = tmp_path_factory.mktemp("home")
    torch.save(vcp_core.build("r3d_tiny", seed=3).state_dict(), folder / "model.pt")
    for seed in range(12):
        label, number = ("jump", "run")[seed % 2], seed // 2
        write_video(folder / "clips" / label / f"{number}.mp4", 100 + number, seed=seed)
    (folder / "quickest.toml").write_text(QUICKEST)
    return folder


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(home), "VCPBENCH_CACHE": str(home / "cache"), "COLUMNS": "100"}


def vcpbench(home: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    if not options:
        return run_vcpbench(*arguments, cwd=home, env=environment(home))
    command = [VCPBENCH, *arguments]
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        command,
        cwd=home,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        **options,
    )


def local(home: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return vcpbench(home, "local", "model.pt", "-d", "clips", "-p", "quickest.toml", *arguments, **options)


def test_local_prints_a_table_and_writes_the_same_json_again_by_the_command_that_it_names(home: Path) -> None:
    first = local(home, "--json", "scores.json", "--timings", "clocks.json")
    assert first.returncode == 0, first.stderr
    for word in ("cloze", "temporal", "recognition", "top1", "retrieval", "random", "lift"):
        assert word in first.stdout
    results = json.loads((home / "scores.json").read_text())
    words = results["provenance"]["reproduce"].split()
    assert words[0] == "vcpbench"
    clocks = json.loads((home / "clocks.json").read_text())
    assert clocks["total_s"] > clocks["forward_s"] > 0
    assert "total_s" not in (home / "scores.json").read_text()
    assert "Cloze accuracy is" in first.stdout
    assert "recall.rotation.90" not in first.stdout
    again = vcpbench(home, *words[1:], "--json", "-")
    assert again.stdout == (home / "scores.json").read_text()


def test_plan_says_what_local_will_take_in_words_and_in_json(home: Path) -> None:
    words = ("model.pt", "-d", "clips", "-p", "quickest.toml")
    shown = vcpbench(home, "plan", *words)
    assert shown.returncode == 0, shown.stderr
    lines = dict(re.split(r"  +", line.strip(), maxsplit=1) for line in shown.stdout.splitlines()[:-1])
    found = json.loads(vcpbench(home, "plan", *words, "--json").stdout)
    assert lines["videos"] == f"{found['videos']:,}" == "12"
    assert lines["clips"] == f"{found['clips']:,} for each network"
    missing = [one["name"] for one in found["networks"] if not one["kept"]]
    kept = [one["name"] for one in found["networks"] if one["kept"]]
    assert lines["networks"] == f"{len(missing)} to measure: {', '.join(missing)}"
    assert lines.get("kept already", "").startswith(", ".join(kept))
    assert missing + kept == ["checkpoint", "random weights 0", "pixels"]
    assert set(lines) >= {"decoding", "forwarding", "scoring", "time in all", "disk", "memory"}
    assert shown.stdout.splitlines()[-1].startswith("Most of the time goes into ")
    assert found["total_s"]["high"] >= found["total_s"]["low"] > 0
    alone = json.loads(vcpbench(home, "plan", *words, "--no-controls", "--json").stdout)
    assert [one["name"] for one in alone["networks"]] == ["checkpoint"]
    assert [one["how"] for one in alone["shorter"]] == ["--protocol quick-v1"]
    assert alone["frames"] == found["frames"]


def test_inspect_says_what_a_file_holds(home: Path) -> None:
    assert "r3d_tiny" in vcpbench(home, "inspect", "model.pt").stdout
    assert json.loads(vcpbench(home, "inspect", "model.pt", "--json").stdout)["backbone"] == "r3d_tiny"


def test_a_file_whose_name_is_not_utf8_is_inspected_and_evaluated_with_the_network_named(home: Path) -> None:
    name = os.fsdecode(b"caf\xe9.pt")
    both = {"student": vcp_core.build("r3d_tiny", seed=3).state_dict()}
    both["teacher"] = vcp_core.build("r3d_tiny", seed=4).state_dict()
    torch.save(both, home / "both.pt")
    (home / "both.pt").rename(home / name)
    said = "network     'student.': gradients trained it, as the names say"
    assert said in vcpbench(home, "inspect", name).stdout
    words = (
        "-d",
        "clips",
        "-p",
        "quickest.toml",
        "--no-controls",
        "--benchmark",
        "retrieval",
        "--json",
        "a.json",
    )
    found = vcpbench(home, "local", name, *words)
    assert found.returncode == 0, found.stderr
    assert "network 'student.' of the file: gradients trained it, as the names say" in found.stdout
    assert "Also there, and not used: 'teacher.'." in found.stdout
    origin = json.loads((home / "a.json").read_text())["provenance"]
    assert (origin["checkpoint"]["network"], origin["checkpoint"]["others"]) == ("student.", ["teacher."])
    assert origin["reproduce"].startswith("vcpbench local FILE ")


def test_a_file_of_which_nothing_says_what_is_meant_is_refused_with_the_choices(home: Path) -> None:
    state = vcp_core.build("r3d_tiny", seed=3).state_dict()
    torch.save({"a": state, "b": {key: value + 1 for key, value in state.items()}}, home / "two.pt")
    found = vcpbench(home, "inspect", "two.pt")
    assert found.returncode == 2
    assert "SeveralNetworks: two.pt: 2 whole networks are in the file" in found.stderr
    assert "\n  --prefix a.  (r3d_tiny)\n  --prefix b.  (r3d_tiny)" in found.stderr


def test_dataset_show_counts_classes_and_splits(home: Path) -> None:
    shown = json.loads(vcpbench(home, "dataset", "show", "clips", "--json").stdout)
    assert set(shown["classes"]) == {"jump", "run"}
    assert shown["videos"]["train"] + shown["videos"]["test"] == 12
    assert "jump" in vcpbench(home, "dataset", "show", "clips").stdout


def test_dataset_show_says_what_became_of_every_file_of_a_messy_folder(home: Path) -> None:
    messy = write_messy(home / "messy")
    shown = vcpbench(home, "dataset", "show", "messy")
    assert shown.returncode == 0, shown.stderr
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    for line in (
        "files: 21 seen, 9 taken, 2 left out, 10 not taken; damaged among the taken: 1",
        r"not taken 2 the suffix .xyz is not a video's: jump/two\nlines.xyz, run/1.xyz",
        r"not taken 1 the name is not UTF-8: jump/caf\xe9.mp4",
        "not taken 1 a broken link: jump/gone.mp4",
        "not taken 1 a link to a folder above it: jump/up",
        "not taken 1 a class folder without videos: sit",
        "not taken 1 a video beside the class folders: loose.mp4",
        "not taken 1 an AppleDouble file of a Mac (._name): run/._0.mp4",
        "not taken 1 hidden (the name begins with a dot): .git",
        "not taken 1 the suffix .txt is not a video's: sit/notes.txt",
    ):
        assert line in lines
    for name in ("run/empty.mp4", "run/page.mp4"):
        assert [line for line in lines if line.startswith("left out 1 ") and line.endswith(f": {name}")]
    (damaged,) = [line for line in lines if line.startswith("damaged 1 ")]
    assert damaged.endswith(": run/damaged.avi")
    assert "! No video is taken from 1 class folder: sit (1 file (the" in shown.stderr

    facts = json.loads(vcpbench(home, "dataset", "show", str(messy), "--json").stdout)
    assert (facts["seen"], facts["taken"], len(facts["left_out"])) == (21, 9, 2)
    assert sum(files["count"] for files in facts["not_taken"]) == 10
    assert sum(facts["left_out_by_reason"].values()) == 2
    assert facts["damaged"]["videos"] == 1
    more = json.loads(vcpbench(home, "dataset", "show", "messy", "--suffix", "xyz", "--json").stdout)
    assert (more["seen"], len(more["left_out"])) == (21, 4)  # now listed, and no videos


def test_a_layout_that_is_not_known_is_drawn_on_the_terminal(home: Path) -> None:
    for side in ("train", "val"):
        write_video(home / "flat" / side / "1.mp4", 20)
    shown = vcpbench(home, "dataset", "show", "flat")
    assert shown.returncode == 2
    assert "DatasetError: flat: train, val hold videos and no class folders" in shown.stderr
    assert "\n    train/  1 video\n    val/    1 video\n" in shown.stderr


def test_names_that_look_like_markup_are_shown_as_they_are(home: Path) -> None:
    clips = home / "[bold] clips"
    for seed in range(4):
        write_video(clips / ("walk [", "run [red]")[seed % 2] / f"{seed} [/x].mp4", 20, seed=seed)
    (clips / "run [red]" / "My clip [dqw4w9wgxcq].mp4").write_text("not a video")
    shown = vcpbench(home, "dataset", "show", str(clips))
    assert shown.returncode == 0, shown.stderr
    for name in ("[bold] clips", "walk [", "run [red]"):
        assert name in shown.stdout
    assert ": run [red]/My clip [dqw4w9wgxcq].mp4" in shown.stdout


def test_a_result_whose_names_look_like_markup_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    dataset = Dataset(name="clips [/x]", split_name="[", root=Path(), videos=(), warnings=("left [/x] out",))
    named = PROTOCOLS["quick-v1"].model_copy(update={"name": "mine [red]"})
    plan = EvaluationPlan(dataset=dataset, protocol=named, spec=BACKBONES["r3d_tiny"])
    retrieval = BenchmarkResult(benchmark="retrieval", unavailable="no [/x]")
    results = plan.results(
        (retrieval,), checkpoint={"sha256": "0" * 64}, versions={}, device="cpu", reproduce=""
    )
    show(results)
    shown = capsys.readouterr().out
    for said in ("clips [/x]", "mine [red]", "! left [/x] out", "! retrieval: no [/x]"):
        assert said in shown


@pytest.mark.parametrize(("every", "first"), [(False, "percent"), (True, "metric")])
def test_a_table_names_units_where_rows_have_several(
    capsys: pytest.CaptureFixture[str], every: bool, first: str
) -> None:
    counts: dict[str, Any] = {"num_videos": 9, "num_units": 9, "units": "video"}
    share = Score(metric="spectrum.share", value=40, low=30, high=50, headline=True, **counts)
    rank = Score(metric="spectrum.rank", value=12.5, low=11, high=14, unit="number", **counts)
    dataset = Dataset(name="clips", split_name="1", root=Path(), videos=())
    plan = EvaluationPlan(dataset=dataset, protocol=PROTOCOLS["quick-v1"], spec=BACKBONES["r3d_tiny"])
    results = plan.results(
        (BenchmarkResult(benchmark="spectrum", scores=(share, rank)),),
        checkpoint={"sha256": "0" * 64},
        versions={},
        device="cpu",
        reproduce="",
    )
    show(results, every=every)
    shown = capsys.readouterr().out.splitlines()
    assert any(line.startswith(first) for line in shown)
    assert any(line.startswith("  share, %" if every else "  share ") for line in shown)
    assert any(line.startswith("  rank ") for line in shown) is every


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("local", "gone.pt", "-d", "clips"), "gone.pt"),
        (("local", "quickest.toml", "-d", "clips"), "NotACheckpoint"),
        (("local", "model.pt", "-d", "playgruond"), "Did you mean 'playground'"),
        (("local", "model.pt", "-d", "clips", "-p", "quik-v1"), "Did you mean 'quick-v1'"),
        (("local", "model.pt", "-d", "clips", "--benchmark", "clozes"), "Did you mean 'cloze'"),
        (("local", "model.pt", "-d", "clips", "--backbone", "r3d18"), "Did you mean 'r3d_18'"),
        (("plan", "gone.pt", "-d", "clips"), "gone.pt"),
        (("plan", "quickest.toml", "-d", "clips"), "NotACheckpoint"),
        (("plan", "model.pt", "-d", "playgruond"), "Did you mean 'playground'"),
        (("dataset", "show", "cache"), "cache"),
        (("dataset", "make", "ucf101"), "ucf101"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line_and_exits_with_2(
    home: Path, arguments: tuple[str, ...], says: str
) -> None:
    (home / "cache").mkdir(exist_ok=True)
    run = vcpbench(home, *arguments)
    assert run.returncode == 2
    assert says in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("local", "gone.pt"), "gone.pt: no such file"),
        (("local", "model.pt", "--benchmark", "clze"), "Did you mean 'cloze'"),
        (("local", "model.pt", "--device", "cuda:99"), "No device 'cuda:99'"),
        (
            ("local", "model.pt", "--json", "model.pt/a.json"),
            "a.json cannot be written: Not a directory",
        ),
        (("plan", "model.pt", "-p", "quik-v1"), "Did you mean 'quick-v1'"),
        (("plan", "model.pt", "--benchmark", "clze"), "Did you mean 'cloze'"),
        (("plan", "model.pt", "--device", "cuda:99"), "No device 'cuda:99'"),
        (("plan", "model.pt", "--backbone", "r3d18"), "Did you mean 'r3d_18'"),
        (("pretrain", "-o", "model.pt"), "model.pt/run.json cannot be written: Not a directory"),
        (
            ("pretrain", "-o", "run", "--device", "cpu", "--precision", "bf16"),
            "bf16 does not train on the CPU",
        ),
        (("finetune", "model.pt", "-o", "run", "--device", "cuda:99"), "No device 'cuda:99'"),
        (("finetune", "gone.pt", "-o", "run"), "gone.pt: no such file"),
    ],
)
def test_what_is_wrong_without_the_dataset_is_said_before_it_is_looked_for(
    home: Path, arguments: tuple[str, ...], says: str
) -> None:
    run = vcpbench(home, *arguments, "-d", "nowhere")
    assert run.returncode == 2
    assert says in run.stderr
    assert not (home / "run").exists()


@pytest.mark.parametrize(
    "command",
    [(), ("local",), ("plan",), ("inspect",), ("dataset",), ("dataset", "make"), ("dataset", "show")],
)
def test_every_command_has_help_and_those_that_do_something_have_examples(
    home: Path, command: tuple[str, ...]
) -> None:
    run = vcpbench(home, *command, "--help")
    assert run.returncode == 0
    if command not in ((), ("dataset",)):
        assert "Examples" in run.stdout
        assert "--json" in run.stdout


def test_ctrl_c_says_so_exits_with_130_and_leaves_nothing_half_written(home: Path) -> None:
    command = [VCPBENCH, "local", "model.pt", "-d", "clips"]
    process = subprocess.Popen(
        [*command, "--no-controls", "--json", "interrupted.json"],
        cwd=home,
        env=environment(home),
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts background jobs with SIGINT ignored, and children inherit that; a terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    work = home / "cache" / "work"
    until(lambda: work.is_dir() and any(work.iterdir()), hopeless=lambda: process.poll() is not None)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert "Interrupted" in stderr
    assert not (home / "interrupted.json").exists()
    assert list(work.iterdir()) == []


def test_a_disk_without_room_is_said_and_leaves_nothing_half_written(home: Path) -> None:
    def little_room() -> None:  # what this process may write to one file; the same error path as a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    run = vcpbench(
        home,
        "local",
        "model.pt",
        "-d",
        "clips",
        "--no-controls",
        "--json",
        "no-room.json",
        preexec_fn=little_room,
    )
    assert run.returncode == 2
    assert "StorageError" in run.stderr
    assert not (home / "no-room.json").exists()
    assert not list((home / "cache" / "work").glob("*"))
