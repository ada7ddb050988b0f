"""The HTTP face of teams."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from crm_contracts.identity import TeamRecord
from crm_identity.removal.answering import UNDER_WAY, TransferTo, removed
from crm_identity.team import commands
from crm_identity.team.model import Team
from crm_identity.team.schemas import TeamCreate, TeamUpdate
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history

router = APIRouter(prefix="/teams", tags=["teams"], route_class=about(Team))

TEAMS = Listing(Team, sortable=("created_at", "name"), search="search_text", default_sort="name")


@router.get("", response_model=Page[TeamRecord], operation_id="list_teams")
@lists(TEAMS)
async def list_teams(request: Request, uow: Uow) -> Response:
    """Teams: filter, search the name with `q`, sort by name or created_at, page."""
    return await list_records(uow, TEAMS, request)


@router.post("/query", response_model=Page[TeamRecord], operation_id="query_teams")
async def query_teams(query: Query, uow: Uow) -> Response:
    """Teams by a JSON filter with and, or, not."""
    return await query_records(uow, TEAMS, query)


@router.post("", response_model=TeamRecord, status_code=201, operation_id="create_team")
async def create_team(body: TeamCreate, uow: Uow) -> Response:
    """A new team. 403 when its roles grant more than you hold; 422 `unknown-reference`."""
    return await created(uow, await commands.create_team(uow, body))


@router.get("/{team_id}", response_model=TeamRecord, operation_id="get_team")
async def get_team(team_id: UUID, request: Request, uow: Uow) -> Response:
    """One team, with its version as ETag."""
    return await read(uow, Team, team_id, request)


@router.patch("/{team_id}", response_model=TeamRecord, operation_id="update_team")
async def update_team(team_id: UUID, body: TeamUpdate, uow: Uow) -> Response:
    """Change a team (RFC 7396 merge patch). With its roles, its members' tokens are superseded within 2 s."""
    return await one(uow, await commands.update_team(uow, team_id, body))


@router.delete("/{team_id}", status_code=204, responses=UNDER_WAY, operation_id="delete_team")
async def delete_team(team_id: UUID, uow: Uow, transfer_to: TransferTo = None) -> Response:
    """Delete a team that owns no records, else 409 `owns-records` with their number in each service; 409 `in-use` while a user is
    in it.

    With `transfer_to`, all of its records get that owner; the answer is 202 with the removal, whose progress
    `GET /principal-removals/{id}` shows. Once all are moved, which takes a minute or more, the team is deleted. 202 without
    `transfer_to` means that a service has not answered yet. It needs the privilege to assign every kind of record of the
    organisation.
    """
    return await removed(uow, await commands.delete_team(uow, team_id, transfer_to))


@router.get("/{team_id}/history", response_model=HistoryPage, operation_id="list_team_history")
@shows_history
async def list_team_history(team_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, Team, team_id, request)
