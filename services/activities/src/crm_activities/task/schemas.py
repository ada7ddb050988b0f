"""What clients send about tasks and what they get."""

from decimal import Decimal

from pydantic import ConfigDict, Field

from crm_activities.activity.schemas import ActivityFields, SeenRegarding
from crm_contracts.activities.task import TaskRecord
from crm_contracts.types import Maybe, Percent, ShortText
from crm_kit.records.patch import Patch, optional


class TaskFields(ActivityFields):
    """The fields of a task that clients write. Texts are trimmed; an empty text is null."""

    percent_complete: Percent = Field(Decimal(0), description="Progress in percent, 0 to 100.")
    category: Maybe[ShortText] = Field(None, description="Free category, at most 200 characters.")


class TaskCreate(TaskFields):
    """A new task."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"subject": "Call Ada about the card", "due_at": "2026-12-01T09:00:00Z", "priority": "high"},
            ]
        }
    )

    subject: ShortText = Field(description="What to do, 1 to 200 characters.")


class TaskUpdate(Patch, TaskFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"percent_complete": 40}]})

    subject: ShortText = optional("What to do, 1 to 200 characters.")


class TaskRead(TaskRecord):
    """A task as you may see it."""

    regarding: SeenRegarding
    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")
