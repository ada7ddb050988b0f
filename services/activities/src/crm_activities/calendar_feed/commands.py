"""Feeds of appointments: their secret links, and what they contain."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_activities.appointment.model import Appointment
from crm_activities.calendar_feed.model import CalendarFeed
from crm_activities.ical.writing import calendar_of
from crm_contracts.access import Privilege
from crm_contracts.identity import UserUpdated
from crm_kit import clock
from crm_kit.errors import Forbidden, NotFound
from crm_kit.process.runtime import Runtime
from crm_kit.work.uow import UnitOfWork

PAST: Final = timedelta(days=90)
AHEAD: Final = timedelta(days=366)
CANCELED: Final = timedelta(days=30)
"""How long a canceled appointment stays in a feed, so that calendars learn of it."""
MOST: Final = 5000
FORM: Final = 1
"""The form in which calendars are written. Another one makes another ETag of the same appointments."""
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


async def end_links_of_left_teams(event: UserUpdated, uow: UnitOfWork) -> None:
    """End the links that a user made to the calendars of teams to which the user no longer belongs.

    A link that was made after the event is of a team that the user joined since.
    """
    left = delete(CalendarFeed).where(
        CalendarFeed.created_by == event.record.id,
        CalendarFeed.owner_type == "team",
        CalendarFeed.owner_id.not_in(event.record.team_ids),
        CalendarFeed.created_at < event.record.modified_at,
    )
    await uow.transaction()
    await uow.execute(left)


async def feed_with(runtime: Runtime, secret: str, is_known: Callable[[str], bool]) -> tuple[str, bytes | None]:
    """Return the ETag of the calendar of a link, and the calendar unless the ETag is known.

    404 for an old or unknown link, and where its owner or who made it is no longer active.
    """
    async with runtime.db.autocommit() as conn:
        link = select(CalendarFeed.owner_id, CalendarFeed.created_by).where(CalendarFeed.secret_hash == _hash(secret))
        found = (await conn.execute(link)).one_or_none()
        if found is None:
            raise NotFound("calendar_feed")
        await runtime.directory.learn(conn, [found.owner_id, found.created_by])
        owner, maker = (runtime.directory.named(one) for one in (found.owner_id, found.created_by))
        if owner is None or maker is None or any(one.deleted or not one.active for one in (owner, maker)):
            raise NotFound("calendar_feed")
        name, conditions = owner.name or "Liaison", _shown_today(found.owner_id)
        tag = await _tag(conn, name, conditions)
        if is_known(tag):
            return tag, None
        rows = await _appointments(conn, conditions)
    # A large calendar takes seconds, in which other requests are answered.
    return tag, await asyncio.to_thread(calendar_of, rows, name)


def _shown_today(owner: UUID) -> tuple[ColumnElement[bool], ...]:
    """The conditions of what a feed has: what somebody owns or takes part in, from 90 days ago to a year ahead."""
    table = Appointment.__table__
    # Whole days, so that a feed does not change from one second to the next.
    today = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return (
        or_(table.c.owner_id == owner, table.c.party_ids.contains([owner])),
        table.c.scheduled_end_at >= today - PAST,
        table.c.scheduled_start_at < today + AHEAD,
        or_(table.c.status != "canceled", table.c.modified_at >= today - CANCELED),
    )


async def _tag(conn: AsyncConnection, name: str, conditions: Sequence[ColumnElement[bool]]) -> str:
    """Return the ETag of a feed, from its name and from the ids and versions of its appointments.

    It is known before a calendar is made, which takes much longer.
    """
    table = Appointment.__table__
    sums = [
        func.sum(func.hashtextextended(cast(table.c.id, Text) + ":" + cast(table.c.version, Text), seed))
        for seed in (0, 1)
    ]
    found = (await conn.execute(select(func.count(), *sums).where(*conditions))).one()
    return f'"{hashlib.sha256(f"{FORM} {name} {tuple(found)}".encode()).hexdigest()[:32]}"'


async def _appointments(conn: AsyncConnection, conditions: Sequence[ColumnElement[bool]]) -> list[dict[str, Any]]:
    """Return the appointments of a feed, at most 5,000."""
    table = Appointment.__table__
    wanted = (
        select(*(table.c[name] for name in COLUMNS))
        .where(*conditions)
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
