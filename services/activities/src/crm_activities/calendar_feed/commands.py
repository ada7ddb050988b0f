"""Feeds of appointments: their secret links, and what they contain."""

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_activities.appointment.model import Appointment
from crm_activities.calendar_feed.model import CalendarFeed
from crm_activities.ical.writing import calendar_of
from crm_contracts.access import Privilege
from crm_kit import clock
from crm_kit.errors import Forbidden, NotFound
from crm_kit.process.runtime import Runtime
from crm_kit.work.uow import UnitOfWork

PAST: Final = timedelta(days=90)
AHEAD: Final = timedelta(days=366)
CANCELED: Final = timedelta(days=30)
"""How long a canceled appointment stays in a feed, so that calendars learn of it."""
MOST: Final = 5000
MOST_TEXT: Final = 2000
COLUMNS: Final = (
    *("id", "uid", "sequence", "subject", "location", "description", "all_day", "start_date", "end_date"),
    *("scheduled_start_at", "scheduled_end_at", "start_zone", "end_zone", "status", "status_reason"),
    *("series_id", "created_at", "modified_at"),
)


async def make_link(uow: UnitOfWork, team_id: UUID | None) -> dict[str, Any]:
    """Make the link of a feed, or another one in place of it. The old one ends at once. 403 for a team of others."""
    uow.principal.require(Appointment.entity(), Privilege.READ)
    if team_id is not None and team_id not in uow.principal.teams:
        raise Forbidden("read", "team")
    secret = secrets.token_urlsafe(32)
    feed = {
        "owner_id": team_id or uow.principal.id,
        "owner_type": "user" if team_id is None else "team",
        "secret_hash": _hash(secret),
        "created_by": uow.principal.id,
        "created_at": uow.now,
    }
    made = insert(CalendarFeed).values(feed)
    changed = {name: made.excluded[name] for name in ("secret_hash", "created_by", "created_at")}
    await uow.execute(made.on_conflict_do_update(index_elements=["owner_id"], set_=changed))
    return {**_shown(feed), "path": f"/api/v1/calendars/{secret}.ics"}


async def feeds_of(uow: UnitOfWork) -> list[dict[str, Any]]:
    """Return the caller's feeds."""
    found = select(CalendarFeed.__table__).where(CalendarFeed.owner_id.in_(_mine(uow))).order_by(CalendarFeed.owner_id)
    return [_shown(dict(row)) for row in (await uow.execute(found)).mappings()]


async def end_link(uow: UnitOfWork, team_id: UUID | None) -> None:
    """End the link of a feed. 404 unless there is one, of the caller or of a team of the caller."""
    owner_id = team_id or uow.principal.id
    found = delete(CalendarFeed).where(CalendarFeed.owner_id == owner_id)
    if owner_id not in _mine(uow) or not (await uow.execute(found)).rowcount:
        raise NotFound("calendar_feed")


async def feed_with(runtime: Runtime, secret: str) -> bytes:
    """Return the calendar of a link. 404 for an old or unknown one, and where its owner or who made it is no longer active."""
    async with runtime.db.autocommit() as conn:
        link = select(CalendarFeed.owner_id, CalendarFeed.created_by).where(CalendarFeed.secret_hash == _hash(secret))
        found = (await conn.execute(link)).one_or_none()
        if found is None:
            raise NotFound("calendar_feed")
        await runtime.directory.learn(conn, [found.owner_id, found.created_by])
        owner, maker = (runtime.directory.named(one) for one in (found.owner_id, found.created_by))
        if owner is None or maker is None or any(one.deleted or not one.active for one in (owner, maker)):
            raise NotFound("calendar_feed")
        rows = await _appointments(conn, found.owner_id)
    # A large calendar takes seconds, in which other requests are answered.
    return await asyncio.to_thread(calendar_of, rows, owner.name or "Liaison")


async def _appointments(conn: AsyncConnection, owner: UUID) -> list[dict[str, Any]]:
    """Return what somebody owns or takes part in, from 90 days ago to a year ahead, at most 5,000."""
    table = Appointment.__table__
    # Whole days, so that a feed does not change from one second to the next.
    today = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    wanted = (
        select(*(table.c[name] for name in COLUMNS))
        .where(
            or_(table.c.owner_id == owner, table.c.party_ids.contains([owner])),
            table.c.scheduled_end_at >= today - PAST,
            table.c.scheduled_start_at < today + AHEAD,
            or_(table.c.status != "canceled", table.c.modified_at >= today - CANCELED),
        )
        # Of too many, those to come are kept.
        .order_by(table.c.scheduled_start_at.desc(), table.c.id.desc())
        .limit(MOST)
    )
    rows = [dict(row) for row in (await conn.execute(wanted)).mappings()]
    return [row | {"description": shortened(row["description"])} for row in reversed(rows)]


def shortened(text: str | None) -> str | None:
    """Return a description as feeds show it: at most 2,000 characters."""
    return text if text is None or len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"


def _mine(uow: UnitOfWork) -> set[UUID]:
    return {uow.principal.id, *uow.principal.teams}


def _shown(feed: Mapping[str, Any]) -> dict[str, Any]:
    return {name: feed[name] for name in ("owner_type", "owner_id", "created_at")}


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
