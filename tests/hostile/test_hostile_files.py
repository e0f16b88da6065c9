"""Hostile checkpoints and videos go through the code that a worker runs. `pytest -s` prints the sums.

Checkpoints pass the sandbox (`ingest`), and videos the walled child that indexes a dataset.
"""

from __future__ import annotations

import csv
import os
import pickle
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import av
import pytest

from tests.datasets_on_disk import make_folder
from tests.hostile.attacks import ATTACKS
from tests.hostile.checkpoints import CHECKPOINTS, GRAPHS, RUNNING
from tests.hostile.videos import VIDEOS
from tests.hostile.watch import adopt_orphans, children, opened
from tests.patience import DEADLINE_S
from tests.videos import write_video
from vcp_core.catalog.errors import CheckpointError
from vcp_core.checkpoints import ingest
from vcp_core.checkpoints.read import read_contents
from vcp_core.datasets.manifest import Dataset
from vcp_core.walls.user import FIRST_UID
from worker.runner import Foreign, Out, Runner

pytestmark = pytest.mark.long

MOST_CPU_S = 10.0
LEAST_CHECKPOINTS, LEAST_VIDEOS = 60, 20
NUM_SOUND = 6  # videos of `make_folder`
FAULTS = ("fault of vcpbench", "Weights only load failed", "unforeseen")  # words that explain nothing


@dataclass
class Sums:
    """What happened to the files of one kind, by their names."""

    kind: str
    refused: list[str] = field(default_factory=list)
    executed: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        slowest = max(self.cpu_s, key=self.cpu_s.__getitem__, default="")
        return (
            f"{self.kind}: {len(self.cpu_s)}, refused {len(self.refused)}, executed {len(self.executed)}, "
            f"left behind {len(self.left_behind)}, most CPU {self.cpu_s.get(slowest, 0):.1f} s ({slowest}), "
            f"all CPU {sum(self.cpu_s.values()):.0f} s"
        )


@pytest.fixture(scope="module")
def sums() -> Iterator[dict[str, Sums]]:
    found = {kind: Sums(kind) for kind in ("checkpoints", "graphs", "videos")}
    yield found
    print("", *found.values(), sep="\n")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short path: a socket's path may have 107 bytes, and an attack binds one."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    shutil.rmtree(folder)


def cpu_s() -> float:
    """Processor time of this process and of its children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def left_by_children() -> set[Path]:
    """Files in the machine's temporary folder that belong to a user of the sandbox's."""
    found = set()
    for path in Path(tempfile.gettempdir()).iterdir():
        with suppress(FileNotFoundError):
            if path.lstat().st_uid >= FIRST_UID and os.geteuid() == 0:
                found.add(path)
    return found


def test_the_zoo_is_as_large_as_it_should_be() -> None:
    assert len(CHECKPOINTS) >= LEAST_CHECKPOINTS
    assert len(VIDEOS) >= LEAST_VIDEOS


@pytest.mark.parametrize("name", ATTACKS)
def test_each_attack_runs_code_in_a_reader_that_does_not_guard_itself(place: Path, name: str) -> None:
    canary = place / "canary"
    pickled = place / "attack.pkl"
    pickled.write_bytes(ATTACKS[name](str(canary)))
    child = os.fork()
    if not child:
        with suppress(BaseException), pickled.open("rb") as file:  # some attacks fail when they are done
            pickle.load(file)
        os._exit(0)
    os.waitpid(child, 0)
    assert os.path.lexists(canary), "the attack is a dud"


@pytest.mark.parametrize("name", RUNNING)
def test_no_attack_runs_code_where_no_wall_stands(place: Path, name: str) -> None:
    RUNNING[name](place / "a.pt", str(place / "canary"))
    with pytest.raises(CheckpointError):
        read_contents(place / "a.pt")
    assert [path.name for path in place.iterdir()] == ["a.pt"]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # of torch.export
@pytest.mark.parametrize("name", [*CHECKPOINTS, *GRAPHS])
def test_a_hostile_checkpoint_is_refused(place: Path, sums: dict[str, Sums], name: str) -> None:
    adopt_orphans()
    own = sums["graphs" if name in GRAPHS else "checkpoints"]
    canary, out = place / "canary", place / "out" / "canonical.safetensors"
    path = place / "a.pt"
    (CHECKPOINTS | GRAPHS)[name](path, str(canary))
    processes, files, begun = children(), left_by_children(), cpu_s()
    try:
        ingest(path, out)
        error = None
    except CheckpointError as caught:
        error = caught
        own.refused.append(name)
    own.cpu_s[name] = cpu_s() - begun
    left = {found for found in place.rglob("*") if found not in (path, canary, out.parent)}
    left |= left_by_children() - files
    if left or children() - processes:
        own.left_behind.append(name)
    if os.path.lexists(canary):
        own.executed.append(name)
    assert error is not None, "it was read"
    assert not os.path.lexists(canary)
    assert not left
    assert children() == processes
    assert own.cpu_s[name] <= MOST_CPU_S
    assert len(error.text().partition(": ")[2]) > 20
    assert not any(words in error.text() for words in FAULTS), error.text()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of sound videos, and a sound video that its table does not list: the trap."""
    folder = make_folder(tmp_path_factory.mktemp("sound") / "videos", num_frames=20)
    write_video(folder / "class0" / "trap.mp4", 20, seed=77)
    return folder


def with_hostile(sound: Path, place: Path, name: str) -> tuple[Path, str]:
    """A copy of the dataset with a hostile video in its table; the folder, and the video's id."""
    folder = shutil.copytree(sound, place / "videos")
    own = folder / "class0"
    VIDEOS[name].build(own / VIDEOS[name].name, own / "trap.mp4")
    video_id = f"class0/{VIDEOS[name].name}"
    if VIDEOS[name].listed:
        with (folder / "dataset.csv").open("a", newline="") as table:
            csv.writer(table).writerow([video_id, "class0", "train"])
    return folder, video_id


@pytest.mark.parametrize("name", [name for name, video in VIDEOS.items() if video.opens])
def test_a_playlist_opens_the_trap_in_a_reader_that_does_not_guard_itself(
    sound: Path, place: Path, name: str
) -> None:
    folder, video_id = with_hostile(sound, place, name)
    with opened(folder / "class0" / "trap.mp4") as was_opened:
        with av.open(str(folder / video_id)) as container:
            assert sum(1 for _ in container.decode(video=0)) == 20
        assert was_opened()


@pytest.mark.parametrize("name", VIDEOS)
def test_a_hostile_video_is_left_out_and_the_sound_ones_are_read(
    sound: Path, place: Path, sums: dict[str, Sums], name: str
) -> None:
    adopt_orphans()
    own, scratch = sums["videos"], place / "scratch"
    scratch.mkdir(mode=0o700)
    folder, video_id = with_hostile(sound, place, name)
    before, processes, begun = set(folder.rglob("*")), children(), cpu_s()
    runner, out = Runner(scratch), place / "manifest.json"
    source = {"name_or_path": str(folder)}
    with closing(runner), opened(folder / "class0" / "trap.mp4") as was_opened:
        runner.call(
            {"do": "index", "source": source, "name": "x", "out": Out(out)},
            stall_s=DEADLINE_S,
            on_progress=lambda done, total: None,
            foreign=Foreign(dataset=source, device="cpu"),
        )
        runner.close()
        followed = was_opened()
    own.cpu_s[name] = cpu_s() - begun
    found = Dataset.from_json(out.read_text())
    reasons = {one.id: one.reason for one in found.left_out}
    if not VIDEOS[name].listed:
        reasons = {example: one.reason for one in found.not_taken for example in one.examples}
        del reasons["class0/trap.mp4"]
    if video_id in reasons:
        own.refused.append(name)
    if followed:
        own.executed.append(name)
    left = {*scratch.iterdir(), *folder.rglob("*")} - before
    if left or children() - processes:
        own.left_behind.append(name)
    assert len(found.videos) == NUM_SOUND
    assert set(reasons) == {video_id}
    assert len(reasons[video_id]) > 10
    assert all(text.isprintable() for text in (*reasons.values(), *found.warnings))
    assert not followed
    assert not left
    assert children() == processes
    assert own.cpu_s[name] <= MOST_CPU_S
