"""Merges with unfinished moves."""

from crm_kit.records.moving import Moving
from crm_sales.db import Base


class MoveTask(Moving, Base):
    """A merge whose references still have to move to the survivor."""

    __tablename__ = "move_task"
