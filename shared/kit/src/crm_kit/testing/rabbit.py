"""A virtual host for each test process on the broker of the run."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

from crm_kit.operating import topology


@dataclass(frozen=True, slots=True)
class Rabbit:
    """The broker of one test process."""

    amqp_url: str
    management_url: str

    async def declare(self, services: Mapping[str, Sequence[str]]) -> None:
        """Declare exchanges, queues and bindings of these services (name to ``Consumers.routing_keys()``)."""
        caps = topology.Caps(log_bytes=100_000_000)
        await topology.apply(services, self.amqp_url, self.management_url, caps=caps)


@asynccontextmanager
async def own_vhost(amqp_url: str, management_url: str | None) -> AsyncIterator[Rabbit]:
    """Create a virtual host with the suite's exchanges, and delete it with all its queues at the end."""
    if management_url is None:
        raise RuntimeError("tests need a broker with its management API: set AMQP_MANAGEMENT_URL beside AMQP_URL")
    vhost = f"test-{secrets.token_hex(6)}"
    rabbit = Rabbit(urlunsplit(urlsplit(amqp_url)._replace(path=f"/{vhost}")), management_url)
    await rabbit.declare({})
    try:
        yield rabbit
    finally:
        async with topology.Management(management_url) as management:
            await management.delete(f"vhosts/{quote(vhost, safe='')}")
