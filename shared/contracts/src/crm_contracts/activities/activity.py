"""The fields that activities of all types share."""

from enum import StrEnum

from pydantic import Field

from crm_contracts.records import OwnedRecord
from crm_contracts.types import Open, Personal, Ref, Shape, ShortText, UtcDatetime


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class PartyRole(StrEnum):
    """Role of a party in an activity. Each type of activity allows some of them (Dataverse: participation type)."""

    FROM = "from"
    TO = "to"
    CC = "cc"
    BCC = "bcc"
    ORGANIZER = "organizer"
    REQUIRED = "required"
    OPTIONAL = "optional"


class Party(Shape):
    """A participant of an activity: a record, or an address without a record."""

    role: Open[PartyRole] = Field(description="Role of the party in the activity.")
    party: Ref | None = Field(description="The record, with its name as of writing; null if there is only an address.")
    address: Personal[ShortText | None] = Field(
        description="Telephone number or other address, when one was given.", examples=["+491701234567"]
    )
    name: Personal[ShortText | None] = Field(
        description="Name of the party: the name that was given, otherwise the record's name as of writing.",
        examples=["Ada Lovelace"],
    )


class ActivityRecord(OwnedRecord):
    """The fields that activities of all types have. Each type adds its own."""

    status: str = Field(description="State; changes only through commands of its type.", examples=["open"])
    status_reason: str = Field(description="Detail of the state.", examples=["not_started"])
    subject: ShortText = Field(description="Subject, 1 to 200 characters.")
    regarding: Ref | None = Field(description="The record to which the activity belongs, of any service.")
    due_at: UtcDatetime | None = Field(description="When it should be done.")
    priority: Open[Priority] = Field(description="Priority.")
    remind_at: UtcDatetime | None = Field(description="When to remind the owner.")
    reminded_at: UtcDatetime | None = Field(description="When the owner was reminded; read-only.")
    completed_at: UtcDatetime | None = Field(description="When it was completed; null unless it is; read-only.")
