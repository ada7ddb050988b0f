"""Tasks."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import Owner
from crm_contracts.types import LongText, Open, Percent, ShortText, UtcDatetime

from .activity import ActivityRecord


class TaskStatus(StrEnum):
    OPEN = "open"
    COMPLETED = "completed"
    CANCELED = "canceled"


class TaskStatusReason(StrEnum):
    """open: the first four; completed: completed; canceled: canceled."""

    NOT_STARTED = "not_started"
    IN_PROGRESS = "in_progress"
    WAITING = "waiting"
    DEFERRED = "deferred"
    COMPLETED = "completed"
    CANCELED = "canceled"


class TaskRecord(ActivityRecord):
    """A task."""

    status: Open[TaskStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[TaskStatusReason] = Field(description="Detail of the state.")
    subject: ShortText = Field(description="What to do, 1 to 200 characters.", examples=["Call Ada about the card"])
    percent_complete: Percent = Field(description="Progress in percent, 0 to 100.")
    category: ShortText | None = Field(description="Free category, at most 200 characters.")
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")


TASK = Entity(service="activities", name="task", collection="tasks", record=TaskRecord, owned=True, named="subject")


class TaskEvent(Event):
    """Something happened to a task."""

    entity: ClassVar[Entity] = TASK
    record: TaskRecord


class TaskCreated(TaskEvent):
    """A task was created, by hand or by a rule."""

    type: ClassVar[str] = "crm.activities.task.created.v1"


class TaskUpdated(TaskEvent):
    """Fields of a task changed."""

    type: ClassVar[str] = "crm.activities.task.updated.v1"


class TaskDeleted(TaskEvent):
    """A task was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.activities.task.deleted.v1"


class TaskAssigned(TaskEvent):
    """A task was given to another owner."""

    type: ClassVar[str] = "crm.activities.task.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class TaskStarted(TaskEvent):
    """Work on a task began."""

    type: ClassVar[str] = "crm.activities.task.started.v1"


class TaskWaiting(TaskEvent):
    """A task waits for somebody else."""

    type: ClassVar[str] = "crm.activities.task.waiting.v1"
    phrase = "waits for somebody else"


class TaskDeferred(TaskEvent):
    """A task was deferred."""

    type: ClassVar[str] = "crm.activities.task.deferred.v1"


class TaskCompleted(TaskEvent):
    """A task was done."""

    type: ClassVar[str] = "crm.activities.task.completed.v1"
    timeline = ("completed_at",)
    completed_at: UtcDatetime = Field(description="When it was done.")


class TaskCanceled(TaskEvent):
    """A task will not be done."""

    type: ClassVar[str] = "crm.activities.task.canceled.v1"


class TaskReopened(TaskEvent):
    """A completed or canceled task is open again."""

    type: ClassVar[str] = "crm.activities.task.reopened.v1"


class TaskRescheduled(TaskEvent):
    """The due time of a task changed."""

    type: ClassVar[str] = "crm.activities.task.rescheduled.v1"
    timeline = ("old_due_at", "new_due_at")
    old_due_at: UtcDatetime | None = Field(description="Due time before.")
    new_due_at: UtcDatetime | None = Field(description="Due time now.")


class TaskReminderDue(TaskEvent):
    """The reminder of a task is due."""

    type: ClassVar[str] = "crm.activities.task.reminder_due.v1"
    phrase = "reminder"
    timeline = ("remind_at",)
    remind_at: UtcDatetime = Field(description="Time of the reminder.")


class TaskSnapshot(TaskEvent):
    """The current state of a task, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.activities.task.snapshot.v1"
