"""The HTTP face of API clients."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from crm_identity.api_client import commands
from crm_identity.api_client.model import ApiClient
from crm_identity.api_client.schemas import (
    ApiClientCreate,
    ApiClientRead,
    ApiClientSecret,
    ApiClientUpdate,
)
from crm_identity.removal.answering import UNDER_WAY, TransferTo, removed
from crm_kit.http.requests import NOT_KEYED, Uow, about
from crm_kit.records.answers import Page, created, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Deactivation

router = APIRouter(prefix="/api-clients", tags=["API clients"], route_class=about(ApiClient))

CLIENTS = Listing(ApiClient, sortable=("created_at", "name"), default_sort="name")


@router.get("", response_model=Page[ApiClientRead], operation_id="list_api_clients")
@lists(CLIENTS)
async def list_api_clients(request: Request, uow: Uow) -> Response:
    """API clients: filter, sort by name or created_at, page. Secrets are never shown."""
    return await list_records(uow, CLIENTS, request)


@router.post("/query", response_model=Page[ApiClientRead], operation_id="query_api_clients")
async def query_api_clients(query: Query, uow: Uow) -> Response:
    """API clients by a JSON filter with and, or, not."""
    return await query_records(uow, CLIENTS, query)


# A kept answer would be a kept secret, so these two take no Idempotency-Key.
@router.post(
    "", response_model=ApiClientSecret, status_code=201, operation_id="create_api_client", openapi_extra=NOT_KEYED
)
async def create_api_client(body: ApiClientCreate, uow: Uow) -> Response:
    """Create an API client. Its secret is shown only once.

    It gets tokens by `POST /auth/token` with `grant_type=client_credentials`, its `id` as `client_id` and the secret.
    403 when its roles grant more than you hold; 409 `already-exists` for a known name. A retry therefore creates no second
    client;
    if the first answer was lost, `rotate-secret` gives another secret.
    """
    client, secret = await commands.create_client(uow, body)
    return _with_secret(await created(uow, client), secret)


@router.get("/{client_id}", response_model=ApiClientRead, operation_id="get_api_client")
async def get_api_client(client_id: UUID, request: Request, uow: Uow) -> Response:
    """One API client, with its version as ETag."""
    return await read(uow, ApiClient, client_id, request)


@router.patch("/{client_id}", response_model=ApiClientRead, operation_id="update_api_client")
async def update_api_client(client_id: UUID, body: ApiClientUpdate, uow: Uow) -> Response:
    """Change an active API client (RFC 7396 merge patch). With unit or roles its tokens are superseded within 2 s.

    403 when it would grant more than you hold; 409 `illegal-transition` while it is inactive.
    """
    return await one(uow, await commands.update_client(uow, client_id, body))


@router.delete("/{client_id}", status_code=204, responses=UNDER_WAY, operation_id="delete_api_client")
async def delete_api_client(client_id: UUID, uow: Uow, transfer_to: TransferTo = None) -> Response:
    """Delete an API client that owns no records, else 409 `owns-records` with their number in each service. Its tokens are
    superseded within 2 s.

    With `transfer_to`, the client is deactivated at once, and all of its records get that owner; the answer is 202 with the
    removal, whose progress `GET /principal-removals/{id}` shows. Once all are moved, which takes a minute or more, the client is
    deleted. 202 without `transfer_to` means that a service has not answered yet. It needs the privilege to assign every kind of
    record of the organisation.
    """
    return await removed(uow, await commands.delete_client(uow, client_id, transfer_to))


@router.get("/{client_id}/history", response_model=HistoryPage, operation_id="list_api_client_history")
@shows_history
async def list_api_client_history(client_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, ApiClient, client_id, request)


@router.post("/{client_id}/activate", response_model=ApiClientRead, operation_id="activate_api_client")
async def activate_api_client(client_id: UUID, uow: Uow) -> Response:
    """Activate an inactive API client. Its secret does not change."""
    return await one(uow, await commands.activate_client(uow, client_id))


@router.post("/{client_id}/deactivate", response_model=ApiClientRead, operation_id="deactivate_api_client")
async def deactivate_api_client(
    client_id: UUID, uow: Uow, body: Annotated[Deactivation | None, Body()] = None
) -> Response:
    """Deactivate an API client; its access ends within 2 s. It keeps its records."""
    return await one(uow, await commands.deactivate_client(uow, client_id, body or Deactivation()))


@router.post(
    "/{client_id}/rotate-secret",
    response_model=ApiClientSecret,
    operation_id="rotate_api_client_secret",
    openapi_extra=NOT_KEYED,
)
async def rotate_secret(client_id: UUID, uow: Uow) -> Response:
    """Create a new secret, which is shown only once. The old secret is invalid at once, and its tokens within 2 s.

    403 for a client that holds more rights than you.
    """
    client, secret = await commands.rotate_secret(uow, client_id)
    return _with_secret(await one(uow, client), secret)


def _with_secret(answer: Response, secret: str) -> Response:
    """The same answer with the secret in it, for no cache to keep. A secret is made of characters that JSON leaves alone."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("content-length", "content-type")}
    headers["cache-control"] = "no-store"
    body = bytes(answer.body)[:-1] + f',"secret":"{secret}"}}'.encode()
    return Response(body, answer.status_code, headers, "application/json")
