"""The details of leads, contacts and accounts that the search for duplicates compares.

A contact is a person and an account is a company. A lead is a person if it has a last name, else a company. Names of
persons are compared with names of persons, and names of companies with names of companies, because many leads work at
one company.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from crm_sales.account.model import Account
from crm_sales.contact.domain import full_name
from crm_sales.contact.model import Contact
from crm_sales.lead.model import Lead

Somebody = Lead | Contact | Account
Kind = Literal["person", "company"]


@dataclass(frozen=True, slots=True)
class Likeness:
    """The details of a person or company: name, e-mail address, telephone numbers in E.164.

    Empty details match nothing.
    """

    kind: Kind
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    mobile_phone: str | None = None
    id: UUID | None = None
    """The id of an existing record, which is not a duplicate of itself."""
    created_at: datetime | None = None

    @property
    def empty(self) -> bool:
        """Whether there is no detail to compare."""
        return not (self.name or self.email or self.phone or self.mobile_phone)


def likeness_of(record: Somebody) -> Likeness:
    """Return the details of an existing or new record."""
    return Likeness(
        kind_of(record),
        display_name(record),
        record.email,
        record.phone,
        None if isinstance(record, Account) else record.mobile_phone,
        record.__dict__.get("id"),
        record.__dict__.get("created_at"),
    )


def kind_of(record: Somebody) -> Kind:
    """Whether a record is about a person or a company."""
    if isinstance(record, Account) or (isinstance(record, Lead) and not record.last_name):
        return "company"
    return "person"


def display_name(record: Somebody) -> str | None:
    """Return the name of the person or company that a record describes."""
    match record:
        case Account():
            return record.name
        case Lead() if not record.last_name:
            return record.company_name
    return full_name(record.first_name, record.last_name)


def is_compared(record: Somebody) -> bool:
    """Whether an existing record is compared.

    A qualified lead is not: the records made from it are compared instead.
    """
    return record.status != "qualified"


def person_of(lead: Lead) -> Likeness:
    """Return the details of the contact that the lead would become."""
    return Likeness("person", full_name(lead.first_name, lead.last_name), lead.email, lead.phone, lead.mobile_phone)


def company_of(lead: Lead) -> Likeness:
    """Return the details of the account that the lead would become.

    E-mail and phones belong to the person if there is one.
    """
    if lead.last_name:
        return Likeness("company", lead.company_name)
    return Likeness("company", lead.company_name, lead.email, lead.phone, lead.mobile_phone)
