"""The HTTP face of types of custom activities: settings of the whole organisation."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from crm_activities.custom_type import commands
from crm_activities.custom_type.form import TypeForm, form_of
from crm_activities.custom_type.model import CustomType
from crm_activities.custom_type.schemas import ActivityTypeCreate, ActivityTypeRead, ActivityTypeUpdate, Publish
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, list_records, query_records
from crm_kit.records.listing import Query as FilterQuery
from crm_kit.records.parameters import lists, shows_history

router = APIRouter(prefix="/activity-types", tags=["activity types"], route_class=about(CustomType))

TYPES = Listing(CustomType, sortable=("created_at", "name"), default_sort="name")


@router.get("", response_model=Page[ActivityTypeRead], operation_id="list_activity_types")
@lists(TYPES)
async def list_activity_types(request: Request, uow: Uow) -> Response:
    """Types of custom activities: filter, page, sort by name or created_at."""
    return await list_records(uow, TYPES, request)


@router.post("/query", response_model=Page[ActivityTypeRead], operation_id="query_activity_types")
async def query_activity_types(query: FilterQuery, uow: Uow) -> Response:
    """Types by a JSON filter with and, or, not."""
    return await query_records(uow, TYPES, query)


@router.post("", response_model=ActivityTypeRead, status_code=201, operation_id="create_activity_type")
async def create_activity_type(body: ActivityTypeCreate, uow: Uow) -> Response:
    """Register a type as a draft, with version 1 of its schema.

    The schema is JSON Schema 2020-12 of an object: 422 `invalid-schema` with a pointer to what is wrong. `$ref` and unknown
    keywords are refused; `format` is checked. 409 `already-exists` when another type has the name.
    """
    return await created(uow, await commands.create_type(uow, body))


@router.get("/{type_id}", response_model=ActivityTypeRead, operation_id="get_activity_type")
async def get_activity_type(type_id: UUID, request: Request, uow: Uow) -> Response:
    """One type, with its version as ETag."""
    return await read(uow, CustomType, type_id, request)


@router.patch("/{type_id}", response_model=ActivityTypeRead, operation_id="update_activity_type")
async def update_activity_type(type_id: UUID, body: ActivityTypeUpdate, uow: Uow) -> Response:
    """Change the labels or the description of a type (RFC 7396 merge patch). `publish` changes its schema."""
    return await one(uow, await commands.update_type(uow, type_id, body))


@router.delete("/{type_id}", status_code=204, operation_id="delete_activity_type")
async def delete_activity_type(type_id: UUID, uow: Uow) -> Response:
    """Delete a draft; 409 `not-deletable` for a type that was active once."""
    await commands.delete_type(uow, type_id)
    return gone()


@router.get("/{type_id}/history", response_model=HistoryPage, operation_id="list_activity_type_history")
@shows_history
async def list_activity_type_history(type_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, CustomType, type_id, request)


@router.get("/{type_id}/form", response_model=TypeForm, operation_id="get_activity_type_form")
async def get_activity_type_form(
    type_id: UUID,
    uow: Uow,
    version: Annotated[
        int | None, Query(ge=1, le=2_000_000_000, description="Number of the version; the newest without it.")
    ] = None,
) -> TypeForm:
    """The schema of a type in one version, and its fields with labels, types and options, so that you can build a form.

    Every version stays readable. 404 for a version that does not exist.
    """
    return form_of(await commands.version_of(uow, type_id, version))


@router.post("/{type_id}/publish", response_model=ActivityTypeRead, operation_id="publish_activity_type")
async def publish_activity_type(type_id: UUID, body: Publish, uow: Uow) -> Response:
    """Publish a new version of the schema of a draft or active type. The same schema again keeps the version.

    422 `invalid-schema` as for a new type. 409 for a retired type: activate it first.
    """
    return await one(uow, await commands.publish_type(uow, type_id, body))


@router.post("/{type_id}/activate", response_model=ActivityTypeRead, operation_id="activate_activity_type")
async def activate_activity_type(type_id: UUID, uow: Uow) -> Response:
    """Put a draft or retired type to use."""
    return await one(uow, await commands.activate_type(uow, type_id))


@router.post("/{type_id}/retire", response_model=ActivityTypeRead, operation_id="retire_activity_type")
async def retire_activity_type(type_id: UUID, uow: Uow) -> Response:
    """Take an active type out of use. `activate` brings it back."""
    return await one(uow, await commands.retire_type(uow, type_id))
