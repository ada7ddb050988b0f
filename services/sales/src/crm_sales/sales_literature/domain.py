"""Sales literature: the state machine and the rules that need no database. Terms follow Dataverse's SalesLiterature."""

from crm_kit.errors import InvalidValue
from crm_kit.lifecycle import ACTIVE_INACTIVE

LIFECYCLE = ACTIVE_INACTIVE


def require_content(body: str | None, link: str | None) -> None:
    """Require content besides the title."""
    if body is None and link is None:
        message = "Send the text as body, or its address as link."
        raise InvalidValue("/body", "content-required", message)
