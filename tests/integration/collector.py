"""An OpenTelemetry collector: receives spans by OTLP over HTTP and returns them to tests."""

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage


@dataclass(frozen=True)
class Span:
    """A span. Ids are hexadecimal; ``parent`` is empty for a root."""

    service: str
    role: str
    trace: str
    id: str
    parent: str
    name: str
    kind: str
    attributes: dict[str, Any]
    failed: bool

    @property
    def events(self) -> list[str]:
        """The ids of the CRM events that it published or handled."""
        return list(self.attributes.get("crm.event_ids", ()))


@dataclass
class Collector:
    """The received data. ``url`` is the value of OTEL_EXPORTER_OTLP_ENDPOINT."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    figures: list[bytes] = field(default_factory=list)
    """The requests to ``/v1/metrics``."""
    _came: threading.Condition = field(default_factory=threading.Condition)

    def take(self, body: bytes) -> None:
        with self._came:
            self.bodies.append(body)
            self._came.notify_all()

    def take_figures(self, body: bytes) -> None:
        with self._came:
            self.figures.append(body)
            self._came.notify_all()

    def figures_until(self, complete: Callable[[bytes], bool], seconds: float = 60) -> bool:
        """Whether metrics arrive that fulfil the condition."""
        with self._came:
            return self._came.wait_for(lambda: any(map(complete, self.figures)), seconds)

    def trace(self, trace_id: str) -> list[Span]:
        """Return all spans of a trace that have arrived."""
        wanted = bytes.fromhex(trace_id)
        return [span for body in list(self.bodies) if wanted in body for span in _spans(body) if span.trace == trace_id]

    def until(self, trace_id: str, complete: Callable[[list[Span]], bool], seconds: float = 120) -> list[Span]:
        """Wait until the spans of a trace are complete and return them. If they never are, return what has arrived."""
        with self._came:
            self._came.wait_for(lambda: complete(self.trace(trace_id)), seconds)
        return self.trace(trace_id)

    def requests(self) -> list[ExportTraceServiceRequest]:
        """Return all requests as received."""
        return [ExportTraceServiceRequest.FromString(body) for body in list(self.bodies)]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listen on a loopback port while the block runs."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            text = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            if self.path == "/v1/traces":
                collector.take(text)
            elif self.path == "/v1/metrics":
                collector.take_figures(text)
            # The answers to both are equal: empty.
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200 if self.path in ("/v1/traces", "/v1/metrics") else 404)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Requests are not logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _spans(body: bytes) -> Iterator[Span]:
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _values(group.resource.attributes)
        for scope in group.scope_spans:
            for span in scope.spans:
                yield Span(
                    service=resource["service.name"],
                    role=resource["crm.role"],
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    name=span.name,
                    kind=SpanMessage.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    attributes=_values(span.attributes),
                    failed=span.status.code == 2,
                )


def _values(attributes: Any) -> dict[str, Any]:
    return {attribute.key: _value(attribute.value) for attribute in attributes}


def _value(value: Any) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, which)
