"""Spans and figures sent by OTLP. It takes 5 MiB and is loaded where a collector is named, and nowhere else.

What is sampled and how often something is sent, OpenTelemetry's own variables say.
"""

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from crm_kit.signals.histograms import SentReader


def spans_to(endpoint: str, resource: Resource) -> TracerProvider:
    """A provider whose spans go there."""
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return provider


def figures_to(endpoint: str) -> SentReader:
    """A reader whose figures go there."""
    return SentReader(OTLPMetricExporter(endpoint=endpoint))
