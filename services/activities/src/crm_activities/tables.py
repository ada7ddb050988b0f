"""All tables of the activities database, for migrations and tests."""

from crm_activities.appointment.model import Appointment
from crm_activities.db import Base
from crm_activities.follow_up.model import FollowUpRule
from crm_activities.handover import ActivitiesHandover
from crm_activities.merging import MoveTask
from crm_activities.phone_call.model import PhoneCall
from crm_activities.projections.link import TimelineLink
from crm_activities.projections.record_ref import RecordRef
from crm_activities.projections.timeline_event import TimelineEvent
from crm_activities.task.model import Task
from crm_kit.tables import add_kit_tables

ENTITIES = (Task, PhoneCall, Appointment, FollowUpRule, ActivitiesHandover)
OTHERS = (RecordRef, TimelineEvent, TimelineLink, MoveTask)

METADATA = Base.metadata
add_kit_tables(METADATA)
