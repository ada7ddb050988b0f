"""Read a page of a timeline in two statements: one checks which records the caller may read, the other reads the items."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from crm_activities.projections.record_ref import RecordRef, find_refs
from crm_activities.timeline.titles import title_of
from crm_kit.access.by_type import ReachByType
from crm_kit.copies.referring import may_read
from crm_kit.copies.survivors import merged
from crm_kit.errors import NotFound
from crm_kit.records.listing import cursors_of
from crm_kit.store.parameters import Parameters
from crm_kit.store.presenter import ReferenceName, without_name
from crm_kit.work.uow import UnitOfWork

MOST_DEALS: Final = 200
"""The newest deals of each customer whose stories its timeline includes. Ids begin with the time at which a record was made."""

LONGEST_TITLE: Final = 200

# A link between records of one kind leads from a survivor to a merged record, one from a lead to what it became, and one from
# a customer to a deal. Only merges are followed further: a contact's timeline has the lead, and not what else the lead became.
PAGE_SQL = """
with recursive asked as (
  select unnest({regarding}) as id
  union
  select l.target_id from asked a join timeline_link l on l.source_id = a.id
    join record_ref s on s.id = a.id join record_ref r on r.id = l.target_id and r.type = s.type
), story as (
  (select id from asked
  union
  select l.target_id from asked a join record_ref s on s.id = a.id and s.type = 'lead' join timeline_link l on l.source_id = a.id
  union
  select s.id from asked a join record_ref r on r.id = a.id and r.type in ('account', 'contact')
    join timeline_link l on l.target_id = a.id join record_ref s on s.id = l.source_id and s.type = 'lead'
  union
  select d.id from asked a join record_ref s on s.id = a.id and s.type in ('account', 'contact')
    cross join lateral (select r.id from timeline_link l join record_ref r on r.id = l.target_id and r.type = 'opportunity'
      where l.source_id = a.id order by l.target_id desc limit {deals}) d)
  union
  select l.target_id from story s join timeline_link l on l.source_id = s.id
    join record_ref f on f.id = s.id join record_ref r on r.id = l.target_id and r.type = f.type
), followed as materialized (
  select r.* from story s join record_ref r on r.id = s.id
), item as (
  (select e.id, 'event' as kind, e.type, e.at, null as title, e.actor, e.data,
    f.id as record_id, f.type as record_type, f.name as record_name, f.deleted as record_deleted,
    f.owner_id as record_owner, f.business_unit_id as record_unit
  from followed f cross join lateral (
    select e.* from timeline_event e where e.record_id = f.id {event_after} order by e.at desc, e.id desc limit {size}
  ) e where {everything} or not f.deleted and {some})
  union all
  (select t.id, 'activity', t.type, t.happened_at, t.subject, t.created_by::text, json_build_object(
      'status', t.status, 'status_reason', t.status_reason, 'priority', t.priority, 'due_at', t.due_at,
      'completed_at', t.completed_at, 'owner_type', t.owner_type, 'owner_id', t.owner_id)::jsonb,
    f.id, f.type, f.name, f.deleted, f.owner_id, f.business_unit_id
  from followed f cross join lateral (
    select t.* from activity t where t.regarding_id = f.id and ({activity_everything} or {activity_some})
    {activity_after} order by t.happened_at desc, t.id desc limit {size}
  ) t)
  union all
  (select t.id, 'note', t.type, t.created_at, split_part(t.text, E'\\n', 1), t.created_by::text, json_build_object(
      'pinned', t.pinned, 'owner_type', t.owner_type, 'owner_id', t.owner_id)::jsonb,
    f.id, f.type, f.name, f.deleted, f.owner_id, f.business_unit_id
  from followed f cross join lateral (
    select t.* from (select n.*, 'note'::text as type from note n where n.regarding_id = f.id) t
    where ({activity_everything} or {activity_some}) {note_after} order by t.created_at desc, t.id desc limit {size}
  ) t)
  union all
  (select t.id, 'activity', t.type, t.happened_at, t.subject, t.created_by::text, json_build_object(
      'status', t.status, 'status_reason', t.status_reason, 'priority', t.priority, 'due_at', t.due_at,
      'completed_at', t.completed_at, 'owner_type', t.owner_type, 'owner_id', t.owner_id)::jsonb,
    f.id, f.type, f.name, f.deleted, f.owner_id, f.business_unit_id
  from activity t cross join lateral (
    select f.* from followed f join asked a on a.id = f.id where f.id = any(t.party_ids) order by f.id limit 1
  ) f where t.party_ids <> '{{}}' and t.party_ids && (select array_agg(id) from asked)
    and ({activity_everything} or {activity_some})
    and (t.regarding_id is null or t.regarding_id not in (select id from followed))
    {activity_after} order by t.happened_at desc, t.id desc limit {size})
)
select * from item order by at desc, id desc limit {size}
"""


async def timeline_page(
    uow: UnitOfWork, regarding: Sequence[UUID], limit: int, after: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Return the items of these records' common timeline, newest first, and the cursor of the next page.

    Of several records, only those that the caller may read are included. 404 if there is none. 410 for a single record
    that was merged into another.
    """
    readable = await _readable(uow, regarding)
    asked = ",".join(sorted(map(str, regarding)))
    scope = hashlib.sha256(f"timeline\0{uow.principal.id}\0{asked}".encode()).digest()
    cursors = cursors_of(uow)
    parameters = Parameters()
    event_after = activity_after = note_after = ""
    if after is not None:
        at, last = cursors.read(after, scope)
        position = (
            f"({parameters.add(datetime.fromisoformat(at), 'timestamptz')}, {parameters.add(UUID(last), 'uuid')})"
        )
        event_after, activity_after = f"and (e.at, e.id) < {position}", f"and (t.happened_at, t.id) < {position}"
        note_after = f"and (t.created_at, t.id) < {position}"
    reach = ReachByType(uow.principal, uow.runtime.directory.tree, parameters)
    sql = PAGE_SQL.format(
        regarding=parameters.add(readable, "uuid[]"),
        size=parameters.add(limit + 1, "int"),
        deals=MOST_DEALS,
        event_after=event_after,
        activity_after=activity_after,
        note_after=note_after,
        everything=reach.everything("f"),
        some=reach.some("f"),
        activity_everything=reach.everything("t"),
        activity_some=reach.some("t"),
    )

    async def read() -> Sequence[Any]:
        return (await (await uow.connection()).exec_driver_sql(sql, tuple(parameters.values))).all()

    rows = await uow.reads.quickly(read, "Request the timeline of one record, or fewer entries.")
    following = None
    if len(rows) > limit:
        rows = rows[:limit]
        following = cursors.write([rows[-1].at.isoformat(), str(rows[-1].id)], scope)
    return await _items(uow, rows), following


async def _readable(uow: UnitOfWork, regarding: Sequence[UUID]) -> list[UUID]:
    refs = [ref for ref in (await find_refs(uow, set(regarding))).values() if may_read(uow, ref)]
    if not refs:
        raise NotFound("record")
    if len(regarding) == 1 and refs[0].merged_into is not None:
        raise await merged(uow, RecordRef, refs[0].type, refs[0].id)
    return sorted(ref.id for ref in refs if ref.merged_into is None)


async def _items(uow: UnitOfWork, rows: Sequence[Any]) -> list[dict[str, Any]]:
    authors = {UUID(row.actor) for row in rows if row.kind != "event" and row.actor}
    if authors:
        await uow.runtime.directory.learn(await uow.connection(), authors)
    return [
        {
            "id": row.id,
            "kind": row.kind,
            "type": row.type,
            "at": row.at,
            "title": title_of(row.type, row.data or {}) if row.kind == "event" else shortened(row.title),
            "actor": row.actor if row.kind == "event" else _author(uow, row.actor),
            "record": _record(uow, row),
            "data": row.data or {},
        }
        for row in rows
    ]


def shortened(title: str) -> str:
    """Return a title of at most 200 characters: the first line of a note may be long."""
    return title if len(title) <= LONGEST_TITLE else title[: LONGEST_TITLE - 1] + "…"


def _record(uow: UnitOfWork, row: Any) -> dict[str, Any]:
    """Return the record of an item.

    A caller who may read an activity may not always read the record that it is about.
    """
    ref = {"type": row.record_type, "id": row.record_id, "name": row.record_name, "deleted": row.record_deleted}
    uow.names[row.record_id] = ReferenceName(row.record_name, row.record_deleted, row.record_owner, row.record_unit)
    return without_name(ref, uow.names.hidden([(row.record_type, row.record_id)]))


def _author(uow: UnitOfWork, author: str | None) -> str:
    if author is None:
        return f"system:{uow.runtime.service}"
    found = uow.runtime.directory.named(UUID(author))
    return f"{found.kind if found else 'user'}:{author}"
