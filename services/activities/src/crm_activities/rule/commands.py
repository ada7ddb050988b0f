"""Commands on activity rules and their runs."""

from uuid import UUID

from sqlalchemy import func, select, text, update

from crm_activities.rule.domain import closes_a_circle, require_filter, require_placeholders
from crm_activities.rule.happening import fields_of_event, require_event
from crm_activities.rule.model import ActivityRule, RuleRun
from crm_activities.rule.schemas import ActivityRuleCreate, ActivityRuleUpdate, Assignee
from crm_contracts.access import Privilege
from crm_contracts.activities.activity_rule import (
    ActivityRuleCreated,
    ActivityRuleDeleted,
    ActivityRuleUpdated,
    MadeType,
)
from crm_contracts.sentences import said
from crm_kit.errors import DomainError, InvalidValue, NotFound
from crm_kit.events.timers import CHANNEL
from crm_kit.records.patching import apply, refer_to_principal
from crm_kit.store.presenter import ReferenceName
from crm_kit.work.uow import UnitOfWork

MOST_RULES = 500
"""Active rules of an organisation."""
UNCHECKED = frozenset({"active", "name", "priority", "due_after", "due_unit"})
"""Fields that an inactive rule changes without a check of the rest."""


async def create_rule(uow: UnitOfWork, body: ActivityRuleCreate) -> ActivityRule:
    """Create a rule of the organisation. It applies to events that happen from now on."""
    await uow.start(ActivityRule)
    values = dict(body)
    assignee = values.pop("assigned_to")
    rule = ActivityRule(**values, assigned_to_type=None, assigned_to_id=None, since=uow.now)
    await _assign_to(uow, rule, assignee)
    await _require_sound(uow, rule)
    return uow.add(rule, ActivityRuleCreated)


async def update_rule(uow: UnitOfWork, rule_id: UUID, body: ActivityRuleUpdate) -> ActivityRule:
    """Change a rule. The activities that it created stay as they are. A rule that is switched on again is for later events."""
    rule = await uow.get(ActivityRule, rule_id, Privilege.WRITE)
    was_active, values = rule.active, body.onto(rule)
    if "assigned_to" in values:
        await _assign_to(uow, rule, values.pop("assigned_to"))
    apply(rule, values)
    if rule.active and not was_active:
        rule.since = uow.now
    # A rule of an earlier release may break a later check. It can be renamed and switched off nevertheless.
    if rule.active or not body.model_fields_set <= UNCHECKED:
        await _require_sound(uow, rule)
    return uow.emit_if_changed(rule, ActivityRuleUpdated)


async def delete_rule(uow: UnitOfWork, rule_id: UUID) -> None:
    """Delete a rule. The activities that it created stay."""
    uow.remove(await uow.get(ActivityRule, rule_id, Privilege.DELETE), ActivityRuleDeleted)


async def retry_run(uow: UnitOfWork, rule_id: UUID, run_id: UUID) -> None:
    """Try a failed run again. 409 ``illegal-transition`` for a run that did not fail, or whose event cannot be read."""
    await uow.get(ActivityRule, rule_id, Privilege.WRITE)
    runs = RuleRun.__table__
    await uow.transaction()
    found = await uow.execute(
        select(runs.c.state, runs.c.event).where(runs.c.id == run_id, runs.c.rule_id == rule_id).with_for_update()
    )
    run = found.one_or_none()
    if run is None:
        raise NotFound("run")
    if run.state != "failed" or run.event is None:
        raise DomainError(
            "illegal-transition",
            "Only a failed run whose event the rule understands can be tried again.",
            members={"record_status": run.state, "status_reason": run.state, "allowed": []},
        )
    await uow.execute(update(RuleRun).where(runs.c.id == run_id).values(state="pending", error=None, due_at=uow.now))
    uow.wakes(CHANNEL)


async def _assign_to(uow: UnitOfWork, rule: ActivityRule, wanted: Assignee | None) -> None:
    if wanted is None:
        rule.assigned_to_type = rule.assigned_to_id = None
    elif (wanted.type, wanted.id) != (rule.assigned_to_type, rule.assigned_to_id):
        found = await refer_to_principal(uow, wanted.type, wanted.id, "/assigned_to/id")
        rule.assigned_to_type, rule.assigned_to_id = wanted.type, wanted.id
        uow.names[wanted.id] = ReferenceName(found.name)


async def _require_sound(uow: UnitOfWork, rule: ActivityRule) -> None:
    """Raise 422 unless the rule can create activities: its event, filter, texts and owner, and no circle of rules."""
    event = require_event(rule.event_type)
    fields = fields_of_event(rule.event_type)
    require_filter(fields, rule.filter)
    require_placeholders(fields, rule.subject, "/subject")
    require_placeholders(fields, rule.description, "/description")
    if rule.category is not None and rule.activity_type != MadeType.TASK:
        raise InvalidValue("/category", "tasks-only", "Only tasks have a category. Leave it out.")
    if rule.assigned_to_id is None and not event.entity.owned:
        message = "Records of this event have no owner. Name the user or team that owns the activity."
        raise InvalidValue("/assigned_to", "owner-required", message)
    if not rule.active:
        return
    # Two rules that close a circle together must not be saved at the same time.
    await uow.transaction()
    await uow.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(text("'activity rules'"), text("0")))))
    rules = ActivityRule.__table__
    others = (
        await uow.execute(
            select(rules.c.event_type, rules.c.activity_type).where(rules.c.active, rules.c.id != rule.id)
        )
    ).all()
    if len(others) >= MOST_RULES:
        message = said("At most {most} rules may be active. Switch off another one first.", most=MOST_RULES)
        raise InvalidValue("/active", "too-many-rules", message)
    if closes_a_circle(rule.event_type, rule.activity_type, [(one.event_type, one.activity_type) for one in others]):
        message = "With this event, rules would create activities without end. Choose another event or activity type."
        raise InvalidValue("/event_type", "circular-rules", message)
