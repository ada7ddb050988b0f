"""The activity types by name. The view ``activity``, lists and reminders are built from them."""

from crm_activities.activity.model import ActivityType
from crm_activities.appointment.model import Appointment
from crm_activities.email.model import Email
from crm_activities.fax.model import Fax
from crm_activities.letter.model import Letter
from crm_activities.phone_call.model import PhoneCall
from crm_activities.recurring_appointment.model import RecurringAppointment
from crm_activities.task.model import Task
from crm_contracts.activities.appointment import AppointmentReminderDue
from crm_contracts.activities.email import EmailReminderDue
from crm_contracts.activities.fax import FaxReminderDue
from crm_contracts.activities.letter import LetterReminderDue
from crm_contracts.activities.phone_call import PhoneCallReminderDue
from crm_contracts.activities.task import TaskReminderDue
from crm_contracts.catalogue import Event

TYPES: dict[str, type[ActivityType]] = {
    "appointment": Appointment,
    "email": Email,
    "fax": Fax,
    "letter": Letter,
    "phone_call": PhoneCall,
    "recurring_appointment": RecurringAppointment,
    "task": Task,
}

REMINDERS: dict[type[ActivityType], type[Event]] = {
    Appointment: AppointmentReminderDue,
    Email: EmailReminderDue,
    Fax: FaxReminderDue,
    Letter: LetterReminderDue,
    PhoneCall: PhoneCallReminderDue,
    Task: TaskReminderDue,
}
"""The event that a reminder emits, for each type whose records have reminders."""
