"""Pickles that run code when an unguarded reader loads them. Each leaves a canary: a file of that name."""

from __future__ import annotations

import _thread
import builtins
import code
import ctypes
import functools
import gzip
import importlib
import io
import logging
import marshal
import operator
import os
import pickle
import pty
import runpy
import shutil
import socket
import subprocess
import time
import timeit
import urllib.request
import webbrowser
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.fx.graph_module import _exec_with_source
from torch.jit.unsupported_tensor_ops import execWrapper

from tests.hostile.pickling import PROTO2, Call, dumped, method, text

Attack = Callable[[str], bytes]  # takes the canary's path, and gives a pickle


def shell(canary: str) -> str:
    return f"touch {canary}"


def python(canary: str) -> str:
    return f"open({canary!r}, 'w').close()"


def by_call(make: Callable[[str], object], protocol: int = 2) -> Attack:
    return lambda canary: dumped({"state_dict": make(canary)}, protocol)


def _array(canary: str) -> io.BytesIO:
    held = io.BytesIO()
    np.save(held, np.array([Call(os.system, shell(canary))], dtype=object))
    return io.BytesIO(held.getvalue())


def _saved(canary: str) -> bytes:
    held = io.BytesIO()
    torch.save(Call(os.system, shell(canary)), held)
    return held.getvalue()


_IMPORTED = Call(importlib.import_module, "os")

CALLS: dict[str, Callable[[str], object]] = {
    "os.system": lambda to: Call(os.system, shell(to)),
    "os.mkdir": lambda to: Call(os.mkdir, to),
    "os.symlink": lambda to: Call(os.symlink, "/etc/passwd", to),
    "os.spawnv": lambda to: Call(os.spawnv, os.P_WAIT, "/usr/bin/env", ["env", "touch", to]),
    "os.execv in a fork": lambda to: [Call(os.fork), Call(os.execv, "/usr/bin/env", ["env", "touch", to])],
    "subprocess.check_output": lambda to: Call(subprocess.check_output, ["touch", to]),
    "subprocess.Popen": lambda to: method(Call(subprocess.Popen, ["touch", to]), "wait"),
    "pty.spawn": lambda to: Call(pty.spawn, ["touch", to]),
    "eval": lambda to: Call(eval, python(to)),
    "exec": lambda to: Call(exec, python(to)),
    "exec by way of list and map": lambda to: Call(list, Call(map, exec, [python(to)])),
    "open": lambda to: Call(builtins.open, to, "w"),
    "a chain of getattr": lambda to: method(Call(__import__, "os"), "system", shell(to)),
    "importlib.import_module": lambda to: method(_IMPORTED, "system", shell(to)),
    "runpy": lambda to: Call(runpy._run_code, python(to), {}),  # type: ignore[attr-defined]
    "ctypes": lambda to: method(Call(ctypes.CDLL, None), "system", shell(to).encode()),
    "a socket": lambda to: method(Call(socket.socket, int(socket.AF_UNIX)), "bind", to),
    "urllib": lambda to: Call(urllib.request.urlretrieve, "file:///etc/hostname", to),
    "shutil.copyfile": lambda to: Call(shutil.copyfile, "/dev/null", to),
    "Path.touch": lambda to: Call(Path.touch, Path(to)),
    "logging.FileHandler": lambda to: Call(logging.FileHandler, to),
    "zipfile": lambda to: Call(zipfile.ZipFile, to, "w"),
    "gzip": lambda to: Call(gzip.GzipFile, to, "w"),
    "functools.partial": lambda to: Call(functools.partial(os.system, shell(to))),
    "operator.methodcaller": lambda to: Call(operator.methodcaller("touch"), Path(to)),
    "operator.attrgetter": lambda to: Call(Call(operator.attrgetter("system"), _IMPORTED), shell(to)),
    "marshal": lambda to: Call(exec, Call(marshal.loads, marshal.dumps(compile(python(to), "", "exec")))),
    "webbrowser": lambda to: method(Call(webbrowser.GenericBrowser, ["touch", "%s"]), "open", to),
    "code": lambda to: method(Call(code.InteractiveInterpreter), "runsource", python(to)),
    "timeit": lambda to: Call(timeit.timeit, python(to), "pass", time.perf_counter, 1),
    "a thread": lambda to: [Call(_thread.start_new_thread, os.system, (shell(to),)), Call(time.sleep, 0.5)],
    "pickle.loads": lambda to: Call(pickle.loads, dumped(Call(os.system, shell(to)))),
    "numpy.load": lambda to: Call(np.load, _array(to), None, True),
    "numpy.savetxt": lambda to: Call(np.savetxt, to, [1.0]),
    "numpy.testing": lambda to: Call(np.testing.runstring, python(to), {}),  # type: ignore[attr-defined]
    "torch.save": lambda to: Call(torch.save, {}, to),
    "torch.load": lambda to: Call(functools.partial(torch.load, weights_only=False), io.BytesIO(_saved(to))),
    "torch.hub": lambda to: Call(torch.hub.download_url_to_file, "file:///etc/hostname", to, None, False),
    "torch.jit's exec": lambda to: Call(execWrapper, python(to), {}, {}),
    "torch.fx's exec": lambda to: Call(_exec_with_source, python(to), {}),
    "torch.storage._load_from_bytes": lambda to: Call(torch.storage._load_from_bytes, _saved(to)),
    "torch's rebuild of a type": lambda to: Call(
        torch._tensor._rebuild_from_type_v2, os.system, int, (shell(to),), {}
    ),
}

_SYSTEM = b"cos\nsystem\n"


def _inst(to: str) -> bytes:
    return b"(S'" + shell(to).encode() + b"'\nios\nsystem\n."


def _function_of_code(to: str) -> bytes:
    """types.FunctionType, which has no importable name for a pickler, with a code object from marshal."""
    made = marshal.dumps(compile(python(to), "", "exec"))
    loads = b"cmarshal\nloads\n" + pickle.BINBYTES + len(made).to_bytes(4, "little") + made + b"\x85R"
    globs = b"}" + text("__builtins__") + b"cbuiltins\n__dict__\ns"
    return PROTO2 + b"ctypes\nFunctionType\n" + loads + globs + b"\x86R)R."


RAW: dict[str, Attack] = {
    "GLOBAL and REDUCE of protocol 0": lambda to: _SYSTEM + b"(S'" + shell(to).encode() + b"'\ntR.",
    "INST": _inst,
    "OBJ": lambda to: b"(" + _SYSTEM + text(shell(to)) + b"o.",
    # `bytes.__new__` walks through the map, which calls exec.
    "NEWOBJ": lambda to: (
        PROTO2
        + b"cbuiltins\nbytes\ncbuiltins\nmap\ncbuiltins\nexec\n]"
        + text(python(to))
        + b"a\x86\x81\x85\x81."
    ),
    "NEWOBJ_EX": lambda to: (
        b"\x80\x04cbuiltins\nbytes\ncbuiltins\nmap\ncbuiltins\nexec\n]"
        + text(python(to))
        + b"a\x86}\x92\x85}\x92."
    ),
    "STACK_GLOBAL": lambda to: (
        b"\x80\x04" + text("os") + text("system") + b"\x93" + text(shell(to)) + b"\x85R."
    ),
    "STACK_GLOBAL of a dotted name": lambda to: (
        b"\x80\x04" + text("torch") + text("os.system") + b"\x93" + text(shell(to)) + b"\x85R."
    ),
    "STACK_GLOBAL from the memo": lambda to: (
        b"\x80\x04" + text("system") + b"\x940" + text("os") + b"h\x00\x93" + text(shell(to)) + b"\x85R."
    ),
    # The first BUILD gives a harmless object a __setstate__ of its own, which the second BUILD calls.
    "BUILD with its own __setstate__": lambda to: (
        PROTO2
        + b"cargparse\nNamespace\n)R}"
        + text("__setstate__")
        + _SYSTEM
        + b"sb"
        + text(shell(to))
        + b"b."
    ),
    "types.FunctionType": _function_of_code,
}

ATTACKS: dict[str, Attack] = {
    **{name: by_call(make) for name, make in CALLS.items()},
    **{
        f"os.system by protocol {protocol}": by_call(CALLS["os.system"], protocol)
        for protocol in (0, 1, 3, 4, 5)
    },
    **RAW,
}
