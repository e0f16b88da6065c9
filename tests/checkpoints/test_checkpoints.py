"""The whole way, through the sandbox's child process: a foreign file in, a network and a report out."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.checkpoints.test_read import Touch, save
from tests.patience import until
from vcp_core.backbones import Backbone, build
from vcp_core.catalog.errors import (
    CheckpointError,
    CheckpointMismatch,
    DamagedCheckpoint,
    NonFiniteWeights,
    NotACheckpoint,
    ReaderFailed,
    SeveralNetworks,
    StorageError,
    UnknownName,
    UnreadableCheckpoint,
    UnsafeCheckpoint,
)
from vcp_core.checkpoints import (
    CheckpointReport,
    child_process,
    ingest,
    inspect_checkpoint,
    load_checkpoint,
    read_canonical,
    start_loading,
)
from vcp_core.checkpoints.child import ingest_here
from vcp_core.checkpoints.child_process import Limits, child_environment
from vcp_core.checkpoints.formats import ZIP
from vcp_core.checkpoints.sandbox import start_reading

pytestmark = pytest.mark.slow

TINY = build("r3d_tiny", seed=4)
LIMITS = Limits.for_size(0)


def state(prefix: str = "") -> dict[str, Tensor]:
    return {prefix + key: value.clone() for key, value in TINY.state_dict().items()}


def assert_same_network(found: Backbone, expected: Backbone = TINY) -> None:
    assert found.spec == expected.spec
    assert not found.training
    clips_BCTHW = torch.rand((1, 3, 8, 32, 32), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(found(clips_BCTHW), expected(clips_BCTHW))


@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "legacy"])
def test_a_training_checkpoint_becomes_the_network_it_was(tmp_path: Path, as_zip: bool) -> None:
    head = {"module.fc.weight": torch.zeros(5, 128), "module.fc.bias": torch.zeros(5)}
    everything = {
        "epoch": 12,
        "args": argparse.Namespace(lr=0.1),
        "state_dict": state("module.base_network.") | head,
        "optimizer": torch.optim.Adam(TINY.parameters()).state_dict() | {"moment": torch.zeros(3)},
    }
    path = save(everything, tmp_path / "last.ckpt", as_zip=as_zip)
    network, report = load_checkpoint(path)
    assert_same_network(network)
    assert report == CheckpointReport(
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        size_bytes=path.stat().st_size,
        format="torch zip" if as_zip else "torch legacy",
        backbone="r3d_tiny",
        wrapper="state_dict",
        prefix="module.base_network.",
        num_keys=60,
        filled=(),
        left_over={"state_dict.module.fc": 2, "optimizer": 1},
        others=(),
        dtypes=("float32",),
        scheme="vcpbench",
        network="state_dict.module.base_network.",
        training={"step": None, "epoch": 12, "run": None, "sources": {"epoch": "'epoch' in the file"}},
    ).read_as(variant=None, input_spec=None)


def test_a_form_that_no_tensor_shows_is_named_and_the_rest_is_listed_as_assumed(tmp_path: Path) -> None:
    path = save(state(), tmp_path / "bgr.pt")
    network, report = load_checkpoint(path, variant="bgr", input_spec="mean=0.5")
    assert network.spec.variant is not None
    assert (report.variant, report.scheme_version) == ("bgr", 1)
    assert [one["fact"] for one in report.assumed] == [
        "input",
        "normalisation",
        "batch-norm epsilon",
        "strides, dilation and poolings",
    ]
    explained = report.explain()
    assert "variant     bgr: channels in the order blue, green, red" in explained
    assert "assumed     input frames=16,stride=1,resize=64x86,crop=56 (vcpbench: r3d" in explained
    assert "normalisation std=1 (vcpbench's own training)" in explained
    usual = inspect_checkpoint(path)
    assert "pass --input-spec or --variant (bgr)." in usual.explain()
    assert CheckpointReport.from_json(report.to_json()) == report
    with pytest.raises(UnknownName, match=r"No variant of r3d_tiny 'tclr'. Known: bgr."):
        load_checkpoint(path, variant="tclr")


def test_a_student_of_half_precision_without_counters_is_used_and_its_teacher_reported(
    tmp_path: Path,
) -> None:
    student = {
        f"student.{key}": value.to(torch.bfloat16 if "conv1" in key else torch.float16)
        for key, value in state().items()
        if not key.endswith("num_batches_tracked")
    }
    save_file(student | state("teacher."), tmp_path / "pair.bin")
    network, report = load_checkpoint(tmp_path / "pair.bin", backbone="r3d_tiny")
    assert report.format == "safetensors"
    assert (report.wrapper, report.prefix, report.others) == ("", "student.", ("teacher.",))
    assert report.dtypes == ("bfloat16", "float16")
    assert len(report.filled) == 12
    expected = build("r3d_tiny")
    expected.load_state_dict({k.removeprefix("student."): v for k, v in student.items()}, strict=False)
    assert_same_network(network, expected)
    explained = report.explain()
    for words in (
        "r3d_tiny: all 60 keys",
        "under 'student.'",
        "gradients trained it, as the names say: 'teacher.' is named as a teacher",
        "--prefix",
        "bfloat16, float16 to float32",
        "'teacher.'",
    ):
        assert words in explained
    assert CheckpointReport.from_json(report.to_json()) == report


def test_several_networks_are_refused_with_choices_that_work(tmp_path: Path) -> None:
    other = build("r3d_tiny", seed=5)
    path = save({"first": state(), "second": other.state_dict()}, tmp_path / "two.pt")
    with pytest.raises(SeveralNetworks, match=r"two\.pt: 2 whole networks .*\n  --prefix first\.") as caught:
        inspect_checkpoint(path)
    assert caught.value.choices == ("first.", "second.")
    network, report = load_checkpoint(path, prefix=caught.value.choices[1])
    assert_same_network(network, other)
    assert (report.network, report.others) == ("second.", ("first.",))


def test_a_path_that_is_not_utf8_is_read_and_shown(tmp_path: Path) -> None:
    for name, wanted in (("caf\udce9.pt", "torch zip"), ("caf\udce9.safetensors", "safetensors")):
        if wanted == "safetensors":
            save_file(state(), tmp_path / "plain")
        else:
            save(state(), tmp_path / "plain")
        (tmp_path / "plain").rename(tmp_path / name)
        network, report = load_checkpoint(tmp_path / name)
        assert report.format == wanted
        assert_same_network(network)
    (tmp_path / "caf\udce9.txt").write_text("hello")
    with pytest.raises(NotACheckpoint, match=r"caf\\xe9\.txt: plain text"):
        inspect_checkpoint(tmp_path / "caf\udce9.txt")


def test_the_canonical_file_holds_the_backbone_only_and_the_same_weights_give_the_same_bytes(
    tmp_path: Path,
) -> None:
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    strided = {key: value.transpose(0, -1).contiguous().transpose(0, -1) for key, value in state().items()
               if value.dim()}  # fmt: skip
    ingest(save({"model": strided | {"fc": torch.zeros(1)}}, tmp_path / "a.pt"), one)
    ingest(save(state("net."), tmp_path / "b.pt", as_zip=False), two)
    assert one.read_bytes() == two.read_bytes()
    assert set(load_file(one)) == set(TINY.state_dict())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pt", "b.pt", one.name, two.name]
    assert_same_network(read_canonical(one))
    one.write_bytes(one.read_bytes()[:-1])
    with pytest.raises(DamagedCheckpoint, match="Ingest the checkpoint again"):
        read_canonical(one)


def test_a_hostile_file_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    marker, canonical = tmp_path / "marker", tmp_path / "canonical.safetensors"
    path = save(state() | {"x": Touch(marker)}, tmp_path / "evil.pt")
    with pytest.raises(UnsafeCheckpoint, match=r"evil\.pt: it asks for .*None of its code was run"):
        ingest(path, canonical)
    assert not marker.exists()
    assert not canonical.exists()


def test_a_truncated_file_is_damaged(tmp_path: Path) -> None:
    path = save(state(), tmp_path / "cut.pt", as_zip=False)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(DamagedCheckpoint, match=r"cut\.pt: truncated or corrupt"):
        load_checkpoint(path)


def test_an_incomplete_file_names_what_is_missing(tmp_path: Path) -> None:
    weights = {key: value for key, value in state().items() if not key.startswith("conv4.")}
    with pytest.raises(
        CheckpointMismatch,
        match=r"half\.pt: it holds no whole backbone. The closest is r3d_tiny: 45 of 60 keys",
    ):
        load_checkpoint(save(weights, tmp_path / "half.pt"))


def test_weights_that_are_not_finite_are_named_and_counted(tmp_path: Path) -> None:
    weights = state()
    weights["bn1.weight"][3] = torch.nan
    weights["conv2.block1.bn1.bias"] = (
        weights["conv2.block1.bn1.bias"].double().fill_(1e300)
    )  # not in float32
    says = r"2 of 60 keys: bn1\.weight \(1 of 16\), conv2\.block1\.bn1\.bias \(16 of 16\)"
    with pytest.raises(NonFiniteWeights, match=says):
        load_checkpoint(save(weights, tmp_path / "diverged.pt"))


def test_a_variance_below_zero_is_named_and_counted(tmp_path: Path) -> None:
    weights = state()
    weights["bn1.running_var"][2:5] = -1
    with pytest.raises(NonFiniteWeights, match=r"below zero in 1 keys: bn1\.running_var \(3 of 16\)"):
        load_checkpoint(save(weights, tmp_path / "negative.pt"))


def test_quantised_weights_are_not_taken_for_floating_point(tmp_path: Path) -> None:
    weights = state()
    weights["bn1.weight"] = weights["bn1.weight"].to(torch.int8)
    with pytest.raises(CheckpointMismatch, match=r"bn1\.weight \(int8\)"):
        load_checkpoint(save(weights, tmp_path / "int8.pt"))


@pytest.mark.parametrize(
    "strange", [torch.ones(1), torch.tensor(-1), torch.tensor(torch.nan), torch.ones(2, 2), torch.tensor(1j)]
)
def test_a_step_counter_of_a_strange_kind_becomes_a_count_or_nothing(tmp_path: Path, strange: Tensor) -> None:
    weights = {
        key: strange if key.endswith("num_batches_tracked") else value for key, value in state().items()
    }
    report = ingest_here(save(weights, tmp_path / "odd.pt"), tmp_path / "out")
    is_count = strange.numel() == 1 and strange.is_floating_point() and bool(strange >= 0)
    assert len(report.filled) == (0 if is_count else 12)
    assert load_file(tmp_path / "out")["bn1.num_batches_tracked"] == torch.tensor(int(is_count))


def test_what_is_no_file_is_refused_before_a_process_starts(tmp_path: Path) -> None:
    (tmp_path / "empty.pt").touch()
    os.mkfifo(tmp_path / "pipe")
    for name, says in (
        ("nowhere.pt", "no such file"),
        ("", "a folder"),
        ("empty.pt", "empty"),
        ("pipe", "not a regular file"),
    ):
        with pytest.raises(NotACheckpoint, match=says):
            inspect_checkpoint(tmp_path / name)
    with pytest.raises(UnknownName, match="Did you mean 'r3d_tiny'"):
        inspect_checkpoint(tmp_path / "nowhere.pt", backbone="r3dtiny")


def test_a_file_of_another_kind_is_refused_by_the_child_before_it_imports_torch(tmp_path: Path) -> None:
    (tmp_path / "page.pt").write_text("<html>Please sign in</html>")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with pytest.raises(NotACheckpoint, match=r"page\.pt: a web page"):
        ingest(tmp_path / "page.pt", tmp_path / "out")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 1.0  # importing torch takes more


def test_a_full_disk_is_a_storage_error_and_nothing_is_left_half_written(tmp_path: Path) -> None:
    path, folder = save(state(), tmp_path / "fine.pt"), tmp_path / "out"
    # The system cuts a write short in the same place when a disk is full; this limit needs no privilege.
    limits = dataclasses.replace(LIMITS, file_bytes=100_000)
    with pytest.raises(StorageError, match="Nothing was left behind"):
        ingest(path, folder / "canonical.safetensors", limits=limits)
    assert list(folder.iterdir()) == []


def test_a_file_that_unpacks_to_more_memory_than_allowed_is_refused(tmp_path: Path) -> None:
    path = save(state() | {"bomb": torch.zeros(1 << 26)}, tmp_path / "large.pt", as_zip=False)
    with pytest.raises(CheckpointError, match="more memory"):
        ingest(path, tmp_path / "out", limits=dataclasses.replace(LIMITS, memory_bytes=1 << 27))
    assert not (tmp_path / "out").exists()


def test_a_zip_of_nothing_but_directory_entries_is_refused_before_they_fill_memory(tmp_path: Path) -> None:
    entry = struct.pack("<4sBBBBHHHLLLHHHHHLL", b"PK\x01\x02", 20, 3, 20, *[0] * 7, 2, *[0] * 6) + b"ab"
    count, begin = 300_000, ZIP + bytes(60)
    size, start = count * len(entry), len(begin)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, start + size, 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    (tmp_path / "entries.pt").write_bytes(begin + entry * count + end64 + locator + end)
    with pytest.raises(NotACheckpoint, match="without weights"):
        ingest(tmp_path / "entries.pt", tmp_path / "out")
    # The entries take 130 MB. Filled to its last byte, memory once made CPython spin, in one run out of two.
    for megabytes in (48, 64, 65, 66, 67):
        tight = dataclasses.replace(LIMITS, memory_bytes=megabytes << 20, cpu_s=10)
        with pytest.raises(CheckpointError, match="more memory"):
            ingest(tmp_path / "entries.pt", tmp_path / "out", limits=tight)


def test_a_reader_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    path = save(state() | {"log": list(range(4_000_000))}, tmp_path / "slow.pt")
    with pytest.raises(CheckpointError, match="processor time"):
        ingest(path, tmp_path / "out", limits=dataclasses.replace(LIMITS, cpu_s=1))
    with pytest.raises(ReaderFailed, match="longer than 0 s"):  # a slow disk, perhaps: the file may be good
        ingest(path, tmp_path / "out", limits=dataclasses.replace(LIMITS, wall_s=0))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import sys\nwhile True: sys.stdout.write('x' * 4096)", "said more than 16,777,216 bytes"),
        ("import sys\nwhile True: sys.stderr.write('x' * 4096)", "said more than 16,777,216 bytes"),
        ("print('[' * 1_000_000)", "answer is no report"),
        ("print('fine')", "answer is no report"),
        ("print(b'{}')", "answer is no report"),
        ("print('{}')", "answer is no report"),
        ("print('5')", "answer is no report"),
    ],
)
def test_a_reader_that_was_taken_over_cannot_fill_the_memory_of_whoever_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, says: str
) -> None:
    monkeypatch.setattr(child_process, "START", code)
    with pytest.raises(ReaderFailed, match=says):
        inspect_checkpoint(save(state(), tmp_path / "fine.pt"))


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads /proc, which is Linux's")


def wait_for_child(of: int) -> int:
    def look() -> int:
        for children in Path(f"/proc/{of}/task").glob("*/children"):
            for pid in children.read_text().split():
                if b"vcp_core.checkpoints.child" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return int(pid)
        return 0

    return until(look, every_s=0.005)


@needs_proc
def test_the_child_sees_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    path = save(state(), tmp_path / "fine.pt")
    reading = threading.Thread(target=inspect_checkpoint, args=(path,))
    reading.start()
    environment = Path(f"/proc/{wait_for_child(os.getpid())}/environ").read_bytes()
    reading.join()
    seen = dict(line.split("=", 1) for line in environment.decode().rstrip("\0").split("\0"))
    assert seen == child_environment()
    assert set(seen) <= {
        "LANG", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
    }  # fmt: skip


@needs_proc
def test_a_child_that_crashes_is_an_error_that_says_whether_the_file_is_to_blame(tmp_path: Path) -> None:
    path = save(state(), tmp_path / "fine.pt")
    for sent, kind, says in (
        (signal.SIGTERM, ReaderFailed, r"told to end \(SIGTERM\)"),
        (signal.SIGKILL, ReaderFailed, "killed. Most likely memory ran out"),
        (signal.SIGSEGV, UnreadableCheckpoint, r"crashed \(SIGSEGV\)"),
    ):
        killer = threading.Thread(target=lambda sent=sent: os.kill(wait_for_child(os.getpid()), sent))
        killer.start()
        with pytest.raises(kind, match=says):
            inspect_checkpoint(path)
        killer.join()


@needs_proc
def test_other_work_is_done_while_the_child_reads_and_nothing_is_left_once_the_network_is_loaded(
    tmp_path: Path, temporary: Path
) -> None:
    told: list[tuple[int, int]] = []
    with start_loading(save(state(), tmp_path / "fine.pt")) as loading:
        child = wait_for_child(os.getpid())
        os.kill(child, signal.SIGSTOP)  # so that it reads all the while
        loading.watching(lambda done, total: told.append((done, total)))(1, total=2)
        os.kill(child, signal.SIGCONT)
        network, report = loading.loaded()
        assert (is_alive(child), list(temporary.iterdir())) == (False, [])
    assert told == [(1, 2)]
    assert_same_network(network)
    assert report == inspect_checkpoint(tmp_path / "fine.pt")


def test_other_work_ends_as_soon_as_the_file_is_known_to_be_bad(tmp_path: Path) -> None:
    path = tmp_path / "text.pt"
    path.write_text("no weights")
    with start_loading(path) as loading:
        with pytest.raises(NotACheckpoint, match=r"text\.pt"):
            until(loading.watching(lambda: None), every_s=0.01)  # work that would never end by itself
        with pytest.raises(NotACheckpoint, match=r"text\.pt"):
            loading.loaded()


def test_other_work_ends_as_soon_as_the_declared_variant_is_known_to_be_wrong(tmp_path: Path) -> None:
    path = save(state(), tmp_path / "tiny.pt")
    with start_loading(path, variant="tclr") as loading, pytest.raises(UnknownName, match="tclr"):
        until(loading.watching(lambda: None), every_s=0.01)


def test_a_reader_whose_own_child_keeps_its_pipes_open_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_process, "START", "import os, time\nos.fork() or time.sleep(3)")
    limits = dataclasses.replace(LIMITS, wall_s=1)
    with pytest.raises(ReaderFailed, match="longer than 1 s"):
        ingest(save(state(), tmp_path / "fine.pt"), tmp_path / "out", limits=limits)


def test_other_work_ends_as_soon_as_the_reader_has_taken_too_long(tmp_path: Path) -> None:
    path = save(state() | {"log": list(range(4_000_000))}, tmp_path / "slow.pt")
    limits = dataclasses.replace(LIMITS, wall_s=0)
    with (
        start_reading(path, tmp_path / "out", limits=limits) as reading,
        pytest.raises(ReaderFailed, match="longer than 0 s"),
    ):
        reading.look()


@needs_proc
def test_a_child_that_nobody_asks_is_killed_at_the_end_of_the_block(tmp_path: Path, temporary: Path) -> None:
    with start_loading(save(state(), tmp_path / "fine.pt")):
        child = wait_for_child(os.getpid())
        os.kill(child, signal.SIGSTOP)  # so that it cannot end by itself
    assert (is_alive(child), list(temporary.iterdir())) == (False, [])


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, with nothing in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@needs_proc
def test_the_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    path = save(state(), tmp_path / "fine.pt")
    code = f"from vcp_core.checkpoints import inspect_checkpoint; inspect_checkpoint({str(path)!r})"
    parent = subprocess.Popen([sys.executable, "-c", code])
    child = wait_for_child(parent.pid)
    os.kill(child, signal.SIGSTOP)  # hold it where it is, so that it cannot be done before its parent is gone
    parent.kill()
    parent.wait()
    os.kill(child, signal.SIGCONT)
    until(lambda: not is_alive(child), else_say=lambda: "the child outlived its parent")


def is_alive(pid: int) -> bool:
    try:  # an orphan is a zombie until init takes it away
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
