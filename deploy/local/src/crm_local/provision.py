"""`crm provision`: prepares the servers for services that are started elsewhere.

Safe to repeat. Each service gets its own role, a database that the role owns, and a broker user with the
necessary rights.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence

import asyncpg

from crm_kit.broker.connecting import BrokerDown, BrokerRefused
from crm_kit.network.postgres import told
from crm_kit.operating.topology import TopologyError
from crm_local import broker, databases
from crm_local.capacity import TooFew
from crm_local.deployment import Deployment
from crm_local.processes import wait_until
from crm_local.servers.rabbitmq import answers, enable_stable_features, refusal
from crm_local.suite import SERVICES

_SERVER_SECONDS = 120


def main(argv: Sequence[str]) -> int:
    """Provision for the deployment that the environment describes; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="crm provision",
        description="Make databases, roles, vhost, users, queues and policies. Reads CRM_INSTANCE, "
        "CRM_SERVICE_PASSWORDS, DATABASE_URL, AMQP_URL and AMQP_MANAGEMENT_URL.",
    )
    parser.parse_args(argv)
    deployment = Deployment.of_environment()
    try:
        try:
            asyncio.run(databases.check_capacity(deployment, SERVICES))
        except TooFew as reason:
            # The number of processes and the use of a pooler are not known here.
            print(f"warning: {reason}", flush=True)
        asyncio.run(databases.make(deployment, SERVICES, wants_roles=True))
        management_url = deployment.backends.amqp_management_url
        if not wait_until(lambda: answers(management_url), _SERVER_SECONDS, interval=0.5):
            why = refusal(management_url)
            raise BrokerDown(f"AMQP_MANAGEMENT_URL: the management API cannot be used after {_SERVER_SECONDS} s: {why}")
        enable_stable_features(management_url)
        print(asyncio.run(broker.declare(SERVICES, deployment.password_of, deployment.backends)))
    except (OSError, asyncpg.PostgresError) as error:
        print(f"crm: {told(error)}", file=sys.stderr)
        return 1
    except (BrokerDown, BrokerRefused, TopologyError) as error:
        print(f"crm: {error or type(error).__name__}", file=sys.stderr)
        return 1
    return 0
