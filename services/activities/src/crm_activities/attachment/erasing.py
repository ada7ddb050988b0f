"""Deletes the files and the notes of a record that was deleted, in any service.

A step stores a task, and a timer deletes a chunk of attachments at a time. The task stays for a minute, which is longer than a
request can take, because somebody who read the record before its end may attach a file afterwards.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from crm_activities.attachment.commands import remove_attachments
from crm_activities.attachment.model import Attachment, ErasureTask
from crm_activities.note.model import Note
from crm_contracts.activities.note import NoteDeleted
from crm_contracts.catalogue import Event
from crm_kit.events.timers import CHANNEL
from crm_kit.store.record import stored_columns
from crm_kit.work.uow import UnitOfWork

CHUNK: Final = 200
"""Attachments of one transaction."""
GRACE: Final = timedelta(minutes=1)


TASKS: Any = ErasureTask.__table__


async def begin_erasing(event: Event, uow: UnitOfWork) -> None:
    """Store the task for a deleted record."""
    await uow.transaction()
    task = insert(TASKS).values(id=event.record.id, opened_at=uow.now, due_at=uow.now)
    # Notified with the commit, as moves after merges are.
    await uow.execute(task.on_conflict_do_nothing().returning(func.pg_notify(CHANNEL, "")))


def due_erasures(now: datetime) -> Select[UUID]:
    """Return the tasks that are due, the longest overdue first."""
    return select(TASKS.c.id).where(TASKS.c.due_at <= now).order_by(TASKS.c.due_at)


async def go_on_erasing(record_id: UUID, uow: UnitOfWork) -> None:
    """Delete the next files or notes of a record, or end the task."""
    table = Attachment.__table__
    columns = [table.c[name] for name in stored_columns(Attachment)]
    found = select(*columns).where(table.c.regarding_id == record_id).limit(CHUNK).with_for_update(skip_locked=True)
    rows = (await uow.execute(found)).mappings().all()
    if rows:
        await uow.names.learn(Attachment, [dict(row) for row in rows])
        await remove_attachments(uow, [uow.adopt(Attachment.from_row(dict(row))) for row in rows])
        return
    if await _remove_notes(uow, record_id):
        return
    opened_at = (await uow.execute(select(TASKS.c.opened_at).where(TASKS.c.id == record_id))).scalar_one()
    if uow.now < opened_at + GRACE:
        await uow.execute(update(TASKS).where(TASKS.c.id == record_id).values(due_at=opened_at + GRACE))
        return
    await uow.execute(delete(TASKS).where(TASKS.c.id == record_id))


async def _remove_notes(uow: UnitOfWork, record_id: UUID) -> bool:
    """Delete the next notes on a record. Returns whether there were any. Their files follow by the events of their end."""
    table = Note.__table__
    columns = [table.c[name] for name in stored_columns(Note)]
    found = select(*columns).where(table.c.regarding_id == record_id).limit(CHUNK).with_for_update(skip_locked=True)
    rows = (await uow.execute(found)).mappings().all()
    await uow.names.learn(Note, [dict(row) for row in rows])
    for row in rows:
        uow.remove(uow.adopt(Note.from_row(dict(row))), NoteDeleted)
    return bool(rows)
