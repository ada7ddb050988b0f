"""Declares metrics by name. Any module records them, and ``crm_kit.signals.exporting`` exports them on a port and by OTLP.

    HANDLED = counter("crm.inbox.handled", "Events that took effect in a handler group.", "group")
    HANDLED.labels(group.name).inc()

Names are OpenTelemetry's; Prometheus shows dots as underscores, the unit (``s``, ``By``) behind the name and ``_total``
behind a counter: ``crm_inbox_handled_total``. A label has few values that are known in advance: routes and groups, never ids
or paths.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from math import inf
from typing import Final, Literal

from opentelemetry import metrics as api
from opentelemetry.metrics import CallbackOptions, Observation

from crm_kit.clock import monotonic

Kind = Literal["counter", "gauge", "histogram"]
Value = int | float
Readings = Iterable[tuple[tuple[str, ...], Value]]
"""Label values in the order of the declaration, and the value."""
Source = Callable[[], Readings]

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets for requests of people, which take at most 10 s."""

_UNITS: Final = {"s": "_seconds", "By": "_bytes"}
_METER: Final = api.get_meter("crm_kit")


@dataclass(frozen=True, slots=True)
class Declared:
    """The documentation of a metric."""

    name: str
    kind: Kind
    unit: str
    description: str
    labels: tuple[str, ...]

    @property
    def prometheus_name(self) -> str:
        """Its name in Prometheus."""
        suffix = _UNITS.get(self.unit, "") + ("_total" if self.kind == "counter" else "")
        return self.name.replace(".", "_") + suffix

    @property
    def prometheus_labels(self) -> tuple[str, ...]:
        """Its labels in Prometheus."""
        return tuple(label.replace(".", "_") for label in self.labels)


HISTOGRAMS: "Final[list[Histogram]]" = []
DECLARED: Final[dict[str, Declared]] = {}
"""Every metric of the modules imported so far, by name. The SDK does not know the histograms."""


def _declare(name: str, kind: Kind, unit: str, description: str, labels: tuple[str, ...]) -> Declared:
    if name in DECLARED:
        raise ValueError(f"the figure {name} is declared twice")
    DECLARED[name] = declared = Declared(name, kind, unit, description, labels)
    return declared


def counter(name: str, description: str, *labels: str, unit: str = "") -> "Counter":
    """Declares a counter; ``unit`` is the unit of the value passed to ``inc``."""
    found = Counter(_declare(name, "counter", unit, description, labels))
    _METER.create_observable_counter(name, [found.read], unit, description)
    return found


def gauge(name: str, description: str, *labels: str, unit: str = "") -> "Gauge":
    """Declares a gauge, which shows its last value. Use ``observed`` for values that can be read on request."""
    found = Gauge(_declare(name, "gauge", unit, description, labels))
    _METER.create_observable_gauge(name, [found.read], unit, description)
    return found


def histogram(
    name: str, description: str, *labels: str, unit: str = "s", buckets: Sequence[float] = SECONDS
) -> "Histogram":
    """Declares a histogram of values, usually durations."""
    found = Histogram(_declare(name, "histogram", unit, description, labels), [float(bound) for bound in buckets])
    HISTOGRAMS.append(found)
    return found


def observed(name: str, description: str, *labels: str, unit: str = "", counts: bool = False) -> "Observed":
    """Declares a metric that is read from its sources on request. ``counts``: it only increases."""
    found = Observed(_declare(name, "counter" if counts else "gauge", unit, description, labels))
    if counts:
        _METER.create_observable_counter(name, [found.read], unit, description)
    else:
        _METER.create_observable_gauge(name, [found.read], unit, description)
    return found


class _Number:
    """A plain number that is read on request, because the SDK's own takes 5 µs per update and hot paths use this."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Value = 0

    def inc(self, amount: Value = 1) -> None:
        """Count so many more."""
        self.value += amount

    def set(self, value: Value) -> None:
        """From now on it is this."""
        self.value = value


class _Numbers:
    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        self._children: dict[tuple[str, ...], _Number] = {}

    def labels(self, *values: str) -> _Number:
        """The number with these label values, in the order of the declaration; 0 at first."""
        child = self._children.get(values)
        if child is None:
            _attributes(self.declared, values)
            child = self._children[values] = _Number()
        return child

    def read(self, _: CallbackOptions) -> Iterable[Observation]:
        """All numbers."""
        return [
            Observation(child.value, _attributes(self.declared, values))
            for values, child in list(self._children.items())
        ]


class Counter(_Numbers):
    """A counter. Request known labels early, so that an alert sees the first increment."""

    def __init__(self, declared: Declared) -> None:
        super().__init__(declared)
        if not declared.labels:
            self.labels()

    def inc(self, amount: Value = 1) -> None:
        """Count so many more; for one without labels."""
        self.labels().inc(amount)


class Gauge(_Numbers):
    """A gauge."""

    def set(self, value: Value) -> None:
        """From now on it is this; for one without labels."""
        self.labels().set(value)


def _attributes(declared: Declared, values: tuple[str, ...]) -> Mapping[str, str]:
    return dict(zip(declared.labels, values, strict=True))


class Distribution:
    """The buckets of one set of labels, which ``crm_kit.signals.histograms`` reads on request."""

    __slots__ = ("attributes", "bounds", "counts", "largest", "smallest", "total")

    def __init__(self, bounds: Sequence[float], attributes: Mapping[str, str]) -> None:
        self.bounds, self.attributes = bounds, attributes
        self.counts = [0] * (len(bounds) + 1)
        self.total, self.smallest, self.largest = 0.0, inf, 0.0

    def observe(self, value: float) -> None:
        """Count a value. A value below zero, as clocks of two machines can produce, counts as zero."""
        if value < 0.0:
            value = 0.0
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
        if value > self.largest:
            self.largest = value
        if value < self.smallest:
            self.smallest = value

    @contextmanager
    def time(self) -> Iterator[None]:
        """Count how long the block takes, also when it raises."""
        began = monotonic()
        try:
            yield
        finally:
            self.observe(monotonic() - began)


class Histogram:
    """A histogram."""

    def __init__(self, declared: Declared, bounds: Sequence[float]) -> None:
        self.declared, self._bounds = declared, bounds
        self._children: dict[tuple[str, ...], Distribution] = {}

    def labels(self, *values: str) -> Distribution:
        """The child with these label values, in the order of the declaration."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = Distribution(self._bounds, _attributes(self.declared, values))
        return child

    def observe(self, value: float) -> None:
        """Count a value; for one without labels."""
        self.labels().observe(value)

    def time(self) -> AbstractContextManager[None]:
        """Count how long the block takes; for one without labels."""
        return self.labels().time()

    def distributions(self) -> Sequence[Distribution]:
        """Those of all labels so far."""
        return list(self._children.values())


class Observed:
    """A metric that is read from sources. Another thread than the loop's reads them, so sources may only read plain values."""

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        self._sources: list[Source] = []

    def add(self, source: Source) -> None:
        """Add a source for the life of the process."""
        self._sources.append(source)

    @contextmanager
    def reading(self, source: Source) -> Iterator[None]:
        """Add a source for the duration of the block."""
        self._sources.append(source)
        try:
            yield
        finally:
            self._sources.remove(source)

    def read(self, _: CallbackOptions) -> Iterable[Observation]:
        """The values of all sources; values with the same labels are added up."""
        found: dict[tuple[str, ...], Value] = {}
        for source in tuple(self._sources):
            for values, value in source():
                found[values] = found.get(values, 0) + value
        return [Observation(value, _attributes(self.declared, values)) for values, value in found.items()]
