"""Access tokens: what they say about a user, and the moment from which they say it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.access import AUDIENCE, MAX_CLAIMS_BYTES, Claims, union
from crm_identity.auth.keys import KeyRing
from crm_identity.organization.model import ORGANIZATION_ID
from crm_identity.security_role.model import grants_of
from crm_kit import clock
from crm_kit.db import new_id
from crm_kit.errors import DomainError
from crm_kit.runtime import Runtime
from crm_kit.signing import SigningKey
from crm_kit.tokens import ISSUER

RIGHTS = (
    "select u.status, u.business_unit_id, u.team_ids, coalesce((select json_agg(r.privileges) from security_role r"
    " where r.id = any(u.role_ids)"
    " or exists (select from team t where t.id = any(u.team_ids) and r.id = any(t.role_ids))), '[]')::text"
    " from user_account u where u.id = $1"
)


@dataclass(frozen=True, slots=True)
class Rights:
    """What a token says about a user."""

    user_id: UUID
    unit: UUID
    teams: tuple[UUID, ...]
    grants: dict[str, str]


def key_ring(runtime: Runtime) -> KeyRing:
    """This process's keys."""
    ring = runtime.extras.get("key_ring")
    if ring is None:
        ring = runtime.extras["key_ring"] = KeyRing(runtime.db, runtime.settings.secret.get_secret_value())
    assert isinstance(ring, KeyRing)
    return ring


async def hold_rights(conn: AsyncConnection) -> None:
    """Keep everybody's rights as they are until this transaction ends: see ``organization.model.hold_access``.

    A key share would not do: a unit of work locks what it changes against changes, not against references.
    """
    await conn.exec_driver_sql("select 1 from organization where id = $1 for share", (ORGANIZATION_ID,))


async def rights_of(conn: AsyncConnection, user_id: UUID) -> Rights | None:
    """The rights of a user who may log in; None for one who is gone or disabled."""
    row: Any = (await conn.exec_driver_sql(RIGHTS, (user_id,))).one_or_none()
    if row is None or row[0] != "active":
        return None
    _, unit, teams, privileges = row
    return Rights(user_id, unit, tuple(teams), union(grants_of(held) for held in orjson.loads(privileges)))


def access_token(key: SigningKey, rights: Rights, seconds: int) -> str:
    """A token that says what the user may do from now on; call it while ``hold_rights`` holds."""
    now = clock.now().timestamp()
    claims = Claims(
        sub=rights.user_id,
        kind="user",
        teams=rights.teams,
        bu=rights.unit,
        prv=rights.grants,
        iat=now,
        exp=int(now) + seconds,
        aud=AUDIENCE,
        iss=ISSUER,
        jti=str(new_id()),
    ).payload()
    if len(orjson.dumps(claims)) > MAX_CLAIMS_BYTES:
        raise DomainError("too-many-rights", "These teams and roles do not fit into a token; give the user fewer.")
    return key.sign(claims)
