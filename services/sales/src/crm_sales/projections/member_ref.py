"""``MemberRef``: which teams a user is in. A team's goal counts what its members own, and only identity knows them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Index, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.envelope import Envelope
from crm_kit.copies.projections import Projected, project
from crm_kit.events.consumers import Unprocessable
from crm_kit.work.uow import UnitOfWork
from crm_sales.db import Base


class MemberRef(Projected, Base):
    """One user and the teams it is in now. One who is disabled stays: what was won stays won."""

    __tablename__ = "member_ref"

    team_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))

    __table_args__ = (Index(None, "team_ids", postgresql_using="gin"),)


async def keep_members(events: Sequence[Envelope], uow: UnitOfWork) -> None:
    """One row per user."""
    await project(uow, MemberRef, [(event, _columns(event)) for event in events])


def _columns(event: Envelope) -> dict[str, Any]:
    try:
        return {"team_ids": [str(UUID(team)) for team in event.data["record"]["team_ids"]]}
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise Unprocessable("data.record has no team_ids that are ids") from error
