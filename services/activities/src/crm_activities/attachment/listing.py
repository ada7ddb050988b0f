"""The attachments of a record, newest first."""

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, tuple_

from crm_activities.attachment.access import find_kind, find_place
from crm_activities.attachment.model import Attachment
from crm_contracts.access import Privilege
from crm_kit.records.answers import items
from crm_kit.records.listing import cursors_of
from crm_kit.store.record import stored_columns
from crm_kit.work.uow import UnitOfWork


async def list_attachments(
    uow: UnitOfWork, kind: str | None, record_id: UUID, *, inline: bool | None, limit: int, after: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of the attachments of a record, and the cursor of the next page.

    Raises 403, and 404 unless the caller may read the record.
    """
    uow.principal.require(Attachment.entity(), Privilege.READ)
    place = await find_place(uow, kind or await find_kind(uow, record_id), record_id)
    place.introduce(uow)
    table = Attachment.__table__
    scope = hashlib.sha256(f"attachments\0{uow.principal.id}\0{record_id}\0{inline}".encode()).digest()
    wanted = select(*(table.c[name] for name in stored_columns(Attachment))).where(table.c.regarding_id == record_id)
    if inline is not None:
        wanted = wanted.where(table.c.inline.is_(inline))
    if after is not None:
        at, last = cursors_of(uow).read(after, scope)
        wanted = wanted.where(tuple_(table.c.created_at, table.c.id) < tuple_(datetime.fromisoformat(at), UUID(last)))
    wanted = wanted.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit + 1)
    rows = [dict(row) for row in (await uow.execute(wanted)).mappings()]
    following = None
    if len(rows) > limit:
        rows = rows[:limit]
        last_row = rows[-1]
        following = cursors_of(uow).write([last_row["created_at"].isoformat(), str(last_row["id"])], scope)
    return await items(uow, Attachment, rows, None), following
