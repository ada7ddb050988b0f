"""What clients send about cases and what they get."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.service.case import CaseCustomer, CaseRecord
from crm_contracts.service.choices import CaseOrigin, CasePriority, CaseType, ResolutionKind, Severity
from crm_contracts.types import Count, HiddenMark, LongText, Maybe, RefInput, ShortText
from crm_kit.records.patch import Patch, optional


class CaseCustomerInput(RefInput):
    """The customer of a case, as clients write it."""

    type: Literal["account", "contact"] = Field(description="`account` or `contact`.", examples=["contact"])


class CaseFields(BaseModel):
    """The fields of a case that clients write. Texts are trimmed; an empty text is null."""

    model_config = ConfigDict(extra="forbid")

    contact_id: UUID | None = Field(None, description="Contact to talk to, active and readable to you.")
    type: CaseType | None = Field(None, description="What the customer wants.")
    origin: CaseOrigin | None = Field(None, description="How the customer reached us.")
    priority: CasePriority = Field(CasePriority.NORMAL, description="Priority.")
    severity: Severity | None = Field(None, description="How bad it is.")
    description: Maybe[LongText] = Field(None, description="Free text, at most 32,000 characters.")
    product_id: UUID | None = Field(None, description="Product that it is about; readable to you, and in any state.")


class CaseCreate(CaseFields):
    """A new case."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "title": "Bill for May is wrong",
                    "customer": {"type": "contact", "id": "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f"},
                    "type": "complaint",
                    "origin": "phone",
                }
            ]
        }
    )

    title: ShortText = Field(description="What it is about, 1 to 200 characters.")
    customer: CaseCustomerInput = Field(description="Account or contact, active and readable to you.")


class CaseUpdate(Patch, CaseFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"priority": "high"}]})

    title: ShortText = optional("What it is about, 1 to 200 characters.")
    customer: CaseCustomerInput = optional("Account or contact, active and readable to you; never null.")


class HiddenCaseCustomer(CaseCustomer):
    """A customer that you may not read: its type and id, and no name."""

    hidden: HiddenMark


class CaseRead(CaseRecord):
    """A case as you may see it."""

    customer: CaseCustomer | HiddenCaseCustomer = Field(
        description="Account or contact that the case is for; `hidden` without its name where you may not read it."
    )
    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")


class CaseResolve(BaseModel):
    """How the case was resolved (Dataverse: IncidentResolution)."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"kind": "problem_solved", "resolution": "Refunded", "minutes": 25, "billable_minutes": 0},
            ]
        },
    )

    kind: ResolutionKind = Field(
        ResolutionKind.PROBLEM_SOLVED, description="Status reason it gets; `problem_solved` unless said."
    )
    resolution: Maybe[LongText] = Field(None, description="What was done, at most 32,000 characters.")
    minutes: Count = Field(0, description="Time spent, in minutes.")
    billable_minutes: Count = Field(0, description="How much of it is billed, in minutes; at most `minutes`.")
