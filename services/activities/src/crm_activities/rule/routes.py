"""The HTTP face of activity rules: settings of the whole organisation."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from crm_activities.rule import commands
from crm_activities.rule.model import ActivityRule
from crm_activities.rule.runs import runs_page
from crm_activities.rule.schemas import ActivityRuleCreate, ActivityRuleUpdate, RuleRunRead
from crm_contracts.activities.activity_rule import ActivityRuleRecord
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, UncountedPage, created, gone, one, page, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import DEFAULT_PAGE, MAX_PAGE, Listing, list_records, query_records
from crm_kit.records.listing import Query as FilterQuery
from crm_kit.records.parameters import lists, shows_history

router = APIRouter(prefix="/activity-rules", tags=["activity rules"], route_class=about(ActivityRule))

RULES = Listing(ActivityRule, sortable=("created_at", "event_type"), default_sort="event_type")


@router.get("", response_model=Page[ActivityRuleRecord], operation_id="list_activity_rules")
@lists(RULES)
async def list_activity_rules(request: Request, uow: Uow) -> Response:
    """Activity rules: filter, page, sort by event_type or created_at."""
    return await list_records(uow, RULES, request)


@router.post("/query", response_model=Page[ActivityRuleRecord], operation_id="query_activity_rules")
async def query_activity_rules(query: FilterQuery, uow: Uow) -> Response:
    """Rules by a JSON filter with and, or, not."""
    return await query_records(uow, RULES, query)


@router.post("", response_model=ActivityRuleRecord, status_code=201, operation_id="create_activity_rule")
async def create_activity_rule(body: ActivityRuleCreate, uow: Uow) -> Response:
    """Create a rule: after each event of this type that matches `filter`, it creates an activity about the event's record.

    It applies to events that happen from now on. 422 with the place in `filter` that breaks the grammar, or that names a field
    without filter (`unknown-field`); `unknown-placeholder` for one that is no field; `circular-rules` if rules would set each
    other off without end. At most 500 rules may be active.
    """
    return await created(uow, await commands.create_rule(uow, body))


@router.get("/{rule_id}", response_model=ActivityRuleRecord, operation_id="get_activity_rule")
async def get_activity_rule(rule_id: UUID, request: Request, uow: Uow) -> Response:
    """One rule, with its version as ETag."""
    return await read(uow, ActivityRule, rule_id, request)


@router.patch("/{rule_id}", response_model=ActivityRuleRecord, operation_id="update_activity_rule")
async def update_activity_rule(rule_id: UUID, body: ActivityRuleUpdate, uow: Uow) -> Response:
    """Change a rule (RFC 7396 merge patch; `filter` is replaced as a whole). Activities that it created stay as they are.

    `active: false` switches it off; switched on again, it applies to later events. Another `event_type` needs a filter and
    placeholders that fit it: 422.
    """
    return await one(uow, await commands.update_rule(uow, rule_id, body))


@router.delete("/{rule_id}", status_code=204, operation_id="delete_activity_rule")
async def delete_activity_rule(rule_id: UUID, uow: Uow) -> Response:
    """Delete a rule; activities that it created stay. A rule that came with the installation does not come back."""
    await commands.delete_rule(uow, rule_id)
    return gone()


@router.get("/{rule_id}/history", response_model=HistoryPage, operation_id="list_activity_rule_history")
@shows_history
async def list_activity_rule_history(rule_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, ActivityRule, rule_id, request)


@router.get("/{rule_id}/runs", response_model=UncountedPage[RuleRunRead], operation_id="list_activity_rule_runs")
async def list_activity_rule_runs(
    rule_id: UUID,
    uow: Uow,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Items per page, 1 to 200.")] = DEFAULT_PAGE,
    after: Annotated[str | None, Query(max_length=2000, description="`next` of the page before.")] = None,
) -> Response:
    """The events to which the rule applied, newest first, and what became of each. Runs are kept for 60 days.

    A run that failed has created nothing, and delays nothing else. `error` says why.
    """
    await uow.read(ActivityRule, rule_id)
    return page(*await runs_page(uow, rule_id, limit, after), count=None)


@router.post("/{rule_id}/runs/{run_id}/retry", status_code=204, operation_id="retry_activity_rule_run")
async def retry_activity_rule_run(rule_id: UUID, run_id: UUID, uow: Uow) -> Response:
    """Try a failed run again, for example after its user was activated. 409 for a run that did not fail."""
    await commands.retry_run(uow, rule_id, run_id)
    return gone()
