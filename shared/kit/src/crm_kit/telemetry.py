"""Logs and traces, set up once per process, after the fork.

Logs are JSON lines that carry the trace, correlation and event ids of what they belong to. Neither logs nor spans hold a
personal value: messages are fixed, exceptions are told by type and place, paths without their query.
"""

import logging
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from crm_kit.settings import Settings

__all__ = ["WORK", "SpanKind", "set_up", "shut_down", "span", "tracing"]

_PROPAGATOR = TraceContextTextMapPropagator()
_tracer: trace.Tracer | None = None
_provider: TracerProvider | None = None


def set_up(settings: Settings) -> None:
    """JSON logs always; traces where an OTLP endpoint is named (``OTEL_EXPORTER_OTLP_ENDPOINT``)."""
    global _tracer, _provider
    logging.basicConfig(level=settings.log_level, stream=sys.stderr, format="%(message)s", force=True)
    structlog.configure(
        processors=[
            _of_this_work,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _Named(settings.service, settings.role),
            _without_values,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.log_level)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    if settings.otlp_endpoint:
        resource = Resource.create({"service.name": f"crm-{settings.service}", "crm.role": settings.role})
        _provider = TracerProvider(resource=resource)
        endpoint = settings.otlp_endpoint.rstrip("/") + "/v1/traces"
        _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        _tracer = _provider.get_tracer("crm_kit")


def shut_down() -> None:
    """Send the spans that wait."""
    global _tracer, _provider
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
        yield Traced(traceparent, None)
        return
    parent = _PROPAGATOR.extract({"traceparent": traceparent}) if traceparent else None
    with _tracer.start_as_current_span(
        name, context=parent, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as current:
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        try:
            yield Traced(carrier.get("traceparent", traceparent), current)
        except BaseException as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


class Traced:
    """What a span hands on."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, traceparent: str | None, current: trace.Span | None) -> None:
        self.traceparent = traceparent
        self._span = current

    def note(self, key: str, value: str | int) -> None:
        """An attribute known only at the end, such as the status."""
        if self._span is not None:
            self._span.set_attribute(key, value)

    def rename(self, name: str) -> None:
        """The name once the route is known."""
        if self._span is not None:
            self._span.update_name(name)

    def failed(self, what: str) -> None:
        """The work ended badly without raising."""
        if self._span is not None:
            self._span.set_status(Status(StatusCode.ERROR, what))


WORK: ContextVar[tuple[str, ...]] = ContextVar("crm_work", default=())
"""Keys and values, in turns, that every log line of the work in hand carries: ids only. One variable, set once a request."""


def _of_this_work(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    work = WORK.get()
    event.update(zip(work[::2], work[1::2], strict=True))
    return event


class _Named:
    def __init__(self, service: str, role: str) -> None:
        self._service, self._role = service, role

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"], event["role"] = self._service, self._role
        return event


def _without_values(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception's text may quote data, so a log tells its type and where it came from."""
    raised = event.pop("exc_info", None)
    if raised:
        error = sys.exc_info()[1] if raised is True else raised[1] if isinstance(raised, tuple) else raised
        if isinstance(error, BaseException):
            event["exception"] = type(error).__name__
            event["stack"] = places_of(error.__traceback__)
    return event


def places_of(trace_back: TracebackType | None) -> list[str]:
    """``file:line function`` of each frame, innermost last."""
    frames = traceback.extract_tb(trace_back)
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
