"""Creates a database for each service, owned by the service's own role."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence

import asyncpg

from crm_kit.clock import monotonic
from crm_kit.network.postgres import Target, why
from crm_local import capacity
from crm_local.deployment import Deployment
from crm_local.suite import Service, database_name, in_database

_SERVER_SECONDS = 60
_LOCK_SECONDS = 60


def _print(line: str) -> None:
    print(line, flush=True)


async def check_capacity(
    deployment: Deployment, services: Sequence[Service], *, tell: Callable[[str], None] = _print
) -> None:
    """Check that the server accepts the connections of the services; ``tell`` gets a line while it waits for the server.

    Raises TooFew, OSError, asyncpg.PostgresError.
    """
    connection = await _connect(deployment.backends.database_url, tell)
    try:
        await capacity.check(connection, deployment.instance, services)
    finally:
        await connection.close()


async def make(deployment: Deployment, services: Sequence[Service], *, wants_roles: bool = False) -> bool:
    """Create what is missing; safe to repeat. Returns whether the services have their own roles.

    Without the right to create roles there are none, or an error if they are required. Raises OSError and
    asyncpg.PostgresError.
    """
    connection = await _connect(deployment.backends.database_url, _print)
    try:
        has_roles = wants_roles or bool(await connection.fetchval(_MAY_MAKE_ROLES))
        for service in services:
            name = database_name(deployment.instance, service)
            if has_roles:
                await _make_role(connection, name, deployment.password_of(service.name))
                await _make_owned(connection, name, name)
                await _hand_over(in_database(deployment.backends.database_url, name), name)
                print(f"database  {name}, owned by the role of the same name", flush=True)
            else:
                await _make(connection, name)
                print(f"database  {name}", flush=True)
        return has_roles
    finally:
        await connection.close()


async def make_beside(deployment: Deployment, service: Service, name: str) -> None:
    """Create an empty database of this name beside the service's own, with the same owner. Raises OSError and
    asyncpg.PostgresError."""
    connection = await _connect(deployment.backends.database_url, _print)
    try:
        if deployment.has_roles:
            role = database_name(deployment.instance, service)
            await _make_role(connection, role, deployment.password_of(service.name))
            await _make_owned(connection, name, role)
        else:
            await _make(connection, name)
    finally:
        await connection.close()


_MAY_MAKE_ROLES = "select rolsuper or rolcreaterole from pg_roles where rolname = current_user"
_EXISTS = "select true from pg_database where datname = $1"


async def _connect(url: str, tell: Callable[[str], None]) -> asyncpg.Connection:
    """Retry while the server starts, and tell so; fail at once on permanent errors."""
    target, began, told = Target.of(url), monotonic(), False
    while True:
        try:
            return await target.connect("crm prepare")
        except (OSError, asyncpg.CannotConnectNowError) as error:
            if isinstance(error, ssl.SSLError) or _is_unknown(error) or monotonic() - began > _SERVER_SECONDS:
                raise
            if not told:
                tell(f"waiting for PostgreSQL at {target}, for up to {_SERVER_SECONDS} s: {why(error)}")
                told = True
        await asyncio.sleep(0.5)


def _is_unknown(error: BaseException) -> bool:
    return isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME


async def _make(connection: asyncpg.Connection, name: str) -> None:
    if not await connection.fetchval(_EXISTS, name):
        await run(connection, "create database %I template template0 encoding 'UTF8'", name)


async def _make_role(connection: asyncpg.Connection, name: str, password: str) -> None:
    is_role = await connection.fetchval("select true from pg_roles where rolname = $1", name)
    await run(connection, f"{'alter' if is_role else 'create'} role %I login", name)
    await run(connection, "alter role %I password %L", name, password)
    # One service must not use up the connections of the others.
    third = await connection.fetchval("select current_setting('max_connections')::int / 3")
    await run(connection, f"alter role %I connection limit {third}", name)
    # Only a member of a role may make it the owner of a database; a superuser is a member of all.
    await run(connection, "grant %I to current_user", name)


async def _make_owned(connection: asyncpg.Connection, name: str, role: str) -> None:
    await _make(connection, name)
    await run(connection, "alter database %I owner to %I", name, role)
    await run(connection, "revoke connect, temporary on database %I from public", name)


# Objects from before services had roles belong to the operator. Sequences of columns follow their tables, and the objects of an
# extension are not changed.
_FOREIGN = """
select format('alter %s %s owner to %I', kind, name, $1::text) from (
  select case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence'
      when 'f' then 'foreign table' else 'table' end, c.oid::regclass::text, 'pg_class'::regclass, c.oid, c.relowner,
    c.relnamespace
  from pg_class c where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and not exists (select from pg_depend d
    where d.classid = 'pg_class'::regclass and d.objid = c.oid and c.relkind = 'S' and d.deptype in ('a', 'i'))
  union all
  select 'routine', p.oid::regprocedure::text, 'pg_proc'::regclass, p.oid, p.proowner, p.pronamespace from pg_proc p
  union all
  select 'type', t.oid::regtype::text, 'pg_type'::regclass, t.oid, t.typowner, t.typnamespace
  from pg_type t where t.typtype in ('e', 'd', 'r')
) as found (kind, name, classid, objid, owner, namespace)
join pg_namespace n on n.oid = namespace
where n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' and owner <> (
    select oid from pg_roles where rolname = $1)
  and not exists (select from pg_depend d where d.classid = found.classid and d.objid = found.objid and d.deptype = 'e')
union all
select format('alter schema %I owner to %I', nspname, $1::text) from pg_namespace
where nspname not like 'pg\\_%' and nspname not in ('information_schema', 'public')
  and nspowner <> (select oid from pg_roles where rolname = $1)
"""


async def _hand_over(url: str, role: str) -> None:
    """Make the role the owner of all objects in its database."""
    connection = await Target.of(url).connect("crm prepare")
    try:
        async with connection.transaction():
            await connection.execute(f"set local lock_timeout = '{_LOCK_SECONDS}s'")
            await _execute(connection, [row[0] for row in await connection.fetch(_FOREIGN, role)])
    finally:
        await connection.close()


async def _execute(connection: asyncpg.Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        await connection.execute(statement)


async def run(connection: asyncpg.Connection, template: str, *words: str) -> None:
    """Run a statement that cannot have parameters; the server quotes the values."""
    await connection.execute(await connection.fetchval("select format($1, variadic $2::text[])", template, list(words)))
