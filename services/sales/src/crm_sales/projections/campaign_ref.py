"""``CampaignRef``: what sales knows of the campaigns of marketing, so that leads and deals refer to none but a campaign that
whoever writes them may read: its figures count them."""

from uuid import UUID

from crm_contracts.marketing import CAMPAIGN
from crm_kit.copies.known import ReferableCopy, refer_to_copy
from crm_kit.work.uow import UnitOfWork
from crm_sales.db import Base


class CampaignRef(ReferableCopy, Base):
    """One campaign: whose it is. Its state is no matter: what a completed or canceled one brought is still its merit."""

    __tablename__ = "campaign_ref"


async def refer_to_campaign(uow: UnitOfWork, campaign_id: UUID | None, before: UUID | None = None) -> None:
    """Check the campaign that a record shall name, unless it named it ``before``: what stays is no new reference, and its
    campaign may be out of the caller's sight by now. 422 ``unknown-reference`` at ``/campaign_id``."""
    if campaign_id != before:
        await refer_to_copy(uow, CampaignRef, CAMPAIGN.name, campaign_id, "/campaign_id")
