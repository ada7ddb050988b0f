"""The suite's vhost: its users, and what is declared in it."""

import asyncio
from collections.abc import Callable, Sequence

from crm_kit import topology
from crm_kit.bus import BrokerRefused
from crm_kit.clock import monotonic
from crm_local import entrypoints
from crm_local.suite import Backends, Service

_RECOVERY_SECONDS = 30


async def declare(
    services: Sequence[Service], password_of: Callable[[str], str], backends: Backends
) -> topology.Report:
    """Declare everything for these services; safe to repeat. Raises BrokerDown, TopologyError or BrokerRefused.

    Patient with a node that answers but has not yet got its kept queues back.
    """
    deadline = monotonic() + _RECOVERY_SECONDS
    keys = {service.name: entrypoints.routing_keys(service) for service in services}
    while True:
        try:
            return await topology.apply(
                keys, backends.amqp_url, backends.amqp_management_url or None, password_of=password_of
            )
        except BrokerRefused as error:
            if "inaccessible" not in str(error) or monotonic() > deadline:
                raise
        await asyncio.sleep(0.2)
