"""Invoices: the state machine and the rules that need no database. Terms follow Dataverse's Invoice."""

from datetime import date, datetime, timedelta

from crm_contracts.money import Money
from crm_contracts.sales.choices import PaymentTerms
from crm_kit.errors import InvalidValue
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "draft/draft",
    {
        # An invoice with nothing to pay, or a credit note that is set off in full, is paid when it is issued.
        "issue": ({"draft/*"}, "issued/issued, paid/complete"),
        "pay": ({"issued/*", "paid/partial"}, "paid/complete|partial"),
        # A payment that did not arrive. What is left of the others decides.
        "reverse-payment": ({"issued/*", "paid/*"}, "issued/issued, paid/partial"),
        "credit": ({"issued/*", "paid/*"}, "issued/*"),
        "cancel": ({"draft/*", "issued/*"}, "canceled/canceled"),
    },
    # When a credit note is issued over everything that was left to pay.
    by_others={"settle": ({"issued/*", "paid/partial"}, "paid/complete")},
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
    """Return the last day to pay: the term's days after the issue. Without a term it is due on receipt."""
    return issued_on + timedelta(days=DAYS[terms or PaymentTerms.DUE_ON_RECEIPT])


def require_due_after(issued_on: date, due_on: date) -> None:
    """Refuse a due date before the issue date."""
    if due_on < issued_on:
        message = f"Send a due date that is not before the issue date, {issued_on.isoformat()}."
        raise InvalidValue("/due_date", "due-before-issue", message)


def require_payment(amount: Money, balance: Money, paid_at: datetime, now: datetime) -> None:
    """Require a payment above zero, in the invoice's currency, of at most the balance, and not in the future."""
    if amount.currency != balance.currency:
        message = f"Send the amount in {balance.currency}, the currency of this invoice."
        raise InvalidValue("/amount/currency", "currency-mismatch", message)
    if not amount.amount:
        raise InvalidValue("/amount", "nothing-paid", "Send an amount above zero.")
    if amount > balance:
        raise InvalidValue("/amount", "overpayment", f"Send at most {balance}, the open balance.")
    if paid_at > now:
        raise InvalidValue("/paid_at", "in-the-future", "Send a time that is not in the future.")
