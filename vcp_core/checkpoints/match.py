"""Which backbones are in this file? Told by names and shapes of tensors alone, whatever they are wrapped in.

Keys are the names that a scheme of the catalog gives them; where a network has several, each is looked for.
No list of prefixes is kept. A key of a backbone is looked for at the end of every name, and what stands
before it is a prefix; a prefix under which all keys of a backbone are, each in its shape, is where it is.
Words that wrappers put between the parts of a key (`names.WRAPPERS`) are left out of it.

A file may hold several whole backbones: networks.py says which of them is used.
"""

from __future__ import annotations

import functools
import itertools
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

WHAT_NEXT = "Pass --backbone, or see docs/adding/backbone.md."
WHAT_NEXT_AFTER_BACKBONE = (
    "Leave out --backbone to see what it is closest to, or see docs/adding/backbone.md."
)
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
    """One way to read a file's names as a backbone's keys; keys are named as the scheme names them.

    Attributes:
        backbone: Its name.
        scheme: Whose names its keys have.
        prefix: What stands before each key, wrappers included.
        names: The file's name of each key that is there.
        right: Keys that are there in their shape.
        wrong: Keys that are there in another shape, with it.
        missing: Keys that are not there.
        steps: Keys that count training steps; a frozen network does without them, and any shape will do.
        filled: Those of them that are not there.
        foreign: Names inside the backbone's own modules that it does not have: a deeper or otherwise
            different network, of which its keys are only a part.
        twice: Keys that stand under two names once wrappers' words are left out, with all names.
        spare: Further names of such keys whose numbers are the same, which are left out.
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
        """Whether this is that backbone, whole and nothing else."""
        return not (self.wrong or self.missing or self.foreign or self.twice)

    @property
    def num_keys(self) -> int:
        """Keys that the backbone cannot do without."""
        return len(self.right) + len(self.wrong) + len(self.missing)

    @property
    def stripped(self) -> dict[str, int]:
        """Wrappers' words that were left out from between the parts of keys, and of how many keys."""
        inner = (self.names[key].removeprefix(self.prefix) for key in self.right)
        return dict(Counter(word for name in inner for word in sorted(wrappers_in(name) & transparent())))


def whole_backbones(
    shapes: Mapping[str, Shape],
    *,
    backbone: str | None = None,
    under: Callable[[str], bool] = lambda prefix: True,
    equal: Equal = lambda first, second: False,
) -> list[Match]:
    """Every whole backbone that a file holds; at least one.

    Args:
        shapes: Of all tensors, by name.
        backbone: The only one to look for; any if left out.
        under: Which prefixes a near miss is told of, if nothing is whole.
        equal: Whether two tensors hold the same bits. Asked where two names stand for one key.

    Raises:
        UnknownName: If `backbone` is not in the catalog.
        CheckpointMismatch: If none is whole; says which is closest and what it lacks.
    """
    matches = _matches(shapes, [BACKBONES[backbone].name] if backbone else BACKBONES)
    matches = [_without_equal_twins(match, equal) if match.twice else match for match in matches]
    complete = [match for match in matches if match.complete]
    if complete:
        return complete
    near = [match for match in matches if under(match.prefix)] or matches
    raise CheckpointMismatch(_difference(shapes, near, backbone))


def own_keys(backbone: str, scheme: KeyScheme) -> dict[str, str]:
    """Our key by the scheme's name of it."""
    return {scheme.rename(key): key for key in key_shapes(backbone)}


@functools.cache
def transparent() -> frozenset[str]:
    """Wrappers' words that may be left out of a key: those that no backbone has in a key of its own."""
    used = {part for known in _every_known() for key in known for part in key.split(".")}
    return frozenset(WRAPPERS.keys() - used)


@functools.cache
def _every_known() -> tuple[dict[str, Shape], ...]:
    return tuple(_known(name, scheme) for name in BACKBONES for scheme in BACKBONES[name].keys)


@functools.cache
def _known(backbone: str, scheme: KeyScheme) -> dict[str, Shape]:
    return {scheme.rename(key): shape for key, shape in key_shapes(backbone).items()}


def _matches(shapes: Mapping[str, Shape], backbones: Iterable[str]) -> list[Match]:
    found = _names_of_keys(shapes)
    return [
        _match(shapes, backbone, scheme, prefix, names)
        for backbone in backbones
        for scheme in BACKBONES[backbone].keys
        for prefix, names in sorted(_by_prefix(found, _known(backbone, scheme)).items())
    ]


def _names_of_keys(shapes: Mapping[str, Shape]) -> dict[str, list[tuple[str, str]]]:
    """Where each key of any backbone is: the prefix and the name, for each time that a name ends with it."""
    keys = {key for known in _every_known() for key in known}
    longest = max(key.count(".") + 1 for key in keys)
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in shapes:
        for begin, key in tails(name, longest=longest, wrappers=transparent()):
            if key in keys:
                found[key].append((name[:begin], name))
    return found


def _by_prefix(
    names_of_keys: Mapping[str, list[tuple[str, str]]], known: Iterable[str]
) -> dict[str, dict[str, list[str]]]:
    """Names by key, by prefix. A prefix with nothing but step counters under it is none."""
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
    known = _known(backbone, scheme)
    # Without wrappers' words first: of two names for a key, the plain one is the key's own.
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
        # Only asked where it decides: it looks at every name of the file.
        foreign=() if wrong or missing else _foreign(shapes, known, prefix, scheme.heads),
        twice={
            key: (chosen[key], *(name for name in found if name != chosen[key]))
            for key, found in names.items()
            if len(found) > 1 and not is_unread(key)
        },
    )


def _without_equal_twins(match: Match, equal: Equal) -> Match:
    """The match without those names of a key that all hold the same bits as the chosen one."""
    twice = {
        key: (chosen, *others)
        for key, (chosen, *others) in match.twice.items()
        if not all(equal(chosen, other) for other in others)
    }
    spare = (name for key, (_, *others) in match.twice.items() if key not in twice for name in others)
    return replace(match, twice=twice, spare=tuple(spare))


def _foreign(
    shapes: Mapping[str, Shape], known: Mapping[str, Shape], prefix: str, heads: tuple[str, ...]
) -> tuple[str, ...]:
    modules = {_module(key) for key in known}
    inside = (without(name[len(prefix) :], transparent()) for name in shapes if name.startswith(prefix))
    strange = (name for name in inside if name not in known and _module(name) in modules)
    return tuple(name for name in strange if not name.startswith(heads) and not is_unread(name))


def _module(key: str) -> str:
    return key.partition(".")[0]


def _difference(shapes: Mapping[str, Shape], matches: list[Match], backbone: str | None) -> str:
    what_next = WHAT_NEXT_AFTER_BACKBONE if backbone else WHAT_NEXT
    wanted = backbone or f"any backbone known here ({', '.join(BACKBONES)})"
    hints = _in_pieces(shapes)
    if not matches:
        names = listed(shapes, first=3)
        first = f"none of its {len(shapes)} tensors ({names}) is named as in {wanted}. {what_next}"
        return "\n".join([first, *hints])
    best = max(matches, key=lambda match: _closeness(shapes, match))
    begin = (
        f"not {backbone}:"
        if backbone
        else f"no backbone's keys are all there; the closest is {best.backbone}:"
    )
    under = f" under {printable(best.prefix)!r}" if best.prefix else ""
    lines = [f"{begin} {len(best.right)} of {best.num_keys} keys{under}.", *_details(best), *hints]
    others = [m.backbone for m in _matches(shapes, BACKBONES) if m.complete] if backbone else []
    return "\n".join([*lines, f"The file holds a whole {others[0]}: pass that." if others else what_next])


def _details(best: Match) -> list[str]:
    lines, known = [], _known(best.backbone, best.scheme)
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


def _closeness(shapes: Mapping[str, Shape], match: Match) -> tuple[float, float, int]:
    """Of keys and strangers together: which part is there, and which part in its shape."""
    # Strangers count: all keys of a shallower network are there, and it is not the closest for that.
    known = _known(match.backbone, match.scheme)
    strangers = match.foreign or _foreign(shapes, known, match.prefix, match.scheme.heads)
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
