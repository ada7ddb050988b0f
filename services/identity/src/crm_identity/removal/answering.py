"""Answers a DELETE of a user, team or API client. It waits shortly for the answers of the services."""

import asyncio
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Query
from sqlalchemy import select
from starlette.responses import Response

from crm_contracts.catalogue import entity_named
from crm_contracts.problems import PROBLEMS
from crm_contracts.removals import RemovalStatus
from crm_identity.removal.commands import TRANSFER, owns_records
from crm_identity.removal.domain import OWNS_RECORDS
from crm_identity.removal.model import PrincipalRemoval
from crm_identity.removal.schemas import PrincipalRemovalRead
from crm_kit import clock
from crm_kit.errors import DomainError
from crm_kit.records.answers import READ_HEADERS, gone, rendered
from crm_kit.work.uow import UnitOfWork

FIRST_PAUSE: Final = 0.02
GROWTH: Final = 1.5
LONGEST_PAUSE: Final = 0.2
"""Seconds between two looks. The pauses grow from the first to the longest."""


TransferTo = Annotated[
    UUID | None,
    Query(
        alias=TRANSFER,
        description="User or team that gets all records. Without it, only an owner without records is deleted.",
    ),
]

UNDER_WAY: Final[dict[int | str, dict[str, Any]]] = {
    202: {
        "model": PrincipalRemovalRead,
        "description": "Records move to their new owner, or services have not answered yet. Location names the removal.",
    }
}


async def removed(uow: UnitOfWork, removal: PrincipalRemoval) -> Response:
    """Return 204 if the principal was deleted, and 202 with the removal while services have not answered or move records.

    Raises 409 ``owns-records`` if it owns records and they are not to be moved, and the problem of a deletion that was refused.
    The request holds no connection while it waits.
    """
    if removal.status == RemovalStatus.MOVING:
        return await _under_way(uow, removal)
    await uow.commit()
    await uow.close()
    found = await _ended(uow, removal.id)
    if found.status == RemovalStatus.COMPLETED:
        return gone()
    if found.status == RemovalStatus.REFUSED:
        raise _refusal(found)
    return await _under_way(uow, found)


async def _ended(uow: UnitOfWork, removal_id: UUID) -> PrincipalRemoval:
    """Return the removal when it has ended, or as it is after ``projection_wait_seconds``."""
    latest = clock.monotonic() + uow.runtime.settings.projection_wait_seconds
    pause = FIRST_PAUSE
    while True:
        found = await _look(uow, removal_id)
        if found.status != RemovalStatus.COUNTING or clock.monotonic() >= latest:
            return found
        await asyncio.sleep(pause)
        pause = min(pause * GROWTH, LONGEST_PAUSE)


async def _look(uow: UnitOfWork, removal_id: UUID) -> PrincipalRemoval:
    table = PrincipalRemoval.__table__
    async with uow.runtime.db.autocommit() as conn:
        row: Any = (await conn.execute(select(table).where(table.c.id == removal_id))).mappings().one()
    return PrincipalRemoval.from_row(dict(row))


def _refusal(removal: PrincipalRemoval) -> DomainError:
    if removal.reason == OWNS_RECORDS:
        return owns_records(removal)
    slug = removal.reason or ""
    if slug not in PROBLEMS:
        return DomainError(
            "unavailable", "The deletion was replaced by another one, or a service answered too late. Try again."
        )
    # The records that are in the way are not stored. Another DELETE names them.
    return DomainError(slug, PROBLEMS[slug].meaning, members={"references": []} if slug == "in-use" else {})


async def _under_way(uow: UnitOfWork, removal: PrincipalRemoval) -> Response:
    """Return 202 with the removal and its address."""
    headers = {"location": entity_named(removal.entity()).path_of(removal.id), **READ_HEADERS}
    return Response(await rendered(uow, removal), 202, headers, "application/json")
