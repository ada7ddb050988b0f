"""Callers with the privileges that a test needs, and the directory of users, teams and API clients."""

from collections.abc import Mapping
from typing import TypedDict, Unpack
from uuid import UUID, uuid4

from crm_contracts.catalogue import all_entities
from crm_contracts.rights import RIGHTS
from crm_kit.access.directory import CHANNEL
from crm_kit.access.privileges import Depth, Principal
from crm_kit.process.runtime import Runtime

HEADQUARTERS = UUID("01900000-0000-7000-8000-000000000001")
"""The default unit of principals."""


def grants(depth: Depth | str = Depth.ORGANIZATION, **entities: Depth | str) -> dict[str, str]:
    """Return privileges on every entity of the catalogue and for every right at one depth, with exceptions by name.

    A depth applies to all five privileges. A text such as ``"44110"`` has the depths of create, read, write, delete and assign.
    """
    names = [entity.name for entity in all_entities()] + [right.name for right in RIGHTS]
    everything = {name: _digits(depth) for name in names}
    return everything | {name: _digits(found) for name, found in entities.items()}


def _digits(depth: Depth | str) -> str:
    return depth if isinstance(depth, str) else str(int(depth)) * 5


def principal(
    depth: Depth | str = Depth.ORGANIZATION,
    *,
    unit: UUID = HEADQUARTERS,
    teams: tuple[UUID, ...] = (),
    id: UUID | None = None,
    kind: str = "user",
    privileges: Mapping[str, str] | None = None,
    **entities: Depth | str,
) -> Principal:
    """Return a caller: ``principal(Depth.USER, lead="44110", account=Depth.NONE)``. ``privileges`` replaces all depths."""
    held = grants(depth, **entities) if privileges is None else privileges
    return Principal(id=id or uuid4(), kind=kind, unit=unit, teams=teams, privileges=held)


class Details(TypedDict, total=False):
    """Details of a user, team or API client."""

    id: UUID
    unit: UUID
    email: str | None
    active: bool
    deleted: bool


class People:
    """Writes the directory, which identity's events fill otherwise. Rows are committed, and the runtime knows them at once."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def unit(self, name: str = "A unit", *, parent: UUID | None = None, id: UUID | None = None) -> UUID:
        """Add a business unit; returns its id."""
        unit = id or uuid4()
        await self._write(
            "insert into unit_ref (id, version, deleted, name, parent_id) values ($1, 1, false, $2, $3)",
            unit,
            name,
            parent,
        )
        return unit

    async def user(self, name: str = "Ada Lovelace", **more: Unpack[Details]) -> UUID:
        """Add a user, with the given ``unit``, ``email``, ``active``, ``deleted`` and ``id``; returns the id."""
        return await self._principal("user", name, **more)

    async def team(self, name: str = "A team", **more: Unpack[Details]) -> UUID:
        """Add a team, like ``user``."""
        return await self._principal("team", name, **more)

    async def client(self, name: str = "A program", **more: Unpack[Details]) -> UUID:
        """Add an API client, like ``user``."""
        return await self._principal("client", name, **more)

    async def activate(self, principal_id: UUID, *, active: bool = True) -> None:
        """Activate or deactivate a user, team or API client."""
        await self._write(
            "update principal_ref set active = $2, marker = (select max(marker) + 1 from access_state) where id = $1",
            principal_id,
            active,
        )

    async def organization(
        self,
        *,
        time_zone: str = "Europe/Berlin",
        base_currency: str = "EUR",
        country: str = "DE",
        language: str = "en",
        name: str = "The Bank",
    ) -> None:
        """Set the organisation's settings. They replace earlier ones."""
        await self._write(
            "with gone as (delete from organization_ref)"
            " insert into organization_ref (id, version, deleted, name, time_zone, base_currency, country, language)"
            " values ($1, 1, false, $2, $3, $4, $5, $6)",
            uuid4(),
            name,
            time_zone,
            base_currency,
            country,
            language,
        )

    async def _principal(
        self,
        kind: str,
        name: str,
        *,
        unit: UUID = HEADQUARTERS,
        email: str | None = None,
        active: bool = True,
        deleted: bool = False,
        id: UUID | None = None,
    ) -> UUID:
        found = id or uuid4()
        await self._write(
            "insert into principal_ref (id, version, deleted, marker, kind, name, email, business_unit_id, active)"
            " select $1, 1, $2, coalesce(max(marker), 0) + 1, $3, $4, $5, $6, $7 from access_state",
            found,
            deleted,
            kind,
            name,
            email,
            unit,
            active,
        )
        return found

    async def _write(self, sql: str, *parameters: object) -> None:
        async with self._runtime.db.begin() as conn:
            await conn.exec_driver_sql(sql, parameters)
            await conn.exec_driver_sql(
                "insert into access_state (id, marker) values (1, 1)"
                " on conflict (id) do update set marker = access_state.marker + 1"
            )
        self._runtime.notifier.notify(CHANNEL)
        await self._runtime.directory.refresh()
