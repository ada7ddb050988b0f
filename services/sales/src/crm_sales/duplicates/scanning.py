"""Scan the existing records for likely duplicates, a few records per request.

Each request scans some records that the caller may read, oldest first, and finds the likely duplicates of each by
index. It stops when its page is full or its time is used up. A page can therefore be short or empty and still have a
next page. Scans of one caller run one after the other. Between two steps the connection is free for other requests.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import DBAPIError
from starlette.responses import Response

from crm_contracts.access import Privilege
from crm_kit import clock
from crm_kit.records.answers import READ_HEADERS
from crm_kit.records.listing import Listing, cursors_of, readable_after
from crm_kit.store.outages import ran_out_of_time
from crm_kit.store.parameters import Parameters
from crm_kit.store.presenter import to_json
from crm_kit.work.uow import UnitOfWork
from crm_sales.duplicates.finding import OF_THE_SAME_ENTITY, Match, Target, find
from crm_sales.duplicates.known import SHOWN
from crm_sales.duplicates.likeness import Somebody, display_name, is_compared, likeness_of
from crm_sales.duplicates.telling import TOLD, told

SECONDS = 1.0
"""Time after which no further step starts: a third of the time of a request."""
STEP_SECONDS = 0.1
"""After a faster step the next one has twice as many records, else half as many. A record takes from less than a
millisecond to hundreds of milliseconds, depending on how common its name is."""
LONGEST_SECONDS = 1.0
"""A step that takes longer is canceled. If it has one record only, that record's name is too common to identify
anybody."""
FIRST_STEP = 1
LONGEST_STEP = 500


async def scan_duplicates(
    uow: UnitOfWork, entity: type[Somebody], listing: Listing, limit: int, after: str | None, *, names: bool
) -> Response:
    """Return the next records that have likely duplicates of their own kind."""
    uow.principal.require(entity.entity(), Privilege.READ)
    target = OF_THE_SAME_ENTITY[entity]
    if not names:
        target = replace(target, similar="false")
    async with uow.reads.slowly("Leave the names out: names=false."):
        return await _scan(uow, entity, listing, limit, after, target)


async def _scan(
    uow: UnitOfWork,
    entity: type[Somebody],
    listing: Listing,
    limit: int,
    after: str | None,
    target: Target,
) -> Response:
    cursors, scope = cursors_of(uow), f"duplicates of {target} for {uow.principal.id}".encode()
    position = None if after is None else cursors.read(after, scope)
    now = clock.monotonic()
    until, step = now + SECONDS, FIRST_STEP
    items: list[dict[str, Any]] = []
    scanned = unnamed = 0
    while True:
        rows = await readable_after(uow, listing, position, step)
        records = [entity.from_row(row) for row in rows]
        try:
            async with asyncio.timeout(LONGEST_SECONDS) as patience:
                partners = await _partners(uow, target, entity, records)
        except (TimeoutError, DBAPIError) as error:
            if not (patience.expired() or ran_out_of_time(error)):
                raise
            await uow.link.let_go()
            if scanned and position is not None:
                # The next records have far more common names. The next request starts there with one record.
                return _page(items, cursors.write(position, scope), scanned, unnamed)
            unnamed += len(records)
            partners = await _partners(uow, replace(target, similar="false"), entity, records)
        await uow.link.let_go()
        for number, record in enumerate(records):
            scanned += 1
            position = [record.created_at.isoformat(), str(record.id)]
            if number in partners:
                items.append(_item(uow, record, partners[number]))
            if len(items) == limit:
                return _page(items, cursors.write(position, scope), scanned, unnamed)
        if len(rows) < step or position is None:
            return _page(items, None, scanned, unnamed)
        began, now = now, clock.monotonic()
        if now > until:
            return _page(items, cursors.write(position, scope), scanned, unnamed)
        step = min(step * 2, LONGEST_STEP) if now - began < STEP_SECONDS else max(step // 2, 1)


async def _partners(
    uow: UnitOfWork, target: Target, entity: type[Somebody], records: Sequence[Somebody]
) -> Mapping[int, list[Match]]:
    """Return the likely duplicates of a step's records.

    A pair of which the caller may read both records is listed with the older one. A pair with one hidden record is
    listed with the record that is scanned.
    """
    wanted = [
        (number, likeness)
        for number, record in enumerate(records)
        if is_compared(record) and not (likeness := likeness_of(record)).empty
    ]
    parameters = Parameters()
    reach = uow.reach(entity).bound(parameters).covers()
    younger = f"((t.created_at, t.id) > (p.at, p.id) or not {reach})"
    found: dict[int, list[Match]] = defaultdict(list)
    conn = await uow.connection()
    for match in await find(conn, [(target, wanted)], limit=SHOWN + 1, more=younger, parameters=parameters):
        found[match.wanted].append(match)
    return found


def _item(uow: UnitOfWork, record: Somebody, matches: Sequence[Match]) -> dict[str, Any]:
    known = {field: getattr(record, field, None) for field in TOLD}
    return {
        "record": {**known, "type": record.entity(), "name": display_name(record)},
        "duplicates": [told(uow, match) for match in matches[:SHOWN]],
        "more": len(matches) > SHOWN,
    }


def _page(items: list[dict[str, Any]], following: str | None, scanned: int, unnamed: int) -> Response:
    body = {"items": items, "next": following, "scanned": scanned, "names_not_compared": unnamed}
    return Response(to_json(body), 200, READ_HEADERS, "application/json")
