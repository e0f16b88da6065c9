"""`vcpbench admin sweep`: delete from the store what no row names, and what was not used for too long."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer
from vcpbench_client.commands import admin

from stack.commands import installed, options
from stack.commands.common import console, messages, plainly, print_json

app = admin.app  # this command stands beside those that ask the service
BUSY = 1  # exit code if another process sweeps or backs up


@app.command()
@plainly
def sweep(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    min_age_s: Annotated[
        float, typer.Option(min=0, help="Leave younger objects that no row names alone, seconds.")
    ] = 3600.0,
    home: options.HomeOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Sweep the store of an installation now, as its workers do every hour.

    A sweep deletes objects that no row names, uploads that nobody finished within a week, and features and
    previews that were not used for too long or have no room (`VCPBENCH_FEATURES_DAYS` and others). Workers
    make features and previews again when they are needed.

    Exits with 1 if another process sweeps or backs up just now.

    **Examples**

    `vcpbench admin sweep --dry-run`

    `VCPBENCH_FEATURES_GIB=50 vcpbench admin sweep --json`
    """
    from records import sweep as sweeps
    from records.db import Database
    from records.settings import Retention
    from records.storage import Storage
    from vcp_core.scoring.maps import MAP_VERSION

    here = installed.find(home)
    database = Database(here.database_url)
    try:
        found = sweeps.run(
            database,
            Storage(here.store_url),
            Retention.load(),
            map_version=MAP_VERSION,
            min_age_s=min_age_s,
            dry_run=dry_run,
        )
    finally:
        database.dispose()
    if found is None:
        messages.print("Another process sweeps or backs up just now. Try again later.", soft_wrap=True)
        raise typer.Exit(BUSY)
    if as_json:
        facts = {what: dataclasses.asdict(freed) for what, freed in found.items()}
        print_json(json.dumps({"dry_run": dry_run, "freed": facts}))
        return
    did = "would go" if dry_run else "went"
    for what, freed in found.items():
        console.print(f"{freed.count:>8} {what}, {freed.size_bytes / 1e6:,.1f} MB", highlight=False)
    total = sum(freed.size_bytes for freed in found.values())
    console.print(f"{total / 1e6:,.1f} MB {did}.", highlight=False)
