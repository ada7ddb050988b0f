"""The HTTP face of timelines."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from crm_activities.timeline.query import timeline_page
from crm_activities.timeline.schemas import TimelineItem
from crm_contracts.sentences import said
from crm_contracts.types import form
from crm_kit.errors import DomainError
from crm_kit.http.openapi import told
from crm_kit.http.requests import Route, Uow
from crm_kit.records.answers import UncountedPage, page
from crm_kit.records.listing import DEFAULT_PAGE, MAX_PAGE

ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
MOST = 100

router = APIRouter(prefix="/timeline", tags=["timeline"], route_class=Route)


@router.get("", response_model=UncountedPage[TimelineItem], operation_id="list_timeline", responses={410: told(410)})
async def list_timeline(
    uow: Uow,
    regarding: Annotated[UUID | None, Query(description="Id of any record of any service.")] = None,
    several: Annotated[
        str | None,
        Query(
            alias="regarding[in]",
            pattern=form(
                f"^{ID}(,{ID}){{0,{MOST - 1}}}$", said("Send 1 to {most} ids, with commas between them.", most=MOST)
            ),
            description=f"Ids of 1 to {MOST} records, for their stories in one; instead of `regarding`.",
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Items per page, 1 to 200.")] = DEFAULT_PAGE,
    after: Annotated[str | None, Query(max_length=2000, description="`next` of the page before.")] = None,
) -> Response:
    """The timeline of a record, newest first: activities about it, notes on it, calls in which it takes part, and its own
    events; for a lead also those of the account, contact and opportunity that it became, and for an account or
    contact those of the leads that became it and of its newest 200 deals. With `regarding[in]`, the combined timeline
    of several records, such as an account and its contacts, without those that you may not read.

    You see an activity or a note if you may read that one, and an event if you may read its record. 404
    unless you may read the requested record; 410 `merged` names the `survivor` of a merged record. The timeline of a deleted
    record can be read at organisation depth, like its history.
    """
    if (regarding is None) == (several is None):
        raise DomainError("invalid-parameter", "Send either regarding or regarding[in].")
    ids = [regarding] if regarding is not None else [UUID(one) for one in (several or "").split(",")]
    return page(*await timeline_page(uow, ids, limit, after), count=None)
