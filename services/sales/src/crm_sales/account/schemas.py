"""What clients send about accounts and what they get."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.sales.account import AccountRecord
from crm_contracts.sales.choices import Tier
from crm_contracts.types import Address, Count, Email, Flag, LongText, Maybe, NonNegativeMoney, ShortText, Url
from crm_kit.phones import PhoneInput
from crm_kit.records.merging import Merge
from crm_kit.records.patch import Patch, optional


class AccountFields(BaseModel):
    """The fields of an account that clients write. Texts are trimmed; an empty text is null."""

    model_config = ConfigDict(extra="forbid")

    number: Maybe[ShortText] = Field(
        None, description="Your own customer number, unique; drawn (ACC-00042) when a new account has none."
    )
    parent_account_id: UUID | None = Field(None, description="Parent account. Cycles are refused.")
    primary_contact_id: UUID | None = Field(None, description="Primary contact.")
    industry: Maybe[ShortText] = Field(None, description="Industry, at most 200 characters.")
    employees: Count | None = Field(None, description="Number of employees, zero or more.")
    annual_revenue: NonNegativeMoney | None = Field(None, description="Annual revenue.")
    website: Maybe[Url] = Field(None, description="Website, http or https.")
    email: Maybe[Email] = Field(None, description="E-mail address; its domain is kept in lower case.")
    phone: Maybe[PhoneInput] = Field(None, description="Telephone: E.164, or national; kept as E.164.")
    billing_address: Address | None = Field(None, description="Address for invoices.")
    shipping_address: Address | None = Field(None, description="Address for deliveries.")
    tier: Tier = Field(
        Tier.PROSPECT, description="Importance of the customer; a won deal raises it to at least standard."
    )
    credit_limit: NonNegativeMoney | None = Field(None, description="Credit limit.")
    credit_hold: Flag = Field(False, description="True if nothing more is sold on credit.")
    evaluation: Maybe[LongText] = Field(None, description="Assessment of the customer, at most 32,000 characters.")
    description: Maybe[LongText] = Field(None, description="Free text, at most 32,000 characters.")


class AccountCreate(AccountFields):
    """A new account."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Analytical Engines Ltd", "industry": "machines", "employees": 40}]}
    )

    name: ShortText = Field(description="Name, 1 to 200 characters.")


class AccountUpdate(Patch, AccountFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tier": "key"}]})

    name: ShortText = optional("Name, 1 to 200 characters.")


class AccountRead(AccountRecord):
    """An account as you may see it."""

    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")


AccountMergeField = Literal[
    "name",
    "parent_account_id",
    "primary_contact_id",
    "industry",
    "employees",
    "annual_revenue",
    "website",
    "email",
    "phone",
    "billing_address",
    "shipping_address",
    "tier",
    "credit_limit",
    "credit_hold",
    "evaluation",
    "description",
]


class AccountMerge(Merge):
    """Which account takes the place of this one, and what of this one it takes over (Dataverse: Merge)."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"into": "019aa2f0-0000-7000-8000-000000000001", "fields": ["email", "phone"]}]}
    )

    fields: list[AccountMergeField] = Field(
        [],
        max_length=16,
        description="Fields of which the survivor takes over the value of this account; its own `number` every account keeps.",
    )
