"""Contacts: people that we know."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import ActiveStatus, OwnedRecord, Owner
from crm_contracts.types import Address, Date, Email, LongText, Open, Personal, Phone, ShortText

from .choices import BuyingPower, Gender, PreferredChannel, Tier


class ContactRecord(OwnedRecord):
    """A person."""

    number: str = Field(description="Number for use by people; unique and never reused.", examples=["CON-00042"])
    status: Open[ActiveStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[ActiveStatus] = Field(description="Detail of the state, with the same value.")
    first_name: Personal[ShortText | None] = Field(description="First name, at most 200 characters.")
    last_name: Personal[ShortText] = Field(description="Last name, 1 to 200 characters.", examples=["Lovelace"])
    full_name: Personal[str] = Field(description="First and last name; read-only.", examples=["Ada Lovelace"])
    gender: Personal[Open[Gender] | None] = Field(description="Gender.")
    birth_date: Personal[Date | None] = Field(description="Date of birth.")
    account_id: UUID | None = Field(description="Account that the person belongs to.")
    job_title: ShortText | None = Field(description="Job title, at most 200 characters.")
    email: Personal[Email | None] = Field(description="E-mail address, domain in lower case.")
    phone: Personal[Phone | None] = Field(description="Telephone, E.164.")
    mobile_phone: Personal[Phone | None] = Field(description="Mobile telephone, E.164.")
    address: Personal[Address | None] = Field(description="Postal address.")
    tier: Open[Tier] = Field(description="Importance of the customer.")
    preferred_channel: Open[PreferredChannel] = Field(description="How the person wants to be contacted.")
    do_not_email: bool = Field(description="True if the person does not want e-mail.")
    do_not_phone: bool = Field(description="True if the person does not want calls.")
    do_not_post: bool = Field(description="True if the person does not want letters.")
    interests: list[ShortText] = Field(description="Interests, each 1 to 200 characters.", examples=[["travel"]])
    needs: LongText | None = Field(description="What the person needs, at most 32,000 characters.")
    buying_power: Open[BuyingPower] | None = Field(description="How much the person can spend.")
    evaluation: LongText | None = Field(description="Assessment of the customer, at most 32,000 characters.")
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")


CONTACT = Entity(
    service="sales", name="contact", collection="contacts", record=ContactRecord, owned=True, named="full_name"
)


class ContactEvent(Event):
    """Something happened to a contact."""

    entity: ClassVar[Entity] = CONTACT
    record: ContactRecord


class ContactCreated(ContactEvent):
    """A contact was created, by hand or from a lead."""

    type: ClassVar[str] = "crm.sales.contact.created.v1"


class ContactUpdated(ContactEvent):
    """Fields of a contact changed."""

    type: ClassVar[str] = "crm.sales.contact.updated.v1"


class ContactDeleted(ContactEvent):
    """A contact was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.sales.contact.deleted.v1"


class ContactAssigned(ContactEvent):
    """A contact was given to another owner."""

    type: ClassVar[str] = "crm.sales.contact.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class ContactActivated(ContactEvent):
    """An inactive contact may be changed and referred to again."""

    type: ClassVar[str] = "crm.sales.contact.activated.v1"


class ContactDeactivated(ContactEvent):
    """A contact became read-only and takes no new reference."""

    type: ClassVar[str] = "crm.sales.contact.deactivated.v1"
    reason: ShortText | None = Field(description="Why, at most 200 characters.")


class ContactMerged(ContactEvent):
    """A contact was merged into another and no longer exists. The survivor publishes `updated` if it changed. So does each
    record that referred to the merged contact and now refers to the survivor."""

    type: ClassVar[str] = "crm.sales.contact.merged.v1"
    timeline = ("survivor_id",)
    survivor_id: UUID = Field(description="Contact that it was merged into.")


class ContactSnapshot(ContactEvent):
    """The current state of a contact, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.contact.snapshot.v1"
    survivor_id: UUID | None = Field(
        default=None,
        description="Contact that it was merged into, as in `merged`; null if it was not merged.",
        examples=[None],
        json_schema_extra={"x-since": "1.1.0"},
    )
