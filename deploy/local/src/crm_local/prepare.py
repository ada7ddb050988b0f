"""What must be there before the first service starts: databases, their schema, the vhost and what is declared in it.

Runs in a forked child of the supervisor, because it opens connections.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from functools import partial

import asyncpg

from crm_local import broker, entrypoints
from crm_local.processes import wait_until
from crm_local.servers import Instance
from crm_local.suite import Backends, Suite

_SERVER_SECONDS = 90


def prepare(suite: Suite, instances: Sequence[Instance], backends: Backends) -> None:
    """Do all of it; safe to repeat. Exits with the reason when something cannot be done."""
    by_name = {instance.command.name: instance for instance in instances}
    if "postgres" in by_name:
        _await(by_name["postgres"])
    asyncio.run(_make_databases(suite, backends.database_url))
    for service in suite.services:
        amqp_url = broker.service_url(service, suite.kept.secret, backends)
        os.environ.update(suite.environment(service, "worker", backends.database_url, amqp_url))
        entrypoints.set_up(service)
        _say(f"database {suite.database(service)} is ready")
    if "rabbitmq" in by_name:
        _await(by_name["rabbitmq"])
    password_of = partial(broker.password, suite.kept.secret)
    _say(str(asyncio.run(broker.declare(suite.services, password_of, backends))))


def _await(instance: Instance) -> None:
    if not wait_until(instance.ready, _SERVER_SECONDS):
        tail = "\n".join(instance.command.log.read_text(errors="replace").splitlines()[-20:])
        sys.exit(f"{instance.how} does not answer after {_SERVER_SECONDS} s; the end of its log:\n{tail}")
    instance.finish()


async def _make_databases(suite: Suite, operator_url: str) -> None:
    try:
        connection = await asyncpg.connect(operator_url, timeout=10)
    except (OSError, asyncpg.PostgresError) as error:
        sys.exit(f"PostgreSQL cannot be reached: {error or type(error).__name__}")
    try:
        there = {row["datname"] for row in await connection.fetch("select datname from pg_database")}
        for service in suite.services:
            name = suite.database(service)
            if name not in there:
                await connection.execute(f"create database \"{name}\" template template0 encoding 'UTF8'")
    except asyncpg.InsufficientPrivilegeError:
        sys.exit("the user of DATABASE_URL may not create databases: alter role … createdb, or leave it unset")
    finally:
        await connection.close()


def _say(line: str) -> None:
    print(line, flush=True)
