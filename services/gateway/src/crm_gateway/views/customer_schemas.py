"""What the view of a customer looks like. Records look as their own service describes them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from crm_gateway.views.parts import Part


def described_as(*names: str) -> WithJsonSchema:
    """A record by the name of its schema in its service's document, which the merged document refers to."""
    known: list[dict[str, Any]] = [{"type": "object", "x-schema": name} for name in names]
    return WithJsonSchema(known[0] if len(known) == 1 else {"anyOf": known})


class List(BaseModel):
    """The first page of a list."""

    next: str | None = Field(description="Value for `after` of the next page of `href`; null when this is all.")
    href: str | None = Field(
        description="The list this is the first page of, as a path with its filter: for more, or to read it again. Null"
        " when it is known to be empty without asking.",
        examples=["/api/v1/cases?customer.id=01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f&limit=10"],
    )


class Contacts(List):
    """People of an account."""

    items: list[Annotated[dict[str, Any], described_as("ContactRead")]] = Field(description="The newest 50.")


class Leads(List):
    """Leads that became this customer, or one of an account's contacts."""

    items: list[Annotated[dict[str, Any], described_as("LeadRead")]] = Field(description="The newest 10.")


class Opportunities(List):
    """Deals with this customer, or with one of an account's contacts."""

    items: list[Annotated[dict[str, Any], described_as("OpportunityRead")]] = Field(description="The newest 10.")


class Quotes(List):
    """Quotes for this customer, or for one of an account's contacts."""

    items: list[Annotated[dict[str, Any], described_as("QuoteRead")]] = Field(description="The newest 10.")


class Orders(List):
    """Orders of this customer, or of one of an account's contacts."""

    items: list[Annotated[dict[str, Any], described_as("OrderRead")]] = Field(description="The newest 10.")


class Invoices(List):
    """Invoices to this customer, or to one of an account's contacts."""

    items: list[Annotated[dict[str, Any], described_as("InvoiceRead")]] = Field(description="The newest 10.")


class Cases(List):
    """Cases of this customer, or of one of an account's contacts."""

    items: list[Annotated[dict[str, Any], described_as("CaseRead")]] = Field(description="The newest 10.")


class Campaigns(List):
    """Campaigns that the leads and opportunities shown here came from."""

    items: list[Annotated[dict[str, Any], described_as("CampaignRead")]] = Field(description="The newest 10.")


class Timeline(List):
    """What happened with this customer, and with an account's contacts."""

    items: list[Annotated[dict[str, Any], described_as("TimelineItem")]] = Field(description="The newest 10.")


_OK: dict[str, Any] = {"status": "ok", "as_of": "2026-05-04T09:30:00Z"}
PARTS_EXAMPLE: dict[str, Any] = {
    **dict.fromkeys(
        ("customer", "contacts", "leads", "opportunities", "quotes", "orders", "invoices", "campaigns", "timeline"), _OK
    ),
    "cases": {
        "status": "unavailable",
        "as_of": "2026-05-04T09:30:00Z",
        "problem": {
            "type": "/problems/unavailable",
            "title": "Unavailable",
            "status": 503,
            "detail": "The service 'service' cannot be reached; try again.",
            "instance": "/api/v1/cases",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "retry_after": 1,
        },
    },
}


class Parts(BaseModel):
    """The availability of each part."""

    customer: Part = Field(description="Always `ok`: without it there is no answer.")
    contacts: Part | None = Field(None, description="Of an account only.")
    leads: Part = Field(description="Leads that became the customer.")
    opportunities: Part = Field(description="Deals with the customer.")
    quotes: Part = Field(description="Quotes for the customer.")
    orders: Part = Field(description="Orders of the customer.")
    invoices: Part = Field(description="Invoices to the customer.")
    cases: Part = Field(description="Cases of the customer.")
    campaigns: Part = Field(
        description="Also unavailable while leads or opportunities are, because the campaigns are then unknown."
    )
    timeline: Part = Field(description="The timeline.")


class Customer360(BaseModel):
    """A customer and their records. A part that is null is unavailable; `parts` says why."""

    type: Literal["account", "contact"] = Field(description="What the customer is.")
    customer: Annotated[dict[str, Any], described_as("AccountRead", "ContactRead")] = Field(
        description="The account or contact itself."
    )
    contacts: Contacts | None = Field(None, description="Of an account: its contacts, whose records are shown as well.")
    leads: Leads | None = Field(description="Leads.")
    opportunities: Opportunities | None = Field(description="Opportunities.")
    quotes: Quotes | None = Field(description="Quotes.")
    orders: Orders | None = Field(description="Orders.")
    invoices: Invoices | None = Field(description="Invoices.")
    cases: Cases | None = Field(description="Cases.")
    campaigns: Campaigns | None = Field(description="Campaigns.")
    timeline: Timeline | None = Field(description="Timeline.")
    parts: Parts = Field(description="Whether each part could be had, and as of when.", examples=[PARTS_EXAMPLE])
