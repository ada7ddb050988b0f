"""Merges of which something is left to do."""

from crm_kit.records.moving import Moving
from crm_sales.db import Base


class MoveTask(Moving, Base):
    """What referred to a merged record moves to its survivor."""

    __tablename__ = "move_task"
