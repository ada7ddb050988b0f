"""What clients send about sales contracts and what they get."""

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.sales.sales_contract import SalesContractRecord
from crm_contracts.types import Date, Ids, LongText, Maybe, NonNegativeMoney, ShortText
from crm_kit.records.patch import Patch, optional
from crm_sales.customer_link.schemas import CustomerInput, CustomerShown


class SalesContractFields(BaseModel):
    """The fields of a sales contract that clients write. Texts are trimmed; an empty text is null."""

    model_config = ConfigDict(extra="forbid")

    start_date: Date | None = Field(None, description="First day it holds, YYYY-MM-DD; needed to activate it.")
    end_date: Date | None = Field(
        None, description="Last day it holds, YYYY-MM-DD, not before the first; needed to activate it."
    )
    value: NonNegativeMoney | None = Field(None, description="What it is worth over the whole period, zero or more.")
    order_ids: Ids = Field([], description="Orders that it is about, readable to you; one named twice counts once.")
    description: Maybe[LongText] = Field(None, description="Free text, at most 32,000 characters.")


class SalesContractCreate(SalesContractFields):
    """A new contract, as a draft."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Fleet service",
                    "customer": {"type": "account", "id": "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e71"},
                    "start_date": "2090-01-01",
                    "end_date": "2090-12-31",
                    "value": {"amount": "12000.00", "currency": "EUR"},
                }
            ]
        }
    )

    name: ShortText = Field(description="What it is called, 1 to 200 characters.")
    customer: CustomerInput = Field(description="Account or contact, active and readable to you.")


class SalesContractUpdate(Patch, SalesContractFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"end_date": "2091-12-31"}]})

    name: ShortText = optional("What it is called, 1 to 200 characters.")
    customer: CustomerInput = optional("Account or contact, active and readable to you; not null.")


class SalesContractRead(SalesContractRecord):
    """A sales contract as you may see it."""

    customer: CustomerShown = Field(
        description="Account or contact that it was made with; `hidden` without its name where you may not read it."
    )
    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")


class SalesContractTermination(BaseModel):
    """Why a contract is broken off."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "The fleet was sold"}]})

    reason: ShortText = Field(description="Why, 1 to 200 characters; kept with the contract and told in the event.")
