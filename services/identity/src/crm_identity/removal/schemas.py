"""What clients get about removals."""

from pydantic import Field

from crm_contracts.removals import PrincipalRemovalRecord


class PrincipalRemovalRead(PrincipalRemovalRecord):
    """A removal as you may see it."""

    allowed_actions: list[str] = Field(
        description="`cancel` while the removal has not ended, if you have the privileges of the deletion; otherwise empty."
    )
