"""The HTTP face of follow-up rules: reference data of the whole organisation."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from crm_activities.follow_up import commands
from crm_activities.follow_up.model import FollowUpRule
from crm_activities.follow_up.schemas import FollowUpRuleCreate, FollowUpRuleUpdate
from crm_contracts.activities.follow_up_rule import FollowUpRuleRecord
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history

router = APIRouter(prefix="/follow-up-rules", tags=["follow-up rules"], route_class=about(FollowUpRule))

RULES = Listing(FollowUpRule, sortable=("created_at", "event_type"), default_sort="event_type")


@router.get("", response_model=Page[FollowUpRuleRecord], operation_id="list_follow_up_rules")
@lists(RULES)
async def list_follow_up_rules(request: Request, uow: Uow) -> Response:
    """Follow-up rules: filter, page, sort by event_type or created_at."""
    return await list_records(uow, RULES, request)


@router.post("/query", response_model=Page[FollowUpRuleRecord], operation_id="query_follow_up_rules")
async def query_follow_up_rules(query: Query, uow: Uow) -> Response:
    """Rules by a JSON filter with and, or, not."""
    return await query_records(uow, RULES, query)


@router.post("", response_model=FollowUpRuleRecord, status_code=201, operation_id="create_follow_up_rule")
async def create_follow_up_rule(body: FollowUpRuleCreate, uow: Uow) -> Response:
    """Create a rule: after each event of this type whose record matches, it creates a task for the record's owner, due after
    `days`.

    It applies to later events. 422 with the place in `filter` that breaks the grammar, or that names a field without
    filter (`unknown-field`).
    """
    return await created(uow, await commands.create_rule(uow, body))


@router.get("/{rule_id}", response_model=FollowUpRuleRecord, operation_id="get_follow_up_rule")
async def get_follow_up_rule(rule_id: UUID, request: Request, uow: Uow) -> Response:
    """One rule, with its version as ETag."""
    return await read(uow, FollowUpRule, rule_id, request)


@router.patch("/{rule_id}", response_model=FollowUpRuleRecord, operation_id="update_follow_up_rule")
async def update_follow_up_rule(rule_id: UUID, body: FollowUpRuleUpdate, uow: Uow) -> Response:
    """Change a rule (RFC 7396 merge patch; `filter` is replaced as a whole). Tasks that were made by it stay as they are.

    `active: false` switches it off. Another `event_type` needs a filter that fits it: 422.
    """
    return await one(uow, await commands.update_rule(uow, rule_id, body))


@router.delete("/{rule_id}", status_code=204, operation_id="delete_follow_up_rule")
async def delete_follow_up_rule(rule_id: UUID, uow: Uow) -> Response:
    """Delete a rule; tasks that were made by it stay. A rule that came with the installation does not come back."""
    await commands.delete_rule(uow, rule_id)
    return gone()


@router.get("/{rule_id}/history", response_model=HistoryPage, operation_id="list_follow_up_rule_history")
@shows_history
async def list_follow_up_rule_history(rule_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, FollowUpRule, rule_id, request)
