"""``CampaignRef``: the copy of marketing's campaigns.

Leads and deals can refer only to campaigns that the caller may read, because the figures of a campaign count them.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.envelope import Envelope
from crm_contracts.marketing import CAMPAIGN
from crm_kit.copies.declaring import fields, text
from crm_kit.copies.referable import ReferableCopy, reach_told, refer_to_copy
from crm_kit.work.uow import UnitOfWork
from crm_sales.db import Base


class CampaignRef(ReferableCopy, Base):
    """The owner, the number and the name of a campaign, by which imports refer to it.

    Its state is not kept: completed and canceled campaigns can be referred to as well. Copies of earlier releases have neither
    number nor name until they are told again.
    """

    __tablename__ = "campaign_ref"

    number: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (Index(None, "number"), Index(None, "name"))


_TOLD = fields(number=text, name=text)


def campaign_told(envelope: Envelope) -> Mapping[str, Any]:
    """Return the owner, the unit, the number and the name of an event's campaign."""
    return {**reach_told(envelope), **_TOLD(envelope)}


async def refer_to_campaign(uow: UnitOfWork, campaign_id: UUID | None, before: UUID | None = None) -> None:
    """Check the campaign of a record unless it is the same as ``before``.

    422 ``unknown-reference`` at ``/campaign_id``.

    An unchanged campaign is not a new reference, and the caller may have lost access to it.
    """
    if campaign_id != before:
        await refer_to_copy(uow, CampaignRef, CAMPAIGN.name, campaign_id, "/campaign_id")
