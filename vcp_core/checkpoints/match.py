"""Find the backbones in a file by the names and shapes of its tensors alone.

Each key scheme of a backbone in the catalog is tried. There is no list of known prefixes. The search looks
for every key of a backbone at the end of every tensor's name; the text before the key is then a prefix. If
all keys of a backbone stand under one prefix, each in its shape, the backbone is there. Wrappers such as
DataParallel put words between the parts of a key (`names.WRAPPERS`). The search leaves these words out.

A file may hold several whole backbones. networks.py chooses among them.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from vcp_core.backbones import key_shapes
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import CheckpointMismatch
from vcp_core.catalog.keys import KeyScheme
from vcp_core.checkpoints.names import WRAPPERS, is_unread, tails, without, wrappers_in
from vcp_core.checkpoints.report import listed, printable

Shape = tuple[int, ...]
Equal = Callable[[str, str], bool]  # whether two tensors of the file hold the same bits

_OF_ITS_OWN = (
    "If it is another architecture, `vcpbench export` writes it into a .pt2 file, which is read without "
    "knowing it. To add a family, see docs/adding/backbone.md."
)
WHAT_NEXT = f"Pass --backbone if you know it. {_OF_ITS_OWN}"
WHAT_NEXT_AFTER_BACKBONE = f"Leave out --backbone to see what it is closest to. {_OF_ITS_OWN}"
# Prefixes under which a backbone is not whole. Only the closest is told, and rating one goes through all
# names of the file. A file of 4 MB can have 50,000 prefixes with one key each.
MAX_NEAR = 16
MAX_NETWORKS = 64  # networks of one backbone in a file; the choice compares each with each
# Parts of names by which a network shows that its weights are stored in pieces, and how to join them.
IN_PIECES = {
    "parametrizations": "Call torch.nn.utils.parametrize.remove_parametrizations on each layer",
    "weight_g": "Call torch.nn.utils.remove_weight_norm on each layer",
    "weight_mask": "Call torch.nn.utils.prune.remove on each layer",
    "_flat_param": "Save with FSDP's StateDictType.FULL_STATE_DICT",
    "flat_param": "Save with FSDP's StateDictType.FULL_STATE_DICT",
}


@dataclass(frozen=True, kw_only=True)
class Match:
    """One way to read the names in a file as a backbone's keys. All keys are the scheme's.

    Attributes:
        backbone: Name of the backbone.
        scheme: The key scheme that was tried.
        prefix: The text before each key, words of wrappers included.
        names: The name in the file, by key.
        right: Keys that are there in their shape.
        wrong: Keys that are there in another shape, with that shape.
        missing: Keys that are not there.
        steps: Keys that count training steps. A frozen network does not need them, so they may be missing or
            have any shape.
        filled: The keys of `steps` that are not there.
        foreign: Names inside the backbone's modules that are no keys of it, keys of a backbone that has all
            of its keys and more, and strangers of the scheme. They show a deeper or otherwise different
            network.
        twice: Keys that stand under several names once wrappers' words are left out, with these names.
        spare: Further names of keys whose tensors are the same bits; they are ignored.
    """

    backbone: str
    scheme: KeyScheme
    prefix: str
    names: Mapping[str, str]
    right: tuple[str, ...]
    wrong: Mapping[str, Shape]
    missing: tuple[str, ...]
    steps: tuple[str, ...]
    filled: tuple[str, ...]
    foreign: tuple[str, ...]
    twice: Mapping[str, tuple[str, ...]]
    spare: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the file holds this whole backbone here, and no different network."""
        return not (self.wrong or self.missing or self.foreign or self.twice)

    @property
    def num_keys(self) -> int:
        """Keys that the backbone cannot do without."""
        return len(self.right) + len(self.wrong) + len(self.missing)

    @property
    def stripped(self) -> dict[str, int]:
        """The wrappers' words that were left out of keys, with the number of keys of each."""
        inner = (self.names[key].removeprefix(self.prefix) for key in self.right)
        return dict(Counter(word for name in inner for word in sorted(wrappers_in(name) & WRAPPERS.keys())))


def whole_backbones(
    shapes: Mapping[str, Shape],
    *,
    backbone: str | None = None,
    under: Callable[[str], bool] = lambda prefix: True,
    equal: Equal = lambda first, second: False,
) -> list[Match]:
    """List every whole backbone in a file. There is at least one.

    Args:
        shapes: Shapes of all tensors, by name.
        backbone: The only backbone to look for; None looks for all.
        under: Tells of a prefix whether the message about the closest backbone may be about it.
        equal: Tells whether two tensors hold the same bits. It is called if two names stand for one key.

    Raises:
        UnknownName: If `backbone` is not in the catalog.
        CheckpointMismatch: If no backbone is whole. The message says which is closest and what it lacks. Or
            if more than `MAX_NETWORKS` prefixes may hold a backbone. Or if a backbone is there under two
            naming schemes, with other values.

    >>> shapes = {f"module.{key}": shape for key, shape in key_shapes("r3d_tiny").items()}
    >>> [(match.backbone, match.prefix, match.num_keys) for match in whole_backbones(shapes)]
    [('r3d_tiny', 'module.', 60)]
    """
    wanted = [BACKBONES[backbone].name] if backbone else list(BACKBONES)
    small = _small_enough(shapes, wanted)
    matches = _matches(shapes, small, under, equal)
    complete = _one_for_each_place([match for match in matches if match.complete], equal)
    if complete:
        return complete
    # The others cannot be whole. To list their keys takes time (bench/inspect.py), and only the message
    # needs them.
    matches += _matches(shapes, [name for name in wanted if name not in small], under, equal)
    matches.sort(key=lambda match: wanted.index(match.backbone))  # of equally close ones, the first is told
    near = [match for match in matches if under(match.prefix)] or matches
    raise CheckpointMismatch(_difference(shapes, near, backbone))


def own_keys(backbone: str, scheme: KeyScheme) -> dict[str, str]:
    """Map each key of the scheme to our own key. Pieces of one tensor stand in their order.

    >>> own_keys("slow_r50", BACKBONES["slow_r50"].keys[1])["s1.pathway0_stem.conv.weight"]
    'blocks.0.conv.weight'
    """
    return {name: key for key in key_shapes(backbone) for name in scheme.names(key)}


def _small_enough(shapes: Mapping[str, Shape], backbones: Iterable[str]) -> list[str]:
    """Keep the backbones that have at most as many parameters as the file has numbers."""
    numbers = sum(map(math.prod, shapes.values()))
    return [name for name in backbones if BACKBONES[name].num_parameters <= numbers]


@functools.cache
def keys_of(backbone: str, scheme: KeyScheme) -> dict[str, Shape]:
    """Map each key of the scheme to its shape.

    >>> keys_of("r3d_tiny", BACKBONES["r3d_tiny"].keys[0])["conv1.temporal_spatial_conv.weight"]
    (16, 3, 3, 7, 7)
    """
    found: dict[str, Shape] = {}
    for key, shape in key_shapes(backbone).items():
        names, shape = scheme.names(key), scheme.shape(shape)
        found |= dict.fromkeys(names, (shape[0] // len(names), *shape[1:]) if len(names) > 1 else shape)
    return found


def _matches(
    shapes: Mapping[str, Shape],
    backbones: Iterable[str],
    under: Callable[[str], bool] = lambda prefix: True,
    equal: Equal = lambda first, second: False,
) -> list[Match]:
    schemes = [(backbone, scheme) for backbone in backbones for scheme in BACKBONES[backbone].keys]
    found = _names_of_keys(shapes, {key for backbone, scheme in schemes for key in keys_of(backbone, scheme)})
    matches = [
        _match(shapes, backbone, scheme, prefix, names)
        for backbone, scheme in schemes
        for prefix, names in _worth_a_look(found, keys_of(backbone, scheme), under)
    ]
    return [_without_equal_twins(match, equal) if match.twice else match for match in matches]


def _worth_a_look(
    names_of_keys: Mapping[str, list[tuple[str, str]]], known: Iterable[str], under: Callable[[str], bool]
) -> list[tuple[str, dict[str, list[str]]]]:
    """Keep the prefixes that may hold the whole backbone, and of the others those with the most keys."""
    by_prefix = _by_prefix(names_of_keys, known)
    needed = sum(not is_unread(key) for key in known)
    kept = {prefix for prefix, names in by_prefix.items() if len(names) >= needed}
    if len(kept) > MAX_NETWORKS:
        raise CheckpointMismatch(
            f"{len(kept):,} prefixes of the file may each hold a network; at most {MAX_NETWORKS} are read. "
            "Save the state_dict of one network."
        )
    near = [prefix for prefix in by_prefix if prefix not in kept]
    for some in (near, list(filter(under, near))):
        # Of equal counts, the shorter prefix, as in `_closeness`.
        kept.update(heapq.nlargest(MAX_NEAR, some, key=lambda prefix: (len(by_prefix[prefix]), -len(prefix))))
    return sorted((prefix, by_prefix[prefix]) for prefix in kept)


def _names_of_keys(shapes: Mapping[str, Shape], keys: set[str]) -> dict[str, list[tuple[str, str]]]:
    """Find these keys: for each name that ends with the key, the prefix and the name."""
    longest = max((key.count(".") + 1 for key in keys), default=0)
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in shapes:
        for begin, key in tails(name, longest=longest, wrappers=WRAPPERS):
            if key in keys:
                found[key].append((name[:begin], name))
    return found


def _by_prefix(
    names_of_keys: Mapping[str, list[tuple[str, str]]], known: Iterable[str]
) -> dict[str, dict[str, list[str]]]:
    """Sort the names by prefix, then by key. A prefix that holds only step counters is left out."""
    found: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for key in known:
        for prefix, name in names_of_keys.get(key, ()):
            found[prefix].setdefault(key, []).append(name)
    return {prefix: names for prefix, names in found.items() if not all(map(is_unread, names))}


def _match(
    shapes: Mapping[str, Shape],
    backbone: str,
    scheme: KeyScheme,
    prefix: str,
    names: Mapping[str, list[str]],
) -> Match:
    known = keys_of(backbone, scheme)
    # The shortest name has the fewest wrappers' words, so it is the key's own name.
    chosen = {key: min(found, key=len) for key, found in names.items()}
    needed = [key for key in known if not is_unread(key)]
    wrong = {
        key: shapes[chosen[key]] for key in needed if key in chosen and shapes[chosen[key]] != known[key]
    }
    missing = tuple(key for key in needed if key not in chosen)
    return Match(
        backbone=backbone,
        scheme=scheme,
        prefix=prefix,
        names=chosen,
        right=tuple(key for key in needed if key in chosen and key not in wrong),
        wrong=wrong,
        missing=missing,
        steps=tuple(filter(is_unread, known)),
        filled=tuple(key for key in filter(is_unread, known) if key not in chosen),
        # Computed only if it can decide, because it goes through every name of the file.
        foreign=() if wrong or missing else _foreign(shapes, backbone, scheme, prefix),
        twice={
            key: (chosen[key], *(name for name in found if name != chosen[key]))
            for key, found in names.items()
            if len(found) > 1 and not is_unread(key)
        },
    )


def _without_equal_twins(match: Match, equal: Equal) -> Match:
    """Remove a key from `twice` if all its names hold the same bits as the chosen one."""
    twice = {
        key: (chosen, *others)
        for key, (chosen, *others) in match.twice.items()
        if not all(equal(chosen, other) for other in others)
    }
    spare = (name for key, (_, *others) in match.twice.items() if key not in twice for name in others)
    return replace(match, twice=twice, spare=tuple(spare))


def _one_for_each_place(matches: list[Match], equal: Equal) -> list[Match]:
    """Join matches of one backbone at one place: a module may be registered under two names, as in CoCLR.

    Raises:
        CheckpointMismatch: If the two names of a tensor hold different bits.
    """
    kept: dict[tuple[str, str], Match] = {}
    for match in matches:
        first = kept.setdefault((match.backbone, match.prefix), match)
        if first is match:
            continue
        second = {own: match.names[key] for key, own in own_keys(match.backbone, match.scheme).items()
                  if key in match.names}  # fmt: skip
        own = own_keys(first.backbone, first.scheme)
        pairs = [(first.names[key], second[own[key]]) for key in first.right]
        differing = [" and ".join(pair) for pair in pairs if not equal(*pair)]
        if differing:
            raise CheckpointMismatch(
                f"{match.backbone} is there as {first.scheme.name} and as {match.scheme.name} name it, with "
                f"other values: {listed(differing, first=3)}. Save the state_dict of one network."
            )
        spare = (*first.spare, *second.values())
        kept[match.backbone, match.prefix] = replace(first, spare=spare)
    return list(kept.values())


def _foreign(shapes: Mapping[str, Shape], backbone: str, scheme: KeyScheme, prefix: str) -> tuple[str, ...]:
    known = keys_of(backbone, scheme)
    modules = {_module(key) for key in known}
    inside = (
        (without(name[len(prefix) :], WRAPPERS), shape)
        for name, shape in shapes.items()
        if name.startswith(prefix)
    )
    return tuple(
        name
        for name, shape in inside
        if not (name in known or name.startswith(scheme.heads) or is_unread(name))
        # The last question is asked only of names that need it, because it takes the keys of all backbones.
        if _module(name) in modules or scheme.is_stranger(name, shape) or name in _of_wider(backbone, scheme)
    )


@functools.cache
def _of_wider(backbone: str, scheme: KeyScheme) -> frozenset[str]:
    """List the further keys of backbones that have all keys of this one, as C3D with batch norms has."""
    known = keys_of(backbone, scheme).keys()
    every = (keys_of(name, other).keys() for name in BACKBONES for other in BACKBONES[name].keys)
    return frozenset(key for other in every if known < other for key in other - known)


def _module(key: str) -> str:
    return key.partition(".")[0]


def _difference(shapes: Mapping[str, Shape], matches: list[Match], backbone: str | None) -> str:
    what_next = WHAT_NEXT_AFTER_BACKBONE if backbone else WHAT_NEXT
    wanted = backbone or f"any backbone known here ({listed(BACKBONES)})"
    hints = _in_pieces(shapes)
    if not matches:
        names = listed(shapes, first=3)
        first = f"none of its {len(shapes)} tensors ({names}) is named as in {wanted}. {what_next}"
        return "\n".join([first, *hints])
    near = heapq.nlargest(MAX_NEAR, matches, key=_named)
    best = max(near, key=lambda match: _closeness(shapes, match))
    begin = f"not {backbone}:" if backbone else f"it holds no whole backbone. The closest is {best.backbone}:"
    under = f" under {printable(best.prefix)!r}" if best.prefix else ""
    lines = [f"{begin} {len(best.right)} of {best.num_keys} keys{under}.", *_details(best), *hints]
    small = _small_enough(shapes, BACKBONES) if backbone else []
    others = [match.backbone for match in _matches(shapes, small) if match.complete]
    return "\n".join([*lines, f"The file holds a whole {others[0]}: pass that." if others else what_next])


def _details(best: Match) -> list[str]:
    lines, known = [], keys_of(best.backbone, best.scheme)
    if best.missing:
        lines.append(f"  missing: {_by_module(best.missing, known)}: {listed(best.missing, first=3)}")
    if best.wrong:
        pairs = (f"{key} is {shape}, not {known[key]}" for key, shape in best.wrong.items())
        lines.append(f"  wrong shape: {len(best.wrong)}: {listed(pairs, first=3)}")
    if best.foreign:
        lines.append(
            f"  not in {best.backbone}: {len(best.foreign)}: {listed(best.foreign, first=3)}. "
            "A deeper or changed network is another backbone."
        )
    if best.twice:
        pairs = (" and ".join(names) for names in best.twice.values())
        lines.append(
            f"  there twice, with other values: {len(best.twice)}: {listed(pairs, first=3)}. "
            "Save the state dict of one of the two networks."
        )
    return lines


def _in_pieces(shapes: Mapping[str, Shape]) -> list[str]:
    parts = {part for name in shapes for part in name.split(".")[-4:]}
    return [f"Names have {word!r} in them. {advice}, then save again." for word, advice in IN_PIECES.items()
            if word in parts]  # fmt: skip


def _named(match: Match) -> float:
    """The share of keys that are there in any shape; `_closeness` is at most this."""
    return (len(match.right) + len(match.wrong)) / match.num_keys


def _closeness(shapes: Mapping[str, Shape], match: Match) -> tuple[float, float, int]:
    """Rate a match: the share of keys that are there, then the share that also has the right shape."""
    # Foreign names count in the whole. Otherwise a shallower network, all of whose keys are there, would
    # always be the closest.
    strangers = match.foreign or _foreign(shapes, match.backbone, match.scheme, match.prefix)
    union = match.num_keys + len(list(itertools.filterfalse(is_unread, strangers)))
    named = len(match.right) + len(match.wrong)
    return named / union, len(match.right) / union, -len(match.prefix)


def _by_module(keys: Iterable[str], known: Mapping[str, Shape]) -> str:
    needed = Counter(_module(key) for key in known if not is_unread(key))
    absent = Counter(map(_module, keys))
    counts = (
        f"all {n}" if n == needed[module] else f"{n} of {needed[module]}" for module, n in absent.items()
    )
    return listed(f"{count} of {module}" for count, module in zip(counts, absent, strict=True))
