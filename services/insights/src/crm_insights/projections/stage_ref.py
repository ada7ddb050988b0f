"""``StageRef``: the copy of sales' stages."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from crm_insights.db import Base
from crm_kit.copies.declaring import fields, text
from crm_kit.copies.projections import Projected


class StageRef(Projected, Base):
    """The name and the position of a stage. A deleted stage keeps both, because deals went through it."""

    __tablename__ = "stage_ref"

    name: Mapped[str] = mapped_column(String(200))
    position: Mapped[int]


STAGES = fields(name=text, position=int)
