"""Whether what a checkpoint was trained on holds the videos that it is tested on (PROTOCOL 10).

A declaration is text, since most of the world's datasets have no name here: entries with commas between them,
each a dataset's name, or a name and a split (`ucf101:1`, `UCF101 split 1`), which means its training side, or
the fingerprint of a dataset, which means the training side of exactly that one. `none` is: on nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_SPLIT = re.compile(r"(?P<name>.+?)(?:\s*:\s*|[\s,(]+split\s*)(?P<split>\w+)\)?")
NOTHING = ("none", "random weights")


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """One entry of a declaration.

    Attributes:
        text: As it was written.
        name: The dataset's name, spelt alike however it was written; empty for a fingerprint.
        split: Whose training side it was; None where the declaration does not say.
        fingerprint: Of the dataset, where that was declared instead of a name.
    """

    text: str
    name: str = ""
    split: str | None = None
    fingerprint: str | None = None


def declared(text: str | None) -> tuple[Pretraining, ...]:
    """The entries of a declaration; none where nothing was declared, or "none" was.

    >>> [(one.name, one.split) for one in declared("Kinetics-400, UCF101 split 1, hmdb51:2")]
    [('kinetics400', None), ('ucf101', '1'), ('hmdb51', '2')]
    """
    entries = [part.strip() for part in re.split(r"[,;+]", text or "") if part.strip()]
    return tuple(_entry(entry) for entry in entries if entry.lower() not in NOTHING)


def _entry(text: str) -> Pretraining:
    if _FINGERPRINT.fullmatch(text.lower()):
        return Pretraining(text=text, fingerprint=text.lower())
    found = _SPLIT.fullmatch(text)
    if found is None:
        return Pretraining(text=text, name=_plain(text))
    return Pretraining(text=text, name=_plain(found["name"]), split=found["split"])


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def leak_warnings(
    pretrained_on: str | None, *, dataset: str, split: str, fingerprint: str
) -> tuple[str, ...]:
    """What a reader of a result must know about its checkpoint's pretraining data.

    The training side of the same split is what a model may have seen. Another split's holds test videos of
    this one; a dataset without a split may. Nothing declared is no evidence of either, and gives no warning.

    Args:
        pretrained_on: The declaration; None where there is none.
        dataset: Name of the dataset that it was tested on.
        split: Which of its splits.
        fingerprint: Of that dataset.
    """
    warnings = []
    for one in declared(pretrained_on):
        if one.fingerprint == fingerprint or one.name != _plain(dataset):
            continue
        if one.split is None:
            warnings.append(
                f"pretrained on {one.text}, and the declaration does not say on which split's training side: "
                f"test videos of split {split} may be among what it was trained on"
            )
        elif one.split.lstrip("0") != split.lstrip("0"):
            warnings.append(
                f"pretrained on the training side of split {one.split} of {dataset}, which holds test videos "
                f"of split {split}: its scores are not those of unseen videos"
            )
    return tuple(warnings)
