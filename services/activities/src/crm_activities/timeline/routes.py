"""The HTTP face of timelines."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from crm_activities.timeline.query import timeline_page
from crm_activities.timeline.schemas import TimelinePage
from crm_kit.records.answers import page
from crm_kit.records.listing import DEFAULT_PAGE, MAX_PAGE
from crm_kit.requests import Route, Uow

router = APIRouter(prefix="/timeline", tags=["timeline"], route_class=Route)


@router.get("", response_model=TimelinePage, operation_id="list_timeline")
async def list_timeline(
    uow: Uow,
    regarding: Annotated[UUID, Query(description="Id of any record of any service.")],
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Items per page, 1 to 200.")] = DEFAULT_PAGE,
    after: Annotated[str | None, Query(max_length=2000, description="`next` of the page before.")] = None,
) -> Response:
    """The story of a record, newest first: activities about it and its own events; of a lead also those of the account,
    contact and opportunity it became.

    You see an activity if you may read that activity, and an event if you may read the record it happened to. 404
    unless you may read the record asked for; 410 `merged` names the `survivor` of a merged record. Of a deleted record
    the story can be read at organisation depth, like its history.
    """
    return page(*await timeline_page(uow, regarding, limit, after), count=None)
