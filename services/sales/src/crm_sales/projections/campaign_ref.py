"""``CampaignRef``: the copy of marketing's campaigns.

Leads and deals can refer only to campaigns that the caller may read, because the figures of a campaign count them.
"""

from uuid import UUID

from crm_contracts.marketing import CAMPAIGN
from crm_kit.copies.known import ReferableCopy, refer_to_copy
from crm_kit.work.uow import UnitOfWork
from crm_sales.db import Base


class CampaignRef(ReferableCopy, Base):
    """The owner of a campaign. Its state is not kept: completed and canceled campaigns can be referred to as well."""

    __tablename__ = "campaign_ref"


async def refer_to_campaign(uow: UnitOfWork, campaign_id: UUID | None, before: UUID | None = None) -> None:
    """Check the campaign of a record unless it is the same as ``before``.

    422 ``unknown-reference`` at ``/campaign_id``.

    An unchanged campaign is not a new reference, and the caller may have lost access to it.
    """
    if campaign_id != before:
        await refer_to_copy(uow, CampaignRef, CAMPAIGN.name, campaign_id, "/campaign_id")
