"""`crm provision`: what must be there before the first service starts, for services that others start.

Safe to repeat. Each service gets a database that it owns, as a role of its own, and a user of the broker with the
rights that it needs.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence

import asyncpg

from crm_kit.bus import BrokerDown, BrokerRefused
from crm_kit.clock import monotonic
from crm_kit.topology import TopologyError
from crm_local import broker
from crm_local.deployment import Deployment
from crm_local.processes import wait_until
from crm_local.servers.rabbitmq import answers, enable_stable_features
from crm_local.suite import SERVICES, Service, database_name

_SERVER_SECONDS = 120


def main(argv: Sequence[str]) -> int:
    """Provision for the deployment that the environment describes; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="crm provision",
        description="Make databases, roles, vhost, users, queues and policies. Reads CRM_INSTANCE, CRM_OPERATOR_SECRET, "
        "CRM_SERVICE_PASSWORDS, DATABASE_URL, AMQP_URL and AMQP_MANAGEMENT_URL.",
    )
    parser.parse_args(argv)
    deployment = Deployment.of_environment()
    try:
        asyncio.run(_make_databases(deployment))
        management_url = deployment.backends.amqp_management_url
        if not wait_until(lambda: answers(management_url), _SERVER_SECONDS, interval=0.5):
            raise BrokerDown(f"the broker's management API does not answer after {_SERVER_SECONDS} s")
        enable_stable_features(management_url)
        print(asyncio.run(broker.declare(SERVICES, deployment.password_of, deployment.backends)))
    except (BrokerDown, BrokerRefused, TopologyError, OSError, asyncpg.PostgresError) as error:
        print(f"crm: {error or type(error).__name__}", file=sys.stderr)
        return 1
    return 0


async def _make_databases(deployment: Deployment) -> None:
    connection = await _connect(deployment.backends.database_url)
    try:
        for service in SERVICES:
            await _make_database(connection, service, deployment)
    finally:
        await connection.close()


async def _connect(url: str) -> asyncpg.Connection:
    deadline = monotonic() + _SERVER_SECONDS
    while True:
        try:
            return await asyncpg.connect(url, timeout=10)
        except (OSError, asyncpg.CannotConnectNowError):
            if monotonic() > deadline:
                raise
        await asyncio.sleep(0.5)


async def _make_database(connection: asyncpg.Connection, service: Service, deployment: Deployment) -> None:
    name = database_name(deployment.instance, service)
    is_role = await connection.fetchval("select true from pg_roles where rolname = $1", name)
    await _run(connection, f"{'alter' if is_role else 'create'} role %I login", name)
    await _run(connection, "alter role %I password %L", name, deployment.password_of(service.name))
    # Only a member may give a database away to a role; a superuser is one of all.
    await _run(connection, "grant %I to current_user", name)
    if not await connection.fetchval("select true from pg_database where datname = $1", name):
        await _run(connection, "create database %1$I owner %1$I template template0 encoding 'UTF8'", name)
    await _run(connection, "revoke connect, temporary on database %I from public", name)
    print(f"database  {name}, owned by the role of the same name", flush=True)


async def _run(connection: asyncpg.Connection, template: str, *words: str) -> None:
    """Run a statement that takes no parameters, with the words quoted by the server itself."""
    await connection.execute(await connection.fetchval("select format($1, variadic $2::text[])", template, list(words)))
