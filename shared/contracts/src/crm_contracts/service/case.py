"""Cases: requests and problems of customers, up to their resolution."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import OwnedRecord, Owner
from crm_contracts.types import Count, LongText, Open, Ref, Shape, ShortText, UtcDatetime

from .choices import CaseOrigin, CasePriority, CaseStatus, CaseStatusReason, CaseType, ResolutionKind, Severity


class CaseCustomer(Ref):
    """The customer of a case: an account or a contact."""

    type: Literal["account", "contact"] = Field(description="`account` or `contact`.", examples=["contact"])


class CaseResolution(Shape):
    """A record of a resolution. It is kept and marked as reversed when the case is reactivated."""

    kind: Open[ResolutionKind] = Field(description="Status reason of the case after the resolution.")
    resolution: LongText | None = Field(description="What was done, at most 32,000 characters.")
    minutes: Count = Field(description="Time spent, in minutes.")
    billable_minutes: Count = Field(description="How much of it is billed, in minutes; at most `minutes`.")
    resolved_at: UtcDatetime = Field(description="When it was resolved.")
    reversed_at: UtcDatetime | None = Field(description="When the case was reactivated; null while it holds.")
    by: UUID | None = Field(description="Who resolved it; null for the system.")


class CaseRecord(OwnedRecord):
    """A question, problem, request or complaint of a customer."""

    number: str = Field(description="Number for use by people; unique and never reused.", examples=["CAS-00042"])
    status: Open[CaseStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[CaseStatusReason] = Field(description="Detail of the state.")
    title: ShortText = Field(description="Title, 1 to 200 characters.", examples=["Bill for May is wrong"])
    customer: CaseCustomer = Field(description="Account or contact that the case is for.")
    contact_id: UUID | None = Field(description="Contact to talk to about it.")
    type: Open[CaseType] | None = Field(description="Type of the request.")
    origin: Open[CaseOrigin] | None = Field(description="Channel by which the customer contacted us.")
    priority: Open[CasePriority] = Field(description="Priority of the case.")
    severity: Open[Severity] | None = Field(description="Severity of the case.")
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")
    product_id: UUID | None = Field(description="Product that it is about.")
    escalated_at: UtcDatetime | None = Field(description="When it was escalated, the first time; read-only.")
    first_responded_at: UtcDatetime | None = Field(
        description="When it was first held, set to wait or research, or resolved, whichever came first; read-only."
    )
    resolved_at: UtcDatetime | None = Field(description="When it was resolved; null unless it is; read-only.")
    resolutions: list[CaseResolution] = Field(description="Resolution records, oldest first; read-only.")


CASE = Entity(service="service", name="case", collection="cases", record=CaseRecord, owned=True, named="title")


class CaseEvent(Event):
    """Something happened to a case."""

    entity: ClassVar[Entity] = CASE
    record: CaseRecord


class CaseCreated(CaseEvent):
    """A case was opened."""

    type: ClassVar[str] = "crm.service.case.created.v1"


class CaseUpdated(CaseEvent):
    """Fields of a case changed."""

    type: ClassVar[str] = "crm.service.case.updated.v1"


class CaseDeleted(CaseEvent):
    """A case was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.service.case.deleted.v1"


class CaseAssigned(CaseEvent):
    """A case was given to another owner."""

    type: ClassVar[str] = "crm.service.case.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class CaseHeld(CaseEvent):
    """A case was put on hold."""

    type: ClassVar[str] = "crm.service.case.held.v1"
    phrase = "put on hold"


class CaseWaiting(CaseEvent):
    """A case waits for details from the customer."""

    type: ClassVar[str] = "crm.service.case.waiting.v1"
    phrase = "waits for details"


class CaseResearching(CaseEvent):
    """A case is being researched."""

    type: ClassVar[str] = "crm.service.case.researching.v1"
    phrase = "is looked into"


class CaseResumed(CaseEvent):
    """A case that was held, waited or was researched is in progress again."""

    type: ClassVar[str] = "crm.service.case.resumed.v1"


class CaseEscalated(CaseEvent):
    """A case was escalated. A case can be escalated only once."""

    type: ClassVar[str] = "crm.service.case.escalated.v1"
    timeline = ("escalated_at",)
    escalated_at: UtcDatetime = Field(description="When it was escalated.")


class CaseResolved(CaseEvent):
    """A case was resolved."""

    type: ClassVar[str] = "crm.service.case.resolved.v1"
    timeline = ("kind", "minutes", "billable_minutes", "resolved_at")
    headline = "kind"
    kind: Open[ResolutionKind] = Field(description="How it was resolved: the status reason.")
    resolution: LongText | None = Field(description="What was done, at most 32,000 characters.")
    minutes: Count = Field(description="Time spent, in minutes.")
    billable_minutes: Count = Field(description="How much of it is billed, in minutes; at most `minutes`.")
    resolved_at: UtcDatetime = Field(description="When it was resolved.")


class CaseCanceled(CaseEvent):
    """A case was canceled."""

    type: ClassVar[str] = "crm.service.case.canceled.v1"


class CaseReactivated(CaseEvent):
    """A resolved or canceled case was reactivated. Its resolution is reversed."""

    type: ClassVar[str] = "crm.service.case.reactivated.v1"
    reversed_resolution: CaseResolution | None = Field(
        description="The reversed resolution; null for a case that was canceled."
    )


class CaseSnapshot(CaseEvent):
    """The current state of a case, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.service.case.snapshot.v1"
