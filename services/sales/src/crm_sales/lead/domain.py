"""Leads: the state machine and the rules that need no database. Terms follow Dataverse's Lead."""

from crm_kit.errors import InvalidValue
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "open/new",
    {
        "contact": ({"open/new"}, "open/contacted"),
        "qualify": ({"open/*"}, "qualified/qualified"),
        "disqualify": ({"open/*"}, "disqualified/lost|cannot_contact|no_longer_interested|canceled"),
        "reopen": ({"qualified/*", "disqualified/*"}, "open/contacted"),
    },
)


def require_somebody(last_name: str | None, company_name: str | None) -> None:
    """Require a person's last name or a company name (domain.md, *required on create*)."""
    if not last_name and not company_name:
        raise InvalidValue("/last_name", "name-required", "Send a last_name or a company_name.")
