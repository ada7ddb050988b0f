"""Types of custom activities, which an organisation registers. They belong to the organisation."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field, JsonValue

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import RecordModel
from crm_contracts.types import LongText, Open, ShortText


class ActivityTypeStatus(StrEnum):
    DRAFT = "draft"
    ACTIVE = "active"
    RETIRED = "retired"


class ActivityTypeRecord(RecordModel):
    """A type of custom activities: its name, its labels, and the JSON Schema of its values."""

    status: Open[ActivityTypeStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[ActivityTypeStatus] = Field(description="Detail of the state, with the same value.")
    name: str = Field(
        description="Name for programs, unique; it never changes.", max_length=50, examples=["site_visit"]
    )
    labels: dict[str, ShortText] = Field(
        description="Name for people by language: `en`, `ja`, `zh-Hans`, `zh-Hant`.",
        examples=[{"en": "Site visit", "ja": "現地訪問"}],
    )
    description: LongText | None = Field(
        description="What the type is for, at most 32,000 characters.", examples=["A visit to a branch."]
    )
    values_schema: dict[str, JsonValue] = Field(
        description="JSON Schema 2020-12 of the values, in its newest version.",
        examples=[{"type": "object", "properties": {"visitors": {"type": "integer", "minimum": 1}}}],
    )
    schema_version: int = Field(description="Number of the newest version of the schema, from 1.", ge=1, examples=[1])


ACTIVITY_TYPE = Entity(
    service="activities",
    name="activity_type",
    collection="activity-types",
    record=ActivityTypeRecord,
    owned=False,
    setting=True,
)


class ActivityTypeEvent(Event):
    """Something happened to a type of custom activities."""

    entity: ClassVar[Entity] = ACTIVITY_TYPE
    record: ActivityTypeRecord


class ActivityTypeCreated(ActivityTypeEvent):
    """A type of custom activities was registered, with the first version of its schema."""

    type: ClassVar[str] = "crm.activities.activity_type.created.v1"


class ActivityTypeUpdated(ActivityTypeEvent):
    """Labels or the description of a type changed."""

    type: ClassVar[str] = "crm.activities.activity_type.updated.v1"


class ActivityTypePublished(ActivityTypeEvent):
    """A type has a new version of its schema."""

    type: ClassVar[str] = "crm.activities.activity_type.published.v1"


class ActivityTypeActivated(ActivityTypeEvent):
    """Activities of the type can be made from now on."""

    type: ClassVar[str] = "crm.activities.activity_type.activated.v1"


class ActivityTypeRetired(ActivityTypeEvent):
    """No new activities of the type can be made."""

    type: ClassVar[str] = "crm.activities.activity_type.retired.v1"


class ActivityTypeDeleted(ActivityTypeEvent):
    """A draft of a type was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.activities.activity_type.deleted.v1"


class ActivityTypeSnapshot(ActivityTypeEvent):
    """The current state of a type, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.activities.activity_type.snapshot.v1"
