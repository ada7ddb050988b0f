"""What of a lead, contact or account is compared with others, the same for every way duplicates are looked for.

A contact is a person and an account a company; a lead is a person where it has a last name, else a company. A person's
name is compared with persons' names and a company's with companies' names: many leads work at one company.
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
    """Who somebody is: a name, an e-mail address, telephone numbers in E.164. What is not known matches nothing."""

    kind: Kind
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    mobile_phone: str | None = None
    id: UUID | None = None
    """Of a record that exists: it is no duplicate of itself."""
    created_at: datetime | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is known that could be compared."""
        return not (self.name or self.email or self.phone or self.mobile_phone)


def likeness_of(record: Somebody) -> Likeness:
    """What is compared of a record, one that exists or one about to be made."""
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
    """The name of the person or company that a record is about."""
    match record:
        case Account():
            return record.name
        case Lead() if not record.last_name:
            return record.company_name
    return full_name(record.first_name, record.last_name)


def is_compared(record: Somebody) -> bool:
    """Whether an existing record counts: what a qualified lead became is compared instead of it."""
    return record.status != "qualified"


def person_of(lead: Lead) -> Likeness:
    """What a lead knows of its person, the contact to be."""
    return Likeness("person", full_name(lead.first_name, lead.last_name), lead.email, lead.phone, lead.mobile_phone)


def company_of(lead: Lead) -> Likeness:
    """What a lead knows of its company, the account to be. E-mail and phones are the person's where there is one."""
    if lead.last_name:
        return Likeness("company", lead.company_name)
    return Likeness("company", lead.company_name, lead.email, lead.phone, lead.mobile_phone)
