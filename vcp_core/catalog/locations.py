"""The location of a dataset, as users write it. Mistakes are found here before any disk is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vcp_core.catalog.datasets import DATASETS, DatasetSpec
from vcp_core.catalog.errors import DatasetError, UnknownName
from vcp_core.catalog.validation import quoted

_BUILT_IN = [spec.name for spec in DATASETS.values() if spec.built_in]
_OFFICIAL = [spec.name for spec in DATASETS.values() if not spec.built_in]
LOCATIONS = ", ".join(["/FOLDER", *(f"{name}:/FOLDER" for name in _OFFICIAL), *_BUILT_IN])


def folder_of(location: str) -> str | None:
    """Give the folder of a location's videos; None for a built-in dataset, whose files a worker makes.

    >>> folder_of("ucf101:/data/UCF"), folder_of("/data/a:b"), folder_of("playground")
    ('/data/UCF', '/data/a:b', None)
    """
    name, _, folder = location.partition(":")
    return (folder or None) if name in _BUILT_IN + _OFFICIAL else location


@dataclass(frozen=True, kw_only=True)
class Location:
    """A dataset's location and the options that go with it. One that no machine could read is refused.

    Attributes:
        location: A folder, `NAME:FOLDER` of an official dataset, or the name of a built-in one.
        split: The official split.
        csv: For a folder: the table of its videos.
        test_groups: For a folder: the groups whose videos are the test side.
        lists: For an official dataset: the folder of its lists.
        suffixes: For a folder: suffixes of videos besides the known ones.

    Raises:
        DatasetError: If the location has none of these forms, or an option does not go with it.

    >>> Location(location="ucf101:/data/UCF").folder
    '/data/UCF'
    """

    location: str
    split: str = "1"
    csv: str | None = None
    test_groups: Sequence[str] = ()
    lists: str | None = None
    suffixes: Sequence[str] = ()

    def __post_init__(self) -> None:
        self._check_paths()
        spec = self.spec
        if spec is None:
            self._check_folder()
        elif spec.built_in:
            self._refuse(spec.name, "split", "csv", "test_groups", "lists", "suffixes")
        else:
            self._refuse(spec.name, "csv", "test_groups", "suffixes")
            self._check_split(list(spec.splits))

    @property
    def spec(self) -> DatasetSpec | None:
        """The catalog's facts of the named dataset; None if the location is a folder alone."""
        name = self.location.partition(":")[0]
        return next((spec for spec in DATASETS.values() if spec.name == name), None)

    @property
    def folder(self) -> str | None:
        """The folder of the videos; None for a built-in dataset, whose files a worker makes."""
        return folder_of(self.location)

    def _check_paths(self) -> None:
        name, colon, _ = self.location.partition(":")
        spec = self.spec
        if spec is not None and spec.built_in and colon:
            raise DatasetError(f"A worker makes {name}, so it takes no folder. Write {name}.")
        if spec is not None and not spec.built_in and self.folder is None:
            raise DatasetError(f"{name} needs the folder of its videos. Write {name}:/FOLDER.")
        if spec is None and "/" not in name and not name.startswith("~"):
            unknown = UnknownName("dataset", name, DATASETS)
            raise DatasetError(f"{unknown} A location is one of: {LOCATIONS}.")
        for what, path in (("location", self.folder), ("csv", self.csv), ("lists", self.lists)):
            if path is not None and (not path.startswith(("/", "~")) or "\x00" in path):
                raise DatasetError(
                    f"{what} {quoted(path)} is not an absolute path, so each worker would look in another "
                    f"folder. A location is one of: {LOCATIONS}."
                )

    def _check_folder(self) -> None:
        """Check the options of a folder.

        A folder may turn out to be an official dataset, which has splits and lists. A table or test groups
        rule that out.
        """
        if self.csv or self.test_groups:
            self._refuse(self.location, "split", "lists")
        self._check_split(sorted({split for name in _OFFICIAL for split in DATASETS[name].splits}))

    def _check_split(self, known: list[str]) -> None:
        if self.split not in known:
            raise DatasetError(f"{quoted(self.location)}: {UnknownName('split', self.split, known)}")

    def _refuse(self, what: str, *options: str) -> None:
        defaults = {"split": "1", "csv": None, "test_groups": (), "lists": None, "suffixes": ()}
        given = [name for name in options if getattr(self, name) not in (defaults[name], [])]
        if given:
            raise DatasetError(f"{quoted(what)} does not take {' or '.join(given)}. Leave it out.")
