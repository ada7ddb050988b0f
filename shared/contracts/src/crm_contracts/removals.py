"""The records of a removal: a user, team or API client is deleted, and services hand over what it owns.

Identity publishes the removal. Each service that owns records answers with a handover of its own.
"""

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from .records import OwnerType, RecordModel
from .types import Open, Personal, Shape, ShortText


class RemovalStatus(StrEnum):
    """States of a removal. Each has one reason with the same name."""

    COUNTING = "counting"
    MOVING = "moving"
    REFUSED = "refused"
    COMPLETED = "completed"


class HandoverStatus(StrEnum):
    """States of what one service does for a removal. Each has one reason with the same name."""

    ASKED = "asked"
    COUNTED = "counted"
    MOVING = "moving"
    COMPLETED = "completed"
    CANCELED = "canceled"


class RemovalPart(Shape):
    """What one service has answered."""

    service: str = Field(description="Short name of the service.", examples=["sales"])
    status: Open[HandoverStatus] = Field(
        description="`asked` until the service answers, then the state of its handover."
    )
    owned: int = Field(ge=0, description="Number of records that the principal owned when the service counted.")
    moved: int = Field(ge=0, description="Number of records that have the new owner so far.")


class PrincipalRemovalRecord(RecordModel):
    """The deletion of a user, team or API client, with its progress in each service that owns records."""

    status: Open[RemovalStatus] = Field(
        description="`counting`: services count what the principal owns. `moving`: they give it to the recipient. `refused`:"
        " the principal stays; `reason` says why. `completed`: the principal is deleted."
    )
    status_reason: Open[RemovalStatus] = Field(description="Detail of the state; the same word.")
    principal_type: Open[OwnerType] = Field(description="`user`, `team` or `client`.")
    principal_id: UUID = Field(description="Id of the user, team or API client.")
    principal_name: Personal[ShortText] = Field(description="Its name when the removal began.")
    transfer: bool = Field(
        description="Whether its records go to the recipient. Otherwise the principal is deleted only if it owns no record."
    )
    recipient_type: Open[OwnerType] = Field(description="`user`, `team` or `client`.")
    recipient_id: UUID = Field(
        description="Id of the new owner. Without `transfer` it is whoever asked for the deletion, and owns what turns up later."
    )
    reason: str | None = Field(
        description="Why it was refused: `owns-records`, `superseded` by another request, `canceled` by a person, `not-answered`"
        " when a service counted more than a minute later, or the type of the problem that the deletion itself met, such as"
        " `last-administrator`. Otherwise null.",
        examples=["owns-records"],
    )
    services: list[RemovalPart] = Field(description="The services that own records, by name.")


class HandoverRecord(RecordModel):
    """What a service does for a removal: it counts the records of the principal, or gives them to the recipient."""

    removal_id: UUID = Field(description="Id of identity's removal.")
    principal_type: Open[OwnerType] = Field(description="`user`, `team` or `client`.")
    principal_id: UUID = Field(description="Id of the owner that is removed.")
    recipient_type: Open[OwnerType] = Field(description="`user`, `team` or `client`.")
    recipient_id: UUID = Field(description="Id of the new owner.")
    status: Open[HandoverStatus] = Field(
        description="`counted` after counting; `moving` while records get their new owner; `completed` when none is left;"
        " `canceled` if the removal was refused or canceled."
    )
    status_reason: Open[HandoverStatus] = Field(description="Detail of the state; the same word.")
    owned: int = Field(ge=0, description="Number of records that the principal owned when they were counted.")
    moved: int = Field(ge=0, description="Number of records that have the new owner so far.")
