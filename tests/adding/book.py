"""Pages of docs/adding as programs: what a page shows is done in a copy of the tree, then run there.

A page's code blocks are its steps. The first line of a block says where the rest of it goes:

    # vcp_core/video/operations.py: last                 at the end of a file
    # vcp_core/catalog/options.py: last in OPTIONS       before the last bracket of what a name is given
    # tests/video/test_operations.py: first in source    at the beginning of a function
    # vcp_core/backbones/mixer.py: new                   a file that is not there yet

Blocks of shell (```sh) hold commands, which are run in the copy's root in their order.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from tests.patience import DEADLINE_S

ROOT = Path(__file__).parents[2]
COPIED = ("vcp_core", "tests", "docs", "bench")  # what pages change
LINKED = ("client", "records", "service", "worker", "stack", "migrations", "pyproject.toml")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(r"# (?P<path>\S+): (?P<how>new|last|last in (?P<value>\w+)|first in (?P<function>\w+))")
# `vcpbench`, several commands in one process: each would load torch for itself.
_VCPBENCH = """
import json, sys, typer
from vcpbench_client import cli
import vcp_core
assert vcp_core.__file__.startswith(sys.argv[1]), vcp_core.__file__
cli._add_commands(cli.app)
command = typer.main.get_command(cli.app)
for words in json.loads(sys.argv[2]):
    code = command(words, prog_name="vcpbench", standalone_mode=False)
    if code:
        sys.exit(f"vcpbench {' '.join(words)}: exit code {code}")
"""


@dataclass(frozen=True)
class Step:
    """One block of a page that changes a file."""

    path: str
    how: str
    text: str
    value: str | None = None
    function: str | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.how}"

    def take(self, root: Path) -> None:
        """Do it."""
        path = root / self.path
        if self.how == "new":
            assert not path.exists(), path
            path.write_text(self.text, encoding="utf-8")
            return
        source = path.read_text(encoding="utf-8")
        if self.how == "last":
            changed = f"{source}\n\n{self.text}"
        elif self.value:
            changed = _last_in(source, self.value, self.text)
        else:
            assert self.function
            changed = _first_in(source, self.function, self.text)
        path.write_text(changed, encoding="utf-8")


def _last_in(source: str, name: str, text: str) -> str:
    """An item more in the call, tuple or dictionary that a name is given at the top of a module."""
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            lines = source.splitlines(keepends=True)
            end = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset - 1  # type: ignore[operator]
            return f"{source[:end]}{textwrap.indent(text.rstrip(), ' ' * 4)},\n{source[end:]}"
    raise AssertionError(f"nothing is called {name}")


def _first_in(source: str, name: str, text: str) -> str:
    [function] = [
        node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    lines = source.splitlines(keepends=True)
    lines.insert(function.body[0].lineno - 1, textwrap.indent(text, " " * 4))
    return "".join(lines)


@dataclass(frozen=True)
class Page:
    """A page's steps and commands.

    Attributes:
        steps: Blocks that change files.
        commands: Words of each command.
    """

    steps: tuple[Step, ...]
    commands: tuple[tuple[str, ...], ...]

    @classmethod
    def read(cls, name: str) -> Page:
        """The page docs/adding/<name>.md."""
        steps, commands = [], []
        for language, block in _BLOCK.findall((ROOT / f"docs/adding/{name}.md").read_text(encoding="utf-8")):
            first, _, rest = block.partition("\n")
            if language == "sh":
                commands += [tuple(shlex.split(line)) for line in block.replace("\\\n", " ").splitlines()]
            elif place := _PLACE.fullmatch(first):
                steps.append(Step(**place.groupdict(), text=rest))
        return cls(tuple(steps), tuple(commands))

    def follow(self, root: Path, *, leave_out: int | None = None) -> None:
        """Do all steps but one in a copy of the tree, and run the commands.

        Args:
            root: Of the copy.
            leave_out: Place of the step that is left out; None does all.

        Raises:
            Failed: If a command fails.
        """
        for number, step in enumerate(self.steps):
            if number != leave_out:
                step.take(root)
        ours: list[list[str]] = []  # commands of vcpbench that follow each other
        for words in self.commands:
            if words[0] == "vcpbench":
                ours.append(list(words[1:]))
                continue
            run_vcpbench(root, ours)
            ours = []
            assert words[0] == "python", words
            run(root, sys.executable, *words[1:])
        run_vcpbench(root, ours)


class Failed(AssertionError):
    """A command of a page fails; the text is what it said."""


def run_vcpbench(root: Path, commands: list[list[str]]) -> None:
    """Commands of the copy's `vcpbench`, one after the other."""
    if commands:
        run(root, sys.executable, "-c", _VCPBENCH, str(root), json.dumps(commands))


def run(root: Path, *words: str) -> str:
    """What a program says in the copy."""
    found = subprocess.run(
        words,
        cwd=root,
        env={
            **os.environ,
            "PYTHONPATH": f"{root}{os.pathsep}{root / 'client'}",
            "VCPBENCH_CACHE": str(root / "cache"),
            "OMP_NUM_THREADS": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    if found.returncode:
        raise Failed(f"{shlex.join(words)[-300:]}\n{found.stdout[-6000:]}\n{found.stderr[-6000:]}")
    return found.stdout


def copy_of_the_tree(root: Path) -> Path:
    """A copy in which pages may change files; compiled modules come along."""
    root.mkdir()
    for name in COPIED:
        shutil.copytree(ROOT / name, root / name)
    for name in LINKED:
        (root / name).symlink_to(ROOT / name)
    return root
