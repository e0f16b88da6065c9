"""End a network at its stages: forward hooks keep the outputs of named modules.

Shapes: B clips, C channels (RGB), T frames, H height, W width, D features.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from vcpbench_client.errors import ExportError
from vcpbench_client.exporting.building import raised

MOST_STAGES = 64  # as a server takes them, and its names, too
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")

Hook = Callable[[str, Any], None]  # (a module's name, its output)


class _Done(BaseException):
    """Ends a forward pass behind its last stage. No `except Exception` of a network holds it up."""


_ENDED = object()  # what a module gives in whose forward pass the last stage ended


def cut(network: nn.Module, stages: Sequence[str], clips_BCTHW: Tensor) -> list[str]:
    """Let a forward pass return the outputs of some modules, and end behind the last of them.

    Args:
        network: The network in eval mode. It is changed.
        stages: Names of modules, as `named_modules` gives them.
        clips_BCTHW: Clips for one forward pass, which finds the order of the modules.

    Returns:
        Sentences about what a user should know.

    Raises:
        ExportError: If there is no such module, if a module runs not at all or more than once, if its output
            is no tensor, or if the forward pass raises before all of them ran.
    """
    _expect_names(stages)
    modules = {name: _module(network, name) for name in stages}
    order, overwritten = _rehearse(network, modules, clips_BCTHW)
    whole: Callable[[Tensor], object] = network.forward

    def forward(clips_BCTHW: Tensor) -> tuple[Tensor, ...]:
        found: dict[str, Tensor] = {}

        def keep(name: str, output: Tensor) -> None:
            found[name] = output.clone() if name in overwritten else output

        with _hooked(modules, keep), suppress(_Done):
            whole(clips_BCTHW)
        return tuple(found[name] for name in stages)

    _end_behind(network, order[-1])
    network.forward = forward
    if order != list(stages):
        return [f"the stages run in the order {', '.join(order)}. The last one that you name is the feature"]
    return []


def _expect_names(stages: Sequence[str]) -> None:
    wrong = next((name for name in stages if not NAME.fullmatch(name)), None)
    if wrong is not None:
        raise ExportError(f"{wrong!r} names no stage. Names hold letters, digits and _ . - alone.")
    if len(set(stages)) < len(stages):
        raise ExportError(f"A stage is named twice: {', '.join(stages)}.")
    if len(stages) > MOST_STAGES:
        raise ExportError(f"{len(stages)} stages are named, and a network has at most {MOST_STAGES}.")


def _end_behind(network: nn.Module, name: str) -> None:
    """Let the call of a module raise `_Done` behind its end.

    torch.export notes the beginning and the end of each module's call, and an exception must not cross a call
    that it notes. So each call around the last stage ends, too, and raises again afterwards.
    """
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        module = network.get_submodule(".".join(parts[:length]))
        module.__class__ = _ending(type(module), is_last=length == len(parts))


def _ending(kind: type[nn.Module], *, is_last: bool) -> type[nn.Module]:
    class Ending(kind):  # type: ignore[misc, valid-type]
        def __call__(self, *inputs: Any, **more: Any) -> Any:
            output = super().__call__(*inputs, **more)
            if is_last or output is _ENDED:
                raise _Done
            return output

        def forward(self, *inputs: Any, **more: Any) -> Any:
            try:
                return super().forward(*inputs, **more)
            except _Done:
                return _ENDED

    return Ending


def _module(network: nn.Module, name: str) -> nn.Module:
    try:
        return network.get_submodule(name)
    except AttributeError:
        names = [one for one, _ in network.named_modules() if one]
        near = difflib.get_close_matches(name, names, n=5) or [one for one, _ in network.named_children()]
        raise ExportError(
            f"The network has no module {name!r}. It has {', '.join(near)}. "
            "`print(model)` shows the names of all modules."
        ) from None


def _rehearse(
    network: nn.Module, modules: dict[str, nn.Module], clips_BCTHW: Tensor
) -> tuple[list[str], set[str]]:
    """Run once. Return the order of the stages, and the stages whose outputs are changed in place later."""
    order: list[str] = []
    outputs: dict[str, tuple[Tensor, int]] = {}

    def note(name: str, output: Any) -> None:
        if not isinstance(output, Tensor):
            inside = [f"{name}.{child}" for child, _ in modules[name].named_children()]
            hint = f" Name a module inside of it: {', '.join(inside)}." if inside else ""
            raise ExportError(
                f"The stage {name!r} gives a {type(output).__name__}, and a stage is one tensor.{hint} Or "
                "write a function whose network returns the tensors of all stages, and leave out --stages."
            )
        order.append(name)
        outputs.setdefault(name, (output, output._version))

    try:
        with torch.no_grad(), _hooked(modules, note):
            network(clips_BCTHW)
    except ExportError:
        raise
    except Exception as error:
        # What follows the last stage is never run again. A head may not fit clips of this size.
        if not set(modules) <= set(order):
            raise raised(f"The forward pass of clips {tuple(clips_BCTHW.shape)}", error) from error
    for name, module in modules.items():
        if order.count(name) != 1:
            inside = [f"{name}.{child}" for child, _ in module.named_children()]
            hint = f" Its parts are {', '.join(inside[:8])}." if inside else ""
            often = "does not run" if name not in order else f"runs {order.count(name)} times"
            raise ExportError(
                f"The stage {name!r} {often} in a forward pass, and a stage runs once. Name another "
                f"module.{hint}"
            )
    return order, {name for name, (output, version) in outputs.items() if output._version != version}


@contextmanager
def _hooked(modules: dict[str, nn.Module], keep: Hook) -> Iterator[None]:
    def hook_of(name: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda module, inputs, output: keep(name, output)

    handles = [module.register_forward_hook(hook_of(name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
