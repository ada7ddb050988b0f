"""A customer as clients write it."""

from typing import Literal

from pydantic import Field

from crm_contracts.sales.opportunity import CustomerRef
from crm_contracts.types import HiddenMark, RefInput


class CustomerInput(RefInput):
    """The customer: an account or a contact."""

    type: Literal["account", "contact"] = Field(description="`account` or `contact`.", examples=["account"])


class HiddenCustomer(CustomerRef):
    """A customer that you may not read: its type and id, and no name."""

    hidden: HiddenMark


CustomerShown = CustomerRef | HiddenCustomer
"""The customer as an answer shows it."""
