"""What clients send about faxes and what they get."""

from typing import Literal

from pydantic import ConfigDict, Field

from crm_activities.activity.schemas import MOST_PARTIES, ActivityFields, PartyInput, SeenParty, SeenRegarding
from crm_contracts.activities.activity import Party, PartyRole
from crm_contracts.activities.fax import FaxDirection, FaxReason, FaxRecord
from crm_contracts.types import LongText, Maybe, Personal, ShortText
from crm_kit.phones import PhoneInput
from crm_kit.records.patch import Patch, optional


class FaxParty(PartyInput):
    """Who sends or receives: a record, an address, or both."""

    role: Literal[PartyRole.FROM, PartyRole.TO] = Field(description="`from`: who sends; `to`: who receives.")


class FaxFields(ActivityFields):
    """The fields of a fax that clients write. Texts are trimmed; an empty text is null."""

    direction: FaxDirection = Field(FaxDirection.OUTGOING, description="Direction of the fax.")
    fax_number: Personal[Maybe[PhoneInput]] = Field(
        None,
        description="Fax number of the other party in E.164, or in the national format of the organisation's country.",
    )
    cover_page: Maybe[LongText] = Field(None, description="Text of the cover page, at most 32,000 characters.")
    parties: list[FaxParty] = Field(
        default_factory=list, max_length=MOST_PARTIES, description="Who sends and who receives; a patch replaces all."
    )


class FaxCreate(FaxFields):
    """A new fax."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "subject": "Your new contract",
                    "direction": "outgoing",
                    "fax_number": "+4315550100",
                    "cover_page": "For Ada Lovelace, two pages.",
                    "parties": [{"role": "to", "address": "Main Street 1, 1010 Vienna", "name": "Ada Lovelace"}],
                    "description": "Dear {recipient},\n\nyour contract begins on Monday.",
                },
            ]
        }
    )

    subject: ShortText = Field(description="What the fax is about, 1 to 200 characters.")


class FaxUpdate(Patch, FaxFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"subject": "Your contract of May"}]})

    subject: ShortText = optional("What the fax is about, 1 to 200 characters.")


class FaxComplete(Patch):
    """How the fax was completed."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "sent"}]})

    reason: FaxReason | None = Field(
        None,
        description="`sent` or `received`; unless said, sent for an outgoing fax and received for an incoming one.",
    )


class FaxPartyRead(Party):
    """Who takes part in a fax, as you may see it."""

    party: SeenParty


class FaxRead(FaxRecord):
    """A fax as you may see it."""

    regarding: SeenRegarding
    parties: list[FaxPartyRead] = Field(  # type: ignore[assignment]  # what is only read may say less than the record
        description="Who sends and who receives. One whose record you may not read has no name of that record."
    )
    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")
