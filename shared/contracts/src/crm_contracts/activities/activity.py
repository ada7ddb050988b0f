"""What activities of every type have in common."""

from enum import StrEnum

from pydantic import Field

from crm_contracts.records import OwnedRecord
from crm_contracts.types import Open, Personal, Ref, Shape, ShortText, UtcDatetime


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class PartyRole(StrEnum):
    """What somebody is in an activity; each type has those that mean something there (Dataverse: participation type)."""

    FROM = "from"
    TO = "to"


class Party(Shape):
    """Somebody who takes part in an activity: a record, or an address that is nobody's record."""

    role: Open[PartyRole] = Field(description="What they are in it.")
    party: Ref | None = Field(description="The record, with its name as of writing; null for an address alone.")
    address: Personal[ShortText | None] = Field(
        description="Telephone number or other address, when one was given.", examples=["+491701234567"]
    )
    name: Personal[ShortText | None] = Field(
        description="How they are called: what was given, else the record's name as of writing.",
        examples=["Ada Lovelace"],
    )


class ActivityRecord(OwnedRecord):
    """An activity: what all types have in common. Each type says more."""

    status: str = Field(description="State; changes only through commands of its type.", examples=["open"])
    status_reason: str = Field(description="Detail of the state.", examples=["not_started"])
    subject: ShortText = Field(description="What it is about, 1 to 200 characters.")
    regarding: Ref | None = Field(description="The record it is about, of any service.")
    due_at: UtcDatetime | None = Field(description="When it should be done.")
    priority: Open[Priority] = Field(description="How urgent it is.")
    remind_at: UtcDatetime | None = Field(description="When to remind the owner.")
    reminded_at: UtcDatetime | None = Field(description="When the owner was reminded; read-only.")
    completed_at: UtcDatetime | None = Field(description="When it was completed; null unless it is; read-only.")
