"""What clients send about tasks and what they get."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.activities import Priority, TaskRecord
from crm_contracts.types import LongText, Maybe, Percent, RefInput, ShortText, UtcDatetime


class TaskFields(BaseModel):
    """The fields of a task that clients write. Texts are trimmed; an empty one is null."""

    model_config = ConfigDict(extra="forbid")

    regarding: RefInput | None = Field(None, description="The record it is about: of any service, and readable by you.")
    due_at: UtcDatetime | None = Field(None, description="When it should be done.")
    priority: Priority = Field(Priority.NORMAL, description="How urgent it is.")
    percent_complete: Percent = Field(Decimal(0), description="How much is done in percent, 0 to 100.")
    category: Maybe[ShortText] = Field(None, description="Free category, at most 200 characters.")
    description: Maybe[LongText] = Field(None, description="Free text, at most 32,000 characters.")
    remind_at: UtcDatetime | None = Field(
        None, description="When to remind the owner; a moment gone by reminds at once."
    )


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


class TaskUpdate(TaskFields):
    """A merge patch (RFC 7396): fields that are absent stay, null clears."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"percent_complete": 40}]})

    subject: ShortText = Field("", description="What to do, 1 to 200 characters.", validate_default=False)


class TaskRead(TaskRecord):
    """A task as you may see it."""

    allowed_actions: list[str] = Field(description="The moves from here that you hold the privilege for.")


class TaskPage(BaseModel):
    """A page of tasks."""

    items: list[TaskRead] = Field(description="Tasks in the order asked for.")
    next: str | None = Field(description="Value for `after` of the next page; null at the end.")
    count: int | None = Field(None, description="All matches, when `count=exact` was asked for.")


class TaskReschedule(BaseModel):
    """When the task is due instead."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"due_at": "2026-12-08T09:00:00Z"}]})

    due_at: UtcDatetime | None = Field(description="When it is due now; null for no date.")


class TaskSnooze(BaseModel):
    """When to remind again."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"until": "2026-12-01T10:00:00Z"}]})

    until: UtcDatetime = Field(description="When to remind again; in the future.")
