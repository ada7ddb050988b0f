"""The entities of activities that files can be imported into."""

from crm_activities.appointment.commands import IMPORTER as APPOINTMENTS

IMPORTERS = (APPOINTMENTS,)
