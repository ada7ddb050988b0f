"""Access tokens: the rights of a user or API client that they contain, and the access sequence at which they were read."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.access import AUDIENCE, MAX_CLAIMS_BYTES, Claims, union
from crm_identity.auth.keys import KeyRing
from crm_identity.organization.model import ORGANIZATION_ID
from crm_identity.security_role.model import grants_of
from crm_identity.settings import settings_of
from crm_kit import clock
from crm_kit.access.signing import SigningKey
from crm_kit.access.tokens import ISSUER
from crm_kit.errors import DomainError
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import new_id

RIGHTS = (
    "select u.status, u.business_unit_id, u.team_ids, coalesce((select json_agg(r.privileges) from security_role r"
    " where r.id = any(u.role_ids)"
    " or exists (select from team t where t.id = any(u.team_ids) and r.id = any(t.role_ids))), '[]')::text,"
    " coalesce((select value from access_sequence where id = 1), 0) from user_account u where u.id = $1"
)

RIGHTS_OF_CLIENT = (
    "select c.status, c.business_unit_id, array[]::uuid[], coalesce((select json_agg(r.privileges) from security_role r"
    " where r.id = any(c.role_ids)), '[]')::text, coalesce((select value from access_sequence where id = 1), 0)"
    " from api_client c where c.id = $1"
)


@dataclass(frozen=True, slots=True)
class Rights:
    """The content of a token about its principal."""

    kind: Literal["user", "client"]
    id: UUID
    unit: UUID
    teams: tuple[UUID, ...]
    grants: dict[str, str]
    sequence: int
    """The access sequence of the rights: later access changes supersede the token."""


def key_ring(runtime: Runtime) -> KeyRing:
    """The key ring of this process."""
    ring = runtime.extras.get("key_ring")
    if ring is None:
        ring = runtime.extras["key_ring"] = KeyRing(
            runtime.db,
            runtime.settings.secret.get_secret_value(),
            timedelta(seconds=settings_of(runtime).key_introduction_seconds),
        )
    assert isinstance(ring, KeyRing)
    return ring


async def hold_rights(conn: AsyncConnection) -> None:
    """Prevent changes of rights until this transaction ends: see ``organization.model.hold_access``.

    FOR KEY SHARE would not suffice: it does not conflict with the lock that a unit of work takes for a change.
    """
    await conn.exec_driver_sql("select 1 from organization where id = $1 for share", (ORGANIZATION_ID,))


async def rights_of(conn: AsyncConnection, user_id: UUID) -> Rights | None:
    """Return the rights of a user who may log in; None for a deleted or disabled user."""
    return _rights("user", user_id, (await conn.exec_driver_sql(RIGHTS, (user_id,))).one_or_none())


async def rights_of_client(conn: AsyncConnection, client_id: UUID) -> Rights | None:
    """Return the rights of an API client that may get tokens; None for a deleted or inactive one."""
    return _rights("client", client_id, (await conn.exec_driver_sql(RIGHTS_OF_CLIENT, (client_id,))).one_or_none())


def _rights(kind: Literal["user", "client"], principal_id: UUID, row: Any) -> Rights | None:
    if row is None or row[0] != "active":
        return None
    _, unit, teams, privileges, sequence = row
    grants = union(grants_of(held) for held in orjson.loads(privileges))
    return Rights(kind, principal_id, unit, tuple(teams), grants, sequence)


def access_token(key: SigningKey, rights: Rights, seconds: int) -> str:
    """Return a token with the current rights of its principal. Call this while ``hold_rights`` is in effect."""
    now = clock.now().timestamp()
    claims = Claims(
        sub=rights.id,
        kind=rights.kind,
        teams=rights.teams,
        bu=rights.unit,
        prv=rights.grants,
        iat=now,
        exp=int(now) + seconds,
        aud=AUDIENCE,
        iss=ISSUER,
        jti=str(new_id()),
        seq=rights.sequence,
    ).payload()
    if len(orjson.dumps(claims)) > MAX_CLAIMS_BYTES:
        raise DomainError("too-many-rights", "These teams and roles do not fit into a token. Assign fewer of them.")
    return key.sign(claims)
