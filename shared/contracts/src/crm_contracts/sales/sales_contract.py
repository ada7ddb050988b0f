"""Sales contracts: agreements with customers for a period. (Service contracts belong to service management.)"""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.money import Money
from crm_contracts.records import OwnedRecord, Owner
from crm_contracts.types import Date, LongText, NonNegativeMoney, Open, Rate, ShortText, UtcDatetime

from .choices import SalesContractStatus
from .opportunity import CustomerRef


class SalesContractRecord(OwnedRecord):
    """An agreement with a customer for a period."""

    number: str = Field(description="Number for use by people; unique and never reused.", examples=["SCO-00042"])
    status: Open[SalesContractStatus] = Field(description="State; changes only through commands and by its end date.")
    status_reason: Open[SalesContractStatus] = Field(description="Detail of the state, with the same value.")
    name: ShortText = Field(description="Name, 1 to 200 characters.", examples=["Fleet service 2026"])
    customer: CustomerRef = Field(description="Account or contact of the contract.")
    start_date: Date | None = Field(
        description="First day on which it is valid, in the organisation's time zone; may be missing in a draft."
    )
    end_date: Date | None = Field(
        description="Last day it holds, in the organisation's time zone; may be missing in a draft. When the day is over, "
        "an active contract ends by itself."
    )
    value: NonNegativeMoney | None = Field(description="Value over the whole period, zero or more.")
    value_base: Money | None = Field(description="`value` in base currency at `exchange_rate`; read-only.")
    exchange_rate: Rate | None = Field(
        description="Units of base currency per unit of the record's currency, pinned when the first amount was set; "
        "null without one."
    )
    order_ids: list[UUID] = Field(description="Orders under the contract, each once, at most 50.")
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")
    activated_at: UtcDatetime | None = Field(description="When it was activated; null while a draft; read-only.")
    ended_at: UtcDatetime | None = Field(description="When it ended, by hand or by its end date; read-only.")
    terminated_at: UtcDatetime | None = Field(description="When it was terminated; read-only.")
    termination_reason: ShortText | None = Field(description="Why it was terminated; read-only.")


SALES_CONTRACT = Entity(
    service="sales", name="sales_contract", collection="sales-contracts", record=SalesContractRecord, owned=True
)


class SalesContractEvent(Event):
    """Something happened to a sales contract."""

    entity: ClassVar[Entity] = SALES_CONTRACT
    record: SalesContractRecord


class SalesContractCreated(SalesContractEvent):
    """A contract was drafted."""

    type: ClassVar[str] = "crm.sales.sales_contract.created.v1"


class SalesContractUpdated(SalesContractEvent):
    """Fields of a draft changed, or its customer was merged into another one, whatever its status."""

    type: ClassVar[str] = "crm.sales.sales_contract.updated.v1"


class SalesContractDeleted(SalesContractEvent):
    """A draft was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.sales.sales_contract.deleted.v1"


class SalesContractAssigned(SalesContractEvent):
    """A contract was given to another owner."""

    type: ClassVar[str] = "crm.sales.sales_contract.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class SalesContractActivated(SalesContractEvent):
    """A contract was activated. It is valid in its period, and its content can no longer change."""

    type: ClassVar[str] = "crm.sales.sales_contract.activated.v1"


class SalesContractEnded(SalesContractEvent):
    """A contract ended: its last day has passed (the actor is `system:sales`), or a user ended it earlier."""

    type: ClassVar[str] = "crm.sales.sales_contract.ended.v1"
    timeline = ("ended_at",)
    ended_at: UtcDatetime = Field(description="When it ended.")


class SalesContractTerminated(SalesContractEvent):
    """A contract was terminated before its end."""

    type: ClassVar[str] = "crm.sales.sales_contract.terminated.v1"
    timeline = ("terminated_at",)
    reason: ShortText = Field(description="Why, 1 to 200 characters.")
    terminated_at: UtcDatetime = Field(description="When it was terminated.")


class SalesContractSnapshot(SalesContractEvent):
    """The current state of a contract, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.sales_contract.snapshot.v1"
