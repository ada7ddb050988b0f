"""What clients send about appointments and what they get."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_activities.activity.schemas import MOST_PARTIES, CommonFields, PartyInput, SeenParty, SeenRegarding
from crm_contracts.activities.activity import PartyRole
from crm_contracts.activities.appointment import AppointmentRecord, Attendee, Reply
from crm_contracts.types import Date, Email, Flag, Maybe, Personal, RefInput, ShortText, UtcDatetime
from crm_contracts.zones import TimeZone
from crm_kit.records.patch import Patch, optional

Shown = Literal["free", "tentative", "busy", "out_of_office"]
Minutes = Annotated[int, Field(ge=0, le=40_320, strict=True)]
"""Minutes before the start of an appointment, up to four weeks."""


class AttendeeRecord(RefInput):
    """A participant of an appointment, as clients write it."""

    type: Literal["account", "contact", "lead", "user"] = Field(
        description="`account`, `contact`, `lead` or `user`.", examples=["contact"]
    )


class AttendeeInput(PartyInput):
    """Who takes part: a record, an e-mail address, or both."""

    role: Literal[PartyRole.ORGANIZER, PartyRole.REQUIRED, PartyRole.OPTIONAL] = Field(
        PartyRole.REQUIRED, description="`organizer` (at most one), `required` or `optional`."
    )
    party: AttendeeRecord | None = Field(None, description="Account, contact, lead or user, readable by you.")
    address: Personal[Maybe[Email]] = Field(None, description="E-mail address, to which invitations are sent.")
    reply: Reply | None = Field(
        None, description="The answer that you know of; when it is null, the answer of who takes part already stays."
    )
    replied_at: UtcDatetime | None = Field(None, description="When they answered; by default now.")


class TimeFields(BaseModel):
    """When an appointment takes place."""

    all_day: Flag = Field(False, description="True if it lasts whole days; then send dates and no times.")
    start_date: Date | None = Field(None, description="First day, in `start_zone`, of an all-day appointment.")
    end_date: Date | None = Field(
        None, description="Last day, inclusive, of an all-day appointment; the first one by default."
    )
    scheduled_start_at: UtcDatetime | None = Field(None, description="When it begins; required unless all day.")
    scheduled_end_at: UtcDatetime | None = Field(None, description="When it ends; required unless all day.")
    start_zone: TimeZone | None = Field(
        None, description="IANA time zone of the start, in which calendars show it; the organisation's by default."
    )
    end_zone: TimeZone | None = Field(None, description="IANA time zone of the end; that of the start by default.")


class MeetingFields(TimeFields):
    """The fields that clients write of an appointment and of a series of them."""

    location: Maybe[ShortText] = Field(None, description="Where it takes place, at most 200 characters.")
    parties: list[AttendeeInput] = Field(
        default_factory=list,
        max_length=MOST_PARTIES,
        description="The organizer and who is invited; a patch replaces all. Without an organizer it is the owner.",
    )
    reminder_minutes: Minutes | None = Field(
        None, description="Remind the owner this many minutes before the start, 0 to 40,320; instead of `remind_at`."
    )


class AppointmentFields(MeetingFields, CommonFields):
    """The fields of an appointment that clients write. Texts are trimmed; an empty text is null."""


class AppointmentCreate(AppointmentFields):
    """A new appointment."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "subject": "Show the gold card",
                    "location": "Room 2",
                    "scheduled_start_at": "2026-12-01T09:00:00+01:00",
                    "scheduled_end_at": "2026-12-01T10:00:00+01:00",
                    "start_zone": "Europe/Vienna",
                    "parties": [{"role": "required", "address": "ada@example.org", "name": "Ada Lovelace"}],
                    "reminder_minutes": 15,
                },
                {"subject": "Trade fair", "all_day": True, "start_date": "2026-12-01", "end_date": "2026-12-03"},
            ]
        }
    )

    subject: ShortText = Field(description="What the appointment is about, 1 to 200 characters.")
    show_as: Shown = Field(
        "busy", description="How the time is shown: it sets the status. Later the commands change it."
    )


class AppointmentUpdate(Patch, AppointmentFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"location": "Room 3", "reminder_minutes": 30}]})

    subject: ShortText = optional("What the appointment is about, 1 to 200 characters.")


class AppointmentReschedule(Patch, TimeFields):
    """The new time. A new start without an end keeps the duration."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"scheduled_start_at": "2026-12-02T09:00:00+01:00"}]}
    )


class AppointmentConfirm(BaseModel):
    """How the reserved time is shown."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "busy"}]})

    reason: Literal["busy", "out_of_office"] = Field("busy", description="`busy` or `out_of_office`.")


class AttendeeRead(Attendee):
    """Who takes part in an appointment, as you may see it."""

    party: SeenParty


class AppointmentRead(AppointmentRecord):
    """An appointment as you may see it."""

    regarding: SeenRegarding
    parties: list[AttendeeRead] = Field(  # type: ignore[assignment]  # what is only read may say less than the record
        description="The organizer and who is invited. One whose record you may not read has no name of that record."
    )
    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")


class BusyQuery(TimeFields):
    """Whose time to look at, and when."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "scheduled_start_at": "2026-12-01T09:00:00Z",
                    "scheduled_end_at": "2026-12-01T10:00:00Z",
                    "party_ids": ["01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f"],
                }
            ]
        },
    )

    party_ids: list[UUID] = Field(
        min_length=1, max_length=MOST_PARTIES, description="Ids of users, contacts, leads and accounts, 1 to 500."
    )


class Conflict(BaseModel):
    """An appointment that overlaps."""

    appointment_id: UUID | None = Field(description="Id of the appointment; null if you may not read it.")
    subject: str | None = Field(description="Its subject; null if you may not read it.")
    hidden: bool = Field(description="True if you may not read the appointment, and learn only that the time is taken.")
    party_ids: list[UUID] = Field(description="Those asked for who take part in it, or own it.")
    status_reason: str = Field(description="tentative, busy or out_of_office.")
    scheduled_start_at: UtcDatetime = Field(description="When it begins.")
    scheduled_end_at: UtcDatetime = Field(description="When it ends.")


class Conflicts(BaseModel):
    """The appointments that overlap, by their start."""

    items: list[Conflict] = Field(description="The first 100.")
    more: bool = Field(description="True if there are more than these.")
