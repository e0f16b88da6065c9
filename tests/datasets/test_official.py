"""UCF101 and HMDB51: the public lists at real size, and made-up archives in the official layout."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.datasets.test_text import WRITERS
from tests.datasets_on_disk import write_ucf101
from tests.shared import SHARED, needs_shared
from tests.videos import write_video
from vcp_core.catalog.datasets import DATASETS
from vcp_core.catalog.errors import DatasetError, UnknownName
from vcp_core.datasets import hmdb51, load_dataset, ucf101
from vcp_core.datasets.checks import check_sides

pytestmark = pytest.mark.slow

UCF_LISTS, HMDB_LISTS = SHARED / "splits" / "ucf101", SHARED / "splits" / "hmdb51"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VCPBENCH_CACHE", str(tmp_path / "cache"))


@needs_shared
@pytest.mark.parametrize("split", ["1", "2", "3"])
@pytest.mark.parametrize(("reader", "lists"), [(ucf101, UCF_LISTS), (hmdb51, HMDB_LISTS)])
def test_the_public_lists_have_the_official_sizes_and_no_group_on_both_sides(
    reader: ModuleType, lists: Path, split: str
) -> None:
    listed = reader.read_split(lists, split)
    spec = reader.SPEC
    sizes = tuple(sum(video.split == side for video in listed) for side in ("train", "test"))
    assert sizes == spec.splits[split]
    check_sides(listed)
    assert all(video.group for video in listed)


@needs_shared
def test_a_ucf101_group_is_a_class_and_its_number() -> None:
    by_id = {video.id: video for video in ucf101.read_split(UCF_LISTS)}
    video = by_id["HandstandPushups/v_HandStandPushups_g08_c01.avi"]
    assert (video.label, video.group, video.split) == ("HandstandPushups", "HandstandPushups/g08", "train")
    assert len({video.group for video in by_id.values()}) == 101 * 25


@needs_shared
def test_a_list_with_a_line_missing_is_refused(tmp_path: Path) -> None:
    for name in ("trainlist01.txt", "testlist01.txt"):
        lines = (UCF_LISTS / name).read_text().splitlines()
        (tmp_path / name).write_text("\n".join(lines[name.startswith("test") :]))
    with pytest.raises(DatasetError, match=r"test list of UCF101 split 1 has 3,782 videos.*3,783"):
        ucf101.read_split(tmp_path)


def test_ucf101_loads_as_its_archives_unpack(tmp_path: Path) -> None:
    root = write_ucf101(tmp_path / "ucf")
    dataset = load_dataset(f"ucf101:{root}")
    assert (dataset.name, dataset.split_name) == ("ucf101", "1")
    assert (len(dataset.side("train")), len(dataset.side("test"))) == (4, 4)
    assert len(dataset.left_out) == 13_320 - 8
    assert dataset.classes == ("C0", "C1")
    assert "13312 of 13320 listed videos are left out" in dataset.warnings[0]
    assert load_dataset(root) == dataset
    assert load_dataset(root / "UCF-101").fingerprint == dataset.fingerprint
    assert (
        load_dataset(f"ucf101:{root / 'UCF-101'}", lists=root / "ucfTrainTestlist").videos == dataset.videos
    )


def write_hmdb51(root: Path) -> Path:
    lists = root / "testTrainMulti_7030_splits"
    lists.mkdir(parents=True)
    for label in (f"c{i}_x" for i in range(51)):
        names = [f"#{i // 2}_{label}_f_cm_np1_le_med_{i % 2}.avi" for i in range(110)]
        ids = [1] * 70 + [2] * 30 + [0] * 10
        lines = [f"{name} {side} " for name, side in zip(names, ids, strict=True)]
        (lists / f"{label}_test_split1.txt").write_text("\n".join(lines) + "\n")
        if label in ("c0_x", "c1_x"):
            for i in (0, 1, 70, 71, 105):
                write_video(root / label / names[i], 9, codec="mpeg4", seed=i + ord(label[1]))
    return root


def test_hmdb51_loads_as_its_archives_unpack(tmp_path: Path) -> None:
    root = write_hmdb51(tmp_path / "hmdb")
    dataset = load_dataset(f"hmdb51:{root}")
    assert len(dataset.videos) == 8
    assert {video.split for video in dataset.videos if "#0_" in video.id} == {"train"}
    assert {video.group for video in dataset.side("test")} == {"c0_x/#35", "c1_x/#35"}
    ids = {video.id for video in dataset.videos} | {video.id for video in dataset.left_out}
    assert len(ids) == 5100
    assert not any("#52" in one for one in ids)  # id 0: in neither
    assert load_dataset(root) == dataset


@pytest.mark.parametrize("writer", WRITERS)
def test_official_lists_of_every_editor_read_the_same(writer: str, tmp_path: Path) -> None:
    """UCF101's pair and HMDB51's lists of classes, as `write` made them and as an editor saved them."""
    ucf, hmdb = write_ucf101(tmp_path / "ucf"), write_hmdb51(tmp_path / "hmdb")
    folders = (ucf / ucf101.LISTS, hmdb / hmdb51.LISTS)
    before = ucf101.read_split(folders[0]), hmdb51.read_split(folders[1])
    for file in (file for folder in folders for file in folder.iterdir()):
        file.write_bytes(WRITERS[writer](file.read_text()))
    assert (ucf101.read_split(folders[0]), hmdb51.read_split(folders[1])) == before


def test_what_a_mac_leaves_beside_lists_is_no_list(tmp_path: Path) -> None:
    root = write_hmdb51(tmp_path / "hmdb")
    lists = root / hmdb51.LISTS
    before = hmdb51.read_split(lists)
    (lists / "._c0_x_test_split1.txt").write_bytes(
        b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(range(128, 200))
    )
    (lists / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    assert hmdb51.read_split(lists) == before
    for name in ("._trainlist01.txt", "._c0_x_test_split1.txt"):
        (tmp_path / name).touch()
    assert ucf101.find_lists(tmp_path) is None
    assert hmdb51.find_lists(tmp_path) is None


def test_a_list_in_an_old_code_page_is_refused_by_line(tmp_path: Path) -> None:
    (tmp_path / "trainlist01.txt").write_bytes(b"A/v_A_g01_c01.avi 1\r\nA/v_caf\xe9_g01_c01.avi 1\r\n")
    with pytest.raises(DatasetError, match=r"trainlist01\.txt, line 2: not UTF-8 text .* Save the list"):
        ucf101.read_split(tmp_path)


def test_what_official_lists_do_not_name_is_counted(tmp_path: Path) -> None:
    root = write_hmdb51(tmp_path / "hmdb")
    (root / "c0_x" / "mine.mp4").touch()
    dataset = load_dataset(root)
    passed = {files.reason: files for files in dataset.not_taken}
    assert passed["not listed in the lists of split 1"].count == 3  # two of id 0, and mine
    assert passed["not listed in the lists of split 1"].examples[-1] == "c1_x/#52_c1_x_f_cm_np1_le_med_1.avi"
    assert passed["a folder that leads to no listed video"].examples == ("testTrainMulti_7030_splits",)


def test_a_listed_video_is_found_in_the_unicode_form_that_it_has_on_disk(tmp_path: Path) -> None:
    root = write_ucf101(tmp_path / "ucf")
    for name in ("trainlist01.txt", "testlist01.txt"):
        file = root / "ucfTrainTestlist" / name
        file.write_text(file.read_text().replace("C0/v_C0", "C\u00e9/v_C\u00e9"), encoding="utf-8")
    for file in list((root / "UCF-101" / "C0").iterdir()):
        file.rename(file.with_name(file.name.replace("C0", "Ce\u0301")))
    (root / "UCF-101" / "C0").rename(root / "UCF-101" / "Ce\u0301")
    dataset = load_dataset(root)
    assert (dataset.classes, len(dataset.videos)) == (("C1", "C\u00e9"), 8)


def test_a_bad_line_is_named_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "trainlist01.txt").write_text("A/v_A_g01_c01.avi 1\n\nv_A_g01_c02.avi\n")
    with pytest.raises(DatasetError, match=r"trainlist01\.txt, line 3: 'v_A_g01_c02\.avi' is not"):
        ucf101.read_split(tmp_path)
    (tmp_path / "a_test_split1.txt").write_text("x.avi 1\nx.avi 3\n")
    with pytest.raises(DatasetError, match=r"a_test_split1\.txt, line 2: 'x\.avi 3' is not"):
        hmdb51.read_split(tmp_path)


def test_lists_that_are_not_there_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"UCF101TrainTestSplits-RecognitionTask\.zip"):
        load_dataset(f"ucf101:{tmp_path}")
    with pytest.raises(DatasetError, match=r"test_train_splits\.rar"):
        load_dataset(f"hmdb51:{tmp_path}")
    with pytest.raises(DatasetError, match="the list cannot be read"):
        ucf101.read_split(tmp_path)


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="No UCF101 split '4'"):
        ucf101.read_split(tmp_path, "4")


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_states_its_licence_source_and_sizes(name: str) -> None:
    spec = DATASETS[name]
    assert spec.licence
    assert spec.source
    assert all(min(sizes) > 0 for sizes in spec.splits.values())


@pytest.mark.parametrize("before", ["./", "/data/UCF-101/", "C:/videos/UCF-101/", "C:\\videos\\"])
def test_lists_with_the_folders_of_whoever_made_them_are_read(before: str, tmp_path: Path) -> None:
    root = write_ucf101(tmp_path)
    expected = load_dataset(f"ucf101:{root}")
    for file in (root / "ucfTrainTestlist").glob("*.txt"):
        file.write_text("".join(f"{before}{line} 1\n" for line in file.read_text().split()))
    assert load_dataset(f"ucf101:{root}").fingerprint == expected.fingerprint
