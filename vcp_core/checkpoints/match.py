"""Which backbone is this? Told by names and shapes of tensors alone, whatever they are wrapped in.

Keys are the names that a scheme of the catalog gives them; where a network has several, each is looked for.
No list of prefixes is kept. A key of a backbone is looked for at the end of every name, and what stands
before it is a prefix; a prefix under which all keys of a backbone are, each in its shape, is where it is.

A file may hold several whole backbones (student and teacher, a network and its moving average). The order of
preference, unless a prefix is asked for, is: more keys; the network that was trained by gradients over its
averaged copy (`AVERAGED`), which not every method has; the shorter prefix; the alphabet. The others are
reported.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vcp_core.backbones import key_shapes
from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import CheckpointMismatch
from vcp_core.catalog.keys import KeyScheme
from vcp_core.checkpoints.report import listed, printable

Shape = tuple[int, ...]

# Words of a prefix that name an averaged copy: MoCo's encoder_k, BYOL's target, DINO's teacher, ...
AVERAGED = frozenset({"averaged", "ema", "k", "key", "momentum", "shadow", "swa", "target", "teacher"})
WHAT_NEXT = "Pass --backbone, or see docs/adding/backbone.md."
WHAT_NEXT_AFTER_BACKBONE = (
    "Leave out --backbone to see what it is closest to, or see docs/adding/backbone.md."
)


@dataclass(frozen=True, kw_only=True)
class Match:
    """One way to read a file's names as a backbone's keys; keys are named as the scheme names them.

    Attributes:
        backbone: Its name.
        scheme: Whose names its keys have.
        prefix: What stands before each key, wrappers included.
        right: Keys that are there in their shape.
        wrong: Keys that are there in another shape, with it.
        missing: Keys that are not there.
        steps: Keys that count training steps; a frozen network does without them.
        filled: Those of them that are not there.
        foreign: Names inside the backbone's own modules that it does not have: a deeper or otherwise
            different network, of which its keys are only a part.
    """

    backbone: str
    scheme: KeyScheme
    prefix: str
    right: tuple[str, ...]
    wrong: Mapping[str, Shape]
    missing: tuple[str, ...]
    steps: tuple[str, ...]
    filled: tuple[str, ...]
    foreign: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether this is that backbone, whole and nothing else."""
        return not (self.wrong or self.missing or self.foreign)

    @property
    def num_keys(self) -> int:
        """Keys that the backbone cannot do without."""
        return len(self.right) + len(self.wrong) + len(self.missing)


def find_backbone(
    shapes: Mapping[str, Shape], *, backbone: str | None = None, prefix: str | None = None
) -> tuple[Match, tuple[str, ...]]:
    """The backbone that a file holds.

    Args:
        shapes: Of all tensors, by name.
        backbone: The only one to look for; any if left out.
        prefix: What stands before its keys ("teacher."), or the end of that ("teacher" of
            "state_dict.teacher."); the preferred one if left out, and "" for keys with nothing before them.

    Returns:
        The match, and the prefixes of other whole backbones that were not preferred.

    Raises:
        UnknownName: If `backbone` is not in the catalog.
        CheckpointMismatch: If none is whole; says which is closest and what it lacks. If none is under
            `prefix`: which prefixes there are.
    """
    matches = _matches(shapes, [BACKBONES[backbone].name] if backbone else BACKBONES)
    complete = sorted((match for match in matches if match.complete), key=_preference)
    if prefix is not None:
        chosen = [match for match in complete if _is_under(match, prefix)]
        if complete and not chosen:
            raise CheckpointMismatch(_other_prefixes(complete, prefix))
        matches = [match for match in matches if _is_under(match, prefix)] or matches
        complete = chosen + [match for match in complete if match not in chosen] if chosen else []
    if complete:
        return complete[0], tuple(match.prefix for match in complete[1:])
    raise CheckpointMismatch(_difference(shapes, matches, backbone))


def _is_under(match: Match, prefix: str) -> bool:
    wanted = prefix if prefix.endswith(".") or not prefix else f"{prefix}."
    return match.prefix == wanted or (bool(wanted) and match.prefix.endswith(f".{wanted}"))


def _other_prefixes(complete: list[Match], prefix: str) -> str:
    there = listed(f"{match.prefix!r} ({match.backbone})" for match in complete)
    return (
        f"no whole backbone under {printable(prefix)!r}. There is one under: {there}. "
        "Pass --prefix with one of these."
    )


def own_keys(backbone: str, scheme: KeyScheme) -> dict[str, str]:
    """Our key by the scheme's name of it."""
    return {scheme.rename(key): key for key in key_shapes(backbone)}


def _known(backbone: str, scheme: KeyScheme) -> dict[str, Shape]:
    return {scheme.rename(key): shape for key, shape in key_shapes(backbone).items()}


def _matches(shapes: Mapping[str, Shape], backbones: Iterable[str]) -> list[Match]:
    return [
        _match(shapes, backbone, scheme, known, prefix)
        for backbone in backbones
        for scheme in BACKBONES[backbone].keys
        for known in [_known(backbone, scheme)]
        for prefix in sorted(_prefixes(shapes, known))
    ]


def _prefixes(shapes: Mapping[str, Shape], known: Mapping[str, Shape]) -> set[str]:
    prefixes: set[str] = set()
    for name in shapes:
        begins = [0, *(dot.end() for dot in re.finditer(r"\.", name))]
        prefixes.update(name[:begin] for begin in begins if name[begin:] in known)
    return prefixes


def _match(
    shapes: Mapping[str, Shape], backbone: str, scheme: KeyScheme, known: Mapping[str, Shape], prefix: str
) -> Match:
    there = {key: shapes[prefix + key] for key in known if prefix + key in shapes}
    absent = [key for key in known if key not in there]
    wrong = {key: shape for key, shape in there.items() if shape != known[key]}
    missing = tuple(key for key in absent if not _counts_steps(key))
    return Match(
        backbone=backbone,
        scheme=scheme,
        prefix=prefix,
        right=tuple(key for key in there if key not in wrong and not _counts_steps(key)),
        wrong=wrong,
        missing=missing,
        steps=tuple(filter(_counts_steps, known)),
        filled=tuple(key for key in absent if _counts_steps(key)),
        # Only asked where it decides: it looks at every name of the file.
        foreign=() if wrong or missing else _foreign(shapes, known, prefix, scheme.heads),
    )


def _foreign(
    shapes: Mapping[str, Shape], known: Mapping[str, Shape], prefix: str, heads: tuple[str, ...]
) -> tuple[str, ...]:
    modules = {_module(key) for key in known}
    inside = (name.removeprefix(prefix) for name in shapes if name.startswith(prefix))
    strange = (name for name in inside if name not in known and _module(name) in modules)
    return tuple(name for name in strange if not name.startswith(heads))


def _preference(match: Match) -> tuple[int, bool, int, str]:
    averaged = not AVERAGED.isdisjoint(re.split(r"[._]", match.prefix.lower()))
    return -match.num_keys, averaged, len(match.prefix), match.prefix


def _counts_steps(key: str) -> bool:
    return key.endswith("num_batches_tracked")


def _module(key: str) -> str:
    return key.partition(".")[0]


def _difference(shapes: Mapping[str, Shape], matches: list[Match], backbone: str | None) -> str:
    what_next = WHAT_NEXT_AFTER_BACKBONE if backbone else WHAT_NEXT
    wanted = backbone or f"any backbone known here ({', '.join(BACKBONES)})"
    if not matches:
        names = listed(shapes, first=3)
        return f"none of its {len(shapes)} tensors ({names}) is named as in {wanted}. {what_next}"
    best = max(matches, key=lambda match: _closeness(shapes, match))
    begin = (
        f"not {backbone}:"
        if backbone
        else f"no backbone's keys are all there; the closest is {best.backbone}:"
    )
    under = f" under {printable(best.prefix)!r}" if best.prefix else ""
    lines = [f"{begin} {len(best.right)} of {best.num_keys} keys{under}."]
    known = _known(best.backbone, best.scheme)
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
    others = [m.backbone for m in _matches(shapes, BACKBONES) if m.complete] if backbone else []
    return "\n".join([*lines, f"The file holds a whole {others[0]}: pass that." if others else what_next])


def _closeness(shapes: Mapping[str, Shape], match: Match) -> tuple[float, float, int]:
    """Of keys and strangers together: which part is there, and which part in its shape."""
    # Strangers count: all keys of a shallower network are there, and it is not the closest for that.
    known = _known(match.backbone, match.scheme)
    strangers = match.foreign or _foreign(shapes, known, match.prefix, match.scheme.heads)
    union = match.num_keys + len(list(itertools.filterfalse(_counts_steps, strangers)))
    named = len(match.right) + len(match.wrong)
    return named / union, len(match.right) / union, -len(match.prefix)


def _by_module(keys: Iterable[str], known: Mapping[str, Shape]) -> str:
    needed = Counter(_module(key) for key in known if not _counts_steps(key))
    absent = Counter(map(_module, keys))
    counts = (
        f"all {n}" if n == needed[module] else f"{n} of {needed[module]}" for module, n in absent.items()
    )
    return listed(f"{count} of {module}" for count, module in zip(counts, absent, strict=True))
