"""What clients send about follow-up rules and what they get."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from crm_activities.follow_up.domain import MOST_DAYS, FollowedType
from crm_contracts.activities.activity import Priority
from crm_contracts.types import Count, Flag, Maybe, ShortText
from crm_kit.records.patch import Patch, optional

Days = Annotated[Count, Field(le=MOST_DAYS)]


class FollowUpRuleFields(BaseModel):
    """The fields of a rule that may be left out."""

    model_config = ConfigDict(extra="forbid")

    filter: dict[str, Any] | None = Field(
        None,
        description="JSON filter that the record of the event must match; null for every such event. A deal is filtered by "
        "source, rating; a case by type, origin, priority, severity, status_reason.",
    )
    active: Flag = Field(True, description="False switches the rule off.")
    priority: Priority = Field(Priority.NORMAL, description="Priority of the task.")
    category: Maybe[ShortText] = Field(None, description="Category of the task, at most 200 characters.")


class FollowUpRuleCreate(FollowUpRuleFields):
    """A new rule."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "event_type": "crm.service.case.resolved.v1",
                    "filter": {"field": "type", "op": "eq", "value": "problem"},
                    "subject": "Is all well? {name}",
                    "days": 14,
                }
            ]
        },
    )

    event_type: FollowedType = Field(description="Type of the event that is followed up.")
    subject: ShortText = Field(description="Subject of the task; `{name}` stands for the name of the record.")
    days: Days = Field(description="Days from the event until the task is due, 0 to 3650.")


class FollowUpRuleUpdate(Patch, FollowUpRuleFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field. `filter` is replaced as a whole."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"days": 10}]})

    event_type: FollowedType = optional("Type of the event that is followed up.")
    subject: ShortText = optional("Subject of the task; `{name}` stands for the name of the record.")
    days: Days = optional("Days from the event until the task is due, 0 to 3650.")
