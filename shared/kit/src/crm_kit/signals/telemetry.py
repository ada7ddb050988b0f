"""Traces, and with them logs and figures: set up once per process, after the fork.

A trace follows a request over the outbox to the last consumer: an event carries the ``traceparent`` of the unit of work
that announced it, and whoever publishes or handles it does so in a span below that one. Spans hold ids, types and
counts, never a personal value: exceptions are told by type, paths without what is no word or id.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from crm_kit.configuration.settings import Settings
from crm_kit.signals import exporting, logs

__all__ = ["SpanKind", "Told", "Traced", "event_spans", "set_up", "shut_down", "span", "trace_id_of", "tracing"]

Told = tuple[str | None, str, str]
"""What a span of events tells of each: traceparent, id and type."""

_PROPAGATOR = TraceContextTextMapPropagator()
_tracer: trace.Tracer | None = None
_provider: TracerProvider | None = None


def set_up(settings: Settings) -> None:
    """JSON logs and figures always; traces where an OTLP endpoint is named (``OTEL_EXPORTER_OTLP_ENDPOINT``).

    What is sampled, how often it is sent and what else the resource says is up to OpenTelemetry's own variables.
    """
    global _tracer, _provider
    logs.set_up(settings.service, settings.role, settings.log_level)
    exporting.set_up(settings)
    if settings.otlp_endpoint:
        _provider = TracerProvider(resource=exporting.resource_of(settings))
        endpoint = settings.otlp_endpoint.rstrip("/") + "/v1/traces"
        _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        _tracer = _provider.get_tracer("crm_kit")


def shut_down() -> None:
    """Send the spans and figures that wait."""
    global _tracer, _provider
    exporting.shut_down()
    if _provider is not None:
        _provider.shutdown()
    _tracer = _provider = None


def tracing() -> bool:
    """Whether spans are sent anywhere."""
    return _tracer is not None


@contextmanager
def span(
    name: str, kind: SpanKind, traceparent: str | None, attributes: Mapping[str, str | int] | None = None
) -> Iterator["Traced"]:
    """A span under ``traceparent``; its own traceparent is what to pass on. Without a collector it costs next to nothing
    and passes the given one on."""
    if _tracer is None:
        yield Traced(traceparent)
        return
    current = _tracer.start_span(name, context=_below(traceparent), kind=kind, attributes=attributes)
    with _ended([current]), _current(current) as carried:
        yield Traced(carried, current)


@contextmanager
def event_spans(name: str, kind: SpanKind, events: Iterable[Told], last: str | None = None) -> Iterator["Traced"]:
    """What is done with many events at once: a span in the trace of each, one for all that share their cause.

    ``last`` is the traceparent of the last event, in whose trace goes on what comes of this. Without a collector the
    events are not even looked at.
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
    # Not None, which would mean: below whatever happens to be current.
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
    """What a span hands on."""

    __slots__ = ("_spans", "traceparent")

    def __init__(self, traceparent: str | None, *spans: trace.Span) -> None:
        self.traceparent = traceparent
        self._spans = spans

    def note(self, key: str, value: str | int) -> None:
        """An attribute known only at the end, such as the status."""
        for one in self._spans:
            one.set_attribute(key, value)

    def failed(self, what: str) -> None:
        """The work ended badly without raising."""
        for one in self._spans:
            one.set_status(Status(StatusCode.ERROR, what))
