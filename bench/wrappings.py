"""Makes the table of docs/checkpoints.md: the wrappings of a checkpoint that load, need an answer, or fail.

python -m bench.wrappings          prints the table
python -m bench.wrappings --write  puts it into docs/checkpoints.md

Each file is written and read. The table shows the words of `vcpbench inspect` about it.
"""

from __future__ import annotations

import re
import tempfile
from itertools import groupby
from pathlib import Path

from bench import pages
from bench.wrapped import WRAPPINGS, Wrapping
from vcp_core.catalog.errors import CheckpointError, SeveralNetworks
from vcp_core.catalog.networks import network_used
from vcp_core.checkpoints import CheckpointReport, ingest, precheck
from vcp_core.checkpoints.child import ingest_here

PAGE = Path(__file__).parents[1] / "docs" / "checkpoints.md"
BEGIN = "<!-- python -m bench.wrappings -->\n"
HEAD = ("| what | | what is said |", "|---|---|---|")


def read(path: Path, *, apart: bool) -> CheckpointReport:
    """Read a file that this process has written.

    Args:
        path: The file.
        apart: Whether to read it in the sandbox. If not, this process does the work of the sandbox's child,
            which saves two seconds a file.

    Raises:
        CheckpointError: If the file is refused.
    """
    canonical_path = path.with_name("canonical.safetensors")
    if apart:
        return ingest(path, canonical_path)
    precheck(path)
    return ingest_here(path, canonical_path)


def row(wrapping: Wrapping, folder: Path) -> str:
    """Write a file into the folder, read it, and return its line of the table."""
    path = folder / wrapping.file_name
    wrapping.write(path)
    try:
        report = read(path, apart=wrapping.apart)
    except SeveralNetworks as error:
        return _line(wrapping, "asks", str(error))
    except CheckpointError as error:
        return _line(wrapping, "refused", str(error))
    return _line(wrapping, "loads", " ".join(_said(report)))


def table() -> str:
    """All lines, under their headings."""
    lines: list[str] = []
    for group, wrappings in groupby(WRAPPINGS, key=lambda one: one.group):
        lines += [f"### {group}", "", *HEAD]
        for wrapping in wrappings:
            with tempfile.TemporaryDirectory() as folder:
                lines.append(row(wrapping, Path(folder)))
        lines.append("")
    return "\n".join(lines)


def _said(report: CheckpointReport) -> list[str]:
    if report.graph is not None:
        number, stages = sum(report.graph.operations.values()), len(report.graph.stages)
        return [f"A program of its own: {number} operations, {stages} stages."]
    network = network_used(report.as_dict())
    words = {
        "left out": ", ".join(f"`{word}` of {count} keys" for word, count in report.stripped.items()),
        "set to 0": f"{len(report.filled)} `num_batches_tracked`" if report.filled else "",
        "converted": "" if report.dtypes == ("float32",) else f"{', '.join(report.dtypes)} to float32",
    }
    said = [f"{what.capitalize()}: {which}." for what, which in words.items() if which]
    if network is not None:
        said.insert(0, f"{str(network)[0].upper()}{str(network)[1:]}")
    elif report.network != ".":
        said.insert(0, f"Found under `{report.network}`.")
    if report.training:
        counts = (
            f"{fact} {report.training[fact]}, from {source}"
            for fact, source in report.training["sources"].items()
        )
        said.append(f"{'; '.join(counts).capitalize()}.")
    return said + [f"{note.capitalize()}." for note in report.notes]


def _line(wrapping: Wrapping, outcome: str, said: str) -> str:
    # Remove words that differ between machines: the path, the size, and entry names in libraries' messages.
    said = re.sub(r"^.*?: (?=[a-z0-9])", "", said) if said.startswith("/") else said
    said = re.sub(r"[\d,]+ bytes", "N bytes", said)
    said = re.sub(r"^entry \S+", "entry N", said)
    lines = [" ".join(line.split()) for line in said.replace("|", "\\|").replace("<", "&lt;").splitlines()]
    return f"| {wrapping.name} | {outcome} | {'<br>'.join(lines)} |"


def main() -> None:
    """Print the table, or write it into its page."""
    pages.print_or_write(__doc__, table, PAGE, BEGIN)


if __name__ == "__main__":
    main()
