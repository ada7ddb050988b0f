"""Links between timelines: that of a lead includes the records made of it, and that of a customer its leads and deals.

Events are not copied. Reading a timeline follows the links.
"""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.db import Base
from crm_contracts.envelope import Envelope, parse_type
from crm_contracts.sales.lead import LEAD
from crm_contracts.sales.opportunity import OPPORTUNITY
from crm_kit.copies.survivors import survivor_told
from crm_kit.store.database import fetch
from crm_kit.work.uow import UnitOfWork

FOLLOWED_FIELDS = ("account_id", "contact_id", "opportunity_id")


class TimelineLink(Base):
    """A lead and a record made of it, a survivor and a record merged into it, or a customer and a deal. A timeline includes the
    others for callers who may read them."""

    __tablename__ = "timeline_link"

    source_id: Mapped[UUID] = mapped_column(primary_key=True)
    target_id: Mapped[UUID] = mapped_column(primary_key=True, index=True)


_FORGET = """
delete from timeline_link l using record_ref s, record_ref t
where l.{0} = any($1::uuid[]) and s.id = l.source_id and t.id = l.target_id and {1}
"""
# A lead tells what it became. A merged record tells its survivor, and a deal its customer.
FORGETS = (
    _FORGET.format("source_id", "s.type = 'lead' and t.type <> 'lead'"),
    _FORGET.format("target_id", "(s.type = t.type or s.type <> 'lead' and t.type = 'opportunity')"),
)
# An event may arrive again, or late. The copy of the deal says whether it is the newest.
_PRESENT = """
with told as (
  select d.* from json_to_recordset($1::text::json) as d (deal uuid, customer uuid, epoch int, version int)
  join record_ref r on r.id = d.deal and (r.epoch, r.version) <= (d.epoch, d.version)
), moved as (
  delete from timeline_link l using record_ref s, told
  where l.target_id = told.deal and l.source_id is distinct from told.customer and s.id = l.source_id
    and s.type not in ('lead', 'opportunity')
)
insert into timeline_link (source_id, target_id) select customer, deal from told where customer is not null
order by 1, 2 on conflict do nothing
"""


async def forget_links(record_ids: Collection[UUID], uow: UnitOfWork) -> None:
    """Delete the links that these records told, because their events are published again or were lost by the publisher."""
    for statement in FORGETS:
        await (await uow.connection()).exec_driver_sql(statement, (sorted(record_ids),))


async def keep_links(events: Sequence[Envelope], uow: UnitOfWork) -> None:
    """Insert the links of these events: from a lead to its account, contact and opportunity, from a survivor to the record
    merged into it, and from a customer to its deal.

    A link stays when the lead names another record later. A deal has the link of its present customer only.
    """
    links = {link for event in events for link in _links(event)}
    if anew := uow.anew & {event.subject for event in events}:
        await forget_links(anew, uow)
    if deals := _deals(events):
        await fetch(await uow.connection(), _PRESENT, (orjson.dumps(deals).decode(),))
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
    record, subject, entity = event.data["record"], str(event.subject), parse_type(event.type).entity
    followed = FOLLOWED_FIELDS if entity == LEAD.name else ()
    links = [(subject, record[field]) for field in followed if record.get(field)]
    survivor = survivor_told(event)
    return [*links, (survivor, subject)] if survivor else links


def _deals(events: Sequence[Envelope]) -> list[dict[str, Any]]:
    """Return the customer of each deal after its newest event."""
    newest: dict[UUID, Envelope] = {}
    for event in sorted(events, key=lambda one: (one.epoch, one.entityversion)):
        if parse_type(event.type).entity == OPPORTUNITY.name:
            newest[event.subject] = event
    return [
        {"deal": str(deal), "customer": (event.data["record"].get("customer") or {}).get("id")}
        | {"epoch": event.epoch, "version": event.entityversion}
        for deal, event in newest.items()
    ]
