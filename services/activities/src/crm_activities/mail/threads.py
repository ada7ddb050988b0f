"""Conversations. Mails of which one names another belong together, whether or not the named one was ever seen.

``email_reference`` has the thread of every Message-ID that was seen or named. A mail that names ids of two threads joins them.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from crm_activities.email.model import Email
from crm_contracts.activities.email import EmailUpdated
from crm_kit.store.record import new_id
from crm_kit.work.uow import UnitOfWork

# In one order, so that two mails that name the same ids cannot wait for each other.
NAME: Final = (
    "insert into email_reference (message_id, thread_id) select id, $2 from unnest($1::text[]) id order by id"
    " on conflict do nothing"
)
FIND: Final = "select distinct thread_id from email_reference where message_id = any($1::text[])"
LOCK: Final = "select id from email_thread where id = any($1::uuid[]) order by id for update"
LARGEST: Final = (
    "select t.id from unnest($1::uuid[]) t (id) order by (select count(*) from email e where e.thread_id = t.id) desc, t.id"
    " limit 1"
)
MOVE: Final = "update email_reference set thread_id = $2 where thread_id = any($1::uuid[])"
FORGET: Final = "delete from email_thread where id = any($1::uuid[])"
MAILS: Final = "select id from email where thread_id = any($1::uuid[])"


async def join_thread(uow: UnitOfWork, ids: Sequence[str]) -> UUID:
    """Return the thread of a new mail that has or names these Message-IDs.

    If the ids belong to several threads, these become one: the mails of the smaller ones move to the largest, each with its
    event. Call it before the unit of work locks a mail, so that everybody locks threads first and mails afterwards.
    """
    conn, fresh, wanted = await uow.transaction(), new_id(), list(ids)
    await conn.exec_driver_sql("insert into email_thread (id) values ($1)", (fresh,))
    if not wanted:
        return fresh
    await conn.exec_driver_sql(NAME, (wanted, fresh))
    while True:
        found = {row[0] for row in await conn.exec_driver_sql(FIND, (wanted,))}
        locked = {row[0] for row in await conn.exec_driver_sql(LOCK, (sorted(found),))}
        # A thread that was joined to another meanwhile is gone. Its ids belong to the other one now.
        if locked == found:
            break
    if found == {fresh}:
        return fresh
    winner: UUID = (await conn.exec_driver_sql(LARGEST, (sorted(found - {fresh}),))).scalar_one()
    losers = sorted((found | {fresh}) - {winner})
    await conn.exec_driver_sql(MOVE, (losers, winner))
    await conn.exec_driver_sql(FORGET, (losers,))
    if losers != [fresh]:
        await _move_mails(uow, losers, winner)
    return winner


async def _move_mails(uow: UnitOfWork, losers: Sequence[UUID], winner: UUID) -> None:
    rows = await (await uow.transaction()).exec_driver_sql(MAILS, (list(losers),))
    moving = [row[0] for row in rows]
    await uow.lock_all(Email, moving)
    for email_id in moving:
        email = await uow.load(Email, email_id)
        email.thread_id = winner
        uow.emit(email, EmailUpdated)
