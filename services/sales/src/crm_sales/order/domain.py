"""Orders: the state machine and the rules that need no database. Terms follow Dataverse's SalesOrder."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from crm_contracts.money import Money
from crm_contracts.sentences import said
from crm_kit.errors import DomainError
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "active/new",
    {
        "hold": ({"active/new"}, "active/pending"),
        "resume": ({"active/pending"}, "active/new"),
        "lock-prices": ({"active/*"}, "active/*"),
        "unlock-prices": ({"active/*"}, "active/*"),
        "reprice": ({"active/*"}, "active/*"),
        "submit": ({"active/new"}, "submitted/submitted"),
        # ``standing`` determines the status reason from the lines.
        "fulfill": (
            {"submitted/*", "fulfilled/partial", "invoiced/*"},
            "fulfilled/complete|partial, invoiced/invoiced",
        ),
        "invoice": (
            {"submitted/*", "fulfilled/*"},
            "invoiced/invoiced, submitted/submitted, fulfilled/complete|partial",
        ),
        "cancel": ({"active/*", "submitted/*", "fulfilled/*"}, "canceled/canceled"),
    },
    # When an invoice of the order is canceled or credited. Its quantities can be billed again.
    by_others={
        "unbill": (
            {"submitted/*", "fulfilled/*", "invoiced/*"},
            "submitted/submitted, fulfilled/complete|partial, invoiced/invoiced",
        )
    },
)


@dataclass(frozen=True, slots=True)
class Progress:
    """The ordered, delivered and billed quantities of a line."""

    quantity: Decimal
    shipped: Decimal
    invoiced: Decimal


def standing(lines: Iterable[Progress]) -> str:
    """Return the status reason of a submitted order: *invoiced* if every line is, else by the delivered quantities."""
    known = list(lines)
    if all(line.invoiced == line.quantity for line in known):
        return "invoiced"
    if all(line.shipped == line.quantity for line in known):
        return "complete"
    return "partial" if any(line.shipped for line in known) else "submitted"


def require_no_hold(held: bool) -> None:
    """Refuse a customer on credit hold: 409 ``credit-hold``."""
    if held:
        message = (
            "The customer is on credit hold. Clear credit_hold on the account, or send force: true if you hold the right"
            " credit_override."
        )
        raise DomainError("credit-hold", message)


def require_credit(limit: Money, open_amount: Money, order: Money, *, readable: bool) -> None:
    """Refuse an order with which more would be open than the limit: 409 ``credit-limit``. All amounts are in base currency.

    ``readable`` tells whether the caller may read the account. The problem names its limit and what is open only then.
    """
    if open_amount + order <= limit:
        return
    members = {"order": order.as_json(), "currency": limit.currency}
    if not readable:
        message = (
            "The order exceeds the credit of its customer. Ask somebody who may read the account to wait for payments or to"
            " raise its limit."
        )
        raise DomainError("credit-limit", message, members=members)
    message = said(
        "The customer's credit limit is {limit}. {open_amount} is open, and this order is {order}. Wait "
        "for payments, raise the limit, or send force: true if you hold the right credit_override.",
        limit=limit,
        open_amount=open_amount,
        order=order,
    )
    raise DomainError(
        "credit-limit", message, members={"limit": limit.as_json(), "open": open_amount.as_json(), **members}
    )
