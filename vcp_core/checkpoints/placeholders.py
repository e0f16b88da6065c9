"""Placeholders for the objects that ordinary checkpoints hold besides weights.

Hyper-parameters, NumPy scalars, message hubs and the like do not matter to a frozen network. Torch's
weights-only reader gets a placeholder for each of these classes, by its name. The class itself is never
imported. Any other name is refused.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable


class Refused(pickle.UnpicklingError):
    """A pickle asks for a global that is not allowed.

    Attributes:
        name: The global.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"the global {name} is refused")
        self.name = name


class Inert:
    """Stands for any other object: accepts all that the pickle gives, and keeps nothing."""

    def __new__(cls, *_: object, **__: object) -> Inert:
        """Ignore the arguments."""
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        """Ignore the state."""


class InertMapping:
    """Stands for a dictionary of another class. The items are kept, because they may be weights."""

    def __new__(cls, *_: object) -> OrderedDict[object, object]:  # type: ignore[misc]
        """Give an OrderedDict, the only mapping that torch's reader fills and sets attributes of."""
        return OrderedDict()


class InertBuffer(Inert):
    """Stands for mmengine's HistoryBuffer, which is pickled with a list of its own methods."""


def _method(owner: object, *_: object) -> object:
    """Stands for `getattr`. It is allowed on a HistoryBuffer only; elsewhere it could reach any code."""
    if owner is InertBuffer:
        return Inert
    raise Refused("builtins.getattr")


def _names(module: str, *names: str) -> list[str]:
    return [f"{module}.{name}" for name in names]


OBJECTS = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    "typing.Any",  # in every OmegaConf node
    *_names(
        "builtins", "bool", "complex", "dict", "float", "frozenset", "int", "list", "set", "slice", "str"
    ),
    *_names("datetime", "date", "datetime", "timedelta", "timezone"),
    *_names("pathlib", "Path", "PosixPath", "PurePosixPath", "WindowsPath"),
    # Python 3.13 alone pickles them under this name.
    *_names("pathlib._local", "Path", "PosixPath", "PurePosixPath", "WindowsPath"),
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    *_names("omegaconf.base", "ContainerMetadata", "Metadata"),
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    *(
        f"omegaconf.nodes.{kind}Node"
        for kind in ("Any", "Boolean", "Bytes", "Float", "Integer", "Path", "String")
    ),
    # Lightning before 1.3 keyed its callbacks' states by their classes.
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
)
MAPPINGS = (
    "addict.addict.Dict",
    "collections.defaultdict",
    "easydict.EasyDict",
    "fvcore.common.config.CfgNode",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "mmcv.utils.config.ConfigDict",
    "mmengine.config.config.ConfigDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "yacs.config.CfgNode",
)
HARMLESS: dict[str, Callable[..., object]] = {  # NumPy's arrays and types: arrays.py
    **dict.fromkeys(OBJECTS, Inert),
    **dict.fromkeys(MAPPINGS, InertMapping),
    "mmengine.logging.history_buffer.HistoryBuffer": InertBuffer,
    "builtins.getattr": _method,
}
