"""The child process: answers, errors, deaths, and what it may see."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.datasets_on_disk import make_folder, write_ucf101
from tests.patience import DEADLINE_S, until
from tests.workers import alive, runner_child, runner_children
from vcp_core.catalog.errors import StorageError, UnknownName
from vcp_core.datasets.manifest import Dataset
from worker import memory
from worker import runner as runner_module
from worker.disk import full_disk_as_storage_error
from worker.runner import ChildFailed, Foreign, Runner

pytestmark = pytest.mark.slow


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    found = Runner(tmp_path)
    yield found
    found.close()


def index(runner: Runner, tmp_path: Path, source: str) -> dict[str, Any]:
    """A request that decodes nothing."""
    return runner.call(
        {
            "do": "index",
            "source": {"name_or_path": source},
            "name": "x",
            "out": str(tmp_path / "manifest.json"),
        },
        stall_s=DEADLINE_S,
        on_progress=lambda done, total: None,
    )


def describe(runner: Runner, foreign: Foreign | None) -> None:
    """A request that both kinds of children know."""
    runner.call(
        {"do": "describe", "device": "cpu"},
        stall_s=DEADLINE_S,
        on_progress=lambda done, total: None,
        foreign=foreign,
    )


def test_what_the_child_says_of_its_input_is_raised_as_it_was_there(runner: Runner, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"No dataset or folder 'playgruond'. Did you mean 'playground'\?"):
        index(runner, tmp_path, "playgruond")


def test_a_dataset_keeps_its_own_name_beside_the_registered_one(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VCPBENCH_CACHE", str(tmp_path / "cache"))
    official = write_ucf101(tmp_path / "archives")
    folder = make_folder(tmp_path / "secret-project", num_frames=9)
    subset = shutil.copytree(folder, tmp_path / "ucf101")  # called so, and with nothing of its archives
    for source, own_name in (
        (f"ucf101:{official}", "ucf101"),
        (str(official), "ucf101"),
        (str(folder), None),
        (str(subset), None),
    ):
        assert index(runner, tmp_path, source)["own_name"] == own_name
        assert Dataset.from_json((tmp_path / "manifest.json").read_text()).name == "x"


def test_a_fault_of_ours_is_a_failed_child_with_the_traceback(runner: Runner, tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match="TypeError") as caught:
        runner.call(
            {"do": "index", "nonsense": 1},
            stall_s=DEADLINE_S,
            on_progress=lambda done, total: None,
        )
    assert "Traceback" in caught.value.log_tail


def test_a_log_holds_no_lines_of_an_earlier_job(runner: Runner, tmp_path: Path) -> None:
    with pytest.raises(UnknownName):
        index(runner, tmp_path, "nothing")
    log = runner._children[False]._log
    log.write(b"of an earlier job\n")
    log.flush()
    with pytest.raises(ChildFailed) as caught:
        runner.call({"do": "index", "nonsense": 1}, stall_s=DEADLINE_S, on_progress=lambda done, total: None)
    assert "Traceback" in caught.value.log_tail
    assert "of an earlier job" not in caught.value.log_tail


def test_a_full_disk_of_temporary_files_is_no_fault_of_the_job(runner: Runner, tmp_path: Path) -> None:
    request = {"do": "index", "source": {"name_or_path": str(make_folder(tmp_path / "few"))}, "name": "few"}
    with pytest.raises(StorageError, match="temporary files is full"):
        runner.call(
            {**request, "out": "/dev/full"},
            stall_s=DEADLINE_S,
            on_progress=lambda done, total: None,
        )
    with pytest.raises(StorageError, match="temporary files is full"), full_disk_as_storage_error():
        Path("/dev/full").write_text("x")
    with pytest.raises(IsADirectoryError), full_disk_as_storage_error():
        tmp_path.write_text("x")


def test_a_child_is_kept_for_the_next_request_and_behind_walls_for_the_same_videos_only(
    runner: Runner, tmp_path: Path
) -> None:
    pids = []
    bystander = subprocess.Popen(["sleep", "60"])  # as the engines of other tests are
    for _ in range(2):
        with pytest.raises(UnknownName):
            index(runner, tmp_path, "nothing")
        pids.append(runner_child(os.getpid()))
    assert pids[0] == pids[1]
    runner.close()
    pids.clear()
    for source in ("a", "a", "b"):
        describe(runner, Foreign(dataset={"name_or_path": str(make_folder(tmp_path / source))}, device="cpu"))
        pids.append(runner_child(os.getpid()))
    bystander.kill()
    bystander.wait()
    assert pids[0] == pids[1] != pids[2]


def test_a_child_behind_walls_and_one_without_are_kept_side_by_side(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pids() -> set[int]:
        for foreign in (None, Foreign(dataset={}, device="cpu")):
            describe(runner, foreign)
        return set(runner_children(os.getpid()))

    both = pids()
    assert len(both) == 2
    assert pids() == both
    monkeypatch.setattr(
        runner_module, "MOST_IDLE_BYTES", 1 << 20
    )  # each keeps more, so each call ends the other
    assert len(pids()) == 1
    runner.close()
    assert runner_children(os.getpid()) == []


def test_a_killed_child_is_said_to_have_been_killed_and_replaced(runner: Runner, tmp_path: Path) -> None:
    with pytest.raises(UnknownName):
        index(runner, tmp_path, "nothing")
    os.kill(runner_child(os.getpid()), signal.SIGSTOP)  # so that it cannot answer first
    killing = threading.Timer(0.2, runner.kill)
    killing.start()
    with pytest.raises(ChildFailed, match=r"killed; most likely memory ran out"):
        index(runner, tmp_path, "nothing")
    killing.join()
    with pytest.raises(UnknownName):
        index(runner, tmp_path, "nothing")


def test_a_child_between_two_calls_is_not_killed(runner: Runner, tmp_path: Path) -> None:
    pids = []
    for _ in range(2):
        with pytest.raises(UnknownName):
            index(runner, tmp_path, "nothing")
        runner.kill()  # as a heartbeat does that finds its job already done
        pids.append(runner_child(os.getpid()))
    assert pids[0] == pids[1]


def test_a_killed_child_takes_no_request_even_before_it_has_ended(runner: Runner, tmp_path: Path) -> None:
    with pytest.raises(UnknownName):
        index(runner, tmp_path, "nothing")
    child = runner._children[False]
    child.kill()
    assert not child.alive


def test_a_child_that_says_nothing_for_too_long_is_stopped(runner: Runner, tmp_path: Path) -> None:
    with pytest.raises(UnknownName):
        index(runner, tmp_path, "nothing")
    os.kill(runner_child(os.getpid()), signal.SIGSTOP)
    with pytest.raises(ChildFailed, match="no sign of progress for 1 s"):
        runner.call(
            {"do": "index", "source": {"name_or_path": "x"}, "name": "x", "out": "x"},
            stall_s=1,
            on_progress=lambda done, total: None,
        )


def test_a_stopped_runner_starts_nothing_any_more(runner: Runner, tmp_path: Path) -> None:
    runner.stop()
    with pytest.raises(ChildFailed, match="shutting down"):
        index(runner, tmp_path, "nothing")


def test_the_child_sees_no_secrets(runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("VCPBENCH_DATABASE_URL", "VCPBENCH_BROKER_URL", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN")
    for name in secrets:
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")  # no secret: it decides last digits
    with pytest.raises(UnknownName):
        index(runner, tmp_path, "nothing")
    seen = Path(f"/proc/{runner_child(os.getpid())}/environ").read_text()
    assert "PATH=" in seen
    assert not [name for name in secrets if name in seen]
    assert "OPENBLAS_CORETYPE=Haswell" in seen


def test_the_child_ends_with_its_worker_however_that_ends(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from worker.runner import Runner\n"
        "runner = Runner(pathlib.Path(sys.argv[1]))\n"
        "request = {'do': 'index', 'source': {'name_or_path': 'nothing'}, 'name': 'x', 'out': 'x'}\n"
        "try: runner.call(request, stall_s=900, on_progress=print)\n"
        "except Exception: print('ready', flush=True)\n"
        "import time; time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    parent.stdout.readline()
    child = runner_child(parent.pid)
    parent.kill()
    parent.communicate()
    until(lambda: not alive(child))


def test_a_job_that_was_lost_before_its_child_was_there_does_not_begin(
    runner: Runner, tmp_path: Path
) -> None:
    class Lost(Exception):
        pass

    def check() -> None:
        raise Lost

    with pytest.raises(Lost):
        runner.call(
            {"do": "index"},
            stall_s=DEADLINE_S,
            on_progress=lambda done, total: None,
            check=check,
        )


def test_a_child_that_takes_too_much_memory_is_stopped_with_the_limit(runner: Runner, tmp_path: Path) -> None:
    with pytest.raises(UnknownName):
        index(runner, tmp_path, "nothing")
    runner._children[False]._memory_bytes = 1 << 20
    os.kill(runner_child(os.getpid()), signal.SIGSTOP)  # so that it cannot answer first
    with pytest.raises(ChildFailed, match=r"more than 1 MiB of memory, which is the limit; stopped\. An op"):
        index(runner, tmp_path, "nothing")


def test_the_usual_limit_is_below_what_the_machine_or_its_container_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CONTAINER", ())
    everything = memory.usual_limit()
    assert 0 < everything < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    bounded, unbounded = tmp_path / "bounded", tmp_path / "unbounded"
    bounded.write_text("104857600\n")
    unbounded.write_text("max\n")
    monkeypatch.setattr(memory, "CONTAINER", (tmp_path / "none", unbounded))
    assert memory.usual_limit() == everything
    monkeypatch.setattr(memory, "CONTAINER", (bounded, unbounded))
    assert memory.usual_limit() == 78_643_200


def test_stopping_while_closing_harms_nobody(runner: Runner, tmp_path: Path) -> None:
    index(runner, tmp_path, str(make_folder(tmp_path / "clips", num_frames=9)))
    threads = [threading.Thread(target=act) for act in 4 * [runner.stop] + [runner.close]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runner.stop()
