"""The HTTP face of sessions."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from crm_identity.session import commands
from crm_identity.session.schemas import SessionRead
from crm_kit.http.requests import Route, Uow
from crm_kit.records.answers import READ_HEADERS, Page
from crm_kit.records.listing import DEFAULT_PAGE, MAX_PAGE
from crm_kit.store.presenter import to_json

router = APIRouter(prefix="/auth/sessions", tags=["authentication"], route_class=Route)


@router.get("", response_model=Page[SessionRead], operation_id="list_sessions")
async def list_sessions(
    uow: Uow,
    user_id: Annotated[UUID | None, Query(description="Whose sessions; yours unless you send it.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Sessions of a page.")] = DEFAULT_PAGE,
    after: Annotated[UUID | None, Query(description="`next` of the page before.")] = None,
) -> Response:
    """Sessions that have not ended, the last log-in first: yours, or those of a user whom you may change.

    A session is one log-in with all its refreshes, at the token endpoint or by `POST /session`.
    """
    found = await commands.list_sessions(uow, user_id, after, limit + 1)
    items = found[:limit]
    shown = {"items": items, "next": items[-1]["id"] if len(found) > limit else None}
    return Response(to_json(shown), headers=READ_HEADERS, media_type="application/json")


@router.post("/{session_id}/end", status_code=204, operation_id="end_session")
async def end_session(session_id: UUID, uow: Uow) -> Response:
    """End a session of yours, or of a user whom you may change. Its access token is refused within 2 s.

    The user's other sessions get new access tokens with their refresh tokens. 404 for a session that has ended.
    """
    await commands.end_session(uow, session_id)
    return Response(status_code=204)
