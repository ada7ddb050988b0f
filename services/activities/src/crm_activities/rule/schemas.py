"""What clients send about activity rules and what they get."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_activities.rule.domain import MOST_DAYS
from crm_contracts.activities.activity import Priority
from crm_contracts.activities.activity_rule import DueUnit, MadeType
from crm_contracts.types import Count, Flag, HiddenRef, LongText, Maybe, Ref, Shape, ShortText, UtcDatetime
from crm_kit.records.patch import Patch, optional

Days = Annotated[Count, Field(le=MOST_DAYS)]
EventType = Annotated[str, Field(max_length=120)]

NAME = "Name of the rule, 1 to 200 characters."
EVENT = "Type of the event, such as `crm.sales.lead.created.v1`: any event of a record that activities can be about."
SUBJECT = (
    "Subject of the activity, 1 to 200 characters. `{name}` stands for the name of the event's record, and `{field}`"
    " for any field by which the rule can be filtered."
)
AFTER = "Days from the event until the activity is due, 0 to 3650."


class Assignee(Shape):
    """The user or team that owns what a rule creates."""

    type: Literal["user", "team"] = Field(description="`user` or `team`.")
    id: UUID = Field(description="An active user or team.")


class ActivityRuleFields(BaseModel):
    """The fields of a rule that may be left out."""

    model_config = ConfigDict(extra="forbid")

    filter: dict[str, Any] | None = Field(
        None,
        description="JSON filter that the event must match; null for every such event. It takes the fields of the record,"
        " `changed` with the names of changed fields, and `event.<fact>` for what the event tells besides.",
    )
    active: Flag = Field(True, description="False switches the rule off.")
    activity_type: MadeType = Field(MadeType.TASK, description="Type of the activity.")
    description: Maybe[LongText] = Field(
        None,
        description="Description of the activity, with the placeholders of the subject; at most 32,000 characters.",
    )
    due_unit: DueUnit = Field(DueUnit.DAYS, description="Whether all days count, or Monday to Friday only.")
    priority: Priority = Field(Priority.NORMAL, description="Priority of the activity.")
    category: Maybe[ShortText] = Field(None, description="Category of a task, at most 200 characters.")
    assigned_to: Assignee | None = Field(
        None, description="Who owns the activity; null for the owner of the event's record, if it has one."
    )


class ActivityRuleCreate(ActivityRuleFields):
    """A new rule."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Call hot leads at once",
                    "event_type": "crm.sales.lead.created.v1",
                    "filter": {"field": "rating", "op": "eq", "value": "hot"},
                    "activity_type": "phone_call",
                    "subject": "Call {name}",
                    "due_after": 1,
                    "due_unit": "business_days",
                }
            ]
        },
    )

    name: ShortText = Field(description=NAME)
    event_type: EventType = Field(description=EVENT)
    subject: ShortText = Field(description=SUBJECT)
    due_after: Days = Field(description=AFTER)


class ActivityRuleUpdate(Patch, ActivityRuleFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field. `filter` is replaced as a whole."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"due_after": 10}]})

    name: ShortText = optional(NAME)
    event_type: EventType = optional(EVENT)
    subject: ShortText = optional(SUBJECT)
    due_after: Days = optional(AFTER)


class RuleRunRead(BaseModel):
    """An event for which a rule creates an activity."""

    id: UUID = Field(description="Id of the run.")
    state: Literal["pending", "done", "failed", "skipped"] = Field(
        description="`done`: the activity exists. `failed`: see `error`, and send `retry`. `skipped`: the rule was switched"
        " off or deleted before its turn."
    )
    error: str | None = Field(description="Why it failed, for people; null otherwise.")
    event_id: UUID = Field(description="Id of the event.")
    record: Ref | HiddenRef = Field(description="The record of the event.")
    activity: Ref | HiddenRef | None = Field(description="The created activity; null if there is none.")
    at: UtcDatetime = Field(description="When the rule got the event.")
    done_at: UtcDatetime | None = Field(description="When the activity was created; null if it was not.")
