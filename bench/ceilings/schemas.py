"""The JSON of a lead, shared by both applications: the suite's fields, without those that depend on the caller."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=200)]
LongText = Annotated[str, Field(max_length=32_000)]
# A plain pattern, not EmailStr: a slow validator would lower the ceiling.
Email = Annotated[str, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
Phone = Annotated[str, Field(pattern=r"^\+[0-9]{6,15}$")]

Gender = Literal["female", "male", "other", "unknown"]
Source = Literal[
    "advertisement", "employee_referral", "partner", "campaign", "sales_drive", "web", "word_of_mouth", "other"
]
Rating = Literal["hot", "warm", "cold"]
Need = Literal["must_have", "should_have", "good_to_have", "none"]
Channel = Literal["any", "email", "phone", "mobile", "post", "chat"]


class Address(BaseModel):
    line1: Text | None = None
    line2: Text | None = None
    city: Text | None = None
    region: Text | None = None
    postal_code: Text | None = None
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = None


class Money(BaseModel):
    amount: Annotated[Decimal, Field(max_digits=18, decimal_places=2)]
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]


class LeadCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    topic: Text
    first_name: Text | None = None
    last_name: Text | None = None
    company_name: Text | None = None
    job_title: Text | None = None
    gender: Gender | None = None
    birth_date: date | None = None
    email: Email | None = None
    phone: Phone | None = None
    mobile_phone: Phone | None = None
    address: Address | None = None
    website: Text | None = None
    industry: Text | None = None
    source: Source | None = None
    rating: Rating | None = None
    budget: Money | None = None
    estimated_value: Money | None = None
    estimated_close_date: date | None = None
    need: Need | None = None
    preferred_channel: Channel = "any"
    do_not_email: bool = False
    do_not_phone: bool = False
    do_not_post: bool = False
    campaign_id: UUID | None = None
    description: LongText | None = None


class LeadRead(LeadCreate):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    version: int
    number: str
    status: str
    status_reason: str
    owner_type: str
    owner_id: UUID
    business_unit_id: UUID
    created_at: datetime
    created_by: UUID
    modified_at: datetime
    modified_by: UUID
    budget_base: Money | None = None
    estimated_value_base: Money | None = None
    exchange_rate: Decimal | None = None
    account_id: UUID | None = None
    contact_id: UUID | None = None
    opportunity_id: UUID | None = None
    qualified_at: datetime | None = None
    disqualified_at: datetime | None = None
