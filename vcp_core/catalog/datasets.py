"""Facts about every named dataset. To add one, add an entry here and a reader vcp_core/datasets/<name>.py."""

from __future__ import annotations

from dataclasses import dataclass

from vcp_core.catalog.registry import Registry


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """The facts of a dataset that are known without its files.

    Attributes:
        name: The name that users type. Users who bring the files type `<name>:<folder>`.
        title: The name as the dataset's makers write it.
        licence: The licence as the makers state it, or "unknown".
        source: The dataset's paper and home page.
        num_classes: Classes of every split.
        splits: The numbers of (training, test) videos, by the split's name.
        built_in: Whether vcpbench makes the files itself.
        reader: The module that reads the dataset's official layout (`vcp_core.datasets.OfficialReader`);
            None if the dataset is built in.
        lists: Glob patterns, in lower case, of the dataset's official lists. A folder with such files is
            recognised as this dataset.
        lists_folder: Name of the folder in which the dataset's makers publish the lists.
    """

    name: str
    title: str
    licence: str
    source: str
    num_classes: int
    splits: dict[str, tuple[int, int]]
    built_in: bool = False
    reader: str | None = None
    lists: tuple[str, ...] = ()
    lists_folder: str = ""

    def __post_init__(self) -> None:
        if self.built_in == bool(self.reader):
            raise ValueError(
                f"{self.name}: a dataset must either be built in or name its reader, and not both."
            )
        if self.num_classes < 2 or not self.splits or any(min(sizes) < 1 for sizes in self.splits.values()):
            raise ValueError(
                f"{self.name}: a dataset needs two classes, a split, and a video on each side of each split. "
                f"Got {self.num_classes} classes and splits {self.splits}."
            )


DATASETS = Registry(
    "dataset",
    DatasetSpec(
        name="ucf101",
        title="UCF101",
        licence="unknown (free for research by custom; the clips come from YouTube)",
        source="arXiv:1212.0402, https://www.crcv.ucf.edu/data/UCF101.php",
        num_classes=101,
        # Lines of trainlist0k.txt and testlist0k.txt of UCF101TrainTestSplits-RecognitionTask.zip.
        splits={"1": (9537, 3783), "2": (9586, 3734), "3": (9624, 3696)},
        reader="vcp_core.datasets.ucf101",
        lists=("trainlist0[123].txt", "testlist0[123].txt", "classind.txt"),
        lists_folder="ucfTrainTestlist",
    ),
    DatasetSpec(
        name="hmdb51",
        title="HMDB51",
        licence="CC BY 4.0",
        source="doi:10.1109/ICCV.2011.6126543, https://serre.lab.brown.edu/hmdb51.html",
        num_classes=51,
        # 70 and 30 videos of each class have id 1 and 2 in its test_split<k>.txt of test_train_splits.rar.
        splits={"1": (3570, 1530), "2": (3570, 1530), "3": (3570, 1530)},
        reader="vcp_core.datasets.hmdb51",
        lists=("*_test_split[123].txt",),
        lists_folder="testTrainMulti_7030_splits",  # in test_train_splits.rar
    ),
    DatasetSpec(
        name="playground",
        title="Playground: eight motions in fifty scenes",
        licence="CC0 1.0",
        source="vcp_core/datasets/playground",
        num_classes=8,
        splits={"1": (144, 56)},
        built_in=True,
    ),
    DatasetSpec(
        name="playground-64",
        title="Playground, its first sixteen scenes",
        licence="CC0 1.0",
        source="vcp_core/datasets/playground",
        num_classes=8,
        splits={"1": (40, 24)},
        built_in=True,
    ),
    DatasetSpec(
        name="playground-136",
        title="Playground, with few test videos of many scenes",
        licence="CC0 1.0",
        source="vcp_core/datasets/playground",
        num_classes=8,
        splits={"1": (40, 96)},
        built_in=True,
    ),
    DatasetSpec(
        name="playground-344",
        title="Playground, with 200 videos to test on",
        licence="CC0 1.0",
        source="vcp_core/datasets/playground",
        num_classes=8,
        splits={"1": (144, 200)},
        built_in=True,
    ),
)


def is_built_in(name_or_path: object) -> bool:
    """Tell whether vcpbench makes the videos of this dataset itself.

    >>> is_built_in("playground"), is_built_in("ucf101"), is_built_in("/data/clips")
    (True, False, False)
    """
    name = str(name_or_path)
    return name in DATASETS and DATASETS[name].built_in


def loading(name_or_path: object) -> str:
    """Name the long work that the first use of a dataset takes, for a progress line.

    >>> loading("playground"), loading("ucf101:/data/UCF101")
    ('making videos', 'indexing videos')
    """
    return "making videos" if is_built_in(name_or_path) else "indexing videos"
