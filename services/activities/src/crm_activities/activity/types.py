"""The activity types by name. The view ``activity``, lists and reminders are built from them."""

from crm_activities.activity.model import ActivityType
from crm_activities.phone_call.model import PhoneCall
from crm_activities.task.model import Task
from crm_contracts.activities.phone_call import PhoneCallReminderDue
from crm_contracts.activities.task import TaskReminderDue
from crm_contracts.catalogue import Event

TYPES: dict[str, type[ActivityType]] = {"phone_call": PhoneCall, "task": Task}

REMINDERS: dict[type[ActivityType], type[Event]] = {PhoneCall: PhoneCallReminderDue, Task: TaskReminderDue}
"""For each type, the event that a reminder emits."""
