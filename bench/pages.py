"""Puts a table into the pages that show it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

END = "<!-- end -->\n"  # of every table


def write(table: str, page: Path, begin: str) -> None:
    """Replace what stands between `begin` and the next `END` of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    page.write_text(f"{before}{begin}{table}{END}{rest.partition(END)[2]}", encoding="utf-8")


def append(rows: str, page: Path, begin: str) -> None:
    """Add rows to what stands between `begin` and the next `END` of a page."""
    found = page.read_text(encoding="utf-8").partition(begin)[2].partition(END)[0]
    write(found + rows, page, begin)


def print_or_write(description: str | None, table: Callable[[], str], page: Path, begin: str) -> None:
    """Print a table, or under `--write` put it into its page: what the command of such a table does."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help=f"put it into docs/{page.name}")
    if parser.parse_args().write:
        write(table(), page, begin)
    else:
        print(table(), end="")
