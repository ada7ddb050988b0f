"""Prepares databases, their schema, the vhost and its declarations before the first service starts.

Runs in a forked child of the supervisor, because it opens connections.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import asyncpg

from crm_kit.broker.connecting import BrokerDown, BrokerRefused
from crm_kit.broker.management import TopologyError
from crm_kit.network.postgres import told
from crm_local import broker, databases, entrypoints
from crm_local.capacity import TooFew
from crm_local.deployment import Deployment
from crm_local.processes import wait_until
from crm_local.servers import Instance
from crm_local.state import Home
from crm_local.suite import Suite

_SERVER_SECONDS = 90


def _say(line: str) -> None:
    print(line, flush=True)


def prepare(
    home: Home, suite: Suite, instances: Sequence[Instance], deployment: Deployment, tell: Callable[[str], None] = _say
) -> None:
    """Prepare everything; safe to repeat. Exits with the reason if a step fails.

    ``tell`` gets a line while it waits for a server.
    Stores in the home whether the services have their own roles, for the process that starts them.
    """
    by_name = {instance.command.name: instance for instance in instances}
    if "rabbitmq" not in by_name:
        # Report unusable servers before databases are created and migrated.
        _with_broker(broker.check(deployment.backends))
    if "postgres" in by_name:
        _await(by_name["postgres"])
    deployment = deployment.with_roles(_make_databases(suite, deployment, tell))
    home.note_roles(deployment.has_roles)
    for service in suite.services:
        told = suite.environment(service, "worker", deployment.own_database(service), deployment.own_broker(service))
        os.environ.update(told)
        entrypoints.set_up(service)
        _say(f"database {suite.database(service)} is ready")
    if "rabbitmq" in by_name:
        _await(by_name["rabbitmq"])
    _say(str(_with_broker(broker.declare(suite.services, deployment.password_of, deployment.backends))))


def _with_broker(work: Coroutine[Any, Any, object]) -> object:
    try:
        return asyncio.run(work)
    except (BrokerDown, BrokerRefused, TopologyError) as error:
        sys.exit(f"RabbitMQ cannot be used: {error or type(error).__name__}")


def _await(instance: Instance) -> None:
    if not wait_until(instance.ready, _SERVER_SECONDS):
        tail = "\n".join(instance.command.log.read_text(errors="replace").splitlines()[-20:])
        sys.exit(f"{instance.how} does not answer after {_SERVER_SECONDS} s; the end of its log:\n{tail}")
    instance.finish()


def _make_databases(suite: Suite, deployment: Deployment, tell: Callable[[str], None] = _say) -> bool:
    try:
        asyncio.run(databases.check_capacity(deployment, suite.services, tell=tell))
        has_roles = asyncio.run(databases.make(deployment, suite.services))
    except TooFew as reason:
        sys.exit(str(reason))
    except asyncpg.InsufficientPrivilegeError as error:
        sys.exit(
            f"the user of DATABASE_URL may not make databases or roles ({error}): alter role … createdb createrole"
        )
    except (OSError, asyncpg.PostgresError) as error:
        sys.exit(f"the database cannot be used: {told(error)}")
    if not has_roles:
        _say("warning: the user of DATABASE_URL may make no roles, so all services share it: alter role … createrole")
    return has_roles
