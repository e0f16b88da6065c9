"""Whether what a checkpoint was trained on holds the videos that it is tested on (PROTOCOL 10).

A declaration is text, since most of the world's datasets have no name here: entries with commas between them,
each a dataset's name, or a name and a split (`ucf101:1`, `UCF101 split 1`, `clips:test groups P3,P4`), which
means its training side, or the fingerprint of a dataset, which means the training side of exactly that one.
A number after a name and its split is another split of that name (`ucf101:1,2`). `none` is: on nothing.
Any other entry with the name of the dataset tested on in it (`UCF101 full`) may hold test videos. What a file
says of its own training (`vcp_core.checkpoints.origin`) is an entry with name, split and fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from vcp_core.catalog.datasets import DATASETS

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
# Several groups are joined by commas alone, as in a split's name; a comma and a blank end the entry.
_ENTRY = re.compile(r"[^,;+]*:\s*test groups (?:[^,;+]|,(?=\S))+|[^,;+]+", re.IGNORECASE)
_SPLIT = re.compile(
    r"(?P<groups_of>.+?)\s*:\s*test groups (?P<groups>.+)"
    r"|(?P<name>.+?)[\s:(_-]+splits?[\s_-]*(?P<number>[^\W_]+)\)?"
    r"|(?P<before>.+)\s*:\s*(?P<after>.+)",
    re.IGNORECASE | re.DOTALL,
)
# Numbers and nothing else: a dataset's name may begin with one (20bn-jester).
_MORE = re.compile(
    r"(?:(?:and|&)\s+)?(?:splits?\s*)?(?P<splits>[0-9]+(?:\s*(?:and|[&/-])\s*[0-9]+)*)\)?", re.IGNORECASE
)
NOTHING = ("none", "random weights")
GROUPS = "test groups "  # how the name of such a split begins (`vcp_core.datasets.folders`)


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """One entry of a declaration.

    Attributes:
        text: As it was written.
        name: The dataset's name, spelt alike however it was written; empty for a fingerprint.
        split: Whose training side it was; None where the declaration does not say.
        fingerprint: Of the dataset, where that is known.
    """

    text: str
    name: str = ""
    split: str | None = None
    fingerprint: str | None = None


def declared(text: str | None) -> tuple[Pretraining, ...]:
    """The entries of a declaration; none where nothing was declared, or "none" was.

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
    """What a file's own origin declares, as text: what it was trained on last, and what before."""
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
    """What was declared and what the file says itself, which also knows the fingerprint."""
    if origin is None:
        return list(declared(text))
    own = Pretraining(
        text=_last(origin),
        name=_plain(str(origin["dataset"])),
        split=str(origin["dataset_split"]),
        fingerprint=str(origin["dataset_fingerprint"]),
    )
    before = declared(str(origin.get("pretrained_on") or ""))
    # Never taken apart again: a folder's or a group's name may hold anything.
    if text in (None, declaration(origin)):
        return [own, *before]
    same = (None, _comparable(own.split))  # the file knows what the declaration leaves open
    return [
        own,
        *before,
        *(one for one in declared(text) if one.name != own.name or _comparable(one.split) not in same),
    ]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


# A part of the playground is named after it, and no playground trains on what another tests on.
_KNOWN = frozenset(_plain(name) for name in DATASETS)


def _comparable(split: str | None) -> frozenset[str] | str | None:
    """A split's groups in no order, or its name spelt alike however it was written."""
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
    """What a reader of a result must know about its checkpoint's pretraining data.

    The training side of the same split is what a model may have seen. Another split's holds test videos of
    this one; a dataset without a split may, and so may one of the same name and split whose videos are not
    the same, and whatever else is called by a name with the dataset's in it. Nothing declared is no evidence
    of either, and gives no warning.

    Args:
        pretrained_on: The declaration; None where there is none.
        dataset: Name of the dataset that it was tested on.
        split: Which of its splits.
        fingerprint: Of that dataset.
        own_name: The dataset's in the catalog, where it is registered under another.
        origin: What the file says of its own training (`vcp_core.checkpoints.origin.Origin`, as a mapping).
    """
    names = {_plain(name): name for name in (own_name, dataset) if name and _plain(name)}
    found = (
        _warning(one, names, split)
        for one in _entries(pretrained_on, origin)
        if one.name and one.fingerprint != fingerprint
    )
    return tuple(dict.fromkeys(warning for warning in found if warning))


def _warning(one: Pretraining, names: Mapping[str, str], split: str) -> str | None:
    """Of training data not known to be the same; `names` are the tested dataset's, by plain spelling."""
    if one.name in names:
        return _same_name(one, dataset=names[one.name], split=split)
    # Groups may be called anything.
    plain = one.name if (one.split or "").startswith(GROUPS) else _plain(one.text)
    for name, dataset in names.items():
        if name in plain and not {one.name, name} <= _KNOWN:  # two of the catalog's are known to be apart
            return (
                f"pretrained on {one.text}, which holds the name {dataset} and is not understood: "
                f"test videos of split {split} may be among what it was trained on"
            )
    return None


def _same_name(one: Pretraining, *, dataset: str, split: str) -> str | None:
    if one.split is None:
        return (
            f"pretrained on {one.text}, and the declaration does not say on which split's training side: "
            f"test videos of split {split} may be among what it was trained on"
        )
    trained, tested = _comparable(one.split), _comparable(split)
    if trained == tested:
        if one.fingerprint is None:
            return None
        return (
            f"pretrained on split {one.split} of a {dataset} with another fingerprint, whose videos or sides "
            f"are not these: test videos of split {split} may be among what it was trained on"
        )
    if isinstance(trained, frozenset) and isinstance(tested, frozenset) and tested <= trained:
        return None  # all the groups tested were held out, and others with them
    holds = "holds" if one.split.isdigit() and split.isdigit() else "may hold"
    return (
        f"pretrained on the training side of split {one.split} of {dataset}, which {holds} test videos "
        f"of split {split}: its scores are not those of unseen videos"
    )
