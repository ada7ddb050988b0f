"""Exports metrics: on a separate port for Prometheus, and by OTLP. Set up after the fork.

Threads serve the port, so that a slow reader blocks nobody. OpenTelemetry's own variables configure what is sent by OTLP, and how
often (``OTEL_METRICS_EXPORTER``, ``OTEL_METRIC_EXPORT_INTERVAL``).
"""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from socketserver import TCPServer
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

import structlog
from opentelemetry import metrics as api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, Metric, generate_latest, make_wsgi_app  # noqa: TID251  # the one place
from prometheus_client.exposition import ThreadingWSGIServer  # noqa: TID251  # the one place
from prometheus_client.registry import RestrictedRegistry  # noqa: TID251  # the one place

from crm_kit import clock
from crm_kit.configuration.settings import Settings
from crm_kit.signals.attention import ATTENTION
from crm_kit.signals.histograms import ShownReader
from crm_kit.signals.metrics import gauge

log = structlog.get_logger(__name__)

STARTED = gauge("crm.process.start_timestamp", "When this process was started.", unit="s")

READER_SECONDS: Final = 10.0
"""Seconds without progress after which a reader is disconnected: Prometheus' own timeout."""
PROMOTED: Final = frozenset({"service.name", "crm.role"})
"""Labels of every metric, ``service_name`` and ``crm_role``. Queries over all replicas of a service use them."""

MOST_READERS: Final = 4
LONGEST_WAIT_SECONDS: Final = 3.0 if sys.platform != "linux" else 3600.0
SHUTDOWN_MILLISECONDS: Final = 3000
"""How long an ending process waits for a collector that does not answer."""
_provider: MeterProvider | None = None
_server: ThreadingWSGIServer | None = None


def set_up(settings: Settings) -> None:
    """Start collecting metrics, serve them on ``CRM_METRICS_PORT``, and send them by OTLP if configured."""
    global _server
    STARTED.set(clock.now().timestamp())
    if senders := _senders(settings):
        provide(resource_of(settings), senders)
    else:
        # What only readers need takes 2 MiB.
        REGISTRY.on_first_reading(lambda: provide(resource_of(settings)))
    if settings.metrics_port:
        _server = serve(settings.metrics_host, settings.metrics_port)


def provide(resource: Resource, senders: list[MetricReader] | None = None) -> None:
    """Start collecting metrics, once per process, because OpenTelemetry has one provider."""
    global _provider
    if _provider is None:
        reader = ShownReader(
            scope_info_enabled=False, resource_attribute_filter=PROMOTED.__contains__, registry=REGISTRY
        )
        _provider = MeterProvider([reader, *(senders or [])], resource, shutdown_on_exit=False)
        api.set_meter_provider(_provider)


def resource_of(settings: Settings) -> Resource:
    """The OpenTelemetry resource that identifies this process."""
    return Resource.create({"service.name": f"crm-{settings.service}", "crm.role": settings.role})


def shut_down() -> None:
    """Send the remaining metrics, and close the port."""
    global _server
    if _server is not None:
        _server.shutdown()
        _server.server_close()
        _server = None
    if _provider is not None:
        _provider.shutdown(SHUTDOWN_MILLISECONDS)


def as_text() -> str:
    """The metrics in Prometheus' text format."""
    return generate_latest(REGISTRY).decode()


def _senders(settings: Settings) -> list[MetricReader]:
    named = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
    chosen = {one.strip() for one in os.environ.get("OTEL_METRICS_EXPORTER", "otlp").split(",")}
    if "otlp" not in chosen or not (named or settings.otlp_endpoint):
        return []
    endpoint = named or settings.otlp_endpoint.rstrip("/") + "/v1/metrics"
    ATTENTION.note_sender()
    return [import_module("crm_kit.signals.collector").figures_to(endpoint)]


def serve(host: str, port: int) -> ThreadingWSGIServer | None:
    """Listen, and serve in the background. If the port is taken, the process works without it and logs that."""
    kind = _Server6 if ":" in host else _Server
    try:
        server = make_server(host, port, make_wsgi_app(REGISTRY), kind, _Handler)
    except OSError as error:
        log.error(
            "metrics.not_served", host=host, port=port, error=str(error), remedy="choose another CRM_METRICS_PORT"
        )
        return None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


class _Handler(WSGIRequestHandler):
    timeout = READER_SECONDS

    def log_message(self, format: str, *args: object) -> None:
        """Do not log scrapes."""


class _Server(ThreadingWSGIServer):
    # A process that replaces another listens before that one has ended.
    allow_reuse_port = True

    def serve_forever(self, poll_interval: float = LONGEST_WAIT_SECONDS) -> None:
        """Serve until ``shutdown``, which ends the wait for a reader: there is no need to wake up for it."""
        super().serve_forever(poll_interval)

    def shutdown(self) -> None:
        """Return when ``serve_forever`` has ended."""
        # On Linux this ends the wait at once; elsewhere it ends by itself.
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        super().shutdown()

    def __init__(self, address: Any, handler: Any) -> None:
        self._places = threading.BoundedSemaphore(MOST_READERS)
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind without the reverse DNS look-up of the base class."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve the request in a separate thread, unless there are too many."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one reader."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a reader that has disconnected."""
        log.warning("metrics.reader_lost", exc_info=True)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _OneAtATime(CollectorRegistry):
    """Serialises readers: OpenTelemetry's collector mixes the metrics of simultaneous readers."""

    def __init__(self) -> None:
        super().__init__()
        self._reading = threading.Lock()
        self._before: Callable[[], None] | None = None

    def on_first_reading(self, make: Callable[[], None]) -> None:
        """Make what is read when somebody reads for the first time."""
        self._before = make

    def collect(self) -> Iterator[Metric]:
        """All metrics, collected at once."""
        ATTENTION.note()
        with self._reading:
            if self._before is not None:
                self._before()
                self._before = None
            return iter(list(super().collect()))

    def restricted_registry(self, names: Iterable[str]) -> RestrictedRegistry:
        """The samples that a reader names (``name[]``). They are collected like all others."""
        return _Some(names, self)


class _Some(RestrictedRegistry):
    def __init__(self, names: Iterable[str], registry: CollectorRegistry) -> None:
        self._names, self._all = frozenset(names), registry

    def collect(self) -> Iterator[Metric]:
        """The metrics that have samples with these names, with only those."""
        for metric in self._all.collect():
            if samples := [sample for sample in metric.samples if sample.name in self._names]:
                some = Metric(metric.name, metric.documentation, metric.type)
                some.samples = samples
                yield some


REGISTRY: Final = _OneAtATime()
