"""A zoo of hostile checkpoints. Each is a name and a function that writes the file."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from tests.graphs.attacks import ATTACKS as OF_GRAPHS
from tests.graphs.attacks import SURVEYED
from tests.hostile.archives import ARCHIVES
from tests.hostile.attacks import ATTACKS, Attack
from tests.hostile.formats import FORMATS, PLACES, SCRIPTS
from tests.hostile.lies import BOMBS, TENSORS
from tests.hostile.pickling import in_legacy, in_zip, plain
from tests.hostile.safetensors import SAFETENSORS

Builder = Callable[[Path, str], None]  # (the file to write, the canary's path)


def _inside(attack: Attack, container: Callable[[Path, bytes], None]) -> Builder:
    return lambda path, canary: container(path, attack(canary))


def _without_code(build: Callable[[Path], None]) -> Builder:
    return lambda path, canary: build(path)


# Each attack is in one container. Both formats of torch take turns, and every sixth is a plain pickle.
_CONTAINERS = itertools.cycle((in_zip, in_legacy, in_zip, in_legacy, in_zip, plain))
RUNNING: dict[str, Builder] = {
    **{
        name: _inside(attack, container)
        for (name, attack), container in zip(ATTACKS.items(), _CONTAINERS, strict=False)
    },
    **PLACES,
}
INERT = {
    name: _without_code(build)
    for family in (ARCHIVES, BOMBS, TENSORS, SAFETENSORS, FORMATS, SCRIPTS)
    for name, build in family.items()
}
FAMILIES = (ATTACKS, PLACES, ARCHIVES, BOMBS, TENSORS, SAFETENSORS, FORMATS, SCRIPTS)
CHECKPOINTS: dict[str, Builder] = RUNNING | INERT
assert len(CHECKPOINTS) == sum(map(len, FAMILIES))


def _archive(make: Callable[[str], bytes]) -> Builder:
    def build(path: Path, canary: str) -> None:
        path.write_bytes(make(canary))

    return build


# Programs of torch.export, each refused for a reason that tests/graphs/test_hostile.py states.
GRAPHS: dict[str, Builder] = {
    f"a graph: {name}": _archive(attack.make) for name, attack in (OF_GRAPHS | SURVEYED).items()
}
