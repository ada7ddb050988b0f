"""Counts the records of a user, team or API client that is removed, and gives them to another owner."""

from crm_contracts.sales.handover import HANDOVERS
from crm_kit.records.handing_over import HandingOver, Handover
from crm_sales.db import Base


class SalesHandover(HandingOver, Base):
    """What this service does for a removal."""

    __tablename__ = "sales_handover"
    __table_args__ = HandingOver.indexes()


HANDOVER = Handover(SalesHandover, HANDOVERS)
