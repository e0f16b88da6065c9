"""Webhooks, with a real receiver that fails, hangs, breaks off and restarts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from ssl import SSLContext, create_default_context
from uuid import UUID

import pytest
from sqlalchemy import select, update

from records.db import NOW, Database
from records.destinations import parse
from records.models import Delivery, DeliveryState, EventKind, Webhook, WebhookForm
from records.repositories import events, webhooks
from records.settings import Settings
from tests.client.certificates import server_side, write_certificate
from tests.patience import DEADLINE_S, until
from tests.receiver import Receiver
from tests.service.kit import in_thread, num_waiting
from tests.workers import environment
from worker import deliveries, sending
from worker.deliveries import Deliveries
from worker.sending import NotDelivered

LOOPBACK = {"webhook_networks": (ip_network("127.0.0.0/8"),)}
LIMIT_S = 0.5  # a hanging receiver is given up after this
KINDS = [kind.value for kind in EventKind if kind is not EventKind.WEBHOOK_TEST]


@dataclass
class Sender:
    """A webhook to a receiver, and a worker's deliveries."""

    database: Database
    receiver: Receiver
    deliveries: Deliveries
    webhook: UUID

    def happen(self, number: int = 1) -> list[int]:
        """Write events, each with a delivery."""
        ids = []
        for _ in range(number):
            with self.database.session() as session:
                facts = {"model": "m"}
                ids.append(events.add(session, EventKind.EVALUATION_DONE, team="a", facts=facts).id)
        return ids

    def send(self) -> bool:
        """Send what is due now; False if nothing is."""
        claim = self.deliveries.claim()
        if claim is not None:
            self.deliveries.deliver(claim)
        return claim is not None

    def wait(self) -> None:
        """Let the pauses, and the claims of dead workers, be over."""
        with self.database.session() as session:
            session.execute(update(Delivery).values(due_at=NOW))
            session.execute(update(Webhook).values(next_at=NOW))

    def rows(self) -> list[Delivery]:
        with self.database.session() as session:
            return list(session.scalars(select(Delivery).order_by(Delivery.event_id)))

    def hook(self) -> Webhook:
        with self.database.session() as session:
            return session.get_one(Webhook, self.webhook)

    def fail_since(self, **ago: float) -> None:
        with self.database.session() as session:
            session.execute(update(Webhook).values(failing_since=NOW - timedelta(**ago)))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    found.start()
    yield found
    found.stop()


@pytest.fixture
def sender(settings: Settings, database: Database, receiver: Receiver) -> Sender:
    with database.session() as session:
        webhook = webhooks.create(
            session, team="a", by="anna", url=receiver.url(), kinds=KINDS, form=WebhookForm.VCPBENCH
        )
        receiver.secret = webhook.secret
    allowed = settings.model_copy(update=LOOPBACK)
    return Sender(database, receiver, Deliveries(allowed, database, limit_s=LIMIT_S), webhook.id)


def test_events_are_delivered_once_each_through_a_receiver_that_fails_hangs_and_restarts(
    sender: Sender,
) -> None:
    receiver = sender.receiver
    happened = sender.happen(12)
    receiver.script = ["fail", "take", "hang", "break", "drip", "redirect", "take", "break", "fail", "fail"]
    for number in range(60):
        if number == 14:
            receiver.stop()
        if number == 20:
            receiver.start()
        sender.wait()
        if not sender.send():
            break
    assert {row.state for row in sender.rows()} == {DeliveryState.DELIVERED}
    assert sorted(receiver.taken) == sorted(str(row.id) for row in sender.rows())  # each acted on once
    assert len(receiver.taken) == len(happened)
    told = [json.loads(one.body)["id"] for one in receiver.attempts if one.did == "take"]
    assert sorted(told) == happened  # one success for each event
    assert all(one.genuine for one in receiver.attempts)
    done = Counter(one.did for one in receiver.attempts)
    refused = sum(row.attempts for row in sender.rows()) - len(receiver.attempts)
    print(f"{len(happened)} events, {sum(row.attempts for row in sender.rows())} attempts: ", end="")
    print(", ".join(f"{number} {did}" for did, number in done.items()), f"and {refused} while it was down")
    assert done["break"] == 2
    assert refused > 0
    assert not sender.send()


def test_a_delivery_that_was_taken_and_not_noted_comes_again_under_the_same_id(sender: Sender) -> None:
    sender.happen()
    claim = sender.deliveries.claim()
    assert claim is not None
    assert sender.deliveries._send(claim) == 204  # and here the worker dies
    assert not sender.send()  # nobody sends it while the claim lasts
    sender.wait()
    assert sender.send()
    first, second = sender.receiver.attempts
    assert first.delivery == second.delivery
    assert first.body == second.body
    assert len(sender.receiver.taken) == 1
    (row,) = sender.rows()
    assert (row.state, row.attempts) == (DeliveryState.DELIVERED, 2)
    with sender.database.session() as session:  # the first worker was only slow, and notes it now
        assert not webhooks.failed(session, claim, "too late", None)
    (row,) = sender.rows()
    assert (row.state, row.error) == (DeliveryState.DELIVERED, None)
    assert sender.hook().failing_since is None


def test_a_webhook_has_one_delivery_at_a_time_and_others_do_not_wait_for_it(sender: Sender) -> None:
    sender.happen(2)
    with sender.database.session() as session:
        other = webhooks.create(
            session, team="b", by="x", url=sender.receiver.url(), kinds=KINDS, form=WebhookForm.VCPBENCH
        )
        events.add(session, EventKind.CHECKPOINT_READY, team="b", facts={})
    claims = [sender.deliveries.claim() for _ in range(3)]
    assert [claim and claim.webhook_id for claim in claims] == [sender.webhook, other.id, None]


def test_workers_at_once_send_each_delivery_once(sender: Sender, settings: Settings) -> None:
    sender.happen(20)
    ended = threading.Event()
    allowed = settings.model_copy(update=LOOPBACK)
    workers = [
        threading.Thread(target=Deliveries(allowed, sender.database).run, args=(ended,)) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    try:
        until(lambda: all(row.state is DeliveryState.DELIVERED for row in sender.rows()))
    finally:
        ended.set()
        for worker in workers:
            worker.join()
    assert len(sender.receiver.attempts) == len(sender.receiver.taken) == 20


def test_a_delivery_is_given_up_after_about_a_day_and_can_be_sent_again(sender: Sender) -> None:
    sender.happen()
    sender.receiver.script = ["fail"] * webhooks.MAX_ATTEMPTS
    paused_s = 0.0
    for attempt in range(1, webhooks.MAX_ATTEMPTS + 1):
        sender.wait()
        assert sender.send()
        (row,) = sender.rows()
        if attempt < webhooks.MAX_ATTEMPTS:
            assert row.state is DeliveryState.WAITING
            paused_s += webhooks.pause_s(attempt)
    assert 20 < paused_s / 3600 < 28
    assert (row.state, row.status, row.attempts) == (DeliveryState.FAILED, 500, webhooks.MAX_ATTEMPTS)
    assert row.error == "the receiver answered 500"
    sender.wait()
    assert not sender.send()
    with sender.database.session() as session:
        webhook = webhooks.get(session, sender.webhook, lock=True)
        found = webhooks.delivery(session, sender.webhook, row.id)
        assert webhook is not None
        assert found is not None
        webhooks.redeliver(session, found)
        webhooks.hurry(session, webhook)
    assert sender.send()
    (row,) = sender.rows()
    assert (row.state, row.attempts, row.error) == (DeliveryState.DELIVERED, 1, None)


def test_an_event_waits_for_no_webhook_and_a_deletion_waits_for_the_event(sender: Sender) -> None:
    with sender.database.session() as session:
        webhooks.get(session, sender.webhook, lock=True)  # as a worker, a test and a request do
        sender.happen()

    def delete() -> None:
        with sender.database.session() as session:
            webhook = webhooks.get(session, sender.webhook, lock=True)
            assert webhook is not None
            webhooks.delete(session, webhook)

    with sender.database.session() as session:
        events.add(session, EventKind.EVALUATION_DONE, team="a", facts={})
        wait = in_thread(delete)
        until(lambda: num_waiting(sender.database) == 1)
    wait()
    assert sender.rows() == []


def test_after_a_failure_a_receiver_rests(sender: Sender) -> None:
    sender.happen(2)
    sender.receiver.script = ["fail"]
    assert sender.send()
    assert not sender.send()  # the second delivery is due, and waits for the receiver's rest
    assert len(sender.receiver.attempts) == 1


def test_a_webhook_that_failed_for_days_is_switched_off_and_a_test_switches_it_on(sender: Sender) -> None:
    sender.happen(2)
    sender.receiver.script = ["fail", "fail"]
    sender.send()
    sender.fail_since(days=2)
    sender.wait()
    sender.send()
    assert sender.hook().off_at is None
    sender.fail_since(days=3, seconds=1)
    sender.receiver.script = ["fail", "fail"]
    sender.wait()
    sender.send()
    assert sender.hook().off_at is None  # the delivery has attempts left
    with sender.database.session() as session:
        session.execute(update(Delivery).values(attempts=webhooks.MAX_ATTEMPTS - 1))
    sender.wait()
    sender.send()
    assert sender.hook().off_at is not None
    assert {(row.state, row.error) for row in sender.rows()} == {
        (DeliveryState.FAILED, "the receiver answered 500"),
        (DeliveryState.FAILED, webhooks.SWITCHED_OFF),
    }
    sender.happen()
    assert len(sender.rows()) == 2  # it is told of nothing while it is off
    with sender.database.session() as session:
        events.add(session, EventKind.WEBHOOK_TEST, team="a", facts={}, webhook_id=sender.webhook)
    sender.wait()
    assert sender.send()
    assert (sender.hook().off_at, sender.hook().failing_since) == (None, None)
    sender.happen()
    assert sender.send()


@pytest.mark.parametrize(
    ("did", "says"),
    [
        ("hang", f"no answer within {LIMIT_S:g} s"),
        ("drip", f"no answer within {LIMIT_S:g} s"),
        ("redirect", "the receiver answered 302, and webhooks follow no redirect"),
        ("fail", "the receiver answered 500"),
        ("break", "the receiver's answer is not HTTP, or broke off: RemoteDisconnected"),
    ],
    ids=lambda text: text.split()[0],
)
def test_why_a_delivery_failed_is_said(sender: Sender, did: str, says: str) -> None:
    other = Receiver()
    other.start()
    sender.receiver.location = other.url()
    sender.receiver.script = [did]
    sender.happen()
    sender.send()
    other.stop()
    (row,) = sender.rows()
    assert (row.state, row.error) == (DeliveryState.WAITING, says)
    assert other.attempts == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
def test_no_delivery_leads_to_a_private_address_unless_an_operator_allows_it(
    sender: Sender, settings: Settings, host: str
) -> None:
    with sender.database.session() as session:
        url = f"https://{host}:{sender.receiver.port}/"
        session.execute(update(Webhook).values(url=url))
    sender.happen()
    strict = Deliveries(settings, sender.database, limit_s=LIMIT_S)
    claim = strict.claim()
    assert claim is not None
    strict.deliver(claim)
    (row,) = sender.rows()
    assert row.error is not None
    assert "no public address" in row.error
    assert sender.receiver.attempts == []


def test_a_worker_connects_to_the_checked_address_and_looks_up_no_name_again(receiver: Receiver) -> None:
    destination = parse(f"http://no-such-name.invalid:{receiver.port}/hook")
    headers = {"VCPBench-Delivery": "1"}
    tls = create_default_context()
    assert sending.post(destination, ["127.0.0.1"], b"{}", headers, limit_s=9.0, tls=tls) == 204
    assert receiver.attempts[0].headers["Host"] == f"no-such-name.invalid:{receiver.port}"


def test_an_address_that_is_silent_takes_only_its_share_of_the_time(receiver: Receiver) -> None:
    with socket.socket() as silent, socket.socket() as first, socket.socket() as second:
        silent.bind(("127.0.0.2", receiver.port))
        silent.listen(0)
        for fills in (first, second):  # its queue: the system answers no further connection
            fills.setblocking(False)
            fills.connect_ex(("127.0.0.2", receiver.port))
        destination = parse(f"http://no-such-name.invalid:{receiver.port}/hook")
        headers, tls = {"VCPBench-Delivery": "1"}, create_default_context()
        addresses = ["127.0.0.2", "127.0.0.1"]
        assert sending.post(destination, addresses, b"{}", headers, limit_s=9.0, tls=tls) == 204


def test_a_certificate_is_checked_for_the_name_of_the_webhook(tmp_path: Path) -> None:
    receiver = Receiver(tls=server_side(tmp_path))
    receiver.start()
    known = create_default_context(cafile=str(write_certificate(tmp_path)))
    headers = {"VCPBench-Delivery": "1"}

    def send(host: str, tls: SSLContext) -> int:
        destination = parse(receiver.url(host))
        return sending.post(destination, ["127.0.0.1"], b"{}", headers, limit_s=9.0, tls=tls)

    try:
        assert send("localhost", known) == 204
        with pytest.raises(NotDelivered, match="certificate is not valid: Hostname mismatch"):
            send("other.example", known)
        with pytest.raises(NotDelivered, match="certificate is not valid: self-signed"):
            send("localhost", create_default_context())
    finally:
        receiver.stop()
    assert len(receiver.attempts) == 1


def test_a_process_that_only_delivers_may_be_killed_and_another_goes_on(
    sender: Sender, settings: Settings, tmp_path: Path
) -> None:
    sender.receiver.script = ["hang"]
    sender.happen(3)

    def start() -> subprocess.Popen[bytes]:
        variables = {**os.environ, **environment(settings), "VCPBENCH_WEBHOOK_NETWORKS": "127.0.0.0/8"}
        with (tmp_path / "log").open("ab") as log:
            command = [sys.executable, "-m", "worker", "--deliver"]
            return subprocess.Popen(command, env=variables, stdout=log, stderr=log)

    first = start()
    until(lambda: sender.receiver.attempts, hopeless=lambda: first.poll() and (tmp_path / "log").read_text())
    first.kill()
    first.wait()
    sender.wait()
    second = start()
    until(
        lambda: all(row.state is DeliveryState.DELIVERED for row in sender.rows()),
        hopeless=lambda: second.poll() and (tmp_path / "log").read_text(),
    )
    second.terminate()
    assert second.wait(DEADLINE_S) == 0
    assert [one.did for one in sender.receiver.attempts] == ["hang", "take", "take", "take"]
    assert len(sender.receiver.taken) == 3


def test_a_claim_outlasts_one_attempt() -> None:
    assert deliveries.LEASE_S > 3 * deliveries.LIMIT_S
