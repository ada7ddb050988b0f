"""The HTTP face of users."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from crm_identity.removal.answering import UNDER_WAY, TransferTo, removed
from crm_identity.user import commands
from crm_identity.user.model import User
from crm_identity.user.schemas import PasswordReset, UserCreate, UserRead, UserUpdate
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history

router = APIRouter(prefix="/users", tags=["users"], route_class=about(User))

USERS = Listing(User, sortable=("created_at", "email", "name"), search="search_text", default_sort="name")


@router.get("", response_model=Page[UserRead], operation_id="list_users")
@lists(USERS)
async def list_users(request: Request, uow: Uow) -> Response:
    """Users: filter, search name and address with `q`, sort by name, email or created_at, page."""
    return await list_records(uow, USERS, request)


@router.post("/query", response_model=Page[UserRead], operation_id="query_users")
async def query_users(query: Query, uow: Uow) -> Response:
    """Users by a JSON filter with and, or, not."""
    return await query_records(uow, USERS, query)


@router.post("", response_model=UserRead, status_code=201, operation_id="create_user")
async def create_user(body: UserCreate, uow: Uow) -> Response:
    """A new user. 403 when their roles grant more than you hold; 409 `already-exists` for a known address."""
    return await created(uow, await commands.create_user(uow, body))


@router.get("/{user_id}", response_model=UserRead, operation_id="get_user")
async def get_user(user_id: UUID, request: Request, uow: Uow) -> Response:
    """One user, with their version as ETag."""
    return await read(uow, User, user_id, request)


@router.patch("/{user_id}", response_model=UserRead, operation_id="update_user")
async def update_user(user_id: UUID, body: UserUpdate, uow: Uow) -> Response:
    """Change a user (RFC 7396 merge patch). With unit, teams or roles their tokens are superseded within 2 s.

    403 when it would grant more than you hold; 409 `last-administrator` when nobody could change rights any more.
    """
    return await one(uow, await commands.update_user(uow, user_id, body))


@router.delete("/{user_id}", status_code=204, responses=UNDER_WAY, operation_id="delete_user")
async def delete_user(user_id: UUID, uow: Uow, transfer_to: TransferTo = None) -> Response:
    """Delete a user who owns no records, else 409 `owns-records` with their number in each service.

    With `transfer_to`, the user is disabled at once, and all of their records get that owner; the answer is 202 with the
    removal, whose progress `GET /principal-removals/{id}` shows. Once all are moved, which takes a minute or more, the user is
    deleted. 202 without `transfer_to` means that a service has not answered yet. It needs the privilege to assign every kind of
    record of the organisation. 409 `last-administrator` for the only one who can change rights.

    Disabling is the normal way for a user who leaves: it keeps their records and their name.
    """
    return await removed(uow, await commands.delete_user(uow, user_id, transfer_to))


@router.get("/{user_id}/history", response_model=HistoryPage, operation_id="list_user_history")
@shows_history
async def list_user_history(user_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, User, user_id, request)


@router.post("/{user_id}/disable", response_model=UserRead, operation_id="disable_user")
async def disable_user(user_id: UUID, uow: Uow) -> Response:
    """Disable a user; their access ends within 2 s. 409 `last-administrator`. They keep their records."""
    return await one(uow, await commands.disable_user(uow, user_id))


@router.post("/{user_id}/enable", response_model=UserRead, operation_id="enable_user")
async def enable_user(user_id: UUID, uow: Uow) -> Response:
    """Enable a disabled user. This also ends a lock-out."""
    return await one(uow, await commands.enable_user(uow, user_id))


@router.post("/{user_id}/reset-password", response_model=UserRead, operation_id="reset_user_password")
async def reset_password(user_id: UUID, body: PasswordReset, uow: Uow) -> Response:
    """Set a new password for a user. This ends all their sessions, and a lock-out after failed log-ins.

    403 for somebody who holds more rights than you.
    """
    return await one(uow, await commands.reset_password(uow, user_id, body))
