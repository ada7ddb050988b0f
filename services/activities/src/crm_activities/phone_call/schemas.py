"""What clients send about phone calls and what they get."""

from typing import Literal

from pydantic import ConfigDict, Field

from crm_activities.activity.schemas import MOST_PARTIES, ActivityFields, PartyInput, SeenParty, SeenRegarding
from crm_contracts.activities.activity import Party, PartyRole
from crm_contracts.activities.phone_call import CallDirection, CallReason, PhoneCallRecord
from crm_contracts.types import Count, Flag, Maybe, Personal, RefInput, ShortText, UtcDatetime
from crm_kit.phones import PhoneInput
from crm_kit.records.patch import Patch, optional


class CallPartyRecord(RefInput):
    """A participant of a call, as clients write it."""

    type: Literal["account", "contact", "lead", "user"] = Field(
        description="`account`, `contact`, `lead` or `user`.", examples=["contact"]
    )


class CallParty(PartyInput):
    """Who calls or is called: a record, a telephone number, or both."""

    role: Literal[PartyRole.FROM, PartyRole.TO] = Field(description="`from`: who calls; `to`: who is called.")
    party: CallPartyRecord | None = Field(None, description="Account, contact, lead or user, readable by you.")
    address: Personal[Maybe[PhoneInput]] = Field(
        None, description="Telephone number in E.164, or a national one of the organisation's country."
    )


class PhoneCallFields(ActivityFields):
    """The fields of a phone call that clients write. Texts are trimmed; an empty text is null."""

    direction: CallDirection = Field(CallDirection.OUTGOING, description="Direction of the call.")
    phone_number: Personal[Maybe[PhoneInput]] = Field(
        None, description="Number of the other party in E.164, or in the national format of the organisation's country."
    )
    parties: list[CallParty] = Field(
        default_factory=list, max_length=MOST_PARTIES, description="Who calls and who is called; a patch replaces all."
    )
    scheduled_start_at: UtcDatetime | None = Field(None, description="When the call is planned to begin.")
    scheduled_end_at: UtcDatetime | None = Field(None, description="When it is planned to end.")
    started_at: UtcDatetime | None = Field(None, description="When the call began.")
    ended_at: UtcDatetime | None = Field(None, description="When the call ended.")
    duration_minutes: Count | None = Field(
        None,
        description="How long it took, in whole minutes; follows from `started_at` and `ended_at` when both are set.",
    )
    left_voicemail: Flag = Field(False, description="True if a voice message was left.")
    outcome: Maybe[ShortText] = Field(None, description="Result of the call, at most 200 characters.")


class PhoneCallCreate(PhoneCallFields):
    """A new phone call."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "subject": "Offer the gold card",
                    "direction": "outgoing",
                    "phone_number": "+491701234567",
                    "parties": [{"role": "to", "address": "+491701234567", "name": "Ada Lovelace"}],
                    "due_at": "2026-12-01T09:00:00Z",
                },
            ]
        }
    )

    subject: ShortText = Field(description="What the call is about, 1 to 200 characters.")


class PhoneCallUpdate(Patch, PhoneCallFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"outcome": "Interested", "duration_minutes": 12}]})

    subject: ShortText = optional("What the call is about, 1 to 200 characters.")


class PhoneCallComplete(Patch):
    """How the call went. What is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "outcome": "Interested",
                    "started_at": "2026-12-01T09:00:00Z",
                    "ended_at": "2026-12-01T09:12:00Z",
                },
            ]
        },
    )

    reason: CallReason | None = Field(
        None,
        description="`made` or `received`; unless said, made for an outgoing call and received for an incoming one.",
    )
    started_at: UtcDatetime | None = Field(None, description="When the call began.")
    ended_at: UtcDatetime | None = Field(None, description="When the call ended.")
    duration_minutes: Count | None = Field(None, description="How long it took, in whole minutes.")
    left_voicemail: Flag = Field(False, description="True if a voice message was left.")
    outcome: Maybe[ShortText] = Field(None, description="Result of the call, at most 200 characters.")


class PartyRead(Party):
    """Who takes part in a call, as you may see it."""

    party: SeenParty


class PhoneCallRead(PhoneCallRecord):
    """A phone call as you may see it."""

    regarding: SeenRegarding
    parties: list[PartyRead] = Field(  # type: ignore[assignment]  # what is only read may say less than the record
        description="Who called and who was called. One whose record you may not read has no name of that record."
    )
    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")
