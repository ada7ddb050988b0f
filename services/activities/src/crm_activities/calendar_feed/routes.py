"""The HTTP face of feeds: their links, and the calendars behind them."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response

from crm_activities.calendar_feed import commands
from crm_activities.calendar_feed.schemas import CalendarFeedCreate, CalendarFeedLink, CalendarFeeds
from crm_kit.http.requests import NOT_KEYED, PublicRoute, Route, Uow
from crm_kit.process.runtime import Runtime
from crm_kit.records.answers import READ_HEADERS, gone, matches
from crm_kit.store.presenter import to_json

EXAMPLE: Final = "\r\n".join(
    [
        *("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Liaison//EN", "BEGIN:VEVENT"),
        *("UID:01a22eef-bb1c-7d3a-9c55-0d7a2f6e4b10", "DTSTAMP:20261201T093000Z", "DTSTART:20261208T090000Z"),
        *("DTEND:20261208T110000Z", "SUMMARY:Installation of the terminals", "END:VEVENT", "END:VCALENDAR", ""),
    ]
)
"""For OpenAPI (RFC 5545)."""

router = APIRouter(prefix="/calendar-feeds", tags=["calendar feeds"], route_class=Route)
public = APIRouter(prefix="/calendars", tags=["calendar feeds"], route_class=PublicRoute)


@router.get("", response_model=CalendarFeeds, operation_id="list_calendar_feeds")
async def list_calendar_feeds(uow: Uow) -> Response:
    """Your feed and those of your teams, if they have a link. The secrets are not stored and cannot be shown again."""
    found = {"items": await commands.feeds_of(uow)}
    return Response(to_json(found), 200, READ_HEADERS, "application/json")


@router.post(
    "", response_model=CalendarFeedLink, status_code=201, operation_id="create_calendar_feed", openapi_extra=NOT_KEYED
)
async def create_calendar_feed(body: CalendarFeedCreate, uow: Uow) -> Response:
    """A new secret link to your appointments, or to those of a team of yours, for a calendar program.

    If there is a link already, it is replaced and answers 404 from then on. 403 for a team to which you do not belong.
    """
    made = await commands.make_link(uow, body.team_id)
    return Response(to_json(made), 201, {"cache-control": "no-store"}, "application/json")


@router.post("/end", status_code=204, operation_id="end_calendar_feed", openapi_extra=NOT_KEYED)
async def end_calendar_feed(body: CalendarFeedCreate, uow: Uow) -> Response:
    """End the link to your appointments, or to those of a team of yours. 404 if there is none."""
    await commands.end_link(uow, body.team_id)
    return gone()


@public.get(
    "/{secret}.ics",
    operation_id="read_calendar",
    response_class=Response,
    responses={
        200: {
            "description": "The calendar.",
            "content": {"text/calendar": {"schema": {"type": "string"}, "example": EXAMPLE}},
        },
        304: {"description": "The calendar is the one of `If-None-Match`."},
    },
)
async def read_calendar(
    secret: Annotated[str, Path(max_length=100, description="The secret of the link.")], request: Request
) -> Response:
    """The calendar of a secret link (RFC 5545), without an access token: appointments from 90 days ago to a year ahead.

    Each occurrence of a series is an event of its own. Canceled appointments stay for 30 days as CANCELLED; deleted ones are
    gone. Equal content has an equal ETag. 404 for an old or unknown link.
    """
    runtime: Runtime = request.app.state.runtime
    known = request.headers.get("if-none-match")
    etag, body = await commands.feed_with(runtime, secret, lambda tag: matches(known, tag))
    headers = {"etag": etag, "cache-control": "private, no-cache"}
    if body is None:
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, "text/calendar; charset=utf-8")
