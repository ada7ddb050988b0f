"""Events of leads, deals and stages, and a simple recount of the funnel."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from statistics import median
from typing import Any
from uuid import UUID

from crm_contracts.sales.lead import LeadCreated
from crm_contracts.sales.opportunity import (
    OpportunityCreated,
    OpportunityLost,
    OpportunityReopened,
    OpportunityStageChanged,
    OpportunityUpdated,
    OpportunityWon,
)
from crm_contracts.sales.reference import SalesStageCreated, SalesStageUpdated
from crm_contracts.types import utc_text
from crm_kit.events.received import Message
from crm_kit.store.record import new_id

from .conftest import Story

OPEN = {"status": "open", "status_reason": "in_progress", "actual_value": None, "actual_value_base": None}


def euros(amount: str | Decimal) -> dict[str, str]:
    return {"amount": f"{Decimal(amount):.2f}", "currency": "EUR"}


def foreign(amount: str | Decimal) -> dict[str, Any]:
    """An estimate in another currency. Only the amount in base currency may count."""
    return {"estimated_value": {"amount": "99999.00", "currency": "USD"}, "estimated_value_base": euros(amount)}


@dataclass
class Stage(Story):
    """A stage of the sales process."""

    def made(self, name: str, position: int) -> Message:
        return self.tell(SalesStageCreated, name=name, position=position, probability=10.0)

    def edit_name(self, name: str) -> Message:
        return self.tell(SalesStageUpdated, name=name)


@dataclass
class Lead(Story):
    """A lead."""

    def made(self, **fields: Any) -> Message:
        return self.tell(LeadCreated, **({"status": "open", "status_reason": "new", "campaign_id": None} | fields))


@dataclass
class Stay:
    """A visit of a deal to a stage."""

    stage: UUID
    entered: Any
    left: Any = None


@dataclass
class Deal(Story):
    """A deal that moves through stages as in sales. The recount uses ``stays``."""

    stays: list[Stay] = field(default_factory=list)

    def made(self, stage: Stage, **fields: Any) -> Message:
        first = {
            "campaign_id": None,
            "originating_lead_id": None,
            "estimated_value": None,
            "estimated_value_base": None,
        }
        self._enter(stage)
        return self.tell(OpportunityCreated, **(OPEN | first | {"probability": 10.0} | self._place(stage) | fields))

    def advance(self, stage: Stage, **fields: Any) -> Message:
        self._leave()
        self._enter(stage)
        return self.tell(OpportunityStageChanged, **self._place(stage), **fields)

    def edit(self, **fields: Any) -> Message:
        return self.tell(OpportunityUpdated, **fields)

    def won(self, amount: str | Decimal) -> Message:
        self._leave()
        value = {"actual_value": {"amount": "77777.00", "currency": "USD"}, "actual_value_base": euros(amount)}
        return self.tell(OpportunityWon, status="won", status_reason="won", **value, **self._shown())

    def lost(self, reason: str = "canceled") -> Message:
        self._leave()
        return self.tell(OpportunityLost, status="lost", status_reason=reason, **self._shown())

    def reopened(self) -> Message:
        self.stays = [*self.stays, Stay(self.stays[-1].stage, self._now())]
        return self.tell(OpportunityReopened, **OPEN, **self._shown())

    def rest(self, minutes: float) -> None:
        """Let time pass."""
        self.at += timedelta(minutes=minutes)

    def _now(self) -> Any:
        return self.at + timedelta(minutes=1)

    def _enter(self, stage: Stage) -> None:
        self.stays = [*self.stays, Stay(stage.id, self._now())]

    def _leave(self) -> None:
        self.stays[-1].left = self._now()

    def _place(self, stage: Stage) -> dict[str, Any]:
        return {"stage_id": str(stage.id), "stage": stage.record["name"], **self._shown()}

    def _shown(self) -> dict[str, Any]:
        return {
            "stages": [
                {
                    "stage_id": str(stay.stage),
                    "stage": "as it was",
                    "entered_at": utc_text(stay.entered),
                    "left_at": stay.left and utc_text(stay.left),
                }
                for stay in self.stays
            ]
        }


def four_stages() -> tuple[list[Stage], list[Message]]:
    """The initial stages of an organisation."""
    stages = [Stage(id=new_id()) for _ in range(4)]
    names = ("qualify", "develop", "propose", "close")
    return stages, [stage.made(name, at) for at, (stage, name) in enumerate(zip(stages, names, strict=True), start=1)]


def recount(stages: Sequence[Stage], leads: Sequence[Lead], deals: Sequence[Deal]) -> dict[str, Any]:
    """Return the funnel of the existing records, each in its last version."""
    return {
        "leads": _recount_leads(leads, deals),
        "opportunities": _recount_deals(deals),
        "stages": [_recount_stage(stage, stages, deals) for stage in stages],
    }


def _recount_leads(leads: Sequence[Lead], deals: Sequence[Deal]) -> dict[str, Any]:
    qualified = [lead for lead in leads if lead.record["status"] == "qualified"]
    won_by_lead: dict[str, list[bool]] = {}
    for deal in deals:
        won_by_lead.setdefault(deal.record["originating_lead_id"], []).append(deal.record["status"] == "won")
    with_deal = [lead for lead in qualified if str(lead.id) in won_by_lead]
    won = [lead for lead in with_deal if any(won_by_lead[str(lead.id)])]
    return {
        "count": len(leads),
        "open": sum(lead.record["status"] == "open" for lead in leads),
        "disqualified": sum(lead.record["status"] == "disqualified" for lead in leads),
        "qualified": len(qualified),
        "opportunities": len(with_deal),
        "won": len(won),
        "qualified_percent": share(len(qualified), len(leads)),
        "opportunities_percent": share(len(with_deal), len(qualified)),
        "won_percent": share(len(won), len(with_deal)),
    }


def _recount_deals(deals: Sequence[Deal]) -> dict[str, Any]:
    by = {status: [d for d in deals if d.record["status"] == status] for status in ("open", "won", "lost")}
    reasons = [deal.record["status_reason"] for deal in by["lost"]]
    return {
        "count": len(deals),
        **{status: len(found) for status, found in by.items()},
        "on_hold": sum(deal.record["status_reason"] == "on_hold" for deal in by["open"]),
        "lost_reasons": {reason: reasons.count(reason) for reason in set(reasons)},
        "estimated_value": euros(sum((_estimate(deal) for deal in by["open"]), Decimal(0))),
        "weighted_value": _weighted(by["open"]),
        "won_value": euros(
            sum((Decimal(deal.record["actual_value_base"]["amount"]) for deal in by["won"]), Decimal(0))
        ),
        "win_percent": share(len(by["won"]), len(by["won"]) + len(by["lost"])),
    }


def _recount_stage(stage: Stage, stages: Sequence[Stage], deals: Sequence[Deal]) -> dict[str, Any]:
    order = {s.id: (s.record["position"], s.id) for s in stages}
    entered = [deal for deal in deals if any(stay.stage == stage.id for stay in deal.stays)]
    here = [deal for deal in deals if deal.record["stage_id"] == str(stage.id)]
    is_open = [deal for deal in here if deal.record["status"] == "open"]

    def moved_on(deal: Deal) -> bool:
        first = next(at for at, stay in enumerate(deal.stays) if stay.stage == stage.id)
        further = [stay for stay in deal.stays[first:] if order[stay.stage] > order[stage.id]]
        return bool(further) or deal.record["status"] == "won"

    times = []
    for deal in entered:
        stays = [stay for stay in deal.stays if stay.stage == stage.id]
        if all(stay.left for stay in stays):
            times.append(sum(((stay.left - stay.entered) for stay in stays), timedelta()) / timedelta(microseconds=1))
    micros = [Fraction(round(time)) for time in times]
    return {
        "stage_id": str(stage.id),
        "stage": stage.record["name"],
        "position": stage.record["position"],
        "deleted": False,
        "entered": len(entered),
        "advanced": sum(map(moved_on, entered)),
        "conversion": share(sum(map(moved_on, entered)), len(entered)),
        "open": len(is_open),
        "won": sum(deal.record["status"] == "won" for deal in here),
        "lost": sum(deal.record["status"] == "lost" for deal in here),
        "estimated_value": euros(sum((_estimate(deal) for deal in is_open), Decimal(0))),
        "weighted_value": _weighted(is_open),
        "average_seconds": _seconds(sum(micros, Fraction(0)) / len(micros)) if micros else None,
        "median_seconds": _seconds(Fraction(median(micros))) if micros else None,
    }


def _estimate(deal: Deal) -> Decimal:
    base = deal.record["estimated_value_base"]
    return Decimal(base["amount"]) if base else Decimal(0)


def _weighted(deals: Sequence[Deal]) -> dict[str, str]:
    exact = sum((_estimate(deal) * Decimal(str(deal.record["probability"])) / 100 for deal in deals), Decimal(0))
    return euros(exact.quantize(Decimal("0.01"), ROUND_HALF_UP))


def _seconds(micros: Fraction) -> float:
    return float(
        (Decimal(micros.numerator) / Decimal(micros.denominator) / 1_000_000).quantize(Decimal("0.001"), ROUND_HALF_UP)
    )


def share(part: int, whole: int) -> float | None:
    """Return a percentage with two decimals."""
    return float((Decimal(100 * part) / whole).quantize(Decimal("0.01"), ROUND_HALF_UP)) if whole else None
