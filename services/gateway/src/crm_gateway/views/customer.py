"""``GET /customers/{id}/360``: all data about a customer that the caller may read, from all services, in one answer."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from crm_contracts.sentences import said
from crm_gateway.views.customer_schemas import Customer360
from crm_gateway.views.parts import Composer, Told
from crm_kit import clock
from crm_kit.errors import DomainError
from crm_kit.http.problems import MEDIA_TYPE, status_of
from crm_kit.http.requests import Route
from crm_kit.records.answers import READ_HEADERS, matches
from crm_kit.store.presenter import to_json

API: Final = "/api/v1"
SHOWN: Final = 10
CONTACTS: Final = 50
"""Maximum number of an account's contacts whose records are included. More ids would make the filters too long."""

OF_CUSTOMERS: Final = ("leads", "opportunities", "quotes", "orders", "invoices", "cases")
"""Collections of records that belong to a customer, filtered by ``customer.id``."""

Parts = dict[str, Told]


def _problem(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    410: _problem("The customer was merged; the problem links the survivor."),
    502: _problem("The service that owns the customer gave an answer that makes no sense."),
    503: _problem("The service that owns the customer cannot be reached; see Retry-After."),
    504: _problem("The service that owns the customer did not answer in time."),
}

router = APIRouter(prefix="/customers", tags=["customers"], route_class=Route)


@router.get("/{customer_id}/360", response_model=Customer360, operation_id="get_customer_360", responses=RESPONSES)
async def get_customer_360(customer_id: UUID, request: Request) -> Response:
    """Return an account or a contact with the first records that belong to it: leads, deals, quotes, orders, invoices,
    cases, campaigns, timeline.

    An account includes the records of its newest 50 contacts, as far as you may read the contacts. Campaigns are those
    of the leads and opportunities shown. Each list is the first page of its `href`. Its `next` leads to more.

    Only the customer is required: 404 if you may not read it. Any other part can be missing, because a service does not
    answer in time or because you may not read such records. It is then null and `unavailable` in `parts`, with the
    problem that its own path answers with. An empty list means that there are no records. All parts share one deadline:
    2.55 s, or your `Crm-Deadline-Ms`. `Crm-After` applies to every part. The weak ETag changes if anything but `as_of`
    and `trace_id` does.
    """
    composer = Composer(request)
    kind, parts = await _customer(composer, customer_id)
    ids = [customer_id, *_ids(parts.get("contacts"))]
    parts |= await _belongings(composer, ids, _why_incomplete(parts.get("contacts")))
    lists = {name: _list(told) for name, told in parts.items() if name != "customer"}
    shown: dict[str, Any] = {"type": kind, "customer": parts["customer"].value, **lists}
    etag = _etag(shown, parts)
    headers = {"etag": f"W/{etag}", **READ_HEADERS}
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    shown["parts"] = {name: told.part(composer.cause) for name, told in parts.items()}
    return Response(to_json(shown), headers=headers, media_type="application/json")


async def _customer(composer: Composer, customer_id: UUID) -> tuple[str, Parts]:
    """Return what the customer is, and the record; for an account also its contacts. The id does not tell the kind."""
    account, contact, contacts = await asyncio.gather(
        composer.ask(f"{API}/accounts/{customer_id}"),
        composer.ask(f"{API}/contacts/{customer_id}"),
        composer.ask_list(_page("contacts", {"account_id": customer_id}, CONTACTS)),
    )
    if account.error is None:
        return "account", {"customer": account, "contacts": contacts}
    if contact.error is None:
        return "contact", {"customer": contact}
    raise _refusal([account.error, contact.error])


def _refusal(errors: Sequence[DomainError]) -> DomainError:
    """Return the error for a missing customer: 404 only if neither request failed, 403 if both were refused."""
    by_slug = {error.slug: error for error in errors}
    if failed := [error for error in errors if status_of(error.slug) not in (403, 404)]:
        return failed[0]
    if "not-found" in by_slug:
        return DomainError("not-found", "There is no such customer.")
    return DomainError(
        "forbidden", "You need the privilege to read accounts or contacts. Ask an administrator for a role that has it."
    )


async def _belongings(composer: Composer, ids: Sequence[UUID], why_incomplete: DomainError | None) -> Parts:
    async def of_customers(collection: str, field: str = "customer.id") -> Told:
        if why_incomplete is not None:
            return Told(f"{API}/{collection}", clock.now(), error=why_incomplete)
        return await composer.ask_list(_page(collection, _one_of(field, ids)))

    async with asyncio.TaskGroup() as group:
        lists = {collection: group.create_task(of_customers(collection)) for collection in OF_CUSTOMERS}
        timeline = group.create_task(of_customers("timeline", "regarding"))
        origins = [await lists["leads"], await lists["opportunities"]]
        campaigns = group.create_task(_campaigns(composer, origins))
    found = {collection: task.result() for collection, task in lists.items()}
    return {**found, "campaigns": campaigns.result(), "timeline": timeline.result()}


async def _campaigns(composer: Composer, origins: Sequence[Told]) -> Told:
    """Return the campaigns of the leads and deals. They are unknown as long as one of those lists is missing."""
    for told in origins:
        if (error := told.error) is not None:
            unknown = DomainError(
                error.slug, said("The campaigns are not known: {detail}", detail=error.detail), members=error.members
            )
            return Told(f"{API}/campaigns", clock.now(), error=unknown)
    ids = sorted(
        {UUID(item["campaign_id"]) for told in origins for item in told.value["items"] if item.get("campaign_id")}
    )
    if not ids:
        return Told("", min(told.as_of for told in origins), {"items": [], "next": None})
    return await composer.ask_list(_page("campaigns", _one_of("id", ids)))


def _one_of(field: str, ids: Sequence[UUID]) -> dict[str, object]:
    return {field: ids[0]} if len(ids) == 1 else {f"{field}[in]": ",".join(map(str, ids))}


def _page(collection: str, filters: Mapping[str, object], limit: int = SHOWN) -> str:
    return f"{API}/{collection}?{urlencode({**filters, 'limit': limit}, quote_via=quote, safe=',')}"


def _ids(told: Told | None) -> list[UUID]:
    return [UUID(item["id"]) for item in told.value["items"]] if told is not None and told.error is None else []


def _why_incomplete(contacts: Told | None) -> DomainError | None:
    """Return why an account's records may be incomplete. Contacts that the caller may not read do not count."""
    if contacts is None or contacts.error is None or contacts.error.slug == "forbidden":
        return None
    return contacts.error


def _list(told: Told) -> dict[str, Any] | None:
    if told.error is not None:
        return None
    return {"items": told.value["items"], "next": told.value["next"], "href": told.target or None}


def _etag(shown: Mapping[str, Any], parts: Parts) -> str:
    problems = {name: told.error.slug for name, told in parts.items() if told.error is not None}
    return f'"{hashlib.sha256(to_json([shown, problems])).hexdigest()[:16]}"'
