"""`vcpbench evaluate` with many files, and steps that names and files tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from vcpbench_client import Client
from vcpbench_client.commands.steps import step_in_name

from tests.client.conftest import Run
from tests.client.hands import Hands, write_model

ON_GESTURES = ("-d", "gestures", "-p", "quick-v1")


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("epoch=1-step=2000.ckpt", 2000),
        ("epoch=1-step=2000-v1.ckpt", 2000),
        ("r3d_step_300.pt", 300),
        ("global_step500.pt", 500),
        ("model-Step-7.pth.tar", 7),
        ("step=0.ckpt", 0),
        ("last.ckpt", None),
        ("epoch_12.pth", None),
        ("checkpoint-2000.pt", None),
        ("footstep9.pt", None),
        ("step=1-step=2.ckpt", None),
        ("step=99999999999999999999.ckpt", None),
        ("timestep.pt", None),
    ],
)
def test_a_name_tells_a_step_only_where_it_says_so(name: str, step: int | None) -> None:
    assert step_in_name(Path("step=9") / name) == step


def test_many_files_are_evaluated_ordered_by_step_and_shown_in_one_table(
    run: Run, hands: Hands, client: Client, tmp_path: Path
) -> None:
    for step, right in ((2000, range(70)), (1000, range(40)), (3000, range(90))):
        write_model(tmp_path / f"epoch=1-step={step}.ckpt", right)
    write_model(tmp_path / "last.ckpt", range(90))  # the same bytes as step 3000's
    files = sorted(path.name for path in tmp_path.glob("*.ckpt"))
    found = run("evaluate", *files, "./last.ckpt", "-m", "mine", *ON_GESTURES)
    assert found.returncode == 0, found.stderr
    heading, *rows = found.stdout.splitlines()
    assert heading.split()[:3] == ["file", "step", "state"]
    assert [row.split()[:3] for row in rows] == [
        [f"epoch=1-step={step}.ckpt", str(step), "done"] for step in (1000, 2000, 3000)
    ]
    assert [row.split()[3] for row in rows] == ["40.0", "70.0", "90.0"]
    assert "last.ckpt is the same checkpoint as epoch=1-step=3000.ckpt." in found.stderr
    assert "Step 2000, by the name of epoch=1-step=2000.ckpt." in found.stderr
    assert sorted(one.step or 0 for one in client.checkpoints(model="mine")) == [1000, 2000, 3000]


def test_a_file_that_fails_stops_no_other_and_is_named_at_the_end(
    run: Run, hands: Hands, tmp_path: Path
) -> None:
    write_model(tmp_path / "good.ckpt", range(70))
    (tmp_path / "notes.ckpt").write_text("nothing but notes of a training run")
    write_model(tmp_path / "rejected.ckpt", [], reject="no weights of a network")
    write_model(tmp_path / "failed.ckpt", [], fail="out of memory")
    files = ("notes.ckpt", "gone.ckpt", "rejected.ckpt", "failed.ckpt", "good.ckpt")
    found = run("evaluate", *files, "-m", "mine", *ON_GESTURES)
    assert found.returncode == 2
    assert "good.ckpt" in found.stdout
    assert found.stderr.splitlines()[-1] == (
        "4 of 5 failed: failed.ckpt, gone.ckpt, notes.ckpt, rejected.ckpt."
    )
    assert "NotACheckpoint: notes.ckpt: plain text" in found.stderr
    assert "FileError: gone.ckpt cannot be read: No such file" in found.stderr
    assert "no weights of a network" in found.stderr
    assert "NotDone: failed.ckpt: Evaluation" in found.stderr
    as_json = run("evaluate", *files, "-m", "mine", *ON_GESTURES, "--json")
    items = {item["file"]: item for item in json.loads(as_json.stdout)}
    assert as_json.returncode == 2
    assert set(items) == set(files)
    assert (items["good.ckpt"]["state"], "error" in items["good.ckpt"]) == ("done", False)
    assert items["gone.ckpt"]["error"]["type"] == "FileError"
    assert items["failed.ckpt"]["error"]["log_tail"] == "Traceback: ..."


def test_what_is_wrong_for_all_ends_at_the_first_file(run: Run, hands: Hands, tmp_path: Path) -> None:
    for name in ("a.ckpt", "b.ckpt"):
        write_model(tmp_path / name, range(70), salt=name)
    wrong = run("evaluate", "a.ckpt", "b.ckpt", "-m", "mine", "-d", "gesturse", "--json")
    assert wrong.returncode == 2
    assert json.loads(wrong.stdout)["error"]["type"] == "NotFound"
    assert "Did you mean 'gestures'?" in wrong.stderr
    one = run("evaluate", "a.ckpt", "b.ckpt", "-m", "mine", "--step", "3")
    assert (one.returncode, "--step is for one file" in one.stderr) == (2, True)
    bare = run("evaluate", "a.ckpt", "b.ckpt")
    assert (bare.returncode, "--model NAME" in bare.stderr) == (2, True)


def test_many_checkpoints_that_are_there_need_no_files(
    run: Run, hands: Hands, client: Client, tmp_path: Path
) -> None:
    ids = [
        client.upload(write_model(tmp_path / "model.pt", range(right)), "mine", step=right).id
        for right in (70, 40)
    ]
    gone = "11111111-1111-1111-1111-111111111111"
    found = run("evaluate", ids[0], gone, ids[1], *ON_GESTURES, "--json")
    assert found.returncode == 2
    assert [item.get("state") for item in json.loads(found.stdout)] == ["done", "done", None]
    assert [item["file"] for item in json.loads(found.stdout)] == [ids[1], ids[0], gone]


@pytest.mark.long
def test_many_are_asked_for_without_waiting(run: Run, hands: Hands, client: Client, tmp_path: Path) -> None:
    hands.work.clear()
    for step in (20, 10):
        write_model(tmp_path / f"step={step}.ckpt", range(step))
    found = run("evaluate", "step=20.ckpt", "step=10.ckpt", "-m", "mine", *ON_GESTURES, "--no-wait")
    assert found.returncode == 0, found.stderr
    assert [line.split()[:3] for line in found.stdout.splitlines()[1:]] == [
        ["step=10.ckpt", "10", "waiting"],
        ["step=20.ckpt", "20", "waiting"],
    ]
    late = run("evaluate", "step=20.ckpt", "step=10.ckpt", "-m", "mine", *ON_GESTURES, "--timeout", "10")
    assert late.returncode == 2
    assert "2 evaluations go on. Look at them: vcpbench evaluations --model mine" in late.stderr
    assert "1 more have not ended either." in late.stderr


def test_an_epoch_of_the_file_gives_way_to_the_step_of_its_name(
    run: Run, hands: Hands, client: Client, tmp_path: Path
) -> None:
    training = {"step": None, "epoch": 1, "run": None, "sources": {"epoch": "'epoch' in the file"}}
    for step in (1000, 2000):
        path = tmp_path / f"epoch=1-step={step}.ckpt"
        write_model(
            path, range(step // 100), report={"others": [], "notes": [], "origin": None, "training": training}
        )
        found = run("evaluate", path.name, "-m", "mine", *ON_GESTURES, "--json")
        assert json.loads(found.stdout)["checkpoint"]["step"] == step, found.stderr
    assert sorted(one.step or 0 for one in client.checkpoints(model="mine")) == [1000, 2000]


def test_a_step_that_the_user_tells_comes_before_the_names(
    run: Run, hands: Hands, client: Client, tmp_path: Path
) -> None:
    write_model(tmp_path / "step=7.ckpt", range(70))
    run("upload", "step=7.ckpt", "-m", "told", "--step", "5")
    run("upload", "step=7.ckpt", "-m", "named")
    run("evaluate", "step=7.ckpt", "-m", "evaluated", *ON_GESTURES)
    run("gate", "step=7.ckpt", "-m", "judged", *ON_GESTURES, "--min", "recognition.top1=1")
    run("upload", "step=7.ckpt", "-m", "unread", "--no-wait")
    assert {one.model: one.step for one in client.checkpoints()} == {
        "told": 5,
        "named": 7,
        "evaluated": 7,
        "judged": 7,
        "unread": 7,
    }
