"""The HTTP face of all activities together; each type has its own collection for everything but reading."""

from fastapi import APIRouter, Request, Response

from crm_activities.activity.model import Activity
from crm_activities.activity.schemas import ActivityRead
from crm_activities.activity.types import TYPES
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists

router = APIRouter(prefix="/activities", tags=["activities"], route_class=about(*TYPES.values()))

ACTIVITIES = Listing(
    Activity,
    sortable=("created_at", "modified_at", "due_at", "subject", "priority"),
    ranks={"priority": "priority_rank"},
    search="search_text",
    kinds=TYPES,
)


@router.get("", response_model=Page[ActivityRead], operation_id="list_activities")
@lists(ACTIVITIES)
async def list_activities(request: Request, uow: Uow) -> Response:
    """Activities of every type that you may read: filter, search subject, parties and phone number with `q`, sort, page.

    Filters are `field=value` or `field[op]=value`, such as `type=phone_call`, `regarding.id=<id>`, `due_at[lt]=…`. Sort by
    created_at, modified_at, due_at, subject or priority (low, normal, high).
    """
    return await list_records(uow, ACTIVITIES, request)


@router.post("/query", response_model=Page[ActivityRead], operation_id="query_activities")
async def query_activities(query: Query, uow: Uow) -> Response:
    """Activities of every type by a JSON filter with and, or, not."""
    return await query_records(uow, ACTIVITIES, query)
