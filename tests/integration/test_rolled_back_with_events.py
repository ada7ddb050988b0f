"""The previous release, this one, the previous one again and this one again, with events in transit at each change.

The previous release is the one before ADR 52 and 53. It handles events as this one does without ``keeps``,
``keeps_events`` and ``any_order``: each group has a key of each event and a position of each record, and merges are
handled in the order of the record's events.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from crm_activities.consumers import CONSUMERS
from crm_activities.merging import move_activities
from crm_activities.task.model import Task
from crm_contracts.activities.task import TaskCreated
from crm_contracts.sales.account import AccountCreated, AccountMerged, AccountUpdated
from crm_contracts.sales.choices import Tier
from crm_contracts.sales.contact import ContactMerged
from crm_contracts.sales.lead import LeadMerged
from crm_kit.events import inbox
from crm_kit.events.consumers import Consumers, envelope_of
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.intake import Intake
from crm_kit.events.received import Message
from crm_kit.reconciling import compare
from crm_kit.store.record import new_id
from crm_kit.testing.databases import Databases
from crm_kit.work.uow import UnitOfWork
from crm_sales.account.model import Account
from tests.integration.trio import Trio, opened

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
LATER = "update inbox set received_at = received_at - interval '1 minute' where state = 'waiting'"
DUE = "update inbox set next_attempt_at = now() - interval '1 s' where state = 'pending'"
UNDONE = "select consumer, type, state, last_error from inbox where state in ('pending', 'waiting', 'parked')"


def documented() -> list[str]:
    """Return the statements that the documentation tells operators to run before they roll back."""
    [found] = re.findall(
        r"```\n(delete from inbox_position where consumer like .*?)```", OPERATIONS.read_text(), re.DOTALL
    )
    return [statement.strip() for statement in found.split(";") if statement.strip()]


ACTED: list[UUID] = []
"""The events of merges that were handled, once for each transaction that got this far."""
REFUSED: set[UUID] = set()
"""Events on which the handler of merges fails while they are in this set."""


async def merge(event: LeadMerged | AccountMerged | ContactMerged, uow: UnitOfWork) -> None:
    if envelope_of(event).id in REFUSED:
        raise LookupError("not yet")
    await move_activities(event, uow)
    ACTED.append(envelope_of(event).id)


MERGES = (LeadMerged, AccountMerged, ContactMerged)
OTHERS = {name: group for name, group in CONSUMERS.groups.items() if name != "activities.merges"}
NOW, BEFORE = Consumers("activities"), Consumers("activities")
NOW.groups.update(OTHERS)
NOW.step(*MERGES, group="activities.merges", any_order=True)(merge)
BEFORE.groups.update({name: replace(group, copies=[], journal=None) for name, group in OTHERS.items()})
BEFORE.step(*MERGES, group="activities.merges")(merge)


@pytest.fixture
async def trio(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trio]:
    monkeypatch.setattr(compare, "CALM_SECONDS", 0.0)
    monkeypatch.setattr(compare, "LOOK_SECONDS", 0.01)
    ACTED.clear()
    REFUSED.clear()
    async with opened(databases, NOW) as trio:
        yield trio


class Worker:
    """The worker of one release, which starts when it is created."""

    def __init__(self, trio: Trio, consumers: Consumers, bound: dict[tuple[str, str], datetime]) -> None:
        self._runtime = trio.followers["activities"]
        self._dispatcher = Dispatcher(consumers, self._runtime, bound)
        # It is only asked for its stored events and never connects.
        self._intake = Intake(self._dispatcher, "amqp://nobody:nothing@127.0.0.1/nowhere")

    @classmethod
    async def of(cls, trio: Trio, consumers: Consumers) -> "Worker":
        async with trio.followers["activities"].db.begin() as conn:
            pairs = [(group.name, source) for group, source in consumers.sources()]
            return cls(trio, consumers, await inbox.remember_bound(conn, pairs))

    async def hear(self, messages: Sequence[Message]) -> None:
        """Handle what the broker delivers."""
        await self._dispatcher.take(messages)

    async def catch_up(self) -> None:
        """Let the time pass after which stored events are tried again."""
        while True:
            async with self._runtime.db.begin() as conn:
                for statement in (LATER, DUE):
                    await conn.exec_driver_sql(statement)
            late, released = await self._dispatcher.start_late(), await self._dispatcher.release()
            if not (late + released + await self._intake.retries.retry_due()):
                return


class Books:
    """Accounts in sales, and a task about each in activities."""

    def __init__(self, trio: Trio) -> None:
        self._trio = trio
        self.merged: dict[UUID, UUID] = {}
        """Who took the place of whom."""
        self.events: list[UUID] = []
        """The events of merges."""

    async def open(self, count: int) -> list[UUID]:
        made: list[UUID] = []

        async def add(uow: UnitOfWork) -> None:
            for number in range(count):
                owner = {"owner_type": "user", "owner_id": new_id(), "business_unit_id": new_id()}
                account = Account(name=f"Account {number}", tier=Tier.STANDARD, credit_hold=False, **owner)
                made.append(uow.add(account, AccountCreated).id)

        await self._trio.change(add)
        return made

    async def note(self, accounts: Sequence[UUID]) -> None:
        """Create a task about each of them, as a user does."""
        async with self._trio.followers["activities"].db.begin() as conn:
            await conn.exec_driver_sql("select 1")
            uow = UnitOfWork.for_timer(conn, self._trio.followers["activities"])
            for account in accounts:
                owner = {"owner_type": "user", "owner_id": new_id(), "business_unit_id": new_id()}
                about = {"regarding_type": "account", "regarding_id": account}
                task = Task(subject="Call", priority="normal", percent_complete=Decimal(0), **about, **owner)
                uow.add(task, TaskCreated)
            await uow.flush()

    async def rename(self, *accounts: UUID) -> list[Message]:
        """Change each of them. Return the events of sales."""

        async def change(uow: UnitOfWork) -> None:
            for record_id in accounts:
                account = await uow.load(Account, record_id)
                account.name += "."
                uow.emit(account, AccountUpdated)

        await self._trio.change(change)
        return await self._trio.published()

    async def merge(self, loser_id: UUID, survivor_id: UUID) -> list[Message]:
        """Return the last event of the loser."""

        async def change(uow: UnitOfWork) -> None:
            loser = await uow.load(Account, loser_id)
            survivor = await uow.load(Account, survivor_id)
            loser.merge_into(survivor)
            uow.emit(loser, AccountMerged, survivor_id=survivor.id)

        await self._trio.change(change)
        self.merged[loser_id] = survivor_id
        sent = await self._trio.published()
        self.events += [message.envelope.id for message in sent]
        return sent


async def test_nothing_is_lost_or_doubled_on_the_way_there_back_and_there_again(trio: Trio) -> None:
    books = Books(trio)
    survivor, *accounts = await books.open(9)
    created = await trio.published()
    await books.note(accounts)

    before = await Worker.of(trio, BEFORE)
    await before.hear(created)
    await before.hear(await books.rename(*accounts))
    merged_before = await books.merge(accounts[0], survivor)
    await before.hear(merged_before)
    on_their_way = [*await books.rename(accounts[1]), *await books.merge(accounts[1], survivor)]

    now = await Worker.of(trio, NOW)
    # For some time both releases run.
    side_by_side = await books.rename(*accounts[2:])
    await before.hear(side_by_side[::2])
    await now.hear(side_by_side[1::2])
    await now.hear([*merged_before, *on_their_way])
    await now.catch_up()
    merged_now = await books.merge(accounts[2], survivor)
    await now.hear(merged_now)
    await now.hear(await books.rename(*accounts[3:]))
    failing = await books.merge(accounts[3], survivor)
    REFUSED.update(message.envelope.id for message in failing)
    await now.hear(failing)
    on_their_way = [*await books.rename(accounts[4]), *await books.merge(accounts[4], survivor)]

    # The workers of this release have stopped.
    async with trio.followers["activities"].db.begin() as conn:
        for statement in documented():
            await conn.exec_driver_sql(statement)
    before = await Worker.of(trio, BEFORE)
    REFUSED.clear()
    # The messages that the last worker did not acknowledge are delivered again.
    await before.hear([*merged_now, *on_their_way])
    await before.hear(await books.rename(accounts[5]))
    await before.catch_up()
    await before.hear(await books.merge(accounts[5], survivor))
    [young] = await books.open(1)
    await before.hear(await trio.published())
    await books.note([young])
    await before.hear(await books.merge(young, survivor))
    await before.catch_up()
    assert await trio.shown(UNDONE) == []
    on_their_way = [*await books.rename(accounts[6]), *await books.merge(accounts[6], survivor)]

    now = await Worker.of(trio, NOW)
    await now.hear(on_their_way)
    await now.hear(await books.merge(accounts[7], survivor))
    await now.catch_up()

    assert await trio.shown(UNDONE) == []
    assert Counter(ACTED) == Counter(books.events)
    assert len(books.events) == 9
    for report in (await trio.compared()).values():
        if report.service == "activities":
            assert not report.diverged, report
    about = "select regarding_id, count(*) from task group by 1"
    assert await trio.shown(about) == [(survivor, 9)]
    moved = "select entity_version, count(*) from outbox where entity_type = 'task' group by 1 order by 1"
    assert await trio.shown(moved) == [(1, 9), (2, 9)]
    names = "select name, count(*) from record_ref where id = any($1::uuid[]) and merged_into = $2 group by 1"
    assert await trio.shown(names, list(books.merged), survivor) != []
