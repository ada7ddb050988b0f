"""The entities of activities that files can be imported into."""

from crm_activities.appointment.commands import IMPORTER as APPOINTMENTS
from crm_activities.fax.commands import IMPORTER as FAXES
from crm_activities.letter.commands import IMPORTER as LETTERS
from crm_activities.recurring_appointment.commands import IMPORTER as SERIES

IMPORTERS = (APPOINTMENTS, FAXES, LETTERS, SERIES)
