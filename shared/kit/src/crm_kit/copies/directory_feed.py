"""Keeps this service's copies of identity's records, in the handler group ``<service>.access``.

Events of different records arrive in any order, so these tables have no foreign keys. Each batch first locks the row of
``access_state``, so that the markers of two workers commit in the order in which they were drawn.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.catalogue import Event
from crm_contracts.identity import (
    API_CLIENT,
    BUSINESS_UNIT,
    TEAM,
    USER,
    AccessChangeCreated,
    AccessChangeEvent,
    AccessChangeSnapshot,
    ApiClientActivated,
    ApiClientCreated,
    ApiClientDeactivated,
    ApiClientDeleted,
    ApiClientEvent,
    ApiClientSnapshot,
    ApiClientUpdated,
    BusinessUnitCreated,
    BusinessUnitDeleted,
    BusinessUnitEvent,
    BusinessUnitSnapshot,
    BusinessUnitUpdated,
    OrganizationCreated,
    OrganizationEvent,
    OrganizationSnapshot,
    OrganizationUpdated,
    TeamCreated,
    TeamDeleted,
    TeamEvent,
    TeamSnapshot,
    TeamUpdated,
    UserCreated,
    UserDeleted,
    UserDisabled,
    UserEnabled,
    UserEvent,
    UserSnapshot,
    UserUpdated,
)
from crm_contracts.identity import ORGANIZATION as ORGANIZATION_ENTITY
from crm_kit import clock
from crm_kit.access.directory import CHANNEL, REVOCATION_LIFE
from crm_kit.events.consumers import Consumers, place_of
from crm_kit.work.uow import UnitOfWork

PRINCIPALS: Final = (
    *(UserCreated, UserUpdated, UserDisabled, UserEnabled, UserDeleted, UserSnapshot),
    *(TeamCreated, TeamUpdated, TeamDeleted, TeamSnapshot),
    *(
        ApiClientCreated,
        ApiClientUpdated,
        ApiClientActivated,
        ApiClientDeactivated,
        ApiClientDeleted,
        ApiClientSnapshot,
    ),
)
UNITS: Final = (BusinessUnitCreated, BusinessUnitUpdated, BusinessUnitDeleted, BusinessUnitSnapshot)
ORGANIZATION: Final = (OrganizationCreated, OrganizationUpdated, OrganizationSnapshot)
REVOCATIONS: Final = (AccessChangeCreated, AccessChangeSnapshot)
ACCESS_KEYS: Final = frozenset(
    f"crm.{event.entity.service}.{event.entity.name}.#" for event in (*PRINCIPALS, *UNITS, *ORGANIZATION, *REVOCATIONS)
)
"""The binding keys of the queue for access rights."""

_KIND: Final = {"user": "user", "team": "team", "api_client": "client"}


def follow_identity(consumers: Consumers, service: str) -> None:
    """Register the handlers that keep the directory's tables in the group ``<service>.access``."""
    group = f"{service}.access"
    consumers.projection(*PRINCIPALS, group=group)(keep_principals)
    consumers.projection(*UNITS, group=group)(keep_units)
    consumers.projection(*ORGANIZATION, group=group)(keep_organization)
    consumers.projection(*REVOCATIONS, group=group)(keep_revocations)
    consumers.groups[group].access = True
    consumers.keeps(group, "principal_ref", USER, TEAM, API_CLIENT)
    consumers.keeps(group, "unit_ref", BUSINESS_UNIT)
    consumers.keeps(group, "organization_ref", ORGANIZATION_ENTITY)
    consumers.forgets(group)(forget_principals)


async def keep_principals(events: Sequence[UserEvent | TeamEvent | ApiClientEvent], uow: UnitOfWork) -> None:
    """Keep users, teams and API clients, who may own records."""
    rows = [
        {
            **_stamp(event),
            "kind": _KIND[event.entity.name],
            "name": event.record.name,
            "email": event.record.email if isinstance(event, UserEvent) else None,
            "business_unit_id": event.record.business_unit_id,
            "active": not _gone(event) and getattr(event.record, "status", "active") == "active",
        }
        for event in _newest(events)
    ]
    conn = await uow.connection()
    marker = await _next_marker(conn)
    await _upsert(uow, "principal_ref", [{**row, "marker": marker} for row in rows])


async def forget_principals(ids: Sequence[UUID], uow: UnitOfWork) -> None:
    """Make principals inactive that identity no longer has."""
    conn = await uow.connection()
    marker = await _next_marker(conn)
    await conn.exec_driver_sql(
        "update principal_ref set active = false, marker = $2 where id = any($1::uuid[])", (list(ids), marker)
    )


async def keep_units(events: Sequence[BusinessUnitEvent], uow: UnitOfWork) -> None:
    """Keep the tree of business units."""
    rows = [
        {**_stamp(event), "name": event.record.name, "parent_id": event.record.parent_id} for event in _newest(events)
    ]
    conn = await uow.connection()
    await _next_marker(conn)
    await _upsert(uow, "unit_ref", rows)


async def keep_organization(events: Sequence[OrganizationEvent], uow: UnitOfWork) -> None:
    """Keep the settings of the organisation."""
    rows = [
        {
            **_stamp(event),
            "name": event.record.name,
            "time_zone": event.record.time_zone,
            "base_currency": event.record.base_currency,
            "country": event.record.country,
            "language": event.record.language,
        }
        for event in _newest(events)
    ]
    conn = await uow.connection()
    await _next_marker(conn)
    await _upsert(uow, "organization_ref", rows)


async def keep_revocations(events: Sequence[AccessChangeEvent], uow: UnitOfWork) -> None:
    """Keep the changes of access that revoke the earlier tokens of principals. Delete them when all such tokens have expired."""
    latest: dict[UUID, tuple[datetime, int | None]] = {}
    for event in events:
        change = event.record.not_before, event.record.sequence
        for principal in event.record.principals:
            latest[principal.id] = _both(latest.get(principal.id, change), change)
    rows = [{"id": id_, "not_before": moment, "sequence": count} for id_, (moment, count) in latest.items()]
    conn = await uow.connection()
    await _next_marker(conn)
    await conn.exec_driver_sql(NOTE_REVOCATIONS, (orjson.dumps(rows).decode(), clock.now()))
    await conn.exec_driver_sql(FORGET_REVOCATIONS, (clock.now() - REVOCATION_LIFE,))


def _both(one: tuple[datetime, int | None], other: tuple[datetime, int | None]) -> tuple[datetime, int | None]:
    """Combine two changes into one. If one of them has no count, the count of the later one by the clock is used."""
    (_, count), (later, news) = sorted((one, other), key=lambda change: change[0])
    return later, news if count is None or news is None else max(count, news)


NOTE_REVOCATIONS = """
insert into revocation as r (principal_id, not_before, sequence, sequence_of, noted_at)
select id, not_before, sequence, not_before, $2
from json_to_recordset($1::text::json) as news (id uuid, not_before timestamptz, sequence bigint) order by id
on conflict (principal_id) do update set
    not_before = greatest(r.not_before, excluded.not_before),
    sequence = case
        when excluded.sequence is not null and r.sequence is not null and r.sequence_of = r.not_before
            then greatest(r.sequence, excluded.sequence)
        when excluded.not_before > r.not_before then excluded.sequence
        when r.sequence_of = r.not_before then r.sequence end,
    sequence_of = greatest(r.not_before, excluded.not_before),
    noted_at = excluded.noted_at
"""

# An import may run longer than a token lives, and must stop when its caller's token is revoked.
FORGET_REVOCATIONS = """
delete from revocation r where greatest(noted_at, not_before) < $1 and not exists (
    select from import_job j where j.principal_id = r.principal_id and j.status in ('queued', 'running'))
"""


def _gone(event: Event) -> bool:
    return event.type.split(".")[3] == "deleted"


def _stamp(event: Event) -> dict[str, Any]:
    return {"id": event.record.id, "version": event.record.version, "deleted": _gone(event)}


def _newest(events: Sequence[Any]) -> list[Any]:
    """Return the newest event of each record, because one statement may touch a row only once."""
    last: dict[Any, Any] = {}
    for event in sorted(events, key=place_of):
        last[event.record.id] = event
    return sorted(last.values(), key=lambda event: event.record.id)


async def _next_marker(conn: AsyncConnection) -> int:
    """Draw the next marker, and notify the api processes when this transaction commits.

    Unlike ``crm_kit.store.notify`` it notifies inside the transaction. Changes of access are rare, and the notification must not
    arrive before the rows are visible.
    """
    drawn = await conn.exec_driver_sql(
        "insert into access_state as state (id, marker) values (1, 1)"
        " on conflict (id) do update set marker = state.marker + 1"
        " returning marker, pg_notify($1, '')",
        (CHANNEL,),
    )
    return int(drawn.one()[0])


async def _upsert(uow: UnitOfWork, table: str, rows: list[dict[str, Any]]) -> None:
    """Insert rows, or replace older ones. The rows of ``uow.anew`` replace any others, because their publisher was restored."""
    columns = list(rows[0])
    names = ", ".join(columns)
    assigned = ", ".join(f"{column} = excluded.{column}" for column in columns if column != "id")
    await (await uow.connection()).exec_driver_sql(
        f"insert into {table} as known ({names})"  # names are this module's own
        f" select {names} from json_populate_recordset(null::{table}, $1::text::json)"
        f" on conflict (id) do update set {assigned}"
        " where known.version < excluded.version or excluded.id = any($2::uuid[])",
        (orjson.dumps(rows, default=str).decode(), list(uow.anew)),
    )
