"""Members that problems have beside those of RFC 9457, by HTTP status, for OpenAPI.

A problem has those of its type (``crm_contracts.problems``); the others of its status are absent.
"""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from pydantic import BaseModel, Field

from crm_contracts.money import Money
from crm_kit.http.problems import Problem

SECONDS: Final = "Seconds until the next attempt can succeed; the same number as in `Retry-After`."


class Referrer(BaseModel):
    """A record that a problem names. Of one that you may not read, only `hidden` is told."""

    type: str = Field(default="", description="Entity of the record, singular snake_case.", examples=["quote"])
    id: UUID | None = Field(default=None, description="Id of the record.")
    name: str | None = Field(default=None, description="Name or number of the record; null when it has none.")
    hidden: bool = Field(default=False, description="True if you may not read the record.")


class PossibleDuplicate(Referrer):
    """A record that is likely the same."""

    reasons: list[str] = Field(default=[], description="What is alike: `email`, `phone`, `name`.")
    similarity: float | None = Field(default=None, description="How alike the names are, 0 to 1.")


class Survivor(BaseModel):
    """The record that another one was merged into."""

    type: str = Field(description="Entity of the record, singular snake_case.", examples=["lead"])
    id: UUID = Field(description="Id of the record.")
    href: str | None = Field(default=None, description="Path of the record.")


class OwnedRecords(BaseModel):
    """How many records somebody owns in one service."""

    service: str = Field(description="Short name of the service.", examples=["sales"])
    records: int = Field(description="Number of records.", ge=1)


class ConflictProblem(Problem):
    """The record's state forbids it (409)."""

    record_status: str | None = Field(default=None, description="`illegal-transition`: status of the record.")
    status_reason: str | None = Field(default=None, description="`illegal-transition`: detail of the status.")
    allowed: list[str] | None = Field(
        default=None, description="`illegal-transition`: commands that the status allows.", examples=[["reopen"]]
    )
    duplicates: list[PossibleDuplicate] | None = Field(
        default=None, description="`possible-duplicates`: records that are likely the same, the likeliest first."
    )
    more: bool | None = Field(default=None, description="`possible-duplicates`: true when there may be more.")
    references: list[Referrer] | None = Field(
        default=None, description="`in-use`, `unfinished-business`: records that stand in the way."
    )
    order_id: UUID | None = Field(default=None, description="`already-ordered`: the order of the quote.")
    limit: Money | None = Field(
        default=None, description="`credit-limit`: the limit of the customer, if you may read the account."
    )
    open: Money | None = Field(
        default=None, description="`credit-limit`: what the customer owes and has ordered, if you may read the account."
    )
    order: Money | None = Field(default=None, description="`credit-limit`: total of this order in base currency.")
    currency: str | None = Field(
        default=None, description="`credit-limit`: the base currency, ISO 4217.", examples=["EUR"]
    )
    owned: list[OwnedRecords] | None = Field(
        default=None, description="`owns-records`: number of records in each service that has some."
    )
    removal: str | None = Field(
        default=None,
        description="`being-removed`, `owns-records`: path of the removal.",
        examples=["/api/v1/principal-removals/…"],
    )


class MergedProblem(Problem):
    """The record was merged into another (410)."""

    survivor: Survivor = Field(description="The record to use instead.")


class OtherProblem(Problem):
    """Any other problem."""

    retry_after: int | None = Field(default=None, description=SECONDS)
    code: str | None = Field(
        default=None, description="`not-yet-projected`: `late`, or `parked` when an operator has to act."
    )
    version: int | None = Field(default=None, description="`stale`: the version that the record has now.")
    survivor: Survivor | None = Field(
        default=None, description="`merged-reference`: the record to refer to, if you may read it."
    )
    limit: int | None = Field(
        default=None,
        description="`body-too-large`: the most bytes that a body may have. `validation` with `too-many`: the most values,"
        " members or items. `head-too-large`: the most header fields, or bytes of the head.",
    )
    error: str | None = Field(default=None, description="`/auth/token`: the error code of RFC 6749 §5.2.")
    error_description: str | None = Field(default=None, description="`/auth/token`: the same as `detail`.")


WITH_MEMBERS: Final[Mapping[int, type[Problem]]] = {
    409: ConflictProblem,
    410: MergedProblem,
}
"""The problems of a status that have members of their own."""
