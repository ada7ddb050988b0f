"""Counts the records of a user, team or API client that is removed, and gives them to another owner."""

from crm_activities.db import Base
from crm_contracts.activities.handover import HANDOVERS
from crm_kit.records.handing_over import HandingOver, Handover


class ActivitiesHandover(HandingOver, Base):
    """What this service does for a removal."""

    __tablename__ = "activities_handover"
    __table_args__ = HandingOver.indexes()


HANDOVER = Handover(ActivitiesHandover, HANDOVERS)
