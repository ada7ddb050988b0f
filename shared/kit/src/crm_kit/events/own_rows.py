"""What the rows of a projection say themselves: which records it has, and how far each of them is."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.events.consumers import Group
from crm_kit.events.ordering import Place
from crm_kit.store.database import fetch

_PLACES = "select id, epoch, version from {0} where id = any($1::uuid[]) and version > 0 order by id for update"
_KNOWN = "(select id, epoch, version from {0} where id > $1 and not deleted and version > 0 {1} order by id limit $2)"


async def lock_copies(conn: AsyncConnection, group: Group, ids: Collection[UUID]) -> dict[UUID, Place]:
    """Lock the copies that a group has of these records until the commit, and return how far they are.

    Not for the first statement of a transaction (see ``crm_kit.store.database.fetch``).
    """
    found: dict[UUID, Place] = {}
    for copies in group.copies:
        for row in await fetch(conn, _PLACES.format(copies.table), (list(ids),)):
            found[row[0]] = Place(row[1], row[2])
    return found


async def copies_after(
    conn: AsyncConnection, group: Group, service: str, after: UUID, limit: int
) -> list[tuple[UUID, Place]]:
    """The next records of a service, by id, of which a group has copies that are not deleted."""
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
    """The next records of a service, by id, of which a group keeps events."""
    assert group.journal is not None
    return [row[0] for row in await fetch(conn, _TOLD.format(group.journal.table), (after, service, limit))]
