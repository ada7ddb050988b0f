"""The whole suite with a collector of its traces and metrics."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crm_local.ports import choose
from crm_local.servers import Servers
from tests.integration.collector import Collector, collecting
from tests.integration.suite import Suite, running


@dataclass
class Traced:
    """The suite, and the receiver of its spans."""

    suite: Suite
    collector: Collector


@contextmanager
def traced(servers: Servers, home: Path) -> Iterator[Traced]:
    """Run the suite during the block."""
    with collecting() as collector:
        told = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_METRIC_EXPORT_INTERVAL": "5000",
            # Longer than a client can pause on a busy machine. Connections that are idle for this long can be closed.
            "CRM_DRAIN_SECONDS": "30",
        }
        with running(home, choose(1)[0], servers, told) as suite:
            yield Traced(suite, collector)
