"""Links between timelines: the timeline of a lead includes that of the records made of it.

Events are not copied. Reading a timeline follows the links.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

import orjson
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.db import Base
from crm_contracts.envelope import Envelope, parse_type
from crm_contracts.sales.lead import LEAD
from crm_kit.copies.survivors import survivor_told
from crm_kit.store.database import fetch
from crm_kit.work.uow import UnitOfWork

FOLLOWED_FIELDS = ("account_id", "contact_id", "opportunity_id")


class TimelineLink(Base):
    """The timeline of ``source_id`` includes that of ``target_id``, for callers who may read the target."""

    __tablename__ = "timeline_link"

    source_id: Mapped[UUID] = mapped_column(primary_key=True)
    target_id: Mapped[UUID] = mapped_column(primary_key=True, index=True)


_FORGET = """
delete from timeline_link l using record_ref s, record_ref t
where l.{0} = any($1::uuid[]) and s.id = l.source_id and t.id = l.target_id and s.type {1} t.type
"""
# Links from a survivor to a merged record have two records of the same kind and are told by the merged one. All other
# links are told by their source.
FORGETS = (_FORGET.format("source_id", "<>"), _FORGET.format("target_id", "="))


async def forget_links(record_ids: Collection[UUID], uow: UnitOfWork) -> None:
    """Delete the links that these records told, because their events are published again or were lost by the publisher."""
    for statement in FORGETS:
        await (await uow.connection()).exec_driver_sql(statement, (sorted(record_ids),))


async def keep_links(events: Sequence[Envelope], uow: UnitOfWork) -> None:
    """Insert the links of these events: from a lead to its account, contact and opportunity, and from a survivor to the
    record merged into it.

    A link stays when the lead names another record later.
    """
    links = {link for event in events for link in _links(event)}
    if anew := uow.anew & {event.subject for event in events}:
        await forget_links(anew, uow)
    if links:
        rows = [{"source_id": source, "target_id": target} for source, target in sorted(links)]
        await fetch(
            await uow.connection(),
            "insert into timeline_link (source_id, target_id)"
            " select source_id, target_id from json_populate_recordset(null::timeline_link, $1::text::json)"
            " on conflict do nothing",
            (orjson.dumps(rows).decode(),),
        )


def _links(event: Envelope) -> list[tuple[str, str]]:
    record, subject = event.data["record"], str(event.subject)
    followed = FOLLOWED_FIELDS if parse_type(event.type).entity == LEAD.name else ()
    links = [(subject, record[field]) for field in followed if record.get(field)]
    survivor = survivor_told(event)
    return [*links, (survivor, subject)] if survivor else links
