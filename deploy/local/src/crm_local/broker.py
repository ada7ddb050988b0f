"""The suite's vhost: its users and declarations."""

import asyncio
from collections.abc import Callable, Sequence

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from crm_kit.broker import connecting, declaring
from crm_kit.broker.connecting import BrokerDown, BrokerRefused
from crm_kit.broker.management import Management
from crm_kit.clock import monotonic
from crm_kit.operating import subscribers, topology
from crm_local import entrypoints
from crm_local.suite import Backends, Service

_RECOVERY_SECONDS = 30
_DAY = 86_400_000


class Sizes(BaseSettings):
    """The limits of queues, from the operator's environment."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    log_days: int = Field(topology.LOG_DAYS, ge=1, le=3650, validation_alias="CRM_LOG_STREAM_DAYS")
    log_bytes: int = Field(topology.LOG_BYTES, ge=10**9, le=10**15, validation_alias="CRM_LOG_STREAM_BYTES")
    subscriber_days: int = Field(14, ge=1, le=365, validation_alias="CRM_SUBSCRIBER_DAYS")
    subscriber_bytes: int = Field(
        subscribers.CAPS["max-length-bytes"], ge=2**20, le=10**12, validation_alias="CRM_SUBSCRIBER_BYTES"
    )
    subscriber_messages: int = Field(
        subscribers.CAPS["max-length"], ge=1000, le=10**9, validation_alias="CRM_SUBSCRIBER_MESSAGES"
    )

    @property
    def caps(self) -> topology.Caps:
        """The limits as arguments of the topology."""
        queues = {
            **subscribers.CAPS,
            "max-length-bytes": self.subscriber_bytes,
            "max-length": self.subscriber_messages,
            "message-ttl": self.subscriber_days * _DAY,
        }
        return topology.Caps(log_days=self.log_days, log_bytes=self.log_bytes, subscribers=queues)


def caps() -> topology.Caps:
    """Read the limits. Raises TopologyError if one is out of its range."""
    try:
        return Sizes().caps
    except ValidationError as error:
        wrong = "; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors())
        raise topology.TopologyError(f"the environment asks for what the broker cannot be given: {wrong}") from None


async def check(backends: Backends) -> None:
    """Check the broker.

    A missing vhost is accepted if a management API can create it. Raises BrokerDown or TopologyError.
    """
    if backends.amqp_management_url:
        async with Management(backends.amqp_management_url) as management:
            await management.get("whoami")
    try:
        await declaring.missing(backends.amqp_url, [], [])
    except BrokerDown as error:
        if not (backends.amqp_management_url and connecting.lacks_vhost(error)):
            raise


async def declare(
    services: Sequence[Service], password_of: Callable[[str], str], backends: Backends
) -> topology.Report:
    """Declare everything for these services; safe to repeat. Raises BrokerDown, TopologyError or BrokerRefused.

    Retries while a node answers but has not recovered its durable queues.
    """
    deadline = monotonic() + _RECOVERY_SECONDS
    keys, chosen = {service.name: entrypoints.routing_keys(service) for service in services}, caps()
    while True:
        try:
            return await topology.apply(
                keys, backends.amqp_url, backends.amqp_management_url or None, password_of=password_of, caps=chosen
            )
        except BrokerRefused as error:
            if "inaccessible" not in str(error) or monotonic() > deadline:
                raise
        await asyncio.sleep(0.2)
