"""Counts the records of a user, team or API client that is removed, and gives them to another owner."""

from crm_contracts.service.handover import HANDOVERS
from crm_kit.records.handing_over import HandingOver, Handover
from crm_service_mgmt.db import Base


class ServiceHandover(HandingOver, Base):
    """What this service does for a removal."""

    __tablename__ = "service_handover"
    __table_args__ = HandingOver.indexes()


HANDOVER = Handover(ServiceHandover, HANDOVERS)
