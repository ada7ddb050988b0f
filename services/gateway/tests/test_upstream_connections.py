"""The gateway's connections to services outlive neither a service's idle time nor its drain."""

from crm_gateway.proxy.upstream import KEPT_ALIVE_SECONDS
from crm_kit.server import IDLE_SECONDS
from crm_kit.settings import Settings


def test_no_connection_is_used_at_the_moment_a_service_closes_it() -> None:
    drain: float = Settings.model_fields["drain_seconds"].default
    assert min(drain, IDLE_SECONDS) > KEPT_ALIVE_SECONDS
