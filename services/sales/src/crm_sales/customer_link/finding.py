"""How lists of records with a customer are searched and filtered by the customer's name."""

from typing import Final

from crm_kit.records.filtering import Named, NameTable

PARTIES: Final = (
    NameTable("customer_account_id", "account", "name", ("account",), has_search=True),
    NameTable("customer_contact_id", "contact", "full_name", ("contact",), has_search=True),
)
CUSTOMER_NAME: Final = {"customer.name": Named(PARTIES)}
"""The filter ``customer.name``: names of customers that the caller may read."""
