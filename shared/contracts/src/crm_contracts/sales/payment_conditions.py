"""Payment terms as data: when an invoice is due, and the discount for an early payment."""

from typing import Annotated

from pydantic import Field, Strict

from crm_contracts.types import Percent, Shape

Days = Annotated[int, Strict(), Field(ge=0, le=365)]
"""A number of days, 0 to 365."""


class PaymentConditions(Shape):
    """When an invoice is due, counted from its issue, such as 30 days, end of month, 2 % discount within 10 days."""

    days: Days = Field(description="Days from the issue to the last day to pay, 0 to 365.", examples=[30])
    end_of_month: bool = Field(
        default=False, description="Whether the last day to pay is the last day of the month in which the days end."
    )
    discount_percent: Percent | None = Field(
        default=None,
        description="Discount on the total for a payment within `discount_days`, above 0 and at most 100; null for none.",
    )
    discount_days: Days | None = Field(
        default=None, description="Days from the issue within which the discount applies; null without one."
    )
