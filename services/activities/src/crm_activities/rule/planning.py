"""Find the rules that apply to arriving events, and create what each shall create.

This belongs to the group that keeps timelines, so an event to which no rule applies costs nothing, and the activity is there when
``Crm-After`` says that the event has arrived. A run has the key of its event and rule, so an event that arrives again changes
nothing. Each rule has a savepoint of its own: one that fails is tried again by a timer, and delays neither other rules nor
other events.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from datetime import timedelta, tzinfo
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
import structlog
from sqlalchemy import RowMapping, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_activities.rule.domain import DESCRIPTION_LENGTH, SUBJECT_LENGTH, due_at, filled, require_filter
from crm_activities.rule.happening import as_record, fields_of_event, is_automatic
from crm_activities.rule.model import ActivityRule
from crm_activities.rule.running import run_rule
from crm_contracts.catalogue import event_for
from crm_contracts.envelope import Envelope
from crm_kit.errors import InvalidValue
from crm_kit.events.received import describe
from crm_kit.process.runtime import Runtime
from crm_kit.records.matching import matches
from crm_kit.store.database import fetch
from crm_kit.store.outages import database_away, database_busy
from crm_kit.store.record import new_id
from crm_kit.work.outbox import WAKE_CHANNEL
from crm_kit.work.uow import UnitOfWork

log = structlog.get_logger(__name__)

OLDEST: Final = timedelta(days=30)
"""Older events are not for rules. Runs are kept for longer than that, so an event that is sent again finds its run."""

# This transaction has written the keys of new events already.
_BEFORE: Final = text(
    "select event_id from inbox where consumer = :group and event_id = any(:ids) and state in ('done', 'skipped')"
    " and xmin <> pg_current_xact_id()::xid"
)
FORMER_GROUP: Final = "activities.follow_up"
"""The handler group of the release before (``crm_activities.rule.before``)."""

_KEEP = """
with kept as (
  insert into activity_rule_run (id, rule_id, event_id, record_type, record_id, event, state, error, due_at, created_at)
  select id, rule_id, event_id, record_type, record_id, event, state, error, due_at, created_at
  from json_populate_recordset(null::activity_rule_run, $1::text::json)
  on conflict (rule_id, event_id) do nothing returning id, event_id, due_at
), waking as (
  select pg_notify($2, '') from kept where due_at is not null limit 1
)
select kept.id, kept.event_id from kept left join waking on true where due_at is not null order by kept.id
"""


async def plan_activities(events: Sequence[Envelope], uow: UnitOfWork) -> None:
    """Store a run for each event and each rule that applies to it, and create the activities of the new ones."""
    types = sorted({event.type for event in events if event.time >= uow.now - OLDEST})
    if not types:
        return
    table = ActivityRule.__table__
    found = await uow.execute(select(table).where(table.c.active, table.c.event_type.in_(types)).order_by(table.c.id))
    rules: dict[str, list[RowMapping]] = defaultdict(list)
    for rule in found.mappings():
        rules[rule["event_type"]].append(rule)
    if not rules:
        return
    zone = ZoneInfo(uow.runtime.directory.organization.time_zone)
    runs = [run for event in events for rule in rules.get(event.type, ()) for run in _runs(rule, event, zone, uow)]
    if runs:
        before = await _followed_up(uow, {run["event_id"] for run in runs})
        runs = [run for run in runs if run["event_id"] not in before]
    if runs:
        # The common order of inserts, as in timelines.
        runs.sort(key=lambda run: (run["rule_id"], run["event_id"]))
        conn = await uow.connection()
        told = {event.id: event for event in events}
        for run_id, event_id in await fetch(conn, _KEEP, (orjson.dumps(runs, default=str).decode(), WAKE_CHANNEL)):
            await _try(conn, uow.runtime, told[event_id], run_id)


async def _followed_up(uow: UnitOfWork, event_ids: Set[UUID]) -> Set[UUID]:
    """Return the events that the release before has followed up. The event may arrive again, or be replayed."""
    return set((await uow.execute(_BEFORE, {"group": FORMER_GROUP, "ids": list(event_ids)})).scalars())


async def _try(conn: AsyncConnection, runtime: Runtime, event: Envelope, run_id: UUID) -> None:
    try:
        async with conn.begin_nested():
            own = UnitOfWork.for_message(conn, runtime, event)
            await run_rule(run_id, own)
            await own.flush()
    except Exception as error:  # whatever it is, the timer tries the run again, and tells it
        if database_away(error) or database_busy(error):
            raise
        log.warning("rule.postponed", run=str(run_id), event_id=str(event.id), error=describe(error))


def _runs(rule: RowMapping, event: Envelope, zone: tzinfo, uow: UnitOfWork) -> Iterator[dict[str, Any]]:
    if event.time < rule["since"] or is_automatic(event):
        return
    run = {
        "id": new_id(),
        "rule_id": rule["id"],
        "event_id": event.id,
        "record_id": event.subject,
        "created_at": uow.now,
    }
    declared = event_for(event.type)
    assert declared is not None
    run["record_type"] = declared.entity.name
    try:
        record = as_record(event.data)
        fields = fields_of_event(event.type)
        tree = require_filter(fields, rule["filter"])
        if tree is not None and not matches(tree, fields, record, zone):
            return
        name = declared.entity.name_of(event.data["record"])
        plan = {
            "name": name,
            "subject": filled(rule["subject"], name, record, SUBJECT_LENGTH, fields) or rule["name"],
            "description": filled(rule["description"], name, record, DESCRIPTION_LENGTH, fields)
            if rule["description"]
            else None,
            "due_at": due_at(event.time, rule["due_after"], rule["due_unit"], zone),
            "owner_type": event.data["record"].get("owner_type"),
            "owner_id": event.data["record"].get("owner_id"),
            "business_unit_id": event.data["record"].get("business_unit_id"),
            "actor": event.actor,
            "correlation_id": event.correlationid,
            "traceparent": event.traceparent,
        }
    except (InvalidValue, ValueError, ArithmeticError, KeyError, TypeError, AttributeError) as error:
        # The event is of a release that this rule does not fit. Others must not wait for it.
        log.warning("rule.unreadable", rule=str(rule["id"]), event_id=str(event.id), error=type(error).__name__)
        yield run | {"state": "failed", "error": "The event does not have the form that the rule expects."}
        return
    yield run | {"state": "pending", "event": plan, "due_at": uow.now}
