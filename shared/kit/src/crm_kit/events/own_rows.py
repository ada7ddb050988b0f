"""Reads the rows of projections: the records that they have, and the epoch and version of each."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.events.consumers import Group
from crm_kit.events.ordering import Place
from crm_kit.store.database import fetch

_PLACES = "select id, epoch, version from {0} where id = any($1::uuid[]) and version > 0 order by id for update"
_KNOWN = "(select id, epoch, version from {0} where id > $1 and not deleted and version > 0 {1} order by id limit $2)"


async def lock_copies(conn: AsyncConnection, group: Group, ids: Collection[UUID]) -> dict[UUID, Place]:
    """Lock a group's copies of these records until the commit, and return their places.

    Do not use it as the first statement of a transaction (see ``crm_kit.store.database.fetch``).
    """
    found: dict[UUID, Place] = {}
    for copies in group.copies:
        for row in await fetch(conn, _PLACES.format(copies.table), (list(ids),)):
            found[row[0]] = Place(row[1], row[2])
    return found


async def copies_after(
    conn: AsyncConnection, group: Group, service: str, after: UUID, limit: int
) -> list[tuple[UUID, Place]]:
    """Return the next records of a service of which a group has copies that are not deleted, sorted by id.

    They have ids greater than ``after``; at most ``limit`` are returned.
    """
    parts, parameters = [], [after, limit]
    for copies in group.copies:
        kinds = [entity.name for entity in copies.entities if entity.service == service]
        if not kinds:
            continue
        condition = ""
        if copies.kind:
            parameters.append(kinds)
            condition = f"and {copies.kind} = any(${len(parameters)}::text[])"
        parts.append(_KNOWN.format(copies.table, condition))
    if not parts:
        return []
    rows = await fetch(conn, f"select * from ({' union all '.join(parts)}) known order by id limit $2", parameters)
    return [(row[0], Place(row[1], row[2])) for row in rows]


_TOLD = "select distinct record_id from {0} where record_id > $1 and split_part(type, '.', 2) = $2 order by 1 limit $3"


async def told_after(conn: AsyncConnection, group: Group, service: str, after: UUID, limit: int) -> Sequence[UUID]:
    """Return the ids of the next records of a service of which a group keeps events, sorted. At most ``limit`` are returned."""
    assert group.journal is not None
    return [row[0] for row in await fetch(conn, _TOLD.format(group.journal.table), (after, service, limit))]
