"""What a timeline says of an event: a human title, and the few facts that go with it. No texts, no names of people."""

from collections.abc import Mapping
from typing import Any, Final

from crm_contracts.envelope import parse_type

Data = Mapping[str, Any]

LABELS: Final = {"opportunity": "Deal", "api_client": "API client", "invoice.credit_note": "Credit note"}
"""How people call an entity, or a kind of it, where it is not its name."""

PHRASES: Final = {
    "held": "put on hold",
    "stage_changed": "moved to another stage",
    "reminder_due": "reminder",
    "waiting": "waits for somebody else",
    "case.waiting": "waits for details",
    "researching": "is looked into",
    "readied": "is ready",
}
"""How people call a fact, where it is not its name: of one entity, or of all."""

FACTS: Final[Mapping[str, tuple[str, ...]]] = {
    "crm.sales.lead.qualified.v1": ("account_id", "contact_id", "opportunity_id", "created"),
    "crm.sales.lead.disqualified.v1": ("reason",),
    "crm.sales.opportunity.won.v1": ("actual_value", "won_at"),
    "crm.sales.opportunity.lost.v1": ("reason", "competitor_id", "lost_at"),
    "crm.sales.goal.closed.v1": ("final_actual", "final_actual_count", "closed_at"),
    "crm.sales.quote.activated.v1": ("total",),
    "crm.sales.quote.revised.v1": ("next_quote_id", "next_revision"),
    "crm.sales.quote.won.v1": ("total", "won_at"),
    "crm.sales.quote.lost.v1": ("lost_at",),
    "crm.sales.quote.canceled.v1": ("canceled_at",),
    "crm.sales.quote.expired.v1": ("expired_at",),
    "crm.sales.sales_contract.ended.v1": ("ended_at",),
    "crm.sales.sales_contract.terminated.v1": ("terminated_at",),
    "crm.sales.order.submitted.v1": ("total", "submitted_at"),
    "crm.sales.order.fulfilled.v1": ("fulfilled_at",),
    "crm.sales.order.invoiced.v1": ("invoice_id",),
    "crm.sales.order.canceled.v1": ("canceled_at",),
    "crm.sales.invoice.issued.v1": ("total", "issue_date", "due_date"),
    "crm.sales.invoice.partially_paid.v1": ("amount", "method", "paid_at"),
    "crm.sales.invoice.paid.v1": ("amount", "method", "paid_at"),
    "crm.sales.invoice.overdue.v1": ("balance", "due_date", "overdue_at"),
    "crm.sales.invoice.canceled.v1": ("canceled_at",),
    "crm.marketing.campaign.launched.v1": ("actual_start",),
    "crm.marketing.campaign.completed.v1": ("actual_end",),
    "crm.marketing.campaign.canceled.v1": ("actual_end",),
    "crm.service.case.escalated.v1": ("escalated_at",),
    "crm.service.case.resolved.v1": ("kind", "minutes", "billable_minutes", "resolved_at"),
    "crm.activities.task.completed.v1": ("completed_at",),
    "crm.activities.phone_call.completed.v1": ("reason", "completed_at"),
}
"""The facts of an event that its timeline item carries. Free text, such as the note of a lost deal, is never among them."""

SHARED_FACTS: Final[Mapping[str, tuple[str, ...]]] = {
    "merged": ("survivor_id",),
    "rescheduled": ("old_due_at", "new_due_at"),
    "reminder_due": ("remind_at",),
}
"""The same for facts that mean the same wherever they happen."""

OF_RECORD: Final[Mapping[str, tuple[str, ...]]] = {"invoice": ("kind",)}
"""What a title needs to know of the record itself, by entity: an invoice may be a credit note."""

AMOUNTS: Final[Mapping[str, tuple[str, ...]]] = {
    "won": ("actual_value", "total"),
    "activated": ("total",),
    "submitted": ("total",),
    "issued": ("total",),
    "partially_paid": ("amount",),
    "paid": ("amount",),
    "overdue": ("balance",),
}
"""The facts that are money and worth a place in the title; the first that there is."""

RESOLUTION: Final = ("kind", "minutes", "billable_minutes", "resolved_at", "reversed_at")
"""What of a resolution that holds no longer is kept: never what was said."""


def shown_facts(type_: str, data: Data) -> dict[str, Any] | None:
    """What to keep of an event's data: its facts, the names of changed fields, who owns it now."""
    parsed = parse_type(type_)
    facts = _facts(type_, parsed.fact, data)
    record = data.get("record") or {}
    known = {name: record[name] for name in OF_RECORD.get(parsed.entity, ()) if name in record}
    return {**known, **(facts or {})} if known else facts


def _facts(type_: str, fact: str, data: Data) -> dict[str, Any] | None:
    facts = FACTS.get(type_) or SHARED_FACTS.get(fact)
    if facts is not None:
        return {name: data.get(name) for name in facts}
    match fact:
        case "updated":
            return {"changed": sorted(data.get("changed") or ())}
        case "assigned":
            return {name: _principal(data.get(name)) for name in ("previous_owner", "new_owner")}
        case "stage_changed":
            return {name: (data.get(name) or {}).get("name") for name in ("from_stage", "to_stage")}
        case "reactivated":
            reversed_ = data.get("reversed_resolution")
            return {"reversed_resolution": {name: reversed_.get(name) for name in RESOLUTION} if reversed_ else None}
    return None


def _principal(owner: Any) -> dict[str, Any] | None:
    return {"type": owner.get("owner_type"), "id": owner.get("owner_id")} if isinstance(owner, Mapping) else None


def title_of(type_: str, data: Data) -> str:
    """One line for people: *Lead qualified*, *Deal won: 1200.00 EUR*."""
    _, entity, fact, _ = parse_type(type_)
    label = LABELS.get(f"{entity}.{data.get('kind')}") or LABELS.get(entity) or entity.replace("_", " ").capitalize()
    phrase = PHRASES.get(f"{entity}.{fact}") or PHRASES.get(fact) or fact.replace("_", " ")
    title = f"{label} {phrase}"
    detail = _detail(fact, data)
    return f"{title}: {detail}" if detail else title


def _detail(fact: str, data: Data) -> str | None:
    for name in AMOUNTS.get(fact, ()):
        match data.get(name):
            case {"amount": amount, "currency": currency}:
                return f"{amount} {currency}"
    match fact:
        case "updated":
            return ", ".join(name.replace("_", " ") for name in data.get("changed") or ())
        case "revised" if data.get("next_revision"):
            return f"revision {data['next_revision']}"
        case "stage_changed":
            return f"{data.get('from_stage')} → {data.get('to_stage')}"
        case "disqualified" | "lost" | "completed" if data.get("reason"):
            return str(data["reason"]).replace("_", " ")
        case "resolved" if data.get("kind"):
            return str(data["kind"]).replace("_", " ")
    return None
