"""`vcpbench events`, `vcpbench webhook`: what happened, and addresses that are told of it."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from vcpbench_client.commands import options
from vcpbench_client.commands.common import connect, plainly, print_json, say, show

webhook_app = typer.Typer(help="Let an address be told of your team's events.", no_args_is_help=True)

WebhookArgument = Annotated[str, typer.Argument(help="The webhook's id; `vcpbench webhook list` shows it.")]


@plainly
def events(
    evaluation: Annotated[
        str | None, typer.Option(help=f"Only of this evaluation. {options.EVALUATION}")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many events, the newest first.")] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", help="Print events as they happen, until Ctrl-C.")
    ] = False,
    as_json: options.JsonFlag = False,
) -> None:
    """Show what happened to your team's checkpoints and evaluations in the last 30 days.

    With `--follow --json`, each line is one event.

    **Examples**

    `vcpbench events --limit 100`

    `vcpbench events --follow --json`
    """
    from vcpbench_client import event_tables
    from vcpbench_client.answers import plain

    with connect() as client:
        if follow:
            for event in client.follow_events(evaluation=evaluation):
                print_json(json.dumps(plain(event))) if as_json else show(event_tables.line(event))
                sys.stdout.flush()  # a pipe's reader wants each event when it happens
        found = list(client.events(evaluation=evaluation, limit=limit))
    if as_json:
        print_json(found)
    elif found:
        show(event_tables.events(found))
    else:
        say("There are none.")


@webhook_app.command("create")
@plainly
def create_webhook(
    url: Annotated[str, typer.Argument(help="Where deliveries go: https, to a public address.")],
    kind: Annotated[
        list[str] | None,
        typer.Option(help="A kind of event that it is told of; repeat for several. Default: all."),
    ] = None,
    form: Annotated[
        str, typer.Option(help="vcpbench (JSON), or slack (messages for incoming webhooks).")
    ] = "vcpbench",
    as_json: options.JsonFlag = False,
) -> None:
    """Make a webhook for your team. Its secret is printed once.

    **Examples**

    `vcpbench webhook create https://ci.example.org/vcpbench --kind evaluation.done --kind gate.verdict`

    `vcpbench webhook create https://hooks.slack.com/services/T0/B0/X --form slack`
    """
    with connect() as client:
        found = client.create_webhook(url, kinds=kind or (), form=form)
    if as_json:
        print_json(found)
        return
    say(f"Webhook {found.id} to {found.address}. Its secret, which vcpbench does not show again:")
    show(found.secret or "")
    say(f"Test it: vcpbench webhook test {found.id}")


@webhook_app.command("list")
@plainly
def list_webhooks(as_json: options.JsonFlag = False) -> None:
    """List your team's webhooks, the newest first.

    **Example**

    `vcpbench webhook list`
    """
    from vcpbench_client import event_tables

    with connect() as client:
        found = client.webhooks()
    if as_json:
        print_json(found)
    elif found:
        show(event_tables.webhooks(found))
    else:
        say("There are none.")


@webhook_app.command("remove")
@plainly
def remove_webhook(webhook: WebhookArgument, as_json: options.JsonFlag = False) -> None:
    """Delete a webhook of your team and its deliveries. A new one gets another secret.

    **Example**

    `vcpbench webhook remove 7d444840-9dc0-11d1-b245-5ffdce74fad2`
    """
    with connect() as client:
        found = client.delete_webhook(webhook)
    print_json(found) if as_json else show(f"{found.id} is deleted")


@webhook_app.command("test")
@plainly
def send_test(webhook: WebhookArgument, as_json: options.JsonFlag = False) -> None:
    """Send a test event to a webhook. If the receiver takes it, a webhook that was off is on again.

    **Example**

    `vcpbench webhook test 7d444840-9dc0-11d1-b245-5ffdce74fad2`
    """
    with connect() as client:
        found = client.test_webhook(webhook)
    if as_json:
        print_json(found)
        return
    show(found.id)
    say(f"A worker sends it. See how it went: vcpbench webhook deliveries {webhook}")


@webhook_app.command("deliveries")
@plainly
def list_deliveries(
    webhook: WebhookArgument,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    as_json: options.JsonFlag = False,
) -> None:
    """List the deliveries of a webhook, the newest first.

    **Example**

    `vcpbench webhook deliveries 7d444840-9dc0-11d1-b245-5ffdce74fad2`
    """
    from vcpbench_client import event_tables

    with connect() as client:
        found = list(client.deliveries(webhook, limit=limit))
    if as_json:
        print_json(found)
    elif found:
        show(event_tables.deliveries(found))
    else:
        say("There are none.")


@webhook_app.command("redeliver")
@plainly
def redeliver(
    webhook: WebhookArgument,
    delivery: Annotated[
        str, typer.Argument(help="The delivery's id; `vcpbench webhook deliveries` shows it.")
    ],
    as_json: options.JsonFlag = False,
) -> None:
    """Send a delivery that has ended once more, under the same id.

    **Example**

    `vcpbench webhook redeliver 7d444840-9dc0-11d1-b245-5ffdce74fad2 2b4c6d1e-9dc0-11d1-b245-5ffdce74fad2`
    """
    with connect() as client:
        found = client.redeliver(webhook, delivery)
    print_json(found) if as_json else show(f"{found.id} is {found.state}")
