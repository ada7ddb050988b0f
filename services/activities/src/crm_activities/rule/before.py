"""What the release before left: events that its group of follow-up rules had not handled.

That release runs beside this one during an upgrade, and again after a roll-back. The next release drops this module and
the table ``follow_up_rule``.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import (
    Select,
    delete,
    select,
)

from crm_activities.db import Base
from crm_activities.rule.planning import plan_activities
from crm_contracts.envelope import Envelope
from crm_kit.work.uow import UnitOfWork

GROUP: Final = "activities.follow_up"


def unhandled(now: datetime) -> Select[UUID]:
    """Return the events that the group of the release before has stored and not handled."""
    inbox = Base.metadata.tables["inbox"]
    return select(inbox.c.event_id).where(
        inbox.c.consumer == GROUP, inbox.c.state.in_(("pending", "waiting", "parked")), inbox.c.received_at <= now
    )


async def plan_unhandled(event_id: UUID, uow: UnitOfWork) -> None:
    """Plan what rules create after such an event."""
    inbox = Base.metadata.tables["inbox"]
    gone = delete(inbox).where(inbox.c.consumer == GROUP, inbox.c.event_id == event_id)
    for body in (await uow.execute(gone.returning(inbox.c.body))).scalars():
        if body is not None:
            await plan_activities([Envelope.from_json(body)], uow)
