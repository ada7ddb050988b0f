"""The fields that the records of all services have."""

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from .types import Open, Shape, UtcDatetime


class OwnerType(StrEnum):
    USER = "user"
    TEAM = "team"
    CLIENT = "client"


class ActiveStatus(StrEnum):
    """States of an entity that can only be activated and deactivated. Each has one reason with the same name."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class RecordModel(Shape):
    """A record in APIs and events. A field without a value is null and is never left out."""

    id: UUID = Field(description="Id of the record (UUIDv7).", examples=["01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f"])
    version: int = Field(
        ge=1,
        description="Version: 1 at first, and 1 more after each change. It is the ETag and the event's `entityversion`.",
    )
    created_at: UtcDatetime = Field(description="When the record was created, UTC.")
    created_by: UUID | None = Field(description="Who created it: id of a user or API client; null for the system.")
    modified_at: UtcDatetime = Field(description="When the record last changed, UTC.")
    modified_by: UUID | None = Field(
        description="Who changed it last: id of a user or API client; null for the system."
    )


class OwnedRecord(RecordModel):
    """A record with an owner. The owner's business unit and the reader's roles decide who can read it."""

    owner_type: Open[OwnerType] = Field(description="`user`, `team` or `client`.", examples=["user"])
    owner_id: UUID = Field(description="Id of the owner.")
    owner_name: str | None = Field(description="Name of the owner as of writing; null when not known.")
    business_unit_id: UUID = Field(description="Business unit of the owner when the record was created or assigned.")


class Owner(Shape):
    """An owner at the time of an event."""

    owner_type: Open[OwnerType] = Field(description="`user`, `team` or `client`.", examples=["user"])
    owner_id: UUID = Field(description="Id of the owner.")
    owner_name: str | None = Field(description="Name of the owner as of writing; null when not known.")
    business_unit_id: UUID = Field(description="Business unit of the owner.")
