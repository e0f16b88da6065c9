"""Events, webhooks and the audit log as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.table import Table
from rich.text import Text

from vcpbench_client.events import AuditEntry, Delivery, Event, Webhook
from vcpbench_client.tables import ID_DIGITS


def webhooks(found: Iterable[Webhook]) -> Table:
    """Webhooks of a team."""
    table = _table("webhook", "address", "form", "state", "kinds", "by", "made")
    for one in found:
        facts = (one.id, one.address, one.form, one.state, ", ".join(one.kinds), one.by)
        table.add_row(*map(Text, (*facts, _moment(one.created_at))))
    return table


def deliveries(found: Iterable[Delivery]) -> Table:
    """Deliveries of a webhook."""
    table = _table("delivery", "event", "state", "attempts", "answer", "happened", "ended, or next attempt")
    for one in found:
        answer = one.error or (str(one.status) if one.status else "")
        ended = one.ended_at or one.due_at
        facts = (one.id, one.event.kind, one.state, str(one.attempts), answer, _moment(one.event.at))
        table.add_row(*map(Text, (*facts, _moment(ended) if ended else "")))
    return table


def events(found: Iterable[Event]) -> Table:
    """Events of a team."""
    table = _table("event", "kind", "model", "evaluation", "happened", "what")
    for one in found:
        what = str(one.facts.get("verdict") or one.facts.get("reason") or "")
        facts = (str(one.id), one.kind, str(one.facts.get("model", "")), (one.evaluation or "")[:ID_DIGITS])
        table.add_row(*map(Text, (*facts, _moment(one.at), what)))
    return table


def audit(found: Iterable[AuditEntry]) -> Table:
    """Who changed what."""
    table = _table("when", "team", "by", "action", "about", "from")
    for one in found:
        about = ", ".join(f"{name} {value}" for name, value in one.subject.items())
        facts = (_moment(one.created_at), one.team, one.by, one.action, about, one.address)
        table.add_row(*map(Text, facts))
    return table


def line(event: Event) -> str:
    """One event on one line."""
    about = event.evaluation or event.checkpoint or ""
    return f"{_moment(event.at)}  {event.kind}  {event.facts.get('model', '')}  {about[:ID_DIGITS]}"


def _table(*headings: str) -> Table:
    return Table(*headings, box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))


def _moment(value: datetime) -> str:
    """A time, as clocks here show it."""
    return f"{value.astimezone():%Y-%m-%d %H:%M:%S}"
