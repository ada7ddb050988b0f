"""What clients get about incoming mails."""

from pydantic import Field

from crm_contracts.activities.inbound_mail import InboundMailRecord


class InboundMailView(InboundMailRecord):
    """An incoming mail as you may see it."""

    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")
