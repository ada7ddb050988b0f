"""What clients send about letters and what they get."""

from typing import Literal

from pydantic import ConfigDict, Field

from crm_activities.activity.schemas import MOST_PARTIES, ActivityFields, PartyInput, SeenParty, SeenRegarding
from crm_contracts.activities.activity import Party, PartyRole
from crm_contracts.activities.letter import LetterDirection, LetterReason, LetterRecord
from crm_contracts.types import Address, Personal, ShortText
from crm_kit.records.patch import Patch, optional


class LetterParty(PartyInput):
    """Who sends or receives: a record, an address, or both."""

    role: Literal[PartyRole.FROM, PartyRole.TO] = Field(description="`from`: who sends; `to`: who receives.")


class LetterFields(ActivityFields):
    """The fields of a letter that clients write. Texts are trimmed; an empty text is null."""

    direction: LetterDirection = Field(LetterDirection.OUTGOING, description="Direction of the letter.")
    address: Personal[Address | None] = Field(None, description="Postal address of the other party.")
    parties: list[LetterParty] = Field(
        default_factory=list, max_length=MOST_PARTIES, description="Who sends and who receives; a patch replaces all."
    )


class LetterCreate(LetterFields):
    """A new letter."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "subject": "Your new contract",
                    "direction": "outgoing",
                    "address": {"line1": "Main Street 1", "postal_code": "1010", "city": "Vienna", "country": "AT"},
                    "parties": [{"role": "to", "address": "Main Street 1, 1010 Vienna", "name": "Ada Lovelace"}],
                    "description": "Dear {recipient},\n\nyour contract begins on Monday.",
                },
            ]
        }
    )

    subject: ShortText = Field(description="What the letter is about, 1 to 200 characters.")


class LetterUpdate(Patch, LetterFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"subject": "Your contract of May"}]})

    subject: ShortText = optional("What the letter is about, 1 to 200 characters.")


class LetterComplete(Patch):
    """How the letter was completed."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "sent"}]})

    reason: LetterReason | None = Field(
        None,
        description="`sent` or `received`; unless said, sent for an outgoing letter and received for an incoming one.",
    )


class LetterPartyRead(Party):
    """Who takes part in a letter, as you may see it."""

    party: SeenParty


class LetterRead(LetterRecord):
    """A letter as you may see it."""

    regarding: SeenRegarding
    parties: list[LetterPartyRead] = Field(  # type: ignore[assignment]  # what is only read may say less than the record
        description="Who sends and who receives. One whose record you may not read has no name of that record."
    )
    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")
