"""`vcpbench admin queue`, `workers`, `requeue`, `cancel`, `sign-out`, ...: the hands of operators."""

from __future__ import annotations

import re
import shlex
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vcpbench_client.commands import options
from vcpbench_client.commands.common import connect, plainly, print_json, say, show

if TYPE_CHECKING:
    from vcpbench_client.operating import Change

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
NO_LIMIT, DEFAULT = "none", "default"
LIMIT = "`none`: no limit. `default`: the installation's setting."
ThingArgument = Annotated[str, typer.Argument(metavar="ID", help="An id, or its first characters.")]
WhatArgument = Annotated[
    str, typer.Argument(metavar="QUEUE|KIND", help="cpu, gpu, or a kind of job: index, extract, ...")
]
WorkerArgument = Annotated[
    str, typer.Argument(help="Its name (HOST:PROCESS), or the first characters of its id.")
]


class State(StrEnum):
    """The states of jobs."""

    QUEUED = "queued"
    RUNNING = "running"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DONE = "done"


@plainly
def queue(
    state: Annotated[
        list[State] | None,
        typer.Option(help="Only in this state; may be repeated. Default: queued and running."),
    ] = None,
    queue: Annotated[Literal["cpu", "gpu"] | None, typer.Option(help="Only of this queue.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind: ingest, index, extract, ...")] = None,
    team: Annotated[str | None, typer.Option(help="Only of this team.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 50,
    as_json: options.JsonFlag = False,
) -> None:
    """List jobs: running ones, those that wait, then those that ended.

    **Examples**

    `vcpbench admin queue --team vision`

    `vcpbench admin queue --state failed --kind index`
    """
    with connect() as client:
        found = list(client.jobs(states=state or (), queue=queue, kind=kind, team=team, limit=limit))
        pauses = client.status().pauses
    if as_json:
        print_json(found)
        return
    from vcpbench_client import operating_tables

    if found:
        show(operating_tables.jobs(found))
    else:
        say("No such job.")
    for pause in pauses:
        say(f"! {pause}", style="yellow")


@plainly
def workers(as_json: options.JsonFlag = False) -> None:
    """List the workers that were seen in the last 30 s, and the job of each.

    **Example**

    `vcpbench admin workers`
    """
    with connect() as client:
        found = client.workers()
    if as_json:
        print_json(found)
    elif found:
        from vcpbench_client import operating_tables

        show(operating_tables.workers(found))
    else:
        say("No worker was seen in the last 30 s. Start one: vcpbench worker")


@plainly
def requeue(thing: ThingArgument, as_json: options.JsonFlag = False) -> None:
    """Do a job or an evaluation that failed or was cancelled again, with fresh attempts.

    The evaluations that failed for want of a job are asked for again. They get new ids and reuse what was
    computed. A job that waits after failed attempts is tried at once.

    To undo this: `vcpbench admin cancel ID`.

    **Examples**

    `vcpbench admin queue --state failed`

    `vcpbench admin requeue 0d9c2c0e`
    """
    with connect() as client:
        found = client.requeue(thing)
    _tell(found, "again", as_json=as_json)


@plainly
def cancel(thing: ThingArgument, as_json: options.JsonFlag = False) -> None:
    """Cancel a job, an evaluation, or all work for a checkpoint.

    What needs a cancelled job fails, and says that an administrator cancelled it. What was computed stays.

    To undo this: `vcpbench admin requeue ID`.

    **Example**

    `vcpbench admin cancel 0d9c2c0e`
    """
    with connect() as client:
        found = client.cancel_work(thing)
    _tell(found, "cancelled", as_json=as_json)
    if not as_json:
        say(f"To undo this: vcpbench admin requeue {found.job or found.id}")


def _tell(found: Change, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    show(f"{found.kind} {found.id}: {what}")
    for evaluation, state in found.evaluations.items():
        show(f"evaluation {evaluation}: {state}")
    for evaluation, why in found.left_out.items():
        say(f"! evaluation {evaluation} was not asked for again: {why}", style="yellow")


@plainly
def drain(
    worker: WorkerArgument,
    undo: Annotated[
        bool, typer.Option("--undo", help="Let it claim jobs again, if it has not ended.")
    ] = False,
    as_json: options.JsonFlag = False,
) -> None:
    """Let a worker finish its job, claim no more, and end.

    Whatever supervises the process may start another one: tell the supervisor first to keep it away.

    **Examples**

    `vcpbench admin drain gpu-1:4711`

    `vcpbench admin drain gpu-1:4711 --undo`
    """
    with connect() as client:
        found = client.drain(worker, draining=not undo)
    if as_json:
        print_json(found)
        return
    if undo:
        show(f"{found.name} goes on")
        return
    show(f"{found.name} ends " + (f"after its job {found.job.id} ({found.job.kind})" if found.job else "now"))
    say(f"To undo this until it has ended: vcpbench admin drain {shlex.quote(found.name)} --undo")


@plainly
def pause(
    what: WhatArgument,
    why: Annotated[str, typer.Option(help="The reason. Everybody who waits reads it.")],
    as_json: options.JsonFlag = False,
) -> None:
    """Let workers claim no job of a queue or a kind. Jobs that run go on, and requests are accepted.

    To undo this: `vcpbench admin resume`.

    **Examples**

    `vcpbench admin pause gpu --why "The GPUs get new drivers until noon."`

    `vcpbench admin pause index --why "The disk of videos is being moved."`
    """
    with connect() as client:
        found = client.pause(what, why)
    if as_json:
        print_json(found)
        return
    show(str(found))
    say(f"To undo this: vcpbench admin resume {found.what}")


@plainly
def resume(what: WhatArgument, as_json: options.JsonFlag = False) -> None:
    """Let workers claim the jobs of a queue or a kind again.

    **Example**

    `vcpbench admin resume gpu`
    """
    with connect() as client:
        found = client.resume(what)
    if as_json:
        print_json(found)
    else:
        show(f"{found.what} goes on. It was paused by {found.by}: {found.why}")


@plainly
def priority(
    evaluation: Annotated[str, typer.Argument(help=options.EVALUATION)],
    level: Annotated[
        Literal["high", "usual", "low"],
        typer.Argument(help="high: before all others, as for a gate. low: when nothing else waits."),
    ],
    as_json: options.JsonFlag = False,
) -> None:
    """Let workers take an evaluation earlier or later than others.

    **Examples**

    `vcpbench admin priority my-model@latest high`

    `vcpbench admin priority 0d9c2c0e usual`
    """
    with connect() as client:
        found = client.prioritise(evaluation, level)
    if as_json:
        print_json(found)
    else:
        show(f"evaluation {found.id}: priority {level}, {found.state}")


@plainly
def purge(
    days: Annotated[int, typer.Option("--older-than", min=1, metavar="DAYS", help="Days since the end.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count, and remove nothing.")] = False,
    as_json: options.JsonFlag = False,
) -> None:
    """Remove logs of jobs that ended long ago, and rows of jobs that nothing reads any more.

    It cannot be undone, so look first: `--dry-run`. Results, features and checkpoints stay.

    **Examples**

    `vcpbench admin purge --older-than 90 --dry-run`

    `vcpbench admin purge --older-than 90`
    """
    with connect() as client:
        found = client.purge(days, dry_run=dry_run)
    if as_json:
        print_json(found)
        return
    before = f"{found.before.astimezone():%Y-%m-%d %H:%M}"
    done = "would be removed" if dry_run else "removed"
    show(f"ended before {before}: {found.logs} logs and {found.jobs} jobs {done}")


@plainly
def quota(
    team: Annotated[str, typer.Argument(help="Name of the team.")],
    num_bytes: Annotated[
        str | None,
        typer.Option("--bytes", metavar="SIZE", help=f"Bytes of its files, such as 100GB. {LIMIT}"),
    ] = None,
    uploads_a_day: Annotated[
        str | None, typer.Option(metavar="N", help=f"New checkpoints within 24 hours. {LIMIT}")
    ] = None,
    running: Annotated[
        str | None, typer.Option(metavar="N", help=f"Evaluations that wait or run. {LIMIT}")
    ] = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Show what a team uses and may use, or give it limits of its own. Limits that are left out stay.

    **Examples**

    `vcpbench admin quota vision`

    `vcpbench admin quota vision --bytes 100GB --uploads-a-day 200 --running 500`

    `vcpbench admin quota vision --bytes default`
    """
    given = {"num_bytes": num_bytes, "uploads_a_day": uploads_a_day, "running": running}
    limits = {
        name: _limit(text, in_bytes=name == "num_bytes") for name, text in given.items() if text is not None
    }
    with connect() as client:
        found = client.set_quota(team, **limits) if limits else client.quota(team)
    if as_json:
        print_json(found)
        return
    from vcpbench_client import operating_tables

    show(f"team {found.team}", operating_tables.quota(found), *operating_tables.full(found))


def _limit(text: str, *, in_bytes: bool) -> int | None:
    """A limit as the API takes it.

    >>> _limit("100GB", in_bytes=True), _limit("none", in_bytes=False), _limit("default", in_bytes=False)
    (100000000000, 0, None)
    """
    if text in (NO_LIMIT, DEFAULT):
        return 0 if text == NO_LIMIT else None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text)
    units = UNITS if in_bytes else {"": 1}
    if found is None or found[2].upper() not in units:
        example = "100GB, 512MiB" if in_bytes else "200"
        raise typer.BadParameter(f"{text!r} is no limit. Write {example}, none or default.")
    number = float(found[1]) * units[found[2].upper()]
    if not number.is_integer() or number < 1:
        raise typer.BadParameter(f"{text!r} is no whole number from 1 on. For no limit, write none.")
    return int(number)


@plainly
def sign_ins(
    team: Annotated[str | None, typer.Option(help="Only of this team.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 50,
    as_json: options.JsonFlag = False,
) -> None:
    """List the sessions of people who signed in at the provider, the newest first.

    **Example**

    `vcpbench admin sign-ins --team vision`
    """
    with connect() as client:
        found = list(client.sign_ins(team=team, limit=limit))
    if as_json:
        print_json(found)
    elif found:
        from vcpbench_client import operating_tables

        show(operating_tables.sign_ins(found))
    else:
        say("Nobody is signed in at the provider.")


@plainly
def sign_out(
    person: Annotated[
        str,
        typer.Argument(
            help="The name, as `vcpbench admin sign-ins` lists it, or the id of a session, or its first "
            "characters."
        ),
    ],
    as_json: options.JsonFlag = False,
) -> None:
    """End all sessions of a person. They open nothing from the next request on.

    To keep the person out, first remove the person's group at the provider. Tokens that the person owns stay
    valid: `vcpbench token list --team TEAM`, `vcpbench token revoke`.

    To undo this, the person signs in again.

    **Examples**

    `vcpbench admin sign-out anna@example.com`

    `vcpbench admin sign-out 0d9c2c0e`
    """
    with connect() as client:
        found = client.sign_out(person)
    if as_json:
        print_json(found)
        return
    sessions = f"{found.sessions} session{'' if found.sessions == 1 else 's'}"
    show(f"{found.name} of team {found.team} is signed out: {sessions} ended")
    say(f"Tokens that this person owns stay valid: vcpbench token list --team {shlex.quote(found.team)}")


COMMANDS = (
    queue,
    workers,
    requeue,
    cancel,
    drain,
    pause,
    resume,
    priority,
    purge,
    quota,
    sign_ins,
    sign_out,
)
