"""Accounts: companies that are or may become customers."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.money import Money
from crm_contracts.records import ActiveStatus, OwnedRecord, Owner
from crm_contracts.types import (
    Address,
    Count,
    Email,
    LongText,
    NonNegativeMoney,
    Open,
    Phone,
    Rate,
    ShortText,
    Url,
)

from .choices import Tier


class AccountRecord(OwnedRecord):
    """A company."""

    status: Open[ActiveStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[ActiveStatus] = Field(description="Detail of the state, with the same value.")
    name: ShortText = Field(description="Name, 1 to 200 characters.", examples=["Analytical Engines Ltd"])
    number: ShortText | None = Field(description="Your own customer number, at most 200 characters.")
    parent_account_id: UUID | None = Field(description="Parent account. Cycles are refused.")
    primary_contact_id: UUID | None = Field(description="Primary contact.")
    industry: ShortText | None = Field(description="Industry, at most 200 characters.")
    employees: Count | None = Field(description="Number of employees, zero or more.")
    annual_revenue: NonNegativeMoney | None = Field(description="Annual revenue, zero or more.")
    annual_revenue_base: Money | None = Field(
        description="`annual_revenue` in base currency at `exchange_rate`; read-only."
    )
    website: Url | None = Field(description="Website, http or https.")
    email: Email | None = Field(description="E-mail address, domain in lower case.")
    phone: Phone | None = Field(description="Telephone, E.164.")
    billing_address: Address | None = Field(description="Address for invoices.")
    shipping_address: Address | None = Field(description="Address for deliveries.")
    tier: Open[Tier] = Field(description="Importance of the customer.")
    credit_limit: NonNegativeMoney | None = Field(description="Credit limit, zero or more.")
    credit_limit_base: Money | None = Field(
        description="`credit_limit` in base currency at `exchange_rate`; read-only."
    )
    credit_hold: bool = Field(description="True if nothing more is sold on credit.")
    exchange_rate: Rate | None = Field(
        description="Units of base currency per unit of the record's currency, pinned when the first amount was set; "
        "null without one."
    )
    evaluation: LongText | None = Field(description="Assessment of the customer, at most 32,000 characters.")
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")


ACCOUNT = Entity(service="sales", name="account", collection="accounts", record=AccountRecord, owned=True)


class AccountEvent(Event):
    """Something happened to an account."""

    entity: ClassVar[Entity] = ACCOUNT
    record: AccountRecord


class AccountCreated(AccountEvent):
    """An account was created, by hand or from a lead."""

    type: ClassVar[str] = "crm.sales.account.created.v1"


class AccountUpdated(AccountEvent):
    """Fields of an account changed."""

    type: ClassVar[str] = "crm.sales.account.updated.v1"


class AccountDeleted(AccountEvent):
    """An account was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.sales.account.deleted.v1"


class AccountAssigned(AccountEvent):
    """An account was given to another owner."""

    type: ClassVar[str] = "crm.sales.account.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class AccountActivated(AccountEvent):
    """An inactive account may be changed and referred to again."""

    type: ClassVar[str] = "crm.sales.account.activated.v1"


class AccountDeactivated(AccountEvent):
    """An account became read-only and takes no new reference."""

    type: ClassVar[str] = "crm.sales.account.deactivated.v1"
    reason: ShortText | None = Field(description="Why, at most 200 characters.")


class AccountMerged(AccountEvent):
    """An account was merged into another and no longer exists. The survivor publishes `updated` if it changed. So does each
    record that referred to the merged account and now refers to the survivor."""

    type: ClassVar[str] = "crm.sales.account.merged.v1"
    timeline = ("survivor_id",)
    survivor_id: UUID = Field(description="Account that it was merged into.")


class AccountSnapshot(AccountEvent):
    """The current state of an account, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.account.snapshot.v1"
    survivor_id: UUID | None = Field(
        default=None,
        description="Account that it was merged into, as in `merged`; null if it was not merged.",
        examples=[None],
        json_schema_extra={"x-since": "1.1.0"},
    )
