"""The titles of events in timelines, and the facts that are kept."""

from typing import Any

import pytest

from crm_activities.timeline.titles import shown_facts, title_of
from crm_contracts.activities.phone_call import PhoneCallCompleted, PhoneCallReminderDue, PhoneCallRescheduled
from crm_contracts.activities.task import TaskCompleted, TaskWaiting
from crm_contracts.catalogue import all_events
from crm_contracts.marketing import (
    CampaignCanceled,
    CampaignCompleted,
    CampaignLaunched,
    CampaignReadied,
)
from crm_contracts.sales.goal import GoalClosed
from crm_contracts.sales.invoice import InvoiceCreated, InvoiceIssued, InvoiceOverdue, InvoicePaid, InvoicePartiallyPaid
from crm_contracts.sales.lead import LeadQualified, LeadUpdated
from crm_contracts.sales.opportunity import OpportunityLost, OpportunityStageChanged, OpportunityWon
from crm_contracts.sales.order import OrderPartiallyFulfilled, OrderSubmitted
from crm_contracts.sales.quote import QuoteActivated, QuoteExpired, QuoteRevised, QuoteWon
from crm_contracts.samples import sample
from crm_contracts.service.case import (
    CaseEscalated,
    CaseHeld,
    CaseReactivated,
    CaseResearching,
    CaseResolved,
    CaseWaiting,
)

EUROS = {"amount": "100.00", "currency": "EUR"}


@pytest.mark.parametrize("event", all_events(), ids=lambda event: event.type)
def test_every_event_has_a_human_title(event: Any) -> None:
    data = sample(event)["data"]
    title = title_of(event.type, shown_facts(event.type, data) or {})
    assert title[0].isupper()
    assert "_" not in title
    assert "None" not in title


@pytest.mark.parametrize(
    ("event", "facts", "title"),
    [
        (LeadQualified, {}, "Lead qualified"),
        (OpportunityWon, {"actual_value": {"amount": "1200.00", "currency": "EUR"}}, "Deal won: 1200.00 EUR"),
        (OpportunityLost, {"reason": "out_sold"}, "Deal lost: out sold"),
        (OrderSubmitted, {"total": EUROS}, "Order submitted: 100.00 EUR"),
        (OrderPartiallyFulfilled, {"shipped": []}, "Order partially fulfilled"),
        (InvoiceIssued, {"total": EUROS, "record": {"kind": "invoice"}}, "Invoice issued: 100.00 EUR"),
        (InvoiceIssued, {"total": EUROS, "record": {"kind": "credit_note"}}, "Credit note issued: 100.00 EUR"),
        (InvoicePartiallyPaid, {"amount": EUROS}, "Invoice partially paid: 100.00 EUR"),
        (InvoicePaid, {"amount": EUROS}, "Invoice paid: 100.00 EUR"),
        (InvoicePaid, {"amount": None}, "Invoice paid"),
        (InvoiceOverdue, {"balance": EUROS}, "Invoice overdue: 100.00 EUR"),
        (InvoiceCreated, {"record": {"kind": "credit_note"}}, "Credit note created"),
        (
            OpportunityStageChanged,
            {"from_stage": {"name": "Qualify"}, "to_stage": {"name": "Propose"}},
            "Deal moved to another stage: Qualify → Propose",
        ),
        (QuoteActivated, {"total": {"amount": "272.11", "currency": "EUR"}}, "Quote activated: 272.11 EUR"),
        (QuoteWon, {"total": {"amount": "272.11", "currency": "EUR"}}, "Quote won: 272.11 EUR"),
        (QuoteRevised, {"next_revision": 2}, "Quote revised: revision 2"),
        (QuoteExpired, {}, "Quote expired"),
        (LeadUpdated, {"changed": {"rating": {"old": None, "new": "hot"}}}, "Lead updated: rating"),
        (CampaignReadied, {}, "Campaign is ready"),
        (GoalClosed, {}, "Goal closed"),
        (CampaignLaunched, {"actual_start": "2026-05-04"}, "Campaign launched"),
        (CampaignCompleted, {"actual_end": "2026-06-04"}, "Campaign completed"),
        (CaseHeld, {}, "Case put on hold"),
        (CaseWaiting, {}, "Case waits for details"),
        (CaseResearching, {}, "Case is looked into"),
        (CaseEscalated, {"escalated_at": "2026-05-04T09:30:00Z"}, "Case escalated"),
        (CaseResolved, {"kind": "information_provided", "minutes": 25}, "Case resolved: information provided"),
        (CaseReactivated, {"reversed_resolution": None}, "Case reactivated"),
        (TaskWaiting, {}, "Task waits for somebody else"),
        (TaskCompleted, {"completed_at": "2026-05-04T09:30:00Z"}, "Task completed"),
        (PhoneCallCompleted, {"reason": "received"}, "Phone call completed: received"),
        (PhoneCallReminderDue, {"remind_at": "2026-05-04T09:30:00Z"}, "Phone call reminder"),
    ],
)
def test_titles_say_what_matters(event: Any, facts: dict[str, Any], title: str) -> None:
    assert title_of(event.type, shown_facts(event.type, facts) or {}) == title


@pytest.mark.parametrize("event", all_events(), ids=lambda event: event.type)
def test_a_title_is_found_for_an_event_without_facts(event: Any) -> None:
    assert title_of(event.type, shown_facts(event.type, {}) or {})


def test_what_is_kept_of_an_event_holds_no_value_of_a_field_and_no_text() -> None:
    changed = {"last_name": {"old": "Byron", "new": "Lovelace"}, "email": {"old": None, "new": "ada@example.org"}}
    kept = shown_facts(LeadUpdated.type, {"record": {"last_name": "Lovelace"}, "changed": changed})
    assert kept == {"changed": ["email", "last_name"]}
    lost = shown_facts(OpportunityLost.type, {"reason": "canceled", "note": "Ada was ill", "lost_at": "2026-05-04"})
    assert lost == {"reason": "canceled", "competitor_id": None, "lost_at": "2026-05-04"}


RESOLUTION = {"kind": "problem_solved", "minutes": 25, "billable_minutes": 5, "resolved_at": "2026-05-04T09:30:00Z"}


@pytest.mark.parametrize(
    ("event", "data", "kept"),
    [
        (
            GoalClosed,
            {"final_actual": None, "final_actual_count": 3, "closed_at": "2026-05-04T09:30:00Z"},
            {"final_actual": None, "final_actual_count": 3, "closed_at": "2026-05-04T09:30:00Z"},
        ),
        (CampaignLaunched, {"actual_start": "2026-05-04"}, {"actual_start": "2026-05-04"}),
        (CampaignCanceled, {"actual_end": "2026-05-04"}, {"actual_end": "2026-05-04"}),
        (CaseResolved, {**RESOLUTION, "resolution": "Ada was refunded"}, RESOLUTION),
        (
            CaseReactivated,
            {"reversed_resolution": {**RESOLUTION, "resolution": "Ada was refunded", "reversed_at": "now", "by": "x"}},
            {"reversed_resolution": {**RESOLUTION, "reversed_at": "now"}},
        ),
        (CaseReactivated, {"reversed_resolution": None}, {"reversed_resolution": None}),
        (
            PhoneCallRescheduled,
            {"old_due_at": None, "new_due_at": "later"},
            {"old_due_at": None, "new_due_at": "later"},
        ),
        (PhoneCallCompleted, {"reason": "made", "completed_at": "now"}, {"reason": "made", "completed_at": "now"}),
    ],
)
def test_what_is_kept_of_a_fact(event: Any, data: dict[str, Any], kept: dict[str, Any]) -> None:
    assert shown_facts(event.type, data) == kept
