"""Invoices: the state machine and the rules that need no database. Terms follow Dataverse's Invoice."""

from datetime import date, datetime, timedelta

from crm_contracts.money import Money
from crm_contracts.sales import PaymentTerms
from crm_kit.errors import InvalidValue
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "draft/draft",
    {
        # Nothing to pay, or a credit note that is set off as a whole, is paid at once.
        "issue": ({"draft/*"}, "issued/issued, paid/complete"),
        "pay": ({"issued/*", "paid/partial"}, "paid/complete|partial"),
        "credit": ({"issued/*", "paid/*"}, "issued/*"),
        "cancel": ({"draft/*", "issued/*"}, "canceled/canceled"),
    },
)

DAYS = {
    PaymentTerms.DUE_ON_RECEIPT: 0,
    PaymentTerms.NET_10: 10,
    PaymentTerms.NET_15: 15,
    PaymentTerms.NET_30: 30,
    PaymentTerms.NET_45: 45,
    PaymentTerms.NET_60: 60,
}


def due(issued_on: date, terms: PaymentTerms | None) -> date:
    """The last day to pay: so many days after the issue; on receipt when nothing was agreed."""
    return issued_on + timedelta(days=DAYS[terms or PaymentTerms.DUE_ON_RECEIPT])


def require_due_after(issued_on: date, due_on: date) -> None:
    """Nobody owes since before they were told."""
    if due_on < issued_on:
        message = f"The due date is before the day of issue, {issued_on.isoformat()}."
        raise InvalidValue("/due_date", "due-before-issue", message)


def require_payment(amount: Money, balance: Money, paid_at: datetime, now: datetime) -> None:
    """A payment is above zero, in the invoice's currency, at most what is left, and not in the future."""
    if amount.currency != balance.currency:
        message = f"The amounts of this invoice are in {balance.currency}."
        raise InvalidValue("/amount/currency", "currency-mismatch", message)
    if not amount.amount:
        raise InvalidValue("/amount", "nothing-paid", "A payment is above zero.")
    if amount > balance:
        raise InvalidValue("/amount", "overpayment", f"Only {balance} is left to pay.")
    if paid_at > now:
        raise InvalidValue("/paid_at", "in-the-future", "A payment cannot have been made in the future.")
