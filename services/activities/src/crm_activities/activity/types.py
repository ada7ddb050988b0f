"""The activity types there are, by their names; the view ``activity``, lists and timelines are made over these."""

from crm_activities.activity.model import ActivityColumns
from crm_activities.task.model import Task

TYPES: dict[str, type[ActivityColumns]] = {"task": Task}
