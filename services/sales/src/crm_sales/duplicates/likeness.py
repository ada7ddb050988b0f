"""The details of leads, contacts and accounts that the search for duplicates compares.

A contact is a person and an account is a company. A lead is a person if it has a last name, else a company. Names of
persons are compared with names of persons, and names of companies with names of companies, because many leads work at
one company.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from crm_kit.folding import folded
from crm_kit.store.searching import LEGAL_FORMS, LEGAL_SIGNS
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


OTHER_FORM: Final = 0.95
"""The factor of the similarity of two names of companies whose legal forms differ. It says little about which company it is."""
_FORMS: Final = frozenset(LEGAL_FORMS.split("|"))
_SIGNS: Final = re.compile(LEGAL_SIGNS)
_PARTED: Final = str.maketrans(dict.fromkeys("-_+,;:()&", " ") | dict.fromkeys("./", ""))


def legal_forms(name: str) -> frozenset[str]:
    """Return the legal forms in the name of a company: that of ``Acme GmbH & Co. KG`` are ``gmbh``, ``co`` and ``kg``."""
    text = folded(name)
    words = _SIGNS.sub(" ", text).translate(_PARTED).split()
    return frozenset([*_SIGNS.findall(text), *(word for word in words if word in _FORMS)])


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
