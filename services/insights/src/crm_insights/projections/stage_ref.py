"""``StageRef``: the copy of sales' stages."""

from collections.abc import Sequence

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.sales.reference import SalesStageEvent
from crm_insights.db import Base
from crm_kit.copies.projections import Projected, project
from crm_kit.work.uow import UnitOfWork


class StageRef(Projected, Base):
    """The name and the position of a stage. A deleted stage keeps both, because deals went through it."""

    __tablename__ = "stage_ref"

    name: Mapped[str] = mapped_column(String(200))
    position: Mapped[int]


async def keep_stages(events: Sequence[SalesStageEvent], uow: UnitOfWork) -> None:
    """Keep one row per stage."""
    rows = [(event, {"name": event.record.name, "position": event.record.position}) for event in events]
    await project(uow, StageRef, rows)
