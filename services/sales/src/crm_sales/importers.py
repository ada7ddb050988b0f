"""The kinds of record that sales imports."""

from crm_sales.account.commands import IMPORTER as ACCOUNTS
from crm_sales.contact.commands import IMPORTER as CONTACTS
from crm_sales.lead.commands import IMPORTER as LEADS
from crm_sales.opportunity.migrate import IMPORTER as OPPORTUNITIES

IMPORTERS = (LEADS, CONTACTS, ACCOUNTS, OPPORTUNITIES)
