"""Code blocks of README.md and docs/, and the comments above them that say why one does not run.

A block runs as it stands, in the order of its page, in a folder that holds what the page speaks of. A comment
in the line above a block says otherwise; readers of the page do not see it:

    <!-- run: long -->              in `make test-long`, because it takes 10 s or more
    <!-- run: server -->            there, too: with a service and its workers
    <!-- not run: Docker: ... -->   never; the first word is one of REASONS

The language of a block says what it is: `sh` and `python` run, `toml` is written to the file that its first
line names, `json` and `yaml` must be readable, and `text` is what a program says, or a drawing.
Blocks of docs/adding are steps of a tutorial, which tests/adding follows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
REASONS = {
    "hours": "the command trains, or evaluates a large dataset",
    "Docker": "no Docker engine runs where tests run",
    "GitHub": "the block belongs to GitHub or GitLab",
    "data": "the block needs videos or files that are not here",
    "machines": "the block needs several machines or GPUs",
    "install": "the command changes what is installed on this machine",
    "tests": "other tests run the same command",
    "Kubernetes": "needs a cluster",
    "excerpt": "lines of a longer program, which do not run by themselves",
}
RUN = ("long", "server")
LANGUAGES = ("sh", "python", "toml", "json", "yaml", "text")
COMMANDS = ("vcpbench", "python", "make", "docker", "curl", "pip", "torchrun", "pytest", "$")
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*) *$")
_MARKER = re.compile(r"^<!-- (?P<word>run|not run): (?P<said>.+?) -->$")


class BadMarker(AssertionError):
    """A comment above a block is none that is known."""


@dataclass(frozen=True)
class Block:
    """One code block.

    Attributes:
        page: Path of its page in the tree.
        line: Where it begins there.
        language: As the fence names it; empty if it names none.
        text: What is inside.
        run: "" for `make test`, one of RUN, or None if it never runs.
        reason: Why it never runs.
    """

    page: str
    line: int
    language: str
    text: str
    run: str | None = ""
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def problem(self) -> str | None:
        """Why the block may not stand as it is; None if all is well."""
        if self.language not in (*LANGUAGES, "nginx"):
            return f"its language is {self.language!r}, and none of {', '.join(LANGUAGES)}"
        if self.run is None:
            return None
        if self.language == "nginx":
            return "it neither runs nor says why"
        if self.language == "text" and (found := commands_in(self.text)):
            return f"a text holds a command: {found[0]}"
        if self.language != "sh" and self.language != "python" and self.run:
            return f"a block of {self.language} does not run"
        return None


def pages(root: Path = ROOT) -> list[str]:
    """Every page with blocks, docs/adding left out."""
    found = (path.relative_to(root).as_posix() for path in root.glob("docs/**/*.md"))
    return [
        "README.md",
        "vcp_core/samples/README.md",
        *sorted(page for page in found if not page.startswith("docs/adding/")),
    ]


def commands_in(text: str) -> list[str]:
    """Lines that begin as a command does."""
    return [line for line in text.splitlines() if line.strip().split(" ")[0] in COMMANDS]


def blocks_of(page: str, text: str) -> list[Block]:
    """All code blocks of a page, the indented ones included.

    Raises:
        BadMarker: If a comment above a block is none that is known, or stands above no block.
    """
    found: list[Block] = []
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        if marker := _MARKER.match(line):
            if number + 1 == len(lines) or not _FENCE.match(lines[number + 1]):
                raise BadMarker(f"{page}:{number + 1}: no block follows {line}")
            run, reason = _meaning(f"{page}:{number + 1}", marker["word"], marker["said"])
            number += 1
        else:
            run, reason = "", ""
        if fence := _FENCE.match(lines[number]):
            end = next(at for at in range(number + 1, len(lines)) if lines[at].strip() == "```")
            cut = len(fence["indent"])
            inside = "".join(f"{inner[cut:]}\n" for inner in lines[number + 1 : end])
            found.append(Block(page, number + 1, fence["language"], inside, run, reason))
            number = end
        elif lines[number].startswith("    ") and number and not lines[number - 1].strip():
            end = number
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            if not _in_a_list(lines[:number]):
                found.append(Block(page, number + 1, "", "\n".join(lines[number:end])))
            number = end - 1
        number += 1
    return found


def _in_a_list(before: list[str]) -> bool:
    """Whether indented lines go on an item of a list."""
    for line in reversed(before):
        if re.match(r" {0,3}([-*]|\d+\.) ", line):
            return True
        if line and not line.startswith(" "):
            return False
    return False


def _meaning(place: str, word: str, said: str) -> tuple[str | None, str]:
    if word == "run":
        if said not in RUN:
            raise BadMarker(f"{place}: run: {said} is none of {', '.join(RUN)}")
        return said, ""
    reason, _, more = said.partition(":")
    if reason not in REASONS or not more.strip():
        raise BadMarker(f"{place}: say «not run: REASON: more», with one of {', '.join(REASONS)}")
    return None, said
