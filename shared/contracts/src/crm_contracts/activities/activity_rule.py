"""Activity rules, which create activities after events. They belong to the organisation."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field, JsonValue

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import RecordModel
from crm_contracts.types import Count, LongText, Open, Ref, ShortText

from .activity import Priority


class MadeType(StrEnum):
    """The types of activity that a rule can create."""

    TASK = "task"
    PHONE_CALL = "phone_call"


class DueUnit(StrEnum):
    """How the days until an activity is due are counted. Business days are Monday to Friday in the organisation's time zone."""

    DAYS = "days"
    BUSINESS_DAYS = "business_days"


class ActivityRuleRecord(RecordModel):
    """A rule that creates an activity about a record after an event."""

    name: ShortText = Field(
        description="Name of the rule, 1 to 200 characters.", examples=["Call back after a complaint"]
    )
    event_type: str = Field(description="Type of the event.", examples=["crm.service.case.resolved.v1"])
    filter: dict[str, JsonValue] | None = Field(
        description="JSON filter that the event must match; null for every event of the type.",
        examples=[{"field": "type", "op": "eq", "value": "complaint"}],
    )
    active: bool = Field(description="False if the rule is switched off.")
    activity_type: Open[MadeType] = Field(description="Type of the activity that it creates.")
    subject: ShortText = Field(
        description="Subject of the activity. `{name}` stands for the name of the event's record, and `{field}` for a field"
        " of it.",
        examples=["Call back: {name}"],
    )
    description: LongText | None = Field(
        description="Description of the activity, with the same placeholders as the subject.",
        examples=["The case {number} was resolved."],
    )
    due_after: Count = Field(description="Days from the event until the activity is due, 0 to 3650.", examples=[3])
    due_unit: Open[DueUnit] = Field(description="Whether all days count, or Monday to Friday only.")
    priority: Open[Priority] = Field(description="Priority of the activity.")
    category: ShortText | None = Field(description="Category of a task; null for other types.", examples=["Call-back"])
    assigned_to: Ref | None = Field(
        description="The user or team that owns the activity; null for the owner of the event's record."
    )


ACTIVITY_RULE = Entity(
    service="activities",
    name="activity_rule",
    collection="activity-rules",
    record=ActivityRuleRecord,
    owned=False,
    setting=True,
)


class ActivityRuleEvent(Event):
    """Something happened to an activity rule."""

    entity: ClassVar[Entity] = ACTIVITY_RULE
    record: ActivityRuleRecord


class ActivityRuleCreated(ActivityRuleEvent):
    """An activity rule was created."""

    type: ClassVar[str] = "crm.activities.activity_rule.created.v1"


class ActivityRuleUpdated(ActivityRuleEvent):
    """An activity rule changed. Activities that it created do not change."""

    type: ClassVar[str] = "crm.activities.activity_rule.updated.v1"


class ActivityRuleDeleted(ActivityRuleEvent):
    """An activity rule was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.activities.activity_rule.deleted.v1"


class ActivityRuleSnapshot(ActivityRuleEvent):
    """The current state of an activity rule, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.activities.activity_rule.snapshot.v1"
