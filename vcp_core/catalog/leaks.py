"""Warn if a checkpoint's training data may hold the videos that it is tested on (PROTOCOL 10).

A user declares the training data as text, because most of the world's datasets have no name here. The text is
a list of entries with commas between them. An entry is one of:

    kinetics400                      a dataset
    ucf101:1, UCF101 split 1         the training side of a dataset's split
    clips:test groups P3,P4          the training side of a split by groups
    64 hexadecimal digits            the training side of the dataset with this fingerprint
    none                             no training data

A number after a name and its split is another split of the same name (`ucf101:1,2`). If any other entry
contains the tested dataset's name (`UCF101 full`), its data may hold test videos. A file that says how it was
trained (`vcp_core.checkpoints.origin`) adds an entry with name, split and fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from vcp_core.catalog.datasets import DATASETS

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
# Commas without a blank join several groups, as in a split's name. A comma and a blank end the entry.
_ENTRY = re.compile(r"[^,;+]*:\s*test groups (?:[^,;+]|,(?=\S))+|[^,;+]+", re.IGNORECASE)
_SPLIT = re.compile(
    r"(?P<groups_of>.+?)\s*:\s*test groups (?P<groups>.+)"
    r"|(?P<name>.+?)[\s:(_-]+splits?[\s_-]*(?P<number>[^\W_]+)\)?"
    r"|(?P<before>.+)\s*:\s*(?P<after>.+)",
    re.IGNORECASE | re.DOTALL,
)
# The whole entry must be numbers, because a dataset's name may begin with one (20bn-jester).
_MORE = re.compile(
    r"(?:(?:and|&)\s+)?(?:splits?\s*)?(?P<splits>[0-9]+(?:\s*(?:and|[&/-])\s*[0-9]+)*)\)?", re.IGNORECASE
)
NOTHING = ("none", "random weights")
GROUPS = "test groups "  # the name of a split by groups begins so (`vcp_core.datasets.folders`)


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """One entry of a declaration.

    Attributes:
        text: The entry as it was written.
        name: The dataset's name in plain spelling (no case, no punctuation); empty for a fingerprint.
        split: The split whose training side was used; None if the declaration does not say.
        fingerprint: The dataset's fingerprint, if it is known.
    """

    text: str
    name: str = ""
    split: str | None = None
    fingerprint: str | None = None


def declared(text: str | None) -> tuple[Pretraining, ...]:
    """Read the entries of a declaration. There are none if nothing or "none" was declared.

    >>> [(one.name, one.split) for one in declared("Kinetics-400, UCF101 split 1, hmdb51:2")]
    [('kinetics400', None), ('ucf101', '1'), ('hmdb51', '2')]
    >>> [(one.name, one.split) for one in declared("clips:test groups P3,P4, kinetics400")]
    [('clips', 'test groups P3,P4'), ('kinetics400', None)]
    >>> [(one.name, one.split) for one in declared("ucf101:1,2 + hmdb51")]
    [('ucf101', '1'), ('ucf101', '2'), ('hmdb51', None)]
    """
    found: list[Pretraining] = []
    for entry in (entry.strip() for entry in _ENTRY.findall(text or "")):
        more = _MORE.fullmatch(entry)
        if more and found and found[-1].split is not None:
            found.append(replace(found[-1], text=entry, split=more["splits"]))
        elif entry and entry.lower() not in NOTHING:
            found.append(_entry(entry))
    return tuple(found)


def declaration(origin: Mapping[str, object]) -> str:
    """Write a file's origin as a declaration: the data of its last training, then the data before that.

    >>> declaration({"dataset": "ucf101", "dataset_split": "1", "pretrained_on": "kinetics400"})
    'ucf101:1, kinetics400'
    """
    return ", ".join([_last(origin), *([str(before)] if (before := origin.get("pretrained_on")) else [])])


def _last(origin: Mapping[str, object]) -> str:
    return f"{origin['dataset']}:{origin['dataset_split']}"


def _entry(text: str) -> Pretraining:
    if _FINGERPRINT.fullmatch(text.lower()):
        return Pretraining(text=text, fingerprint=text.lower())
    found = _SPLIT.fullmatch(text)
    if found is None:
        return Pretraining(text=text, name=_plain(text))
    name = found["groups_of"] or found["name"] or found["before"]
    split = found["number"] or found["after"] or f"{GROUPS}{found['groups']}"
    return Pretraining(text=text, name=_plain(name), split=split.strip())


def _entries(text: str | None, origin: Mapping[str, object] | None) -> list[Pretraining]:
    """List the declared entries and the file's own entry, which also has a fingerprint."""
    if origin is None:
        return list(declared(text))
    own = Pretraining(
        text=_last(origin),
        name=_plain(str(origin["dataset"])),
        split=str(origin["dataset_split"]),
        fingerprint=str(origin["dataset_fingerprint"]),
    )
    before = declared(str(origin.get("pretrained_on") or ""))
    # A text that was made from the origin is not read again: a folder's or a group's name may hold anything,
    # commas too.
    if text in (None, declaration(origin)):
        return [own, *before]
    # A declared entry that says no more than the file does is left out.
    same = (None, _comparable(own.split))
    return [
        own,
        *before,
        *(one for one in declared(text) if one.name != own.name or _comparable(one.split) not in same),
    ]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


# Names in the catalog may contain one another (playground-64). They are told apart by name, because no
# playground trains on a video that another one tests on.
_KNOWN = frozenset(_plain(name) for name in DATASETS)


def _comparable(split: str | None) -> frozenset[str] | str | None:
    """Make a split comparable: its groups as a set, or its name without case, extra blanks and zeros."""
    if split is None:
        return None
    if split.startswith(GROUPS):
        return frozenset(split.removeprefix(GROUPS).split(","))
    return " ".join(split.lower().split()).lstrip("0")


def leak_warnings(
    pretrained_on: str | None,
    *,
    dataset: str,
    split: str,
    fingerprint: str,
    own_name: str | None = None,
    origin: Mapping[str, object] | None = None,
) -> tuple[str, ...]:
    """Warn the reader of a result if the checkpoint's training data may hold test videos.

    A model may have seen the training side of the tested split, so that gives no warning. These give one:

    - another split of the dataset: its training side holds test videos of the tested split;
    - the dataset without a split;
    - a dataset of the same name and split with other videos;
    - any other entry that contains the dataset's name.

    If nothing is declared, there is no warning. This does not mean that the training data is clean.

    Args:
        pretrained_on: The declaration; None if there is none.
        dataset: Name of the tested dataset.
        split: The tested split.
        fingerprint: Fingerprint of the tested dataset.
        own_name: The dataset's name in the catalog, if it is registered under another name.
        origin: The training that the file claims (`vcp_core.checkpoints.origin.Origin`, as a mapping).

    >>> leak_warnings("ucf101:1", dataset="ucf101", split="1", fingerprint="")
    ()
    >>> len(leak_warnings("ucf101:2", dataset="ucf101", split="1", fingerprint=""))
    1
    """
    names = {_plain(name): name for name in (own_name, dataset) if name and _plain(name)}
    found = (
        _warning(one, names, split)
        for one in _entries(pretrained_on, origin)
        if one.name and one.fingerprint != fingerprint
    )
    return tuple(dict.fromkeys(warning for warning in found if warning))


def _warning(one: Pretraining, names: Mapping[str, str], split: str) -> str | None:
    """Warn about one entry, if need be; `names` are the tested dataset's names by their plain spelling."""
    if one.name in names:
        return _same_name(one, dataset=names[one.name], split=split)
    # Group names may hold anything, the dataset's name too. So only the name of a split by groups counts.
    plain = one.name if (one.split or "").startswith(GROUPS) else _plain(one.text)
    for name, dataset in names.items():
        if name in plain and not {one.name, name} <= _KNOWN:
            return (
                f"pretrained on {one.text}, which contains the name {dataset} and is not understood: "
                f"its training data may hold test videos of split {split}"
            )
    return None


def _same_name(one: Pretraining, *, dataset: str, split: str) -> str | None:
    if one.split is None:
        return (
            f"pretrained on {one.text}, and the declaration does not say on which split's training side: "
            f"its training data may hold test videos of split {split}"
        )
    trained, tested = _comparable(one.split), _comparable(split)
    if trained == tested:
        if one.fingerprint is None:
            return None
        return (
            f"pretrained on split {one.split} of a {dataset} with another fingerprint, so with other videos "
            f"or sides: its training data may hold test videos of split {split}"
        )
    if isinstance(trained, frozenset) and isinstance(tested, frozenset) and tested <= trained:
        return None  # training held out all the groups that are tested, and perhaps more
    holds = "holds" if one.split.isdigit() and split.isdigit() else "may hold"
    return (
        f"pretrained on the training side of split {one.split} of {dataset}, which {holds} test videos "
        f"of split {split}: its scores are not those of unseen videos"
    )
