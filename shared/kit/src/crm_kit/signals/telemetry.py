"""Sets up traces, logs and metrics, once per process, after the fork.

A trace follows a request over the outbox to the last consumer: an event contains the ``traceparent`` of the unit of work
that emitted it, and publishing or handling it creates a span below that one. Spans contain ids, types and
counts, never a personal value: exceptions appear by type, and paths only with words and ids.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from crm_kit.configuration.settings import Settings
from crm_kit.signals import exporting, logs

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

__all__ = ["SpanKind", "Told", "Traced", "event_spans", "set_up", "shut_down", "span", "trace_id_of", "tracing"]

Told = tuple[str | None, str, str]
"""Traceparent, id and type of each event of a span."""

_PROPAGATOR = TraceContextTextMapPropagator()
_tracer: trace.Tracer | None = None
_provider: "TracerProvider | None" = None


def set_up(settings: Settings) -> None:
    """Set up JSON logs and metrics, and traces if an OTLP endpoint is configured (``OTEL_EXPORTER_OTLP_ENDPOINT``).

    OpenTelemetry's own variables configure sampling, the export interval and further resource attributes.
    """
    global _tracer, _provider
    logs.set_up(settings.service, settings.role, settings.log_level)
    exporting.set_up(settings)
    if settings.otlp_endpoint:
        endpoint = settings.otlp_endpoint.rstrip("/") + "/v1/traces"
        _provider = import_module("crm_kit.signals.collector").spans_to(endpoint, exporting.resource_of(settings))
        _tracer = _provider.get_tracer("crm_kit")


def shut_down() -> None:
    """Send the waiting spans and metrics."""
    global _tracer, _provider
    exporting.shut_down()
    if _provider is not None:
        _provider.shutdown()
    _tracer = _provider = None


def tracing() -> bool:
    """Whether spans are exported."""
    return _tracer is not None


@contextmanager
def span(
    name: str, kind: SpanKind, traceparent: str | None, attributes: Mapping[str, str | int] | None = None
) -> Iterator["Traced"]:
    """A span below ``traceparent``; pass on its own traceparent. Without a collector it costs almost nothing
    and passes on the given one."""
    if _tracer is None:
        yield Traced(traceparent)
        return
    current = _tracer.start_span(name, context=_below(traceparent), kind=kind, attributes=attributes)
    with _ended([current]), _current(current) as carried:
        yield Traced(carried, current)


@contextmanager
def event_spans(name: str, kind: SpanKind, events: Iterable[Told], last: str | None = None) -> Iterator["Traced"]:
    """Spans for work on many events: one in each of their traces, shared by events of the same cause.

    ``last`` is the traceparent of the last event; later work continues in its trace. Without a collector the
    events are not read.
    """
    told = () if _tracer is None else tuple(events)
    if _tracer is None or not told:
        yield Traced(last)
        return
    last = told[-1][0]
    causes: dict[str | None, tuple[list[str], list[str]]] = {}
    for traceparent, id_, type_ in told:
        ids, types = causes.setdefault(traceparent, ([], []))
        ids.append(id_)
        types.append(type_)
    spans = {
        cause: _tracer.start_span(
            name,
            context=_below(cause),
            kind=kind,
            attributes={"messaging.system": "rabbitmq", "crm.event_ids": ids, "crm.event_types": types},
        )
        for cause, (ids, types) in causes.items()
    }
    with _ended(spans.values()), _current(spans[last]) as carried:
        yield Traced(carried, *spans.values())


def trace_id_of(traceparent: str | None) -> str:
    """The trace id inside a traceparent (W3C Trace Context); empty without one."""
    return traceparent.split("-")[1] if traceparent else ""


def _below(traceparent: str | None) -> Context:
    # Not None, which would mean the current span.
    return _PROPAGATOR.extract({"traceparent": traceparent} if traceparent else {}, Context())


@contextmanager
def _current(span: trace.Span) -> Iterator[str | None]:
    with trace.use_span(span, record_exception=False, set_status_on_exception=False):
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        yield carrier.get("traceparent")


@contextmanager
def _ended(spans: Iterable[trace.Span]) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        for one in spans:
            one.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        for one in spans:
            one.end()


class Traced:
    """A span, with the traceparent to pass on."""

    __slots__ = ("_spans", "traceparent")

    def __init__(self, traceparent: str | None, *spans: trace.Span) -> None:
        self.traceparent = traceparent
        self._spans = spans

    def note(self, key: str, value: str | int) -> None:
        """Set an attribute that is known only at the end, such as the status."""
        for one in self._spans:
            one.set_attribute(key, value)

    def failed(self, what: str) -> None:
        """Mark the work as failed although nothing was raised."""
        for one in self._spans:
            one.set_status(Status(StatusCode.ERROR, what))
