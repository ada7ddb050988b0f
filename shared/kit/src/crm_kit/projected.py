"""Read your writes across services: ``Crm-After: contact/<id>@3`` waits until this service's projections are there."""

import asyncio
import re
from dataclasses import dataclass
from uuid import UUID

from crm_contracts.catalogue import entity_for
from crm_contracts.envelope import source_of
from crm_kit.consumers import Consumers
from crm_kit.errors import DomainError
from crm_kit.uow import UnitOfWork

ONE = re.compile(r"\s*([a-z][a-z_]{0,49})/([0-9a-fA-F-]{36})@([0-9]{1,9})\s*")
MOST = 10
LOOK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Awaited:
    """One record at one version, and a group that has to get there."""

    group: str
    source: str
    entity_id: UUID
    version: int


def parse_after(header: str) -> list[tuple[str, UUID, int]]:
    """(entity, id, version) of each item; 400 for another form or more than ten."""
    found = []
    for part in header.split(","):
        match = ONE.fullmatch(part)
        try:
            found.append((match[1], UUID(match[2]), int(match[3])) if match else None)
        except ValueError:
            found.append(None)
    if None in found or len(found) > MOST:
        raise DomainError("invalid-header", f"Crm-After is a list of at most {MOST} items such as contact/<id>@3.")
    return [one for one in found if one is not None]


async def wait_until_projected(consumers: Consumers | None, uow: UnitOfWork, header: str) -> None:
    """Return once every handler group that follows these entities has them; 503 ``not-yet-projected`` after 2 s, or at
    once when the event is parked and will not come by itself. Entities this service does not follow are ignored."""
    awaited = _groups(consumers, parse_after(header))
    if not awaited:
        return
    conn = await uow.connection()
    parameters = (
        [one.group for one in awaited],
        [one.source for one in awaited],
        [one.entity_id for one in awaited],
        [one.version for one in awaited],
    )
    loop = asyncio.get_running_loop()
    until = loop.time() + uow.runtime.settings.projection_wait_seconds
    while True:
        missing = (await conn.exec_driver_sql(MISSING, parameters)).all()
        if not missing:
            return
        if any(parked for *_, parked in missing):
            raise _late("An event that this needs is parked; an operator has to look at it.", "parked")
        if loop.time() >= until:
            raise _late("What you wrote has not arrived here yet; try again.", "late")
        await asyncio.sleep(LOOK_SECONDS)


MISSING = """
select a.consumer, a.entity, exists (
    select from inbox i
    where i.consumer = a.consumer and i.source = a.source and i.entity = a.entity and i.state = 'parked'
)
from unnest($1::text[], $2::text[], $3::uuid[], $4::int[]) a (consumer, source, entity, version)
left join inbox_position p on p.consumer = a.consumer and p.source = a.source and p.entity = a.entity
where coalesce(p.version, 0) < a.version
"""


def _groups(consumers: Consumers | None, wanted: list[tuple[str, UUID, int]]) -> list[Awaited]:
    if consumers is None:
        return []
    awaited = []
    for name, record_id, version in wanted:
        entity = entity_for(name)
        if entity is not None:
            for group in consumers.following(entity.service, entity.name):
                awaited.append(Awaited(group.name, source_of(entity.service), record_id, version))
    return awaited


def _late(detail: str, code: str) -> DomainError:
    return DomainError("not-yet-projected", detail, members={"code": code})
