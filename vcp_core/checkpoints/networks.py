"""Choose among several whole networks in a file: use the one that gradients trained, or ask the user.

Trainers keep an average of the weights beside the trained network, or a teacher beside a student. Some swap
the two when they save. `SWAPPED`, `AVERAGES` and `TRAINED` list the known trainers and names; their sources
are in docs/decisions/2026-11-28-several-networks.md. If these do not decide, `SeveralNetworks` asks the user.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from vcp_core.catalog.errors import CheckpointMismatch, SeveralNetworks
from vcp_core.checkpoints.match import Equal, Match, Shape, whole_backbones
from vcp_core.checkpoints.names import is_unread
from vcp_core.checkpoints.report import listed, printable

TOP = "."  # the value of --prefix for keys without a prefix; forms and queries cannot send ""


@dataclass(frozen=True, kw_only=True)
class Swap:
    """A trainer that saves the average in the usual place of the trained network, and the reverse.

    Attributes:
        who: Name of the trainer.
        signs: Names of tensors, dictionaries or values. A file of this trainer has all of them.
        trained: The dictionary that holds the trained network.
        average: The dictionary that holds the average.
    """

    who: str
    signs: tuple[str, ...]
    trained: str
    average: str

    def __str__(self) -> str:
        return (
            f"{self.who} saves the trained network under {self.trained!r}, the average under {self.average!r}"
        )


SWAPPED = (
    # mmengine 0.11.0rc0, hooks/ema_hook.py: before_save_checkpoint calls _swap_ema_state_dict.
    Swap(
        who="MMEngine's EMAHook",
        signs=("ema_state_dict.steps",),
        trained="ema_state_dict",
        average="state_dict",
    ),
    Swap(
        who="MMEngine's EMAHook",
        signs=("ema_state_dict", "meta.mmengine_version"),
        trained="ema_state_dict",
        average="state_dict",
    ),
    # Lightning 2.6, callbacks/weight_averaging.py, on_save_checkpoint.
    Swap(
        who="Lightning's WeightAveraging",
        signs=("current_model_state", "averaging_state"),
        trained="current_model_state",
        average="state_dict",
    ),
)
MAX_CHOICES = 20  # the most networks that a message lists
COUNTER = "n_averaged"  # torch/optim/swa_utils.py: AveragedModel holds the network as `module` beside it
# Words of a prefix, and what they say of a network if the file holds another one, too.
AVERAGES = dict.fromkeys(
    ("average", "averaged", "avg", "ema", "mean", "polyak", "shadow", "swa"), "an average of the weights"
) | {
    "hist": "SlowFast's momentum encoder",
    "k": "the key encoder of MoCo, an average",
    "key": "a key encoder, an average",
    "momentum": "a momentum encoder, an average",
    "target": "the target network of BYOL, an average",
    "teacher": "a teacher, which the student's gradients do not train",
    "sampler": "CoCLR's frozen network of the other view",
    "frozen": "a frozen network",
    "init": "a network as it was before training",
    "initial": "a network as it was before training",
}
TRAINED = ("online", "q", "query", "student")
# These words count only if a certain other word is in the file: `target.` may also stand beside `source.`.
BESIDE = {
    "k": ("q", "query", "backbone"),  # of mmselfsup
    "key": ("q", "query"),
    "sampler": ("q", "query"),
    "target": ("online",),
}


@dataclass(frozen=True, kw_only=True)
class Network:
    """A whole network of a file.

    Attributes:
        match: The place of the network in the file.
        untrained: Why gradients did not train it ("an average of the weights"); "" if nothing says so.
        known: A sentence about the trainer that is known to save the trained network here; "" if there is
            none.
    """

    match: Match
    untrained: str = ""
    known: str = ""

    @property
    def name(self) -> str:
        """The value of `--prefix` that names the network."""
        return self.match.prefix or TOP


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The network that is used.

    Attributes:
        network: The used network.
        others: The values of `--prefix` that name the other whole networks, which are not used.
        why: Why this network was chosen, or a fact about it; "" if there is nothing to say.
    """

    network: Network
    others: tuple[str, ...] = ()
    why: str = ""

    @property
    def match(self) -> Match:
        """The place of the used network in the file."""
        return self.network.match


def choose(
    shapes: Mapping[str, Shape],
    *,
    backbone: str | None = None,
    prefix: str | None = None,
    words: Collection[str] = (),
    equal: Equal = lambda first, second: False,
) -> Choice:
    """Choose the network of a file that is used.

    Args:
        shapes: Shapes of all tensors, by name.
        backbone: The only backbone to look for; None looks for all.
        prefix: The text before the network's keys ("teacher."), or the end of that text ("teacher" of
            "state_dict.teacher."). "" and "." stand for keys without a prefix.
        words: Names of dictionaries and values that the file holds besides tensors.
        equal: Tells whether two tensors of the file hold the same bits.

    Raises:
        UnknownName: If `backbone` is not in the catalog.
        SeveralNetworks: If there are several networks, and nothing says which of them gradients trained.
        CheckpointMismatch: If no network is whole; the message says which backbone is closest and what it
            lacks. If none is under `prefix`; the message lists the prefixes that there are.

    >>> from vcp_core.backbones import key_shapes
    >>> one = key_shapes("r3d_tiny")
    >>> shapes = {f"{role}.{key}": one[key] for role in ("student", "teacher") for key in one}
    >>> choice = choose(shapes)
    >>> choice.network.name, choice.others
    ('student.', ('teacher.',))
    >>> choose(shapes, prefix="teacher").network.name
    'teacher.'
    """
    under: Callable[[str], bool] = lambda found: prefix is None or _is_under(found, prefix)  # noqa: E731
    matches = whole_backbones(shapes, backbone=backbone, under=under, equal=equal)
    networks = sorted(_networks(matches, {*shapes, *words}), key=_order)
    beside = _of_other_backbones(shapes, matches, equal) if backbone else ()
    if prefix is not None:
        choice = _asked_for(networks, prefix, equal)
    elif len(networks) > 1:
        choice = _trained(networks, equal)
    else:
        what = f"{backbone} of the file, as --backbone asked" if beside else "whole network of the file"
        choice = Choice(network=networks[0], why=_alone(networks[0], shapes, f"the only {what}"))
    return replace(choice, others=(*choice.others, *beside))


def _of_other_backbones(
    shapes: Mapping[str, Shape], matches: Sequence[Match], equal: Equal
) -> tuple[str, ...]:
    """List the prefixes of whole networks of other backbones than the one that was asked for."""
    prefixes = {match.prefix for match in matches}
    found = whole_backbones(shapes, equal=equal)
    return tuple(Network(match=match).name for match in found if match.prefix not in prefixes)


def _networks(matches: Sequence[Match], there: Collection[str]) -> list[Network]:
    swap = next((swap for swap in SWAPPED if all(sign in there for sign in swap.signs)), None)
    if swap is None:
        return [_by_name(match, matches, there) for match in matches]
    trained = [match for match in matches if match.prefix.startswith(f"{swap.trained}.")]
    networks = []
    for match in matches:
        if match.prefix.startswith(f"{swap.average}."):
            networks.append(Network(match=match, untrained=f"an average of the weights. {swap}"))
        elif match in trained:
            networks.append(_by_name(match, trained, there, swap))
        else:
            networks.append(_by_name(match, matches, there))
    return networks


def _by_name(
    match: Match, beside: Sequence[Match], there: Collection[str], swap: Swap | None = None
) -> Network:
    """Judge a network by the words of its prefix. Words that all prefixes share say nothing."""
    if _is_averaged_model(match.prefix, there):
        untrained = f"an average of the weights: torch's AveragedModel left its {COUNTER!r} beside it"
        return Network(match=match, untrained=untrained)
    common = _common(one.prefix for one in beside) if len(beside) > 1 or swap else 0
    said = {word for one in beside for word in _words(one.prefix.split(".")[common:-1])}
    words = (
        word
        for word in _words(match.prefix.split(".")[common:-1])
        if word in AVERAGES and (word not in BESIDE or said.intersection(BESIDE[word]))
    )
    untrained = next((f"named as {AVERAGES[word]}" for word in words), "")
    return Network(match=match, untrained=untrained, known="" if untrained or not swap else str(swap))


def _is_averaged_model(prefix: str, there: Collection[str]) -> bool:
    ends = [found.start() for found in re.finditer(r"(?:^|(?<=\.))module\.", prefix)]
    return any(prefix[:end] + COUNTER in there for end in ends)


def _asked_for(networks: list[Network], prefix: str, equal: Equal) -> Choice:
    chosen = [one for one in networks if one.match.prefix == _spelled(prefix)]
    chosen = chosen or [one for one in networks if _is_under(one.match.prefix, prefix)]
    if not chosen:
        there = listed(f"{one.name!r} ({one.match.backbone})" for one in networks)
        raise CheckpointMismatch(
            f"no whole backbone under {printable(prefix)!r}. There is one under: {there}. "
            "Pass --prefix with one of these."
        )
    if len(_groups(chosen, equal)) > 1:
        raise _several(chosen, f"whose names end with {printable(prefix)!r}")
    why = "as --prefix asked"
    if chosen[0].untrained:
        why += f": {chosen[0].untrained}"
    return Choice(network=chosen[0], others=_others(networks, chosen[0]), why=why)


def _trained(networks: list[Network], equal: Equal) -> Choice:
    """Choose the network that gradients trained, or raise `SeveralNetworks`."""
    groups = _groups(networks, equal)
    if len(groups) == 1:
        used = networks[0]
        why = f"the {len(networks)} whole networks of the file have the same weights, bit for bit"
        return Choice(network=used, others=_others(networks, used), why=why)
    candidates = [group for group in groups if not all(one.untrained for one in group)]
    if len(candidates) > 1:
        said = [group for group in candidates if any(_is_said_to_be_trained(one, networks) for one in group)]
        candidates = said if len(said) == 1 else candidates
    if len(candidates) != 1:
        raise _several(networks, "and nothing says which of them gradients trained")
    used = candidates[0][0]
    return Choice(network=used, others=_others(networks, used), why=_reason(used, networks))


def _reason(used: Network, networks: list[Network]) -> str:
    if used.known:
        return f"gradients trained it. {used.known}"
    other = next((one for one in networks if one.untrained), None)
    beside = f": {printable(other.name)!r} is {other.untrained}" if other else ""
    return f"gradients trained it, as the names say{beside}"


def _alone(network: Network, shapes: Mapping[str, Shape], what: str) -> str:
    """Say what is known about a network that is the only one to choose from."""
    if network.untrained:
        return f"{what}; it is {network.untrained}"
    copy = _mmcv_copy(network.match, shapes)
    if copy:
        return (
            f"MMCV's EMAHook left a second copy in names such as {printable(copy)!r}. It swaps the two after "
            "each epoch, so this one may be an average of the weights"
        )
    return what if "--backbone" in what else ""


def _mmcv_copy(match: Match, shapes: Mapping[str, Shape]) -> str:
    """Name MMCV's second copy of the first weight; "" if there is none."""
    name = match.names[match.right[0]]
    ends = [0, *(dot.end() for dot in re.finditer(r"\.", match.prefix))]
    copies = (f"{name[:end]}ema_{name[end:].replace('.', '_')}" for end in ends)
    return next((copy for copy in copies if copy in shapes), "")


def _groups(networks: Iterable[Network], equal: Equal) -> list[list[Network]]:
    """Group networks whose weights are the same bits. Each group keeps the order of preference."""
    groups: list[list[Network]] = []
    for network in networks:
        same = (group for group in groups if _same(group[0].match, network.match, equal))
        found = next(same, None)
        if found is None:
            groups.append([network])
        else:
            found.append(network)
    return groups


def _same(first: Match, second: Match, equal: Equal) -> bool:
    if first.backbone != second.backbone or first.scheme != second.scheme:
        return False
    return all(equal(first.names[key], second.names[key]) for key in first.right if not is_unread(key))


def _is_said_to_be_trained(network: Network, networks: Sequence[Network]) -> bool:
    words = _words(network.match.prefix.split(".")[_common(one.match.prefix for one in networks) : -1])
    return not network.untrained and (bool(network.known) or any(word in TRAINED for word in words))


def _several(networks: Sequence[Network], which: str) -> SeveralNetworks:
    shown = [_line(one) for one in networks[:MAX_CHOICES]]
    if len(networks) > MAX_CHOICES:
        shown.append(f"  and {len(networks) - MAX_CHOICES} more")
    text = f"{len(networks)} whole networks are in the file, {which}. Name the one to use:"
    return SeveralNetworks("\n".join([text, *shown]), choices=tuple(one.name for one in networks))


def _line(network: Network) -> str:
    known = f", {network.untrained}" if network.untrained else ""
    return f"  --prefix {printable(network.name)}  ({network.match.backbone}{known})"


def _others(networks: Iterable[Network], used: Network) -> tuple[str, ...]:
    return tuple(one.name for one in networks if one is not used)


def _order(network: Network) -> tuple[bool, bool, int, str]:
    prefix = network.match.prefix
    # False sorts before True: first what nothing calls untrained, then what a known trainer saved.
    return bool(network.untrained), not network.known, len(prefix), prefix


def _is_under(found: str, prefix: str) -> bool:
    wanted = _spelled(prefix)
    return found == wanted or (bool(wanted) and found.endswith(f".{wanted}"))


def _spelled(prefix: str) -> str:
    return "" if prefix in ("", TOP) else prefix if prefix.endswith(".") else f"{prefix}."


def _common(prefixes: Iterable[str]) -> int:
    """Count the parts with which all prefixes begin. They say nothing about how the networks differ."""
    parts = zip(*(prefix.split(".")[:-1] for prefix in prefixes), strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, parts))


def _words(parts: Iterable[str]) -> list[str]:
    """Split names such as "state_dict_ema" and "modelTeacher" into words in lower case.

    "k400", a dataset, stays one word, so it is not taken for the word "k".

    >>> _words(["modelTeacher", "k400"])
    ['model', 'teacher', 'k400']
    """
    return [word.lower() for part in parts for word in re.findall(r"[A-Z]?[a-z\d]+|[A-Z\d]+(?![a-z])", part)]
