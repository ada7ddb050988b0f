"""The table of invoices and credit notes, and the changes of an invoice."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.money import Money, convert
from crm_contracts.sales.choices import InvoiceKind
from crm_contracts.sales.invoice import MAX_PAYMENTS, InvoiceLine, InvoicePayment, InvoiceRecord
from crm_contracts.sales.payment_conditions import PaymentConditions
from crm_contracts.sales.pricing import PricedLine
from crm_contracts.sentences import said
from crm_kit.errors import DomainError, InvalidValue, NotFound
from crm_kit.store.columns import (
    money_columns,
    name_indexes,
    owned_indexes,
    reference_indexes,
    search_index,
    sorted_indexes,
    text_enum,
)
from crm_kit.store.refers import reference
from crm_kit.store.searching import search_column, search_rule
from crm_sales.db import Base
from crm_sales.document.model import SalesDocument, document_indexes
from crm_sales.document.payment import discount_until, due
from crm_sales.invoice.domain import LIFECYCLE, discount_taken, require_due_after, require_payment
from crm_sales.pricing.domain import percent_of
from crm_sales.pricing.model import PricedDocument
from crm_sales.pricing.shares import Amounts, LineAmounts

OWED = "overdue_at is null and (status = 'issued' or status_reason = 'partial')"
"""The condition for invoices that can become overdue. The timer and its index share it literally."""

RELEASING = ("issued", "paid")
"""Statuses in which a credit note with ``bill_again`` releases its quantities of the order."""


class Invoice(SalesDocument, Base):
    """An invoice, or a credit note for one. ``kind`` tells which."""

    __tablename__ = "invoice"
    record_model: ClassVar[type[BaseModel]] = InvoiceRecord
    lifecycle = LIFECYCLE
    line_model = InvoiceLine
    money_fields: ClassVar[tuple[str, ...]] = (
        *PricedDocument.money_fields,
        "paid_total",
        "credited_total",
        "balance",
        "early_discount",
        "early_discount_taken",
    )

    number: Mapped[str | None] = mapped_column(String(20), unique=True)
    kind: Mapped[InvoiceKind] = mapped_column(text_enum(InvoiceKind))
    order_id: Mapped[UUID | None] = reference("order")
    credited_invoice_id: Mapped[UUID | None] = reference("invoice")
    issue_date: Mapped[date | None]
    due_date: Mapped[date | None]
    payments: Mapped[list[Any]] = mapped_column(JSONB)
    paid_total: Mapped[Money] = money_columns("paid_total")
    paid_total_base: Mapped[Money] = money_columns("paid_total_base")
    credited_total: Mapped[Money] = money_columns("credited_total")
    credited_total_base: Mapped[Money] = money_columns("credited_total_base")
    balance: Mapped[Money] = money_columns("balance")
    balance_base: Mapped[Money] = money_columns("balance_base")
    early_discount_until: Mapped[date | None]
    early_discount: Mapped[Money | None] = money_columns("early_discount")
    early_discount_base: Mapped[Money | None] = money_columns("early_discount_base")
    early_discount_taken: Mapped[Money | None] = money_columns("early_discount_taken")
    early_discount_taken_base: Mapped[Money | None] = money_columns("early_discount_taken_base")
    overdue_at: Mapped[datetime | None]
    canceled_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(String(200))
    # The default is for the previous release, which does not know the column.
    bill_again: Mapped[bool] = mapped_column(server_default="false")

    search_text: Mapped[str] = search_column("name", "number")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *owned_indexes(),
        *name_indexes("invoice", "name"),
        Index(None, "name", "id"),
        *sorted_indexes("invoice", "number", "issue_date", "due_date"),
        *sorted_indexes("invoice", "total_amount", "total_base_amount", "balance_amount", "balance_base_amount"),
        *document_indexes("invoice"),
        *reference_indexes("invoice", "order_id", "credited_invoice_id"),
        Index("ix_invoice_owed", "due_date", postgresql_where=text(OWED)),
        search_index(),
    )

    @classmethod
    def ruled_out(cls, values: Mapping[str, Any]) -> Mapping[str, str]:
        """Rule out crediting credit notes or fully credited invoices, canceling credited invoices, and reversing a
        payment where none stands."""
        lines = values["lines"]
        out = {}
        if values["kind"] == InvoiceKind.CREDIT_NOTE:
            out["credit"] = "A credit note cannot be credited. Cancel it, or create a new invoice."
        elif lines and all(line["credited_quantity"] == line["quantity"] for line in lines):
            out["credit"] = "The whole invoice is already credited."
        if values["credited_total_amount"] or any(line["credited_quantity"] != "0" for line in lines):
            out["cancel"] = (
                "A credited invoice cannot be canceled. Cancel its draft credit notes first, or credit the rest."
            )
        if all(payment.get("reversed_at") for payment in values["payments"]):
            out["reverse-payment"] = "No payment is left to reverse."
        return out

    @property
    def is_credit_note(self) -> bool:
        """Whether this is a credit note."""
        return self.kind == InvoiceKind.CREDIT_NOTE

    @property
    def releases(self) -> bool:
        """Whether it is an issued credit note whose quantities can be billed again."""
        return self.bill_again and self.status in RELEASING

    @property
    def is_derived(self) -> bool:
        """Whether it was made of an order or invoice, which then determines its lines."""
        return self.order_id is not None or self.credited_invoice_id is not None

    def read_lines(self) -> list[InvoiceLine]:
        """Return the stored lines as models."""
        return [InvoiceLine.stored(line) for line in self.lines]

    def keep_lines(self, lines: Sequence[PricedLine]) -> None:
        """Set the lines of a draft without an order."""
        super().keep_lines([line if isinstance(line, InvoiceLine) else new_line(line) for line in lines])
        self.begin()

    def quantities(self) -> dict[UUID, Decimal]:
        """Return the quantity of each line."""
        return {line.id: line.quantity for line in self.read_lines()}

    def uncredited(self) -> dict[UUID, Decimal]:
        """Return the quantity of each line that can still be credited."""
        return {line.id: line.quantity - line.credited_quantity for line in self.read_lines()}

    def weigh(self) -> None:
        """Compute the balance: total minus payments, credits and a discount that was taken."""
        self.balance = self.total - self.paid_total - self.credited_total
        if self.early_discount_taken is not None:
            self.balance = self.balance - self.early_discount_taken

    def add_up_in_base(self) -> None:
        """Make the parts of the total add up in base currency, and payments, credits and balance too."""
        if self.credited_invoice_id is None:
            super().add_up_in_base()
        if self.exchange_rate is None or self.status == "canceled":
            return
        # What is paid decides first, so that it grows with each payment.
        settled = self.paid_total_base = self._in_base(self.paid_total)
        if self.early_discount_taken is not None:
            with_discount = self._in_base(self.paid_total + self.early_discount_taken)
            self.early_discount_taken_base, settled = with_discount - settled, with_discount
        self.credited_total_base = self._in_base(self.total - self.balance) - settled
        self.balance_base = self.total_base - settled - self.credited_total_base

    def kept_in_base(self) -> dict[str, Money | None]:
        """Return what a credit note took of its invoice when it was drafted."""
        if self.credited_invoice_id is None or self.exchange_rate is None or self.exchange_rate == 1:
            return {}
        fields = [f"{field}_base" for field in PricedDocument.money_fields]
        taken = self.__dict__.get("total_base_amount") is not None
        return {field: getattr(self, field) for field in fields} if taken else {}

    def _in_base(self, amount: Money) -> Money:
        """Return a part of the total in base currency; all of the total is all of its amount."""
        assert self.exchange_rate is not None
        if amount == self.total:
            return self.total_base
        found = convert(amount, self.exchange_rate, self.total_base.currency)
        return found if found.amount < self.total_base.amount else self.total_base

    def begin(self) -> None:
        """Start as a draft without payments and credits."""
        self.payments = []
        self.paid_total = self.credited_total = Money.zero(self.currency)
        self.early_discount = self.early_discount_taken = None
        self.weigh()

    def require_issuable(self) -> None:
        """Raise 409 or 422 if the invoice cannot be issued. This runs before a number is drawn."""
        self.require("issue")
        if not self.lines:
            raise DomainError("lines-required", "Add at least one line before you issue the invoice.")

    def issue(self, number: str, on: date) -> None:
        """Issue the invoice: it becomes payable."""
        self.move("issue", None if self.balance.amount else "complete")
        self.number, self.issue_date = number, on
        if not self.is_credit_note:
            self.due_date = self.due_date or due(on, self.payment_terms, self.conditions)
            require_due_after(on, self.due_date)
            self.early_discount_until = discount_until(on, self.conditions)
            self.offer_discount(self.total)

    def set_off(self, amount: Money) -> None:
        """Reduce the balance by an amount that an invoice and its credit note set off against each other."""
        self.credited_total = self.credited_total + amount
        self.weigh()

    def lower_discount(self, amount: Money) -> None:
        """Give up an amount of the discount taken, which is set off against a credit note instead."""
        assert self.early_discount_taken is not None
        left = self.early_discount_taken - amount
        self.early_discount_taken = left if left.amount else None

    def offer_discount(self, uncredited: Money) -> None:
        """Set the discount for early payment, if there is one, to the percentage of what is not credited."""
        conditions = self.conditions
        if self.early_discount_until is not None and conditions is not None and conditions.discount_percent is not None:
            self.early_discount = percent_of(uncredited, conditions.discount_percent)

    def settle(self) -> bool:
        """Mark the invoice as paid if a credit note left nothing to pay. Return whether it did."""
        settled = not self.balance.amount
        if settled:
            self.follow("settle")
        return settled

    @property
    def conditions(self) -> PaymentConditions | None:
        """The payment conditions, if it has any."""
        return None if self.payment_conditions is None else PaymentConditions.stored(self.payment_conditions)

    def pay(self, payment: InvoicePayment, now: datetime, paid_on: date) -> bool:
        """Record a payment, or a repayment for a credit note. Return whether nothing is left to pay.

        A payment in time may leave the discount for early payment. ``paid_on`` is its day in the organisation's time zone.
        """
        self.require("pay")
        require_payment(payment.amount, self.balance, payment.paid_at, now)
        if len(self.payments) >= MAX_PAYMENTS:
            raise InvalidValue(
                "/amount", "too-many-payments", said("An invoice takes at most {most} payments.", most=MAX_PAYMENTS)
            )
        discount = discount_taken(payment.amount, self.balance, self.early_discount, paid_on, self.early_discount_until)
        self.payments = [*self.payments, payment.model_dump(mode="json")]
        self.early_discount_taken = discount or self.early_discount_taken
        self.paid_total = self.paid_total + payment.amount
        self.weigh()
        complete = not self.balance.amount
        self.move("pay", "complete" if complete else "partial")
        return complete

    def reverse_payment(self, number: int, reason: str, at: datetime, by: UUID | None) -> InvoicePayment:
        """Mark the payment with this number, from 1, as reversed, and owe its amount again. Return it.

        404 without such a payment, 409 ``already-reversed`` the second time.
        """
        self.require("reverse-payment")
        if not 1 <= number <= len(self.payments):
            raise NotFound("payment")
        payment = InvoicePayment.stored(self.payments[number - 1])
        if payment.reversed_at is not None:
            raise DomainError("already-reversed", "This payment is already reversed.")
        payment = payment.model_copy(update={"reversed_at": at, "reversed_by": by, "reversal_reason": reason})
        marks = payment.model_dump(mode="json", include={"reversed_at", "reversed_by", "reversal_reason"})
        self.payments = [
            {**one, **marks} if position == number else one for position, one in enumerate(self.payments, start=1)
        ]
        self.paid_total = self.paid_total - payment.amount
        # One payment at most settled the invoice with a discount. Without any of the payments it is not settled.
        self.early_discount_taken = None
        self.weigh()
        self.follow("reverse-payment", "partial" if self.paid_total.amount else "issued")
        return payment

    def credit(self, quantities: Mapping[UUID, Decimal]) -> None:
        """Count these quantities as credited."""
        self.move("credit")
        self._count(quantities)

    def uncredit(self, quantities: Mapping[UUID, Decimal]) -> None:
        """Release the quantities of a canceled credit note, so that they can be credited again."""
        self._count({line_id: -quantity for line_id, quantity in quantities.items()})

    def cancel(self, at: datetime) -> None:
        """Cancel the invoice. An issued one keeps its number."""
        self.move("cancel")
        self.balance = Money.zero(self.currency)
        self.canceled_at = at

    def amounts(self) -> Amounts:
        """Return the amounts of the invoice, for shares of credit notes and as a share of its order."""
        lines = {
            line.id: LineAmounts(line.quantity, line.manual_discount, line.net, line.tax) for line in self.read_lines()
        }
        nothing = Money.zero(self.currency)
        return Amounts(lines, self.discount_amount or nothing, self.discount_total, self.freight or nothing)

    def _count(self, credited: Mapping[UUID, Decimal]) -> None:
        """Add these quantities to the credited quantities of the lines."""
        self.lines = [
            line.model_copy(
                update={"credited_quantity": line.credited_quantity + credited.get(line.id, Decimal(0))}
            ).model_dump(mode="json")
            for line in self.read_lines()
        ]


def new_line(line: PricedLine) -> InvoiceLine:
    """Make a line without an order, of which nothing is credited."""
    return InvoiceLine(
        **{field: getattr(line, field) for field in PricedLine.model_fields},
        order_line_id=None,
        credited_quantity=Decimal(0),
    )
