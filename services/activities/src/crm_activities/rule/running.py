"""Create the activities that rules planned, one transaction each."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import Select, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_activities.activity.model import ActivityType
from crm_activities.phone_call.model import PhoneCall
from crm_activities.rule.model import ActivityRule, RuleRun
from crm_activities.task.model import Task
from crm_contracts.activities.activity import Priority
from crm_contracts.activities.activity_rule import MadeType
from crm_contracts.activities.phone_call import CallDirection, PhoneCallCreated
from crm_contracts.activities.task import TaskCreated
from crm_contracts.catalogue import Event
from crm_kit.errors import DomainError
from crm_kit.records.patching import refer_to_principal
from crm_kit.signals.metrics import counter
from crm_kit.signals.telemetry import SpanKind, span
from crm_kit.store.chores import delete_some
from crm_kit.store.presenter import ReferenceName
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork

log = structlog.get_logger(__name__)

KEPT: Final = timedelta(days=60)
"""How long a run is kept. It is longer than the age of the oldest event that is for rules."""
MADE = counter("crm.activity_rule.made", "Activities that rules created.", "activity")
FAILED = counter("crm.activity_rule.failed", "Runs of rules that could not create their activity.", "activity")


def due_runs(now: datetime) -> Select[UUID]:
    """Return the runs that are due, the longest overdue first."""
    return select(RuleRun.id).where(RuleRun.due_at <= now).order_by(RuleRun.due_at)


async def run_rule(run_id: UUID, uow: UnitOfWork) -> None:
    """Create the activity of a run, or store why that is impossible."""
    runs, rules = RuleRun.__table__, ActivityRule.__table__
    run = (await uow.execute(select(runs).where(runs.c.id == run_id))).mappings().one()
    rule = (await uow.execute(select(rules).where(rules.c.id == run["rule_id"]))).mappings().one_or_none()
    if rule is None or not rule["active"]:
        await _end(uow, run_id, state="skipped")
        return
    plan = run["event"]
    about = {"crm.rule_id": str(rule["id"]), "crm.event_id": str(run["event_id"])}
    with span("run activity rule", SpanKind.CONSUMER, plan["traceparent"], about) as traced:
        uow.cause = Cause(
            plan["correlation_id"],
            causation_id=str(run["event_id"]),
            actor=plan["actor"],
            traceparent=traced.traceparent,
        )
        await _create(uow, rule, run)


async def _create(uow: UnitOfWork, rule: Any, run: Any) -> None:
    plan, runs, run_id = run["event"], RuleRun.__table__, run["id"]
    kind, event, own = _made(MadeType(rule["activity_type"]), rule)
    try:
        owner = await _owner(uow, rule, plan)
    except DomainError as error:
        FAILED.labels(rule["activity_type"]).inc()
        log.warning("rule.failed", rule=str(rule["id"]), event_id=str(run["event_id"]), error=error.slug)
        await uow.execute(
            update(RuleRun).where(runs.c.id == run_id).values(state="failed", error=_message(error), due_at=None)
        )
        return
    # The event has all that is needed of the record. Our copy of the record may arrive later.
    uow.names[run["record_id"]] = ReferenceName(plan["name"])
    activity = kind(
        subject=plan["subject"],
        description=plan["description"],
        regarding_type=run["record_type"],
        regarding_id=run["record_id"],
        due_at=datetime.fromisoformat(plan["due_at"]),
        priority=Priority(rule["priority"]),
        **owner,
        **own,
    )
    uow.add(activity, event)
    MADE.labels(rule["activity_type"]).inc()
    await _end(uow, run_id, state="done", activity_type=kind.entity(), activity_id=activity.id, done_at=uow.now)


async def forget_runs(conn: AsyncConnection, now: datetime) -> int:
    """Delete runs that are older than ``KEPT``; returns the number of a batch."""
    return await delete_some(conn, "activity_rule_run", "created_at < $1", now - KEPT)


def _made(kind: MadeType, rule: Any) -> tuple[type[ActivityType], type[Event], dict[str, Any]]:
    match kind:
        case MadeType.TASK:
            return Task, TaskCreated, {"category": rule["category"], "percent_complete": Decimal(0)}
        case MadeType.PHONE_CALL:
            return (
                PhoneCall,
                PhoneCallCreated,
                {"direction": CallDirection.OUTGOING, "parties": [], "left_voicemail": False},
            )


async def _owner(uow: UnitOfWork, rule: Any, plan: dict[str, Any]) -> dict[str, Any]:
    """Return the owner of the activity: the rule's, or that of the record. Raises DomainError if there is none."""
    if rule["assigned_to_id"] is not None:
        found = await refer_to_principal(uow, rule["assigned_to_type"], rule["assigned_to_id"], "/assigned_to/id")
        return {
            "owner_type": rule["assigned_to_type"],
            "owner_id": rule["assigned_to_id"],
            "business_unit_id": found.unit,
        }
    if plan["owner_id"] is None:
        raise DomainError("owner-required", "The record has no owner. Name an owner in the rule.")
    return {
        "owner_type": plan["owner_type"],
        "owner_id": UUID(plan["owner_id"]),
        "business_unit_id": UUID(plan["business_unit_id"]),
    }


async def _end(uow: UnitOfWork, run_id: UUID, **values: Any) -> None:
    """End a run. What the activity was made of is not kept."""
    runs = RuleRun.__table__
    await uow.execute(update(RuleRun).where(runs.c.id == run_id).values(event=None, error=None, due_at=None, **values))


def _message(error: DomainError) -> str:
    return error.errors[0].message if error.errors else error.detail
