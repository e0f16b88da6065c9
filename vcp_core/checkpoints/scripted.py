"""Stand-ins for the objects in a TorchScript archive, which give its weights by name.

`torch.jit.save` writes a zip archive: `data.pkl` holds the attributes of all modules, `data/` their numbers,
and `code/` and `constants.pkl` the program. Only the first two are read. Each module is an object of a class
`__torch__.NAME`, whose code lies in `code/`. Here one class without code stands for all of these classes. Its
attributes have the names that a state dict has. Source: torch/csrc/jit/serialization/pickler.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from vcp_core.catalog.errors import NotACheckpoint
from vcp_core.checkpoints.archives import OBJECT

CLASSES = "__torch__."  # begins the name of every class of an archive
# torch's reader goes through all allowed names for each object. An archive names about 100 classes, and the
# largest video transformer has some 500 modules.
MAX_CLASSES = 2_000
FROZEN = (
    "a TorchScript archive without named weights: it was frozen (torch.jit.freeze, optimize_for_inference), "
    "which turns weights into constants. Save the state_dict() of the network that it was made from, with "
    "torch.save."
)
NOTE = (
    "the weights are from a TorchScript archive; its code was not read, so nobody compared what it computes "
    "with the backbone"
)


class ScriptObject(Mapping[str, object]):
    """Stands for an object of any class of an archive. It holds the object's attributes.

    >>> module = ScriptObject()
    >>> module.__setstate__({"weight": 1, "training": True})
    >>> dict(module)
    {'weight': 1, 'training': True}
    """

    def __new__(cls, *_: object) -> ScriptObject:
        """Ignore the arguments."""
        made = super().__new__(cls)
        made._attributes = {}
        return made

    def __setstate__(self, state: object) -> None:
        """Keep attributes. A class with a `__getstate__` of its own may give anything else: it is ignored."""
        if type(state) is dict:
            self._attributes = state

    def __getitem__(self, name: str) -> object:
        return self._attributes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._attributes)

    def __len__(self) -> int:
        return len(self._attributes)


def _first(value: object, *_: object) -> object:
    """Stands for functions that give a list or a dictionary its type."""
    return value


FUNCTIONS: dict[str, Callable[..., object]] = dict.fromkeys(
    (
        "torch.jit._pickle.restore_type_tag",
        *(f"torch.jit._pickle.build_{kind}list" for kind in ("bool", "double", "int", "tensor")),
    ),
    _first,
)


def stand_ins_of(names: Iterable[str]) -> dict[str, Callable[..., object]]:
    """Give each class of an archive its stand-in.

    Args:
        names: The globals that the archive's pickle asks for.

    Raises:
        NotACheckpoint: If there are more classes than a network has.

    >>> list(stand_ins_of(["__torch__.net.R3D", "os.system"]))[:1]
    ['__torch__.net.R3D']
    """
    classes = [name for name in names if name.startswith(CLASSES)]
    if len(classes) > MAX_CLASSES:
        raise NotACheckpoint(
            f"a TorchScript archive of {len(classes):,} classes; at most {MAX_CLASSES:,} are read. Save the "
            "state_dict() of the network that it was made from, with torch.save."
        )
    return {**dict.fromkeys(classes, ScriptObject), **FUNCTIONS}


def holds_weights(entry: str) -> bool:
    """Tell whether an entry of an archive holds attributes or numbers, by its name without the outer folder.

    >>> [holds_weights(name) for name in ("data.pkl", "data/0", "constants.pkl", "code/net.py")]
    [True, True, False, False]
    """
    return entry in (OBJECT, "byteorder") or entry.startswith("data/")
