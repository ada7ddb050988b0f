"""Read the runs of an activity rule."""

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, tuple_

from crm_activities.projections.record_ref import find_refs
from crm_activities.rule.model import RuleRun
from crm_kit.records.listing import cursors_of
from crm_kit.store.presenter import ReferenceName, without_name
from crm_kit.work.uow import UnitOfWork


async def runs_page(
    uow: UnitOfWork, rule_id: UUID, limit: int, after: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of the runs of a rule, newest first, and the cursor of the next page.

    The names of records that the caller may not read are left out.
    """
    runs = RuleRun.__table__
    scope = hashlib.sha256(f"runs\0{uow.principal.id}\0{rule_id}".encode()).digest()
    cursors = cursors_of(uow)
    query = select(runs).where(runs.c.rule_id == rule_id)
    if after is not None:
        at, last = cursors.read(after, scope)
        query = query.where(tuple_(runs.c.created_at, runs.c.id) < (datetime.fromisoformat(at), UUID(last)))
    query = query.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(limit + 1)
    rows = (await uow.execute(query)).all()
    following = None
    if len(rows) > limit:
        rows = rows[:limit]
        following = cursors.write([rows[-1].created_at.isoformat(), str(rows[-1].id)], scope)
    refs = await find_refs(uow, {row.record_id for row in rows} | {row.activity_id for row in rows if row.activity_id})
    for ref in refs.values():
        uow.names[ref.id] = ReferenceName(ref.name, ref.deleted, ref.owner_id, ref.business_unit_id)
    return [_item(uow, row, refs) for row in rows], following


def _item(uow: UnitOfWork, row: Any, refs: Any) -> dict[str, Any]:
    activity = _ref(uow, row.activity_type, row.activity_id, refs) if row.activity_id else None
    return {
        "id": row.id,
        "state": row.state,
        "error": row.error,
        "event_id": row.event_id,
        "record": _ref(uow, row.record_type, row.record_id, refs),
        "activity": activity,
        "at": row.created_at,
        "done_at": row.done_at,
    }


def _ref(uow: UnitOfWork, kind: str, record_id: UUID, refs: Any) -> dict[str, Any]:
    copy = refs.get(record_id)
    ref = {
        "type": kind,
        "id": record_id,
        "name": copy.name if copy else None,
        "deleted": copy.deleted if copy else False,
    }
    return without_name(ref, uow.names.hidden([(kind, record_id)]))
