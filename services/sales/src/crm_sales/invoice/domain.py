"""Invoices: the state machine and the rules that need no database. Terms follow Dataverse's Invoice."""

from datetime import date, datetime

from crm_contracts.money import Money
from crm_contracts.sentences import said
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


def require_due_after(issued_on: date, due_on: date) -> None:
    """Refuse a due date before the issue date."""
    if due_on < issued_on:
        message = said(
            "Send a due date that is not before the issue date, {issued_on}.", issued_on=issued_on.isoformat()
        )
        raise InvalidValue("/due_date", "due-before-issue", message)


def require_payment(amount: Money, balance: Money, paid_at: datetime, now: datetime) -> None:
    """Require a payment above zero, in the invoice's currency, of at most the balance, and not in the future."""
    if amount.currency != balance.currency:
        message = said("Send the amount in {currency}, the currency of this invoice.", currency=balance.currency)
        raise InvalidValue("/amount/currency", "currency-mismatch", message)
    if not amount.amount:
        raise InvalidValue("/amount", "nothing-paid", "Send an amount above zero.")
    if amount > balance:
        raise InvalidValue("/amount", "overpayment", said("Send at most {balance}, the open balance.", balance=balance))
    if paid_at > now:
        raise InvalidValue("/paid_at", "in-the-future", "Send a time that is not in the future.")


def discount_taken(
    amount: Money, balance: Money, offered: Money | None, paid_on: date, until: date | None
) -> Money | None:
    """Return the discount that a payment takes: what it leaves, if it comes in time and leaves no more than the discount."""
    left = balance - amount
    if offered is None or until is None or paid_on > until or not left.amount or left > offered:
        return None
    return left
