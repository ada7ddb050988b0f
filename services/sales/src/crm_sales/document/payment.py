"""When an invoice is due: by a term of the closed list, or by conditions as data."""

from calendar import monthrange
from datetime import date, timedelta
from typing import Any

from crm_contracts.sales.choices import PaymentTerms
from crm_contracts.sales.payment_conditions import PaymentConditions
from crm_contracts.sentences import said
from crm_kit.errors import InvalidValue

DAYS = {
    PaymentTerms.DUE_ON_RECEIPT: 0,
    PaymentTerms.NET_10: 10,
    PaymentTerms.NET_15: 15,
    PaymentTerms.NET_30: 30,
    PaymentTerms.NET_45: 45,
    PaymentTerms.NET_60: 60,
}


def due(issued_on: date, terms: PaymentTerms | None, conditions: PaymentConditions | None = None) -> date:
    """Return the last day to pay. Without a term or conditions it is due on receipt."""
    if conditions is None:
        return issued_on + timedelta(days=DAYS[terms or PaymentTerms.DUE_ON_RECEIPT])
    day = issued_on + timedelta(days=conditions.days)
    return day.replace(day=monthrange(day.year, day.month)[1]) if conditions.end_of_month else day


def discount_until(issued_on: date, conditions: PaymentConditions | None) -> date | None:
    """Return the last day for the discount; None without one."""
    if conditions is None or conditions.discount_days is None:
        return None
    return issued_on + timedelta(days=conditions.discount_days)


def settle_terms(values: dict[str, Any]) -> None:
    """Let a new term replace conditions, and new conditions a term.

    422 ``contradicting-terms`` for both, ``incomplete-discount`` for a percentage without days or the reverse, or a discount
    that lasts longer than the days to pay. ``end_of_month`` does not matter for that: the days can end on the last day of a
    month.
    """
    terms, conditions = values.get("payment_terms"), values.get("payment_conditions")
    if conditions is not None:
        if terms is not None:
            message = "Send payment_terms or payment_conditions, not both."
            raise InvalidValue("/payment_conditions", "contradicting-terms", message)
        _require_whole_discount(PaymentConditions.model_validate(conditions))
        values["payment_terms"] = None
    elif terms is not None:
        values["payment_conditions"] = None


def _require_whole_discount(conditions: PaymentConditions) -> None:
    percent, days = conditions.discount_percent, conditions.discount_days
    if (percent is None) != (days is None) or percent == 0:
        message = "Send discount_percent above 0 together with discount_days, or neither."
        raise InvalidValue("/payment_conditions/discount_percent", "incomplete-discount", message)
    if days is not None and days > conditions.days:
        message = said("Send at most {days} days for the discount, the days to pay.", days=conditions.days)
        if conditions.end_of_month:
            message += " They can end on the last day of a month, which end_of_month does not move."
        raise InvalidValue("/payment_conditions/discount_days", "incomplete-discount", message)
