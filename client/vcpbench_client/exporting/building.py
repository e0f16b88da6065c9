"""Import a user's function, and call it. This runs the user's code, on the user's machine."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import sys
import traceback
from types import ModuleType
from typing import Any

from torch import nn

from vcpbench_client.errors import ExportError

FORM = "Write package.module:function, as in `vcpbench export mynet.model:build`."


def build(target: str) -> nn.Module:
    """Import a name, and make the network of it.

    The current folder comes first on Python's path, as for `python -m`.

    Args:
        target: `package.module:name`. The name is a function without arguments, a class, or a network.

    Raises:
        ExportError: If there is no such name, if the user's code raises, or if it gives no `nn.Module`.
    """
    module_name, _, name = target.partition(":")
    if not (module_name and name):
        raise ExportError(f"{target!r} names no function. {FORM}")
    found: Any = _imported(module_name)
    for part in name.split("."):
        found = _attribute(found, part, target)
    if not isinstance(found, nn.Module):
        found = _called(found, target)
    if not isinstance(found, nn.Module):
        raise ExportError(f"{target} gives a {type(found).__name__}, and not a torch.nn.Module.")
    return found


def raised(what: str, error: BaseException) -> ExportError:
    """An error of the user's code, with its traceback below the message."""
    said = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(".: ")
    found = ExportError(f"{what} raised {said}.")
    found.log_tail = "".join(traceback.format_exception(error))
    return found


def _imported(name: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ExportError(
                f"There is no module {error.name!r}, neither in {here} nor among the installed packages. "
                "Run the command in the folder that holds it."
            ) from error
        raise ExportError(f"{name} needs the module {error.name!r}, which is not installed here.") from error
    # A script may parse arguments or end the process where it is imported.
    except (Exception, SystemExit) as error:
        raise raised(f"Importing {name}", error) from error


def _attribute(owner: Any, name: str, target: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        where = owner.__name__ if isinstance(owner, ModuleType) else type(owner).__name__
        public = [one for one in vars(owner) if callable(getattr(owner, one)) and not one.startswith("_")]
        near = difflib.get_close_matches(name, public) or public[:5]
        hint = f" It has {', '.join(near)}." if near else ""
        raise ExportError(f"{target}: {where} has no {name!r}.{hint}") from None


def _called(function: Any, target: str) -> Any:
    if not callable(function):
        raise ExportError(f"{target} is a {type(function).__name__}, and not a function. {FORM}")
    needed = _needed(function)
    if needed:
        raise ExportError(
            f"{target} needs arguments ({', '.join(needed)}). Write a function without arguments that calls "
            "it, in a file of the current folder, and name that function."
        )
    try:
        return function()
    except (Exception, SystemExit) as error:
        raise raised(target, error) from error


def _needed(function: Any) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C
        return []
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one.name for one in parameters if one.default is one.empty and one.kind not in optional]
