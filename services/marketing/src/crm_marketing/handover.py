"""Counts the records of a user, team or API client that is removed, and gives them to another owner."""

from crm_contracts.marketing import HANDOVERS
from crm_kit.records.handing_over import HandingOver, Handover
from crm_marketing.db import Base


class MarketingHandover(HandingOver, Base):
    """What this service does for a removal."""

    __tablename__ = "marketing_handover"
    __table_args__ = HandingOver.indexes()


HANDOVER = Handover(MarketingHandover, HANDOVERS)
