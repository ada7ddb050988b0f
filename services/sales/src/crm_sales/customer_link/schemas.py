"""A customer as clients write it."""

from typing import Literal

from pydantic import Field

from crm_contracts.types import RefInput


class CustomerInput(RefInput):
    """The customer: an account or a contact."""

    type: Literal["account", "contact"] = Field(description="`account` or `contact`.", examples=["account"])
