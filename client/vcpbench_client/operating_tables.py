"""The queue, the workers, quotas and sign-ins as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from vcpbench_client.operating import Job, OperatedWorker, Quota, SignIn, Use

ID_DIGITS = 8
PRIORITIES = {1: "high", 0: "", -1: "low", -2: "lowest"}
STYLES = {"running": "green", "failed": "red", "queued": "", "cancelled": "dim", "done": "dim"}
UNITS = ("B", "kB", "MB", "GB", "TB")
LONGEST_ERROR = 80  # characters; --json has all of it


def jobs(found: Iterable[Job]) -> Table:
    """Jobs, a row each."""
    table = _table(
        "job", "kind", "state", "about", "team", "priority", "age", "tries", "worker", "last error",
        right=("age", "tries"),
    )  # fmt: skip
    for one in found:
        state = f"{one.state} (paused)" if one.paused and one.state == "queued" else one.state
        cells = (
            one.id[:ID_DIGITS],
            one.kind,
            state,
            one.subject,
            one.team or "-",
            PRIORITIES.get(one.priority, str(one.priority)),
            span(one.age_s),
            str(one.attempts or ""),
            one.worker or "",
            _short(one.error or ""),
        )
        table.add_row(*map(Text, cells), style=STYLES.get(one.state, ""))
    return table


def workers(found: Iterable[OperatedWorker]) -> Table:
    """Workers, a row each, with the job of each."""
    table = _table("worker", "name", "queues", "device", "job", "about", "since", "lacks walls", "")
    for one in found:
        job = one.job
        cells = (
            one.id[:ID_DIGITS],
            one.name,
            ",".join(one.queues),
            one.device,
            f"{job.kind} {job.id[:ID_DIGITS]}" if job else "idle",
            job.subject if job else "",
            f"{job.started_at.astimezone():%Y-%m-%d %H:%M}" if job and job.started_at else "",
            ", ".join(one.lacking_walls),
            f"draining, asked by {one.drained_by}" if one.draining_since else "",
        )
        table.add_row(*map(Text, cells))
    return table


def quota(found: Quota) -> Table:
    """What a team uses of each limit."""
    table = _table("", "used", "allowed", "", right=("used", "allowed"))
    rows: Sequence[tuple[str, Use, bool]] = (
        ("bytes stored", found.num_bytes, True),
        ("uploads within 24 h", found.uploads_a_day, False),
        ("evaluations under way", found.running, False),
    )
    for name, use, is_bytes in rows:
        used, allowed = (_amount(number, is_bytes) for number in (use.used, use.allowed))
        table.add_row(*map(Text, (name, used, allowed, "the team's own" if use.own else "")))
    return table


def sign_ins(found: Iterable[SignIn]) -> Table:
    """Sessions of people, a row each."""
    table = _table("session", "person", "team", "role", "since", "until")
    for one in found:
        since, until = (f"{at.astimezone():%Y-%m-%d %H:%M}" for at in (one.signed_in_at, one.expires_at))
        table.add_row(*map(Text, (one.id[:ID_DIGITS], one.name, one.team, one.role, since, until)))
    return table


def full(found: Quota) -> list[str]:
    """A sentence for each limit that is used up."""
    names = {
        "bytes stored": found.num_bytes,
        "uploads within 24 h": found.uploads_a_day,
        "evaluations under way": found.running,
    }
    return [
        f"{name}: {use.used} of {use.allowed} are used. {use.frees}"
        for name, use in names.items()
        if use.allowed is not None and use.used >= use.allowed
    ]


def _amount(number: int | None, is_bytes: bool) -> str:
    if number is None:
        return "no limit"
    return in_bytes(number) if is_bytes else str(number)


def in_bytes(number: int) -> str:
    """Write a number of bytes for people.

    >>> in_bytes(512), in_bytes(100_000_000_000)
    ('512 B', '100.0 GB')
    """
    value, unit = float(number), UNITS[0]
    for unit in UNITS:
        if value < 1000 or unit == UNITS[-1]:
            break
        value /= 1000
    return f"{number} B" if unit == "B" else f"{value:.1f} {unit}"


def span(seconds: float) -> str:
    """Write an age for people.

    >>> span(35), span(3700), span(200_000)
    ('35 s', '61 min', '55 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min" if seconds < 7200 else f"{seconds // 3600:.0f} h"


def _short(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= LONGEST_ERROR else line[: LONGEST_ERROR - 1] + "…"


def _table(*headings: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", no_wrap=True)
    return table
