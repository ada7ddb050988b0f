"""Follow-up rules, which create tasks after events. They belong to the organisation."""

from typing import ClassVar

from pydantic import Field, JsonValue

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import RecordModel
from crm_contracts.types import Count, Open, ShortText

from .activity import Priority


class FollowUpRuleRecord(RecordModel):
    """A rule that creates a task for the owner of a record after an event."""

    event_type: str = Field(description="Type of the event.", examples=["crm.service.case.resolved.v1"])
    filter: dict[str, JsonValue] | None = Field(
        description="JSON filter that the record of the event must match; null for every such event.",
        examples=[{"field": "type", "op": "eq", "value": "complaint"}],
    )
    active: bool = Field(description="False if the rule is switched off.")
    subject: ShortText = Field(
        description="Subject of the task; `{name}` stands for the name of the record.", examples=["Call back: {name}"]
    )
    days: Count = Field(description="Days from the event until the task is due, 0 to 3650.", examples=[3])
    priority: Open[Priority] = Field(description="Priority of the task.")
    category: ShortText | None = Field(description="Category of the task.", examples=["Call-back"])


FOLLOW_UP_RULE = Entity(
    service="activities",
    name="follow_up_rule",
    collection="follow-up-rules",
    record=FollowUpRuleRecord,
    owned=False,
    named="subject",
    setting=True,
)


class FollowUpRuleEvent(Event):
    """Something happened to a follow-up rule."""

    entity: ClassVar[Entity] = FOLLOW_UP_RULE
    record: FollowUpRuleRecord


class FollowUpRuleCreated(FollowUpRuleEvent):
    """A follow-up rule was created."""

    type: ClassVar[str] = "crm.activities.follow_up_rule.created.v1"


class FollowUpRuleUpdated(FollowUpRuleEvent):
    """A follow-up rule changed. Tasks that it created do not change."""

    type: ClassVar[str] = "crm.activities.follow_up_rule.updated.v1"


class FollowUpRuleDeleted(FollowUpRuleEvent):
    """A follow-up rule was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.activities.follow_up_rule.deleted.v1"


class FollowUpRuleSnapshot(FollowUpRuleEvent):
    """The current state of a follow-up rule, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.activities.follow_up_rule.snapshot.v1"
