"""Commands on types of custom activities."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, insert, select

from crm_activities.custom_type.checking import require_schema
from crm_activities.custom_type.model import CustomType, TypeVersion
from crm_activities.custom_type.schemas import ActivityTypeCreate, ActivityTypeUpdate, Publish
from crm_contracts.access import Privilege
from crm_contracts.activities.activity_type import (
    ActivityTypeActivated,
    ActivityTypeCreated,
    ActivityTypeDeleted,
    ActivityTypePublished,
    ActivityTypeRetired,
    ActivityTypeUpdated,
)
from crm_kit.errors import DomainError, NotFound
from crm_kit.records.patching import apply
from crm_kit.store.record import new_id
from crm_kit.work.uow import UnitOfWork


async def create_type(uow: UnitOfWork, body: ActivityTypeCreate) -> CustomType:
    """Register a type as a draft, with version 1 of its schema."""
    await uow.start(CustomType)
    require_schema(body.values_schema)
    made = uow.add(CustomType(**dict(body), id=new_id(), schema_version=1), ActivityTypeCreated)
    await _keep_version(uow, made, uow.now)
    return made


async def update_type(uow: UnitOfWork, type_id: UUID, body: ActivityTypeUpdate) -> CustomType:
    """Change the labels or the description of a type. A patch that changes no value does nothing."""
    found = await uow.get(CustomType, type_id, Privilege.WRITE)
    apply(found, dict(body))
    return uow.emit_if_changed(found, ActivityTypeUpdated)


async def publish_type(uow: UnitOfWork, type_id: UUID, body: Publish) -> CustomType:
    """Publish a new version of the schema. Values that exist keep theirs. The same schema again does nothing."""
    found = await uow.get(CustomType, type_id, Privilege.WRITE)
    found.require("publish")
    require_schema(body.values_schema)
    if body.values_schema == found.values_schema:
        return found
    found.values_schema, found.schema_version = body.values_schema, found.schema_version + 1
    await _keep_version(uow, found, uow.now)
    return uow.emit(found, ActivityTypePublished)


async def activate_type(uow: UnitOfWork, type_id: UUID) -> CustomType:
    """Let activities of the type be made."""
    found = await uow.get(CustomType, type_id, Privilege.WRITE)
    found.move("activate")
    return uow.emit(found, ActivityTypeActivated)


async def retire_type(uow: UnitOfWork, type_id: UUID) -> CustomType:
    """Let no new activities of the type be made. Those that exist stay."""
    found = await uow.get(CustomType, type_id, Privilege.WRITE)
    found.move("retire")
    return uow.emit(found, ActivityTypeRetired)


async def delete_type(uow: UnitOfWork, type_id: UUID) -> None:
    """Delete a draft. 409 ``not-deletable`` for a type that was active once."""
    found = await uow.get(CustomType, type_id, Privilege.DELETE)
    if found.status != "draft":
        raise DomainError("not-deletable", "Only a draft can be deleted. Retire an active type instead.")
    await uow.transaction()
    await uow.execute(delete(TypeVersion).where(TypeVersion.__table__.c.type_id == type_id))
    uow.remove(found, ActivityTypeDeleted)


async def version_of(uow: UnitOfWork, type_id: UUID, number: int | None) -> TypeVersion:
    """Return a version of a type that the caller may read, the newest without a number. 404 for one that does not exist."""
    found = await uow.read(CustomType, type_id)
    versions = TypeVersion.__table__
    wanted = select(versions).where(
        versions.c.type_id == type_id, versions.c.number == (found.schema_version if number is None else number)
    )
    row = (await uow.execute(wanted)).one_or_none()
    if row is None:
        raise NotFound("version")
    return TypeVersion(**row._mapping)


async def _keep_version(uow: UnitOfWork, of: CustomType, at: datetime) -> None:
    await uow.transaction()
    values = {
        "type_id": of.id,
        "number": of.schema_version,
        "values_schema": of.values_schema,
        "published_at": at,
    }
    await uow.execute(insert(TypeVersion).values(values))
