"""`vcpbench backup` and `vcpbench restore`: an installation's rows and objects in a folder, and back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stack.commands import installed, options
from stack.commands.common import console, messages, plainly, print_json, progress_bars

if TYPE_CHECKING:
    from records.backup import Backup

INCOMPLETE = 1  # exit code of a backup that lacks objects which nobody can make again


@plainly
def backup(
    folder: Annotated[Path, typer.Argument(help="Folder of the backup. It is made if it is missing.")],
    with_features: Annotated[
        bool,
        typer.Option("--features/--no-features", help="With stored features, or without: smaller."),
    ] = True,
    home: options.HomeOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Back up the database and all objects of an installation into a folder. The service may go on.

    Run it again with the same folder to renew the backup: only new objects are copied. Without features the
    backup is smaller. Workers then make features again when an evaluation needs them.

    Exits with 1 if the store has lost objects that no worker can make. The backup then lacks these objects.

    **Examples**

    `vcpbench backup /backups/vcpbench`

    `vcpbench backup /backups/small --no-features --json`
    """
    from records.backup import back_up
    from records.db import Database
    from records.storage import Storage

    here = installed.find(home)
    database = Database(here.database_url)
    try:
        with progress_bars(quiet=as_json) as tell:
            made = back_up(
                database, Storage(here.store_url), folder, with_features=with_features, on_progress=tell
            )
    finally:
        database.dispose()
    if as_json:
        _print(made)
    else:
        console.print(f"{folder} holds {_words(made)}. Restore it: vcpbench restore {folder}", soft_wrap=True)
    for key in made.lost:
        messages.print(f"{key} is missing or damaged in the store, so the backup lacks it.", soft_wrap=True)
    raise typer.Exit(INCOMPLETE if made.lost else 0)


@plainly
def restore(
    folder: Annotated[Path, typer.Argument(help="Folder of the backup.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Compare the backup with its hashes, and restore nothing.")
    ] = False,
    home: options.HomeOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Restore a backup into an empty installation: one without checkpoints.

    First every file of the backup is compared with its hash. The store may be of another kind than before.
    The tokens are those of the backup. An installation of an older version is brought to this one.

    **Examples**

    `vcpbench restore /backups/vcpbench --dry-run`

    `vcpbench up --home NEW && vcpbench restore /backups/vcpbench --home NEW`
    """
    from records import backup as backups
    from records.storage import Storage

    with progress_bars(quiet=as_json) as tell:
        if dry_run:
            made = backups.read(folder)
            backups.verify(folder, made, tell)
        else:
            here = installed.find(home)
            made = backups.restore(here.database_url, Storage(here.store_url), folder, on_progress=tell)
            if here.home is not None:
                from stack.installation import keep_token

                keep_token(here.home, here.database_url)
    if as_json:
        _print(made)
    else:
        did = "is whole. It holds" if dry_run else "is restored:"
        console.print(f"{folder} {did} {_words(made)}.", soft_wrap=True)


def _words(made: Backup) -> str:
    left = f", without {made.num_left_out:,} that workers can make" if made.num_left_out else ""
    size = made.num_bytes / 1e9
    return (
        f"the database of {made.made_at} UTC and {made.num_objects:,} objects ({size:,.2f} GB){left}".replace(
            "+00:00", ""
        )
    )


def _print(made: Backup) -> None:
    facts: dict[str, Any] = dataclasses.asdict(made)
    del facts["tables"]
    print_json(json.dumps(facts))
