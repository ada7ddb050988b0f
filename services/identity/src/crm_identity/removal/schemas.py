"""What clients get about removals."""

from pydantic import Field

from crm_contracts.removals import PrincipalRemovalRecord


class PrincipalRemovalRead(PrincipalRemovalRecord):
    """A removal as you may see it."""

    allowed_actions: list[str] = Field(
        description="Always empty: a removal ends by itself. Until then it can be canceled."
    )
