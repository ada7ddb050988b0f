"""Figures: declared here by name, recorded anywhere, and shown by ``crm_kit.signals.exporting``, on a port and over OTLP.

    HANDLED = counter("crm.inbox.handled", "Events that took effect in a handler group.", "group")
    HANDLED.labels(group.name).inc()

Names are OpenTelemetry's; Prometheus shows dots as underscores, the unit (``s``, ``By``) behind the name and ``_total``
behind a counter: ``crm_inbox_handled_total``. A label has few values, known beforehand: routes and groups, never ids or paths.
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
"""Label values in the order of the declaration, and the figure."""
Source = Callable[[], Readings]

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets of what people wait for: nothing of theirs takes longer than 10 s."""

_UNITS: Final = {"s": "_seconds", "By": "_bytes"}
_METER: Final = api.get_meter("crm_kit")


@dataclass(frozen=True, slots=True)
class Declared:
    """What is documented of a figure."""

    name: str
    kind: Kind
    unit: str
    description: str
    labels: tuple[str, ...]

    @property
    def shown(self) -> str:
        """Its name in Prometheus."""
        suffix = _UNITS.get(self.unit, "") + ("_total" if self.kind == "counter" else "")
        return self.name.replace(".", "_") + suffix

    @property
    def shown_labels(self) -> tuple[str, ...]:
        """Its labels in Prometheus."""
        return tuple(label.replace(".", "_") for label in self.labels)


HISTOGRAMS: "Final[list[Histogram]]" = []
DECLARED: Final[dict[str, Declared]] = {}
"""Every figure of the modules imported so far, by name; the SDK is not told of histograms."""


def _declare(name: str, kind: Kind, unit: str, description: str, labels: tuple[str, ...]) -> Declared:
    if name in DECLARED:
        raise ValueError(f"the figure {name} is declared twice")
    DECLARED[name] = declared = Declared(name, kind, unit, description, labels)
    return declared


def counter(name: str, description: str, *labels: str, unit: str = "") -> "Counter":
    """Counts up; the unit is of what ``inc`` is given."""
    found = Counter(_declare(name, "counter", unit, description, labels))
    _METER.create_observable_counter(name, [found.read], unit, description)
    return found


def gauge(name: str, description: str, *labels: str, unit: str = "") -> "Gauge":
    """Shows the last value it was given. What can be read when somebody looks is rather ``observed``."""
    found = Gauge(_declare(name, "gauge", unit, description, labels))
    _METER.create_observable_gauge(name, [found.read], unit, description)
    return found


def histogram(
    name: str, description: str, *labels: str, unit: str = "s", buckets: Sequence[float] = SECONDS
) -> "Histogram":
    """Counts values, most often durations, by size."""
    found = Histogram(_declare(name, "histogram", unit, description, labels), [float(bound) for bound in buckets])
    HISTOGRAMS.append(found)
    return found


def observed(name: str, description: str, *labels: str, unit: str = "", counts: bool = False) -> "Observed":
    """Read from its sources whenever somebody looks. ``counts``: it only ever goes up."""
    found = Observed(_declare(name, "counter" if counts else "gauge", unit, description, labels))
    if counts:
        _METER.create_observable_counter(name, [found.read], unit, description)
    else:
        _METER.create_observable_gauge(name, [found.read], unit, description)
    return found


class _Number:
    """A plain number, read when somebody looks: the SDK takes 5 µs to be told, and this stands in hot paths."""

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
        """The number with these label values, in the order of the declaration; 0 from the first time that it is asked for."""
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
    """What ``counter`` declares. Ask early for labels that are known, so that an alert sees the first that is counted."""

    def __init__(self, declared: Declared) -> None:
        super().__init__(declared)
        if not declared.labels:
            self.labels()

    def inc(self, amount: Value = 1) -> None:
        """Count so many more; for one without labels."""
        self.labels().inc(amount)


class Gauge(_Numbers):
    """What ``gauge`` declares."""

    def set(self, value: Value) -> None:
        """From now on it is this; for one without labels."""
        self.labels().set(value)


def _attributes(declared: Declared, values: tuple[str, ...]) -> Mapping[str, str]:
    return dict(zip(declared.labels, values, strict=True))


class Distribution:
    """Values by size, of one set of labels: for ``crm_kit.signals.histograms`` to read when somebody looks."""

    __slots__ = ("attributes", "bounds", "counts", "largest", "smallest", "total")

    def __init__(self, bounds: Sequence[float], attributes: Mapping[str, str]) -> None:
        self.bounds, self.attributes = bounds, attributes
        self.counts = [0] * (len(bounds) + 1)
        self.total, self.smallest, self.largest = 0.0, inf, 0.0

    def observe(self, value: float) -> None:
        """Count a value; one below zero, as clocks of two machines make, as zero."""
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
    """What ``histogram`` declares."""

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
    """What ``observed`` declares. Sources are read in another thread than the loop's: they look at plain values only."""

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        self._sources: list[Source] = []

    def add(self, source: Source) -> None:
        """Read this one, too, for the life of the process."""
        self._sources.append(source)

    @contextmanager
    def reading(self, source: Source) -> Iterator[None]:
        """Read this one, too, as long as the block lasts."""
        self._sources.append(source)
        try:
            yield
        finally:
            self._sources.remove(source)

    def read(self, _: CallbackOptions) -> Iterable[Observation]:
        """What all sources say; those of the same labels are added up."""
        found: dict[tuple[str, ...], Value] = {}
        for source in tuple(self._sources):
            for values, value in source():
                found[values] = found.get(values, 0) + value
        return [Observation(value, _attributes(self.declared, values)) for values, value in found.items()]
